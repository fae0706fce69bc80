"""Dead letters: the original bytes untouched, the story in added headers."""

from datetime import datetime
from typing import Final, Literal

import msgspec

Stage = Literal["collector", "scoring", "delivery"]

DeadLetterReason = Literal[
    "invalid-json",
    "invalid-event",
    "invalid-command",
    "invalid-timestamp",
    "too-large",
    "unroutable",
    "scoring-failed",
]

HEADER_STAGE: Final = "dl_stage"
HEADER_REASON: Final = "dl_reason"
HEADER_DETAIL: Final = "dl_detail"
HEADER_TOPIC: Final = "dl_topic"
HEADER_PARTITION: Final = "dl_partition"
HEADER_OFFSET: Final = "dl_offset"
HEADER_TIME: Final = "dl_time"
HEADER_ATTEMPTS: Final = "dl_attempts"


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
