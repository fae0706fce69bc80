"""The way to a vendor over HTTP: one request, one answer or the reason to try later."""

import json
from collections.abc import Mapping
from typing import Any, Final

import msgspec
import urllib3
from urllib3.exceptions import HTTPError, LocationParseError, MaxRetryError
from urllib3.exceptions import TimeoutError as TimedOutError

from streams.sending_policy import Refuse, Retry, outcome_of_status

_CONNECT_SECONDS: Final = 10.0
_LARGEST_ANSWER: Final = 16_000_000

Document = dict[str, Any]


class Reply(msgspec.Struct, frozen=True):
    """What a vendor answered."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def ok(self) -> bool:
        """Whether it is a 2xx."""
        return 200 <= self.status < 300  # noqa: PLR2004 - RFC 9110 says so

    @property
    def json(self) -> Any:
        """The body as JSON; an empty mapping where it is none."""
        try:
            return json.loads(self.body)
        except ValueError:
            return {}

    def outcome(self, detail: str = "") -> Retry | Refuse:
        """Return what it means that this was not a 2xx."""
        outcome = outcome_of_status(self.status, self.headers)
        told = " ".join(filter(None, (f"HTTP {self.status}", detail)))
        match outcome:
            case Retry(reason, after):
                return Retry(reason, after, told)
            case Refuse(reason):
                return Refuse(reason, told)
            case _:
                return Retry("server-error", detail="a 2xx that says nothing")


class Door:
    """Talks to one vendor over connections that are kept; follows no redirects."""

    def __init__(self, url: str, timeout_seconds: float) -> None:
        """Talk to `url`; nothing is connected yet."""
        self.url = url
        self._pool = urllib3.PoolManager(
            maxsize=1,
            retries=False,  # the policy's business
            timeout=urllib3.Timeout(
                connect=min(_CONNECT_SECONDS, timeout_seconds), read=timeout_seconds
            ),
        )

    def ask(
        self,
        method: str,
        path: str,
        *,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Reply | Retry:
        """Return the answer to one request; what went wrong on the way is a reason."""
        try:
            answer = self._pool.request(
                method,
                self.url + path,
                body=body,
                headers=dict(headers or {}),
                redirect=False,
                preload_content=False,
            )
            try:
                told = answer.read(_LARGEST_ANSWER)
            finally:
                answer.release_conn()
        except HTTPError as error:
            return failure(error)
        return Reply(answer.status, dict(answer.headers), told)

    def close(self) -> None:
        """Close the connections."""
        self._pool.clear()


def encode(document: Document) -> bytes:
    """Return JSON as it is sent."""
    return json.dumps(document, ensure_ascii=False).encode()


def failure(error: Exception) -> Retry:
    """Return why there was no answer, by the library's error; never its text.

    Texts of such errors quote addresses, which may carry what is secret or personal.
    """
    cause: BaseException | None = error
    while isinstance(cause, MaxRetryError):
        cause = cause.reason
    name = type(cause).__name__
    if isinstance(cause, TimedOutError) or "Timeout" in name:
        return Retry("timeout", detail=name)
    if isinstance(cause, LocationParseError):
        return Retry("misconfigured", detail=name)
    return Retry("unreachable", detail=name)
