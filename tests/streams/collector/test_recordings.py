"""What unchanged SDKs put on the wire, replayed byte by byte."""

import base64
import json
from typing import Any

import httpx
import pytest

from streams.settings import Settings
from tests.conftest import MakeTopics
from tests.shared_data import shared_lines
from tests.streams.collector.conftest import read_records, running

EVENTS = tuple(f"{channel}.events.v1" for channel in ("web", "email", "social", "crm"))
HOP_BY_HOP = {"host", "connection", "content-length"}


@pytest.fixture
def settings(make_topics: MakeTopics) -> Settings:
    """A collector that knows the key the recorded SDKs were given."""
    return make_topics(write_keys="website=test_write_key", collector_port=0)


def replayed(client: httpx.Client, recorded: dict[str, Any]) -> httpx.Response:
    zipped = recorded.get("body_base64")
    return client.request(
        recorded["method"],
        recorded["target"],
        headers=[
            (name, value)
            for name, value in recorded["headers"]
            if name.lower() not in HOP_BY_HOP
        ],
        content=(
            base64.b64decode(zipped) if zipped else recorded.get("body", "").encode()
        ),
    )


@pytest.mark.parametrize(
    "sdk", ["segment_python", "segment_python_gzip", "segment_node", "segment_browser"]
)
def test_recordings(settings: Settings, sdk: str) -> None:
    """Every request of an SDK is accepted; each event is stored or set aside."""
    lines = list(shared_lines("trackers", "sdk_http", f"{sdk}.ndjson"))
    sent = accepted = rejected = 0
    with running(settings) as (client, _):
        for recorded in lines:
            answer = replayed(client, recorded)
            assert answer.status_code == 200, (recorded["seq"], answer.text)
            if recorded["method"] == "OPTIONS":
                wanted = dict(recorded["headers"])["Access-Control-Request-Headers"]
                allowed = answer.headers["access-control-allow-headers"]
                assert wanted.lower() in allowed.lower()
                continue
            body = json.loads(recorded.get("body") or recorded["body_decompressed"])
            sent += len(body.get("batch", [body]))
            accepted += answer.json()["accepted"]
            rejected += len(answer.json()["rejected"])
            # The recorded SDKs were told to send a user called "userId".
            assert {one["reason"] for one in answer.json()["rejected"]} <= {
                "unroutable"
            }

    assert sent == accepted + rejected
    events = read_records(settings, accepted, *EVENTS)
    letters = read_records(settings, rejected, "dead-letters.v1")
    assert len({json.loads(event.value)["id"] for event in events}) == accepted
    assert all(b'"userId"' in letter.value for letter in letters)
