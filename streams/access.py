"""Who may do what over HTTP: people and programs with tokens, in three roles.

`viewer` reads; `sales` also works leads and alerts; `admin` may do everything. Senders
of events are nobody here: their write keys let them write, and nothing else.
"""

import hmac
from collections.abc import Mapping
from typing import Final, Literal, NamedTuple, cast

from pydantic import SecretStr

from streams.errors import UserError
from streams.metrics import ACCESS
from streams.settings import ROLES, Role

_BEARER: Final = "bearer "


class AccessDeniedError(UserError):
    """Somebody may not do this; `status` is the answer that HTTP has for it."""

    def __init__(self, status: Literal[401, 403], text: str) -> None:
        """Say what to do, and nothing of what was shown."""
        super().__init__(text)
        self.status = status


class Holder(NamedTuple):
    """Whose token it is."""

    name: str
    """As the settings call it; fit for logs."""
    role: Role


def least_token(tokens: Mapping[str, SecretStr]) -> str | None:
    """Return the token that may do least, for one role to ask another; None for none.

    >>> least_token({"a": SecretStr("admin:aa"), "v": SecretStr("viewer:vv")})
    'vv'
    """
    given = [each.get_secret_value().partition(":")[::2] for each in tokens.values()]
    given.sort(key=lambda pair: ROLES.index(cast("Role", pair[0])))
    return given[0][1] if given else None


class Access:
    """The tokens in force, compared in constant time."""

    def __init__(self, tokens: Mapping[str, SecretStr]) -> None:
        """Know the `role:token` of everybody by name; without any, all is open."""
        self._tokens: list[tuple[Holder, bytes]] = []
        for name, given in tokens.items():
            role, _, token = given.get_secret_value().partition(":")
            self._tokens.append((Holder(name, cast("Role", role)), token.encode()))

    @property
    def is_open(self) -> bool:
        """Whether nobody needs a token, for there are none."""
        return not self._tokens

    def admit(
        self, authorization: str | None, least: Role, *, surface: str
    ) -> Holder | None:
        """Return who asks, if they may do what `least` may; None if all is open.

        `authorization` is the header's text; `surface` names what is asked for, for
        the metrics.

        Raises
        ------
        AccessDeniedError
            401 without a token that is known, 403 with one whose role does not reach.
        """
        if self.is_open:
            return None
        try:
            holder = self._holder(authorization)
            if ROLES.index(holder.role) < ROLES.index(least):
                msg = f"this needs the role {least}; {holder.name} is {holder.role}"
                raise AccessDeniedError(403, msg)
        except AccessDeniedError as error:
            reason = "unknown" if error.status == 401 else "role"  # noqa: PLR2004
            ACCESS.labels(surface, reason).inc()
            raise
        ACCESS.labels(surface, "admitted").inc()
        return holder

    def _holder(self, authorization: str | None) -> Holder:
        shown = authorization or ""
        offered = b""
        if shown[: len(_BEARER)].lower() == _BEARER:
            offered = shown[len(_BEARER) :].strip().encode(errors="replace")
        found = None
        # Every token is compared, found or not, so that the time taken tells nothing.
        for holder, known in self._tokens:
            if hmac.compare_digest(known, offered):
                found = holder
        if found is None:
            msg = "send a token of LEADPULSE_ACCESS_TOKENS: Authorization: Bearer TOKEN"
            raise AccessDeniedError(401, msg)
        return found
