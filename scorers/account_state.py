"""What is remembered of an account: the last word of each of its people.

Written as arrays like a lead's state: fields may only ever be added at the end.
"""

from typing import Final

import msgspec

from schemas.account import TopMember
from schemas.alert import RecentEvent
from schemas.time import DAY, Instant
from scorers.state import AlertState

MAX_MEMBERS: Final = 512
"""People kept per account: beyond it the weakest are left out."""


class Member(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """One person of an account, as its lead last told."""

    sequence: int
    score: float
    tier: str
    grade: str
    active_at: Instant | None
    active_days: int
    """Bit n: active n days before the day of `active_at`."""
    signs: tuple[tuple[Instant, float], ...]
    name: str
    domain: str | None
    owner: str | None
    stage: str | None
    last_event: RecentEvent | None

    def first_day(self) -> int:
        """Return the earliest day of activity that is remembered; a far one if none."""
        if self.active_at is None or not self.active_days:
            return 1 << 40
        return self.active_at // DAY - self.active_days.bit_length() + 1

    def days_active(self, newest: int, days: int) -> int:
        """Return on how many of the `days` up to `newest` the person was active."""
        if self.active_at is None:
            return 0
        ahead = self.active_at // DAY - newest
        if ahead >= 0:
            return (self.active_days >> ahead & ((1 << days) - 1)).bit_count()
        if days + ahead <= 0:
            return 0
        return (self.active_days & ((1 << days + ahead) - 1)).bit_count()


class Published(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """What the last published score said."""

    score: float = 0.0
    tier: str = "none"
    members: int = 0
    active: int = 0
    qualified: bool = False
    top: tuple[TopMember, ...] = ()
    trend: float = 0.0
    name: str = ""
    domain: str | None = None


class AccountState(msgspec.Struct, array_like=True, kw_only=True, gc=False):
    """Everything the core knows of one account. Treat it as immutable."""

    account_id: str
    format: int = 1
    model: str = ""
    """Digest of the model that the plans were made by."""
    sequence: int = 0
    now: Instant = 0
    """Everything planned up to here has been settled."""
    wake_at: Instant | None = None
    members: dict[str, Member] = {}
    departed: dict[str, tuple[int, Instant]] = {}
    """The last sequence of those who left, and when: older words must not return."""
    published: Published = Published()
    history: tuple[tuple[int, float], ...] = ()
    """The last score of each day on which it changed, by day."""
    alerts: dict[str, AlertState] = {}


_ENCODER: Final = msgspec.msgpack.Encoder()
_DECODER: Final = msgspec.msgpack.Decoder(AccountState)


def encode_account(state: AccountState) -> bytes:
    """Return `state` as MessagePack."""
    return _ENCODER.encode(state)


def decode_account(data: bytes | memoryview) -> AccountState:
    """Return the state that `encode_account` wrote.

    Raises
    ------
    msgspec.DecodeError
        If the bytes are no state.
    """
    return _DECODER.decode(data)
