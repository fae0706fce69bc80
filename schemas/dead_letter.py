"""Dead letters: the original bytes untouched, the story in added headers."""

from collections.abc import Iterable
from datetime import datetime
from typing import Final, Literal, Self

import msgspec

Stage = Literal["collector", "scoring", "accounts", "delivery"]

DeadLetterReason = Literal[
    "invalid-json",
    "invalid-event",
    "invalid-command",
    "invalid-timestamp",
    "too-large",
    "unroutable",
    "scoring-failed",
    "undeliverable",
]

_PREFIX: Final = "dl_"
HEADER_STAGE: Final = "dl_stage"
HEADER_REASON: Final = "dl_reason"
HEADER_DETAIL: Final = "dl_detail"
HEADER_TOPIC: Final = "dl_topic"
HEADER_PARTITION: Final = "dl_partition"
HEADER_OFFSET: Final = "dl_offset"
HEADER_TIME: Final = "dl_time"
HEADER_ATTEMPTS: Final = "dl_attempts"

HEADERS: Final = frozenset(
    {
        HEADER_STAGE,
        HEADER_REASON,
        HEADER_DETAIL,
        HEADER_TOPIC,
        HEADER_PARTITION,
        HEADER_OFFSET,
        HEADER_TIME,
        HEADER_ATTEMPTS,
    }
)


class DeadLetter(msgspec.Struct, frozen=True, kw_only=True):
    """Why and where a record was set aside; its key and value stay as they were."""

    stage: Stage
    reason: DeadLetterReason
    detail: str
    topic: str
    partition: int
    offset: int
    at: datetime
    attempts: int = 1

    def headers(self) -> list[tuple[str, bytes]]:
        """Return the headers that carry this story beside the original's own."""
        fields = (
            (HEADER_STAGE, self.stage),
            (HEADER_REASON, self.reason),
            (HEADER_DETAIL, self.detail[:1024]),
            (HEADER_TOPIC, self.topic),
            (HEADER_PARTITION, str(self.partition)),
            (HEADER_OFFSET, str(self.offset)),
            (HEADER_TIME, self.at.isoformat()),
            (HEADER_ATTEMPTS, str(self.attempts)),
        )
        return [(name, value.encode()) for name, value in fields]

    @classmethod
    def from_headers(cls, headers: Iterable[tuple[str, bytes | None]]) -> Self:
        """Return the story that `headers` tell.

        A record may die again after a replay: the last story holds, and the highest
        number of attempts.

        Raises
        ------
        ValueError
            When they tell none, or not in full.
        """
        story: dict[str, str] = {}
        attempts = 1
        for name, value in headers:
            if name not in HEADERS or value is None:
                continue
            text = value.decode("utf-8", "replace")
            story[name.removeprefix(_PREFIX)] = text
            if name == HEADER_ATTEMPTS:
                attempts = max(attempts, int(text))
        story.pop("attempts", None)
        try:
            at = story.pop("time")
            fields = {**story, "at": at, "attempts": attempts}
            return msgspec.convert(fields, cls, strict=False)
        except (KeyError, msgspec.ValidationError) as error:
            msg = f"not the headers of a dead letter: {error}"
            raise ValueError(msg) from None
