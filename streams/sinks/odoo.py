"""Odoo, by JSON-RPC: `execute_kw` on any of its models.

https://www.odoo.com/documentation/18.0/developer/reference/external_api.html
"""

import itertools
from collections.abc import Mapping, Sequence
from typing import Any, Final

from streams.sending_policy import Refuse, Retry
from streams.sinks.answers import Answer, Answers, Found, named
from streams.sinks.door import Document, Door, Reply, encode
from streams.sinks.language import Scalar, Sink
from streams.sinks.rows import Fields
from streams.sinks.tokens import ExpiredError, Tokens, with_token

_DENIED: Final = frozenset(
    {"odoo.exceptions.AccessDenied", "odoo.http.SessionExpiredException"}
)
_MESSAGE_AT_FAULT: Final = frozenset(
    {
        "odoo.exceptions.ValidationError",
        "odoo.exceptions.UserError",
        "odoo.exceptions.MissingError",
        "odoo.exceptions.RedirectWarning",
        "psycopg2.IntegrityError",
        "psycopg2.errors.UniqueViolation",
        "psycopg2.errors.NotNullViolation",
    }
)
_NO_SUCH_FIELD: Final = "Invalid field"


class Odoo:
    """Partners, leads or other records of one database."""

    def __init__(self, sink: Sink, tokens: Tokens) -> None:
        """Ask with `tokens`; nothing is connected yet."""
        self._door = Door(sink.address, sink.timeout / 1000)
        self._model = sink.record
        self._database = sink.database
        self._login = sink.login
        self._tokens = tokens
        self._fields = tuple({*sink.fields, *(sink.create or ())})
        self._user: int | None = None
        self._numbers = itertools.count(1)

    def find(
        self, field: str, values: Sequence[str], wanted: Sequence[str]
    ) -> list[Found] | Retry | Refuse:
        """Return the records whose `field` is one of `values`."""
        told = self._execute(
            "search_read",
            [[[field, "in", list(values)]]],
            {"fields": sorted({field, *wanted})},
        )
        if isinstance(told, Retry | Refuse):
            return told
        return [Found(str(each["id"]), each) for each in told]

    def update(self, changes: Sequence[tuple[str, Fields]]) -> Answers:
        """Write fields by the records' ids, one after another."""
        return self._each(
            ("write", [[int(record)], _values(fields)], "written")
            for record, fields in changes
        )

    def create(self, records: Sequence[Fields]) -> Answers:
        """Make records, one after another: one that is refused spoils no other."""
        return self._each(("create", [_values(each)], "created") for each in records)

    def _each(self, calls: Any) -> list[Answer]:
        answers: list[Answer] = []
        for method, arguments, done in calls:
            if answers and isinstance(answers[-1], Retry):
                answers.append(answers[-1])  # no use to ask on
                continue
            told = self._execute(method, arguments, {})
            answers.append(told if isinstance(told, Retry | Refuse) else done)
        return answers

    def _execute(self, method: str, arguments: list[Any], more: Document) -> Any:
        """Return what a method of the model returns, or why it did not."""

        def authorised(secret: str) -> Any:
            user = self._signed_in(secret)
            if not isinstance(user, int):
                return user
            who = [self._database, user, secret]
            told = self._call(
                "object", "execute_kw", [*who, self._model, method, arguments, more]
            )
            if told == _EXPIRED:
                self._user = None
                raise ExpiredError
            return told

        return with_token(self._tokens, authorised)

    def _signed_in(self, secret: str) -> int | Retry | Refuse:
        if self._user is None:
            told = self._call("common", "login", [self._database, self._login, secret])
            if isinstance(told, Retry | Refuse):
                return told
            if not isinstance(told, int) or isinstance(told, bool):
                return Retry("credentials", detail="login refused")
            self._user = told
        return self._user

    def _call(self, service: str, method: str, arguments: list[Any]) -> Any:
        """Return the result of a call; errors come with the status 200, too."""
        body = encode(
            {
                "jsonrpc": "2.0",
                "method": "call",
                "params": {"service": service, "method": method, "args": arguments},
                "id": next(self._numbers),
            }
        )
        reply = self._door.ask(
            "POST", "/jsonrpc", body=body, headers={"content-type": "application/json"}
        )
        if isinstance(reply, Retry):
            return reply
        told = reply.json
        if not reply.ok:
            return reply.outcome()
        if not isinstance(told, dict) or ("result" not in told and "error" not in told):
            return Retry("server-error", detail="an answer that cannot be read")
        if "error" in told:
            return self._failed(reply, told["error"])
        return told["result"]

    def _failed(self, reply: Reply, error: Mapping[str, Any]) -> Any:
        data = error.get("data") or {}
        name, message = str(data.get("name", "")), str(data.get("message", ""))
        detail = f"{name} {named(message, self._fields)}".strip()
        if name in _DENIED:
            return _EXPIRED
        if name == "odoo.exceptions.AccessError":
            return Retry("credentials", detail=detail)
        if _NO_SUCH_FIELD in message:
            return Retry("misconfigured", detail=detail)
        if name in _MESSAGE_AT_FAULT:
            return Refuse("invalid", detail)
        outcome = Retry("server-error", detail=detail)
        return outcome if reply.ok else reply.outcome(detail)


_EXPIRED: Final = object()


def _values(fields: Fields) -> dict[str, Scalar]:
    """Return fields as Odoo takes them: False for nothing."""
    return {name: False if value is None else value for name, value in fields.items()}
