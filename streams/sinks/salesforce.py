"""Salesforce, by simple-salesforce: collections of 200, upserted by an external id.

https://developer.salesforce.com/docs/platform/api-rest/guide/resources-composite-sobjects-collections.html
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from streams.sending_policy import Refuse, Retry, outcome_of_status
from streams.sinks.answers import Answer, Answers, Found, named
from streams.sinks.door import failure
from streams.sinks.language import Sink
from streams.sinks.missing import needs
from streams.sinks.rows import Fields
from streams.sinks.tokens import EXPIRED, ExpiredError, Tokens, with_token

_CONNECT_SECONDS: Final = 10.0
_KEYS_IN_A_QUERY: Final = 100
"""A query is a part of the address, which may be 16,384 characters long."""
_LATER: Final = {
    "UNABLE_TO_LOCK_ROW": "rate-limited",
    "REQUEST_LIMIT_EXCEEDED": "rate-limited",
    "SERVER_UNAVAILABLE": "server-error",
    "DUPLICATE_VALUE": "rate-limited",
}
"""What goes well another time, by Salesforce's code."""
_NO_SUCH_FIELD: Final = frozenset({"INVALID_FIELD", "INVALID_TYPE"})


class Salesforce:
    """Contacts, leads or other objects of one organisation."""

    def __init__(self, sink: Sink, tokens: Tokens) -> None:
        """Ask with `tokens`; nothing is connected yet."""
        assert sink.match is not None  # noqa: S101 - the language sees to it
        with needs("salesforce", "simple-salesforce"):
            import simple_salesforce  # noqa: PLC0415 - large, and for some only

        import requests  # noqa: PLC0415 - comes with it

        self._library: Any = simple_salesforce
        self._network_error = requests.RequestException
        self._object = sink.record
        self._match = sink.match.field
        self._fields = tuple({*sink.fields, *(sink.create or ())})
        self._version = sink.api_version
        self._address = sink.address
        self._tokens = tokens
        self._limits = (_CONNECT_SECONDS, sink.timeout / 1000)
        self._session = requests.Session()
        self._session.auth = lambda request: request  # nobody's .netrc
        self._session.hooks["response"].append(self._heard)
        self._headers: Mapping[str, str] = {}
        self._clients: dict[str, Any] = {}

    def find(
        self, field: str, values: Sequence[str], wanted: Sequence[str]
    ) -> list[Found] | Retry | Refuse:
        """Return the records whose `field` is one of `values`."""
        names = sorted({field, *wanted})
        found: list[Found] = []
        for start in range(0, len(values), _KEYS_IN_A_QUERY):
            query = self._library.format_soql(
                f"SELECT Id, {', '.join(names)} FROM {self._object} "  # noqa: S608 - names by the language's pattern, values by format_soql
                f"WHERE {field} IN {{}}",
                list(values[start : start + _KEYS_IN_A_QUERY]),
            )
            told = self._ask("GET", "query", params={"q": query})
            if isinstance(told, Retry | Refuse):
                return told
            found += [Found(each["Id"], each) for each in told.get("records", [])]
        return found

    def update(self, changes: Sequence[tuple[str, Fields]]) -> Answers:
        """Write fields by the records' ids."""
        records = [{"Id": record, **fields} for record, fields in changes]
        return self._write("composite/sobjects", records, "written")

    def create(self, records: Sequence[Fields]) -> Answers:
        """Upsert by the external id: who came meanwhile is not there twice."""
        path = f"composite/sobjects/{self._object}/{self._match}"
        return self._write(path, records, "created")

    def _write(
        self, path: str, records: Sequence[Mapping[str, Any]], done: Answer
    ) -> Answers:
        body = {
            "allOrNone": False,
            "records": [
                {"attributes": {"type": self._object}, **record} for record in records
            ],
        }
        told = self._ask("PATCH", path, json=body)
        if isinstance(told, Retry | Refuse):
            return told
        if not isinstance(told, list) or len(told) != len(records):
            return Retry("server-error", detail="an answer that cannot be read")
        return [done if each.get("success") else self._refused(each) for each in told]

    def _refused(self, result: Mapping[str, Any]) -> Answer:
        errors = result.get("errors") or [{}]
        code = str(errors[0].get("statusCode", "unknown error"))
        about = [*errors[0].get("fields", ()), errors[0].get("message", "")]
        return _outcome(code, f"{code} {named(about, self._fields)}".strip())

    def _ask(self, method: str, path: str, **how: Any) -> Any:
        """Return the answer to one request, or why there is none."""
        return with_token(
            self._tokens,
            lambda token: self._asked(
                lambda: self._client(token).restful(
                    path,
                    method=method,
                    timeout=self._limits,
                    allow_redirects=False,
                    **how,
                )
            ),
        )

    def _asked(self, ask: Callable[[], Any]) -> Any:
        error_type = self._library.exceptions.SalesforceError
        try:
            return ask()
        except error_type as error:
            if error.status == EXPIRED:
                raise ExpiredError from None
            return self._failed(error)
        except self._network_error as error:
            return failure(error)
        except (TypeError, ValueError):
            return Retry("server-error", detail="an answer that cannot be read")

    def _failed(self, error: Any) -> Retry | Refuse:
        content = error.content
        first = content[0] if isinstance(content, list) and content else {}
        code = str(first.get("errorCode", "")) if isinstance(first, dict) else ""
        ours = named(content, self._fields)
        detail = " ".join(filter(None, (f"HTTP {error.status}", code, ours)))
        if code in _LATER or code in _NO_SUCH_FIELD:
            return _outcome(code, detail)
        match outcome_of_status(error.status, self._headers):
            case Retry(reason, after):
                return Retry(reason, after, detail)
            case Refuse(reason):
                return Refuse(reason, detail)
        return Retry("server-error", detail=detail)  # a redirect

    def _client(self, token: str) -> Any:
        """Return the library's client of a token; there is one at a time."""
        if token not in self._clients:
            address = self._tokens.url or self._address
            client = self._library.Salesforce(
                instance_url=address,
                session_id=token,
                session=self._session,
                version=self._version,
            )
            # The library takes the host of an address only.
            client.base_url = f"{address}/services/data/v{self._version}/"
            self._clients = {token: client}
        return self._clients[token]

    def _heard(self, response: Any, *_: object, **__: object) -> None:
        """Remember an answer's headers, which the library's errors do not carry."""
        self._headers = dict(response.headers)


def _outcome(code: str, detail: str) -> Retry | Refuse:
    if code in _NO_SUCH_FIELD:
        return Retry("misconfigured", detail=detail)
    match _LATER.get(code):
        case "rate-limited":
            return Retry("rate-limited", detail=detail)
        case "server-error":
            return Retry("server-error", detail=detail)
    return Refuse("invalid", detail)
