"""What a run of records leads to, collected before any of it is written."""

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import msgspec

from schemas.dead_letter import DeadLetterReason
from schemas.time import Instant
from schemas.workspace import workspace_of
from scorers.step import Decision
from streams.codec import Output
from streams.event_log import Record
from streams.state_records import Stored
from streams.tables import Kept
from streams.transport.progress import Record as Raw


class Touched(msgspec.Struct):
    """A lead or an account that records of this cycle have reached."""

    key: str
    partition: int
    before: Kept | None
    after: Any = None
    """The new state; None if nothing has changed it."""
    stored: Stored | None = None
    """What is written of it, once that is known."""
    positions: dict[str, int] = {}
    # Tuples, for most leads are reached once: an empty one is no object of its own.
    outputs: tuple[Output, ...] = ()
    outbox_bytes: int = 0
    send_again: bool = False
    records: tuple[tuple[str, Raw], ...] = ()
    received: Instant | None = None
    """When the first event that was scored had been received."""
    alerted: bool = False
    tiers: tuple[str, ...] = ()
    machines: tuple[str, ...] = ()
    """Why events were found to be a machine's, one reason for each."""
    decisions: tuple[Decision, ...] = ()

    @property
    def state(self) -> Any:
        """Return the state that the next record meets, None if there is none yet."""
        if self.after is None and self.before is not None:
            return self.before.state
        return self.after

    def to_send(self) -> tuple[Output, ...]:
        """Return what is to be sent: first what may be left from before a crash."""
        before = self.before
        if before is None or (self.after is None and not self.send_again):
            return self.outputs
        return before.outbox + self.outputs


@dataclass(slots=True)
class Cycle:
    """What a run of records leads to, before any of it is written."""

    touched: dict[str, Touched] = field(default_factory=dict)
    others: list[Record] = field(default_factory=list)
    """Dead letters and forwarded events."""
    results: Counter[tuple[str, str]] = field(default_factory=Counter)
    dead: Counter[DeadLetterReason] = field(default_factory=Counter)
    example: str = ""
    records: int = 0
    bytes: int = 0
    full: bool = False

    def tiers(self) -> Counter[tuple[str, str]]:
        """Return how many scores of each tier and workspace are published."""
        return Counter(
            (tier, workspace_of(each.key))
            for each in self.touched.values()
            for tier in each.tiers
        )
