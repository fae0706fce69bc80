"""Pipedrive, by version 2 of its REST interface: one person a request.

There is no kept client for Python, and no batch. https://developers.pipedrive.com
"""

import re
from collections.abc import Sequence
from typing import Any, Final
from urllib.parse import urlencode

from streams.sending_policy import Refuse, Retry
from streams.sinks.answers import Answer, Answers, Found, named
from streams.sinks.door import Document, Door, Reply, encode
from streams.sinks.language import Scalar, Sink
from streams.sinks.rows import Fields
from streams.sinks.tokens import EXPIRED, ExpiredError, Tokens, with_token

_CUSTOM: Final = re.compile(r"[0-9a-f]{40}")
"""Custom fields are called by a hash, which Pipedrive shows as their API key."""
_MOST_FOUND: Final = 10
_NO_SUCH_FIELD: Final = re.compile(
    r"unknown|not exist|not found|not allowed", re.IGNORECASE
)
_RESET: Final = "x-ratelimit-reset"


class Pipedrive:
    """Persons (or leads, organisations) of one company."""

    def __init__(self, sink: Sink, tokens: Tokens) -> None:
        """Ask with `tokens`; nothing is connected yet."""
        self._door = Door(sink.address, sink.timeout / 1000)
        self._path = f"/api/v2/{sink.record}"
        self._tokens = tokens
        self._fields = tuple({*sink.fields, *(sink.create or ())})

    def find(
        self, field: str, values: Sequence[str], wanted: Sequence[str]
    ) -> list[Found] | Retry | Refuse:
        """Return the persons whose `field` is one of `values`."""
        kind = "custom_fields" if _CUSTOM.fullmatch(field) else field
        ids: list[str] = []
        for value in values:
            query = {
                "term": value,
                "fields": kind,
                "exact_match": "true",
                "limit": _MOST_FOUND,
            }
            told = self._ask("GET", f"{self._path}/search?{urlencode(query)}")
            if isinstance(told, Retry | Refuse):
                return told
            ids += [str(each["item"]["id"]) for each in told["data"]["items"]]
        if not ids:
            return []
        asked = {"ids": ",".join(ids)}
        if custom := [each for each in (field, *wanted) if _CUSTOM.fullmatch(each)]:
            asked["custom_fields"] = ",".join(sorted(set(custom)))
        told = self._ask("GET", f"{self._path}?{urlencode(asked)}")
        if isinstance(told, Retry | Refuse):
            return told
        sought = {value.casefold() for value in values}
        return [
            Found(str(person["id"]), fields)
            for person in told["data"] or []
            for fields in _flattened(person, field, sought)
        ]

    def update(self, changes: Sequence[tuple[str, Fields]]) -> Answers:
        """Write fields by the persons' ids, one after another."""
        return [
            self._written("PATCH", f"{self._path}/{record}", fields, "written")
            for record, fields in changes
        ]

    def create(self, records: Sequence[Fields]) -> Answers:
        """Make persons, one after another."""
        return [
            self._written("POST", self._path, record, "created") for record in records
        ]

    def _written(self, method: str, path: str, fields: Fields, done: Answer) -> Answer:
        told = self._ask(method, path, _document(fields))
        return told if isinstance(told, Retry | Refuse) else done

    def _ask(self, method: str, path: str, body: Document | None = None) -> Any:
        """Return the answer to one request, or why there is none."""

        def authorised(token: str) -> Any:
            headers = {"x-api-token": token, "accept": "application/json"}
            if body is not None:
                headers["content-type"] = "application/json"
            reply = self._door.ask(
                method,
                path,
                body=None if body is None else encode(body),
                headers=headers,
            )
            if isinstance(reply, Retry):
                return reply
            if reply.status == EXPIRED:
                raise ExpiredError
            return self._read(reply)

        return with_token(self._tokens, authorised)

    def _read(self, reply: Reply) -> Any:
        told = reply.json
        if reply.ok and isinstance(told, dict) and "data" in told:
            return told
        message = str(told.get("error", "")) if isinstance(told, dict) else ""
        ours = named(message, self._fields)
        outcome = reply.outcome(ours)
        if isinstance(outcome, Refuse) and ours and _NO_SUCH_FIELD.search(message):
            return Retry("misconfigured", detail=outcome.detail)
        if isinstance(outcome, Retry) and outcome.after is None:
            return Retry(outcome.reason, _reset(reply), outcome.detail)
        return outcome


def _reset(reply: Reply) -> float | None:
    """Return in how many seconds there are requests left again, where it is told."""
    told = {name.lower(): value for name, value in reply.headers.items()}.get(_RESET)
    return float(told) if told is not None and told.isdigit() else None


def _document(fields: Fields) -> Document:
    """Return a person as Pipedrive takes it: what is the company's own stands apart."""
    document: Document = {}
    custom: dict[str, Scalar] = {}
    for name, value in fields.items():
        if _CUSTOM.fullmatch(name):
            custom[name] = value
        elif name == "email":
            document["emails"] = [{"value": value, "primary": True, "label": "work"}]
        else:
            document[name] = value
    return {**document, **({"custom_fields": custom} if custom else {})}


def _flattened(person: Document, field: str, sought: set[str]) -> list[Document]:
    """Return a person's fields by name; the address is the one that was sought."""
    fields = {**person, **(person.get("custom_fields") or {})}
    if field == "email":
        addresses = [str(each.get("value", "")) for each in person.get("emails") or []]
        return [
            {**fields, "email": each} for each in addresses if each.casefold() in sought
        ][:1]
    return [fields] if str(fields.get(field, "")).casefold() in sought else []
