"""What a run of records leads to, collected before any of it is written."""

from collections import Counter
from typing import Any

from schemas.dead_letter import DeadLetterReason
from schemas.time import Instant
from schemas.workspace import workspace_of
from scorers.step import Decision
from streams.outgoing import Output
from streams.producing import Parts
from streams.state_records import Stored
from streams.tables import Kept
from streams.transport.progress import Record as Raw


class Touched:
    """A lead or an account that records of this cycle have reached.

    A plain class: compiled, its fields are read directly (ADR 0041).
    """

    __slots__ = (
        "after",
        "alerted",
        "before",
        "decisions",
        "key",
        "machines",
        "outbox_bytes",
        "outputs",
        "partition",
        "positions",
        "received",
        "records",
        "send_again",
        "stored",
        "tiers",
    )

    def __init__(
        self,
        key: str,
        partition: int,
        before: Kept | None,
        positions: dict[str, int],
    ) -> None:
        """Begin with what is durable of `key`, `before`, if anything is."""
        self.key = key
        self.partition = partition
        self.before = before
        self.positions = positions
        self.after: Any = None
        """The new state; None if nothing has changed it."""
        self.stored: Stored | None = None
        """What is written of it, once that is known."""
        # Tuples, for most leads are reached once: an empty one is no object of its own.
        self.outputs: tuple[Output, ...] = ()
        self.outbox_bytes = 0
        self.send_again = False
        self.records: tuple[tuple[str, Raw], ...] = ()
        self.received: Instant | None = None
        """When the first event that was scored had been received."""
        self.alerted = False
        self.tiers: tuple[str, ...] = ()
        self.machines: tuple[str, ...] = ()
        """Why events were found to be a machine's, one reason for each."""
        self.decisions: tuple[Decision, ...] = ()

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


class Cycle:
    """What a run of records leads to, before any of it is written."""

    __slots__ = (
        "bytes",
        "dead",
        "example",
        "full",
        "others",
        "records",
        "results",
        "touched",
    )

    def __init__(self) -> None:
        """Begin with nothing."""
        self.touched: dict[str, Touched] = {}
        self.others: list[Parts] = []
        """Dead letters and forwarded events."""
        self.results: Counter[tuple[str, str]] = Counter()
        self.dead: Counter[DeadLetterReason] = Counter()
        self.example = ""
        self.records = 0
        self.bytes = 0
        self.full = False

    def tiers(self) -> Counter[tuple[str, str]]:
        """Return how many scores of each tier and workspace are published."""
        return Counter(
            (tier, workspace_of(each.key))
            for each in self.touched.values()
            for tier in each.tiers
        )
