"""What the collector answers about bad input: values with a reason, never a crash."""

from collections.abc import Mapping

import msgspec

from schemas.dead_letter import DeadLetterReason


class Rejection(msgspec.Struct, frozen=True):
    """One event that cannot be taken, and why; its bytes become a dead letter."""

    reason: DeadLetterReason
    detail: str
    message_id: str | None = None


class Refused(msgspec.Struct, frozen=True, kw_only=True):
    """One message that was not taken: where it stood, why, and its bytes."""

    index: int
    rejection: Rejection
    raw: bytes


class RefusedError(Exception):
    """A request that is wholly invalid: answered and counted, not stored."""

    def __init__(
        self,
        status: int,
        reason: str,
        detail: str,
        *,
        position: int | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        """Carry the HTTP status, a kebab-case reason and what to do about it."""
        super().__init__(f"{status} {reason}: {detail}")
        self.status = status
        self.reason = reason
        self.detail = detail
        self.position = position
        self.headers = dict(headers or {})
