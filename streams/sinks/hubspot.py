"""HubSpot, by its official client: batches of 100, found by a unique property.

https://developers.hubspot.com/docs/api-reference/crm-objects-v3/guide
"""

import json
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Final

import urllib3

from streams.sending_policy import Refuse, Retry, outcome_of_status
from streams.sinks.answers import Answer, Answers, Found, named
from streams.sinks.door import failure
from streams.sinks.language import Scalar, Sink
from streams.sinks.missing import needs
from streams.sinks.rows import Fields
from streams.sinks.tokens import EXPIRED, ExpiredError, Tokens, with_token

if TYPE_CHECKING:
    from hubspot.crm.objects import BatchApi, SearchApi

_CONNECT_SECONDS: Final = 10.0
_NO_SUCH_FIELD: Final = "PROPERTY_DOESNT_EXIST"
_PAGE: Final = 100


class HubSpot:
    """Contacts, or other objects, of one portal."""

    def __init__(self, sink: Sink, tokens: Tokens) -> None:
        """Ask with `tokens`; nothing is connected yet."""
        assert sink.match is not None  # noqa: S101 - the language sees to it
        self._object = sink.record
        self._match = sink.match.field
        self._fields = tuple(sink.fields)
        self._tokens = tokens
        self._limits = (_CONNECT_SECONDS, sink.timeout / 1000)
        with needs("hubspot", "hubspot-api-client"):
            from hubspot import Client  # noqa: PLC0415 - large, and for some only

        crm = Client.create(
            # Retries are the policy's business, and a redirect is none of HubSpot's.
            host=sink.address,
            retry=urllib3.Retry(0, redirect=False, raise_on_status=False),
        ).crm.objects
        self._batch: BatchApi = crm.batch_api
        self._search: SearchApi = crm.search_api

    def find(
        self, field: str, values: Sequence[str], wanted: Sequence[str]
    ) -> list[Found] | Retry | Refuse:
        """Return the objects whose property `field` is one of `values`."""
        names = sorted({field, *wanted})
        if field == self._match:
            body = {
                "inputs": [{"id": value} for value in values],
                "idProperty": field,
                "properties": names,
                "propertiesWithHistory": [],
            }
            told = self._ask(lambda **how: self._batch.read(self._object, body, **how))
            return [_found(each) for each in told] if isinstance(told, list) else told
        return self._searched(field, values, names)

    def update(self, changes: Sequence[tuple[str, Fields]]) -> Answers:
        """Write properties by the objects' ids."""
        inputs = [
            {"id": record, "properties": _texts(fields)} for record, fields in changes
        ]
        return self._write(
            [record for record, _ in changes],
            lambda **how: self._batch.update(self._object, {"inputs": inputs}, **how),
            "written",
        )

    def create(self, records: Sequence[Fields]) -> Answers:
        """Upsert by the unique property: who came meanwhile is not there twice."""
        keys = [str(record[self._match]) for record in records]
        inputs = [
            {"id": key, "idProperty": self._match, "properties": _texts(record)}
            for key, record in zip(keys, records, strict=True)
        ]
        return self._write(
            keys,
            lambda **how: self._batch.upsert(self._object, {"inputs": inputs}, **how),
            "created",
        )

    def _searched(
        self, field: str, values: Sequence[str], names: Sequence[str]
    ) -> list[Found] | Retry | Refuse:
        """Return by HubSpot's search: it knows of a change some seconds later."""
        found: list[Found] = []
        after = None
        while True:
            one = {"propertyName": field, "operator": "IN", "values": list(values)}
            body = {
                "filterGroups": [{"filters": [one]}],
                "properties": list(names),
                "limit": _PAGE,
                **({} if after is None else {"after": after}),
            }
            pages: list[Any] = []
            told = self._ask(
                lambda body=body, **how: self._search.do_search(
                    self._object, body, **how
                ),
                pages,
            )
            if not isinstance(told, list):
                return told
            found += map(_found, told)
            paging = getattr(pages[0], "paging", None)
            after = paging.next.after if paging and paging.next else None
            if after is None:
                return found

    def _write(
        self, ids: Sequence[str], ask: Callable[..., Any], done: Answer
    ) -> Answers:
        answers: list[Any] = []
        told = self._ask(ask, answers)
        if not isinstance(told, list):
            return told
        refused: dict[str, Refuse] = {}
        general: Refuse | None = None
        for error in getattr(answers[0], "errors", None) or []:
            context = error.context or {}
            about = [*context.get("ids", ()), *context.get("id", ())]
            ours = named(error.message, self._fields)
            detail = " ".join(filter(None, (error.category, ours)))
            gone = "NOT_FOUND" in error.category
            answer = Refuse("unknown-recipient" if gone else "invalid", detail)
            refused.update(dict.fromkeys(about, answer))
            if not about:
                general = answer
        if general is not None and len(told) + len(refused) < len(ids):
            # It does not say whose: those that are not among the results.
            known = {each.id for each in told}
            refused.update({each: general for each in ids if each not in known})
        return [refused.get(each, done) for each in ids]

    def _ask(
        self, ask: Callable[..., Any], answers: list[Any] | None = None
    ) -> list[Any] | Retry | Refuse:
        """Return the results of one request, or why there are none."""

        def authorised(token: str) -> Any:
            for api in (self._batch, self._search):
                api.api_client.configuration.access_token = token
            return self._asked(ask)

        answer = with_token(self._tokens, authorised)
        if isinstance(answer, Retry | Refuse):
            return answer
        if answers is not None:
            answers.append(answer)
        return list(answer.results or [])

    def _asked(self, ask: Callable[..., Any]) -> Any:
        from hubspot.crm.objects.exceptions import (  # noqa: PLC0415 - see above
            ApiException,
        )

        try:
            return ask(_request_timeout=self._limits)
        except ApiException as error:
            if error.status == EXPIRED:
                raise ExpiredError from None
            return self._refused(error)
        except urllib3.exceptions.HTTPError as error:
            return failure(error)
        except (TypeError, ValueError, AttributeError):
            return Retry("server-error", detail="an answer that cannot be read")

    def _refused(self, error: Any) -> Retry | Refuse:
        body = str(error.body or "")
        try:
            category = str(json.loads(body).get("category", ""))
        except (ValueError, AttributeError):
            category = ""
        ours = named(body, self._fields)
        detail = " ".join(filter(None, (f"HTTP {error.status}", category, ours)))
        if _NO_SUCH_FIELD in body:
            return Retry("misconfigured", detail=f"{detail} {_NO_SUCH_FIELD}")
        match outcome_of_status(error.status or 500, dict(error.headers or {})):
            case Retry(reason, after):
                return Retry(reason, after, detail)
            case Refuse(reason):
                return Refuse(reason, detail)
        return Retry("server-error", detail=detail)


def _found(record: Any) -> Found:
    return Found(str(record.id), dict(record.properties or {}))


def _texts(fields: Fields) -> dict[str, str]:
    """Return properties as HubSpot takes them: texts, empty for nothing."""
    return {name: _text(value) for name, value in fields.items()}


def _text(value: Scalar) -> str:
    match value:
        case None:
            return ""
        case bool():
            return str(value).lower()
        case float():
            return f"{value:.10g}"
    return str(value)
