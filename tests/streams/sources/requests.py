"""Recorded requests of clients, as they were on the wire."""

import base64
from typing import Any, NamedTuple

import httpx
import msgspec

from schemas.event import Event
from tests.shared_data import shared_lines

_OURS = {"host", "content-length", "connection", "accept-encoding"}
"""Headers that belong to the connection, not to what was sent."""


class Recorded(NamedTuple):
    """One request of a client."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes

    def send(self, http: httpx.Client) -> httpx.Response:
        return http.request(
            self.method, self.target, headers=self.headers, content=self.body
        )


def recorded(client: str) -> list[Recorded]:
    """Return the requests of a client, in order; skip, and say so, without them."""
    return [
        Recorded(
            line["method"],
            line["target"],
            {name: one for name, one in line["headers"] if name.lower() not in _OURS},
            base64.b64decode(line["body_base64"])
            if "body_base64" in line
            else line.get("body", "").encode(),
        )
        for line in shared_lines("trackers", "sdk_http", f"{client}.ndjson")
    ]


def in_short(event: Event) -> dict[str, Any]:
    """Return what an event is and about whom, and which fields it has."""
    told = {
        name: getattr(event, name)
        for name in ("type", "name", "channel", "user_id", "anonymous_id", "email")
        if getattr(event, name)
    }
    for group in ("properties", "traits", "context"):
        if fields := getattr(event, group):
            told[group] = sorted(fields)
    return told


def as_lines(events: list[Event]) -> str:
    return "".join(
        f"{msgspec.json.encode(in_short(event)).decode()}\n" for event in events
    )
