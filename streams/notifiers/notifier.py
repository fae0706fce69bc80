"""What every notifier is: it says something once, and answers what came of it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

import msgspec
import urllib3
from urllib3.exceptions import (
    ConnectTimeoutError,
    HTTPError,
    NewConnectionError,
    ReadTimeoutError,
)

from streams.notifiers.message import Message
from streams.sending_policy import Outcome, Retry, outcome_of_status

CONNECT_SECONDS: Final = 5.0
ANSWER_SECONDS: Final = 10.0

_encode: Final = msgspec.json.Encoder().encode


@dataclass(frozen=True, slots=True, kw_only=True)
class Parcel:
    """One message or, in a digest, several; and whom it goes to."""

    messages: tuple[Message, ...]
    address: str = ""
    """The recipient's address; empty where the target is a place of its own."""
    handle: str = ""
    """The target's own name for what it was told of the same episode before."""
    parent: str = ""
    """The key of that message."""
    stop_url: str = ""
    """Where its reader says that no more digests are wanted."""
    headers: Mapping[str, str] = field(default_factory=dict)
    """Headers of the protocol that carry on the trace."""

    @property
    def first(self) -> Message:
        """The message; of a digest the first one."""
        return self.messages[0]

    @property
    def key(self) -> str:
        """The idempotency key: the same whenever the same is told again."""
        if len(self.messages) == 1:
            return self.first.key
        return f"digest_{self.first.key}_{len(self.messages)}"


class Notifier(Protocol):
    """Says messages at one place. It answers; it does not raise, retry or wait."""

    @property
    def shows_state(self) -> bool:
        """Whether what was said can be changed later, by `show`."""
        ...

    def tell(self, parcel: Parcel) -> Outcome:
        """Say it once. Its `handle`, if any, is what it belongs under."""
        ...

    def show(self, parcel: Parcel) -> Outcome:
        """Let what was said as `handle` say how it stands now."""
        ...


class JsonPoster:
    """Posts JSON to one URL, which may be a secret: it is in no error."""

    def __init__(self, url: str) -> None:
        """Post to `url`; nothing is connected yet."""
        self._url = url
        self._pool = urllib3.PoolManager(
            timeout=urllib3.Timeout(connect=CONNECT_SECONDS, read=ANSWER_SECONDS),
            retries=False,
            maxsize=8,
        )

    def post(
        self, body: Mapping[str, Any] | bytes, headers: Mapping[str, str]
    ) -> Outcome:
        """Return what one request came to."""
        content = body if isinstance(body, bytes) else _encode(body)
        try:
            answer = self._pool.request(
                "POST",
                self._url,
                body=content,
                headers={"Content-Type": "application/json", **headers},
                redirect=False,
            )
        except HTTPError as error:
            # A refused connection is a kind of time-out to urllib3, not to us.
            timed_out = isinstance(
                error, ConnectTimeoutError | ReadTimeoutError
            ) and not isinstance(error, NewConnectionError)
            return Retry(
                "timeout" if timed_out else "unreachable", detail=type(error).__name__
            )
        return outcome_of_status(answer.status, answer.headers)
