"""What a CRM knows us by: a secret that stays, or a token that is got for it."""

from collections.abc import Callable, Mapping
from typing import Final, Protocol, TypeVar
from urllib.parse import urlencode

import structlog

from streams.sending_policy import Refuse, Retry
from streams.sinks.door import Door

_log = structlog.get_logger(__name__)

_T = TypeVar("_T")

EXPIRED: Final = 401
"""The status by which vendors say that a token is not good any more."""


class Tokens(Protocol):
    """Gives the token to ask with."""

    @property
    def url(self) -> str:
        """Where to ask with it; empty where that is settled otherwise."""
        ...

    def token(self) -> str | Retry:
        """Return a token, or why there is none now."""
        ...

    def expired(self) -> bool:
        """Forget the token; say whether there may be a better one."""
        ...


class KeptToken:
    """A secret that does not expire by itself."""

    url = ""

    def __init__(self, secret: str) -> None:
        """Ask with `secret`."""
        self._secret = secret

    def token(self) -> str | Retry:
        """Return the secret."""
        return self._secret

    def expired(self) -> bool:
        """Say that there is no other."""
        return False


class OAuthToken:
    """A token of OAuth 2.0, got anew when it has expired."""

    def __init__(self, door: Door, path: str, form: Mapping[str, str]) -> None:
        """Get tokens by posting `form`, which has the secret, to `path`."""
        self.url = ""
        self._door = door
        self._path = path
        self._form = form
        self._token = ""

    def token(self) -> str | Retry:
        """Return the token; get one where there is none."""
        if self._token:
            return self._token
        reply = self._door.ask(
            "POST",
            self._path,
            body=urlencode(self._form).encode(),
            headers={"content-type": "application/x-www-form-urlencoded"},
        )
        if isinstance(reply, Retry):
            return reply
        told = reply.json
        if not reply.ok or not isinstance(told, dict) or not told.get("access_token"):
            outcome = reply.outcome("no token")
            if isinstance(outcome, Refuse):  # a wrong secret is no fault of a lead
                return Retry("credentials", detail=outcome.detail)
            return outcome
        self._token = str(told["access_token"])
        self.url = str(told.get("instance_url") or "")
        _log.debug("sink_token_renewed")
        return self._token

    def expired(self) -> bool:
        """Forget the token; the next is a new one."""
        had, self._token = bool(self._token), ""
        return had


class ExpiredError(Exception):
    """The vendor says that the token is not good (any more)."""


def with_token(tokens: Tokens, ask: Callable[[str], _T]) -> _T | Retry:
    """Return what `ask` returns, with a fresh token if the one there is expired."""
    for _ in range(2):
        token = tokens.token()
        if isinstance(token, Retry):
            return token
        try:
            return ask(token)
        except ExpiredError:
            if not tokens.expired():
                break
    return Retry("credentials", detail=f"HTTP {EXPIRED}")
