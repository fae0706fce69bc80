"""The score table: every owned lead's state, and what its changelog holds.

It wraps the store of a Faust table. The rest of the code never sees that store, and
nothing gets into it before it is durable in the changelog.
"""

from collections.abc import Iterable, Mapping, MutableMapping
from typing import Final, NamedTuple

import msgspec

from schemas.time import Instant
from scorers.state import LeadState, decode_state, encode_state
from streams.codec import Output

VERSION: Final = 1
OWNER_KEY: Final = b"#owner"
"""Key of the record by which a worker takes a changelog partition over."""

MAX_STORED_BYTES: Final = 900_000
"""Brokers take a megabyte by default; a state that outgrows it could not be kept."""


class ChangelogError(Exception):
    """A changelog record cannot be read: no state may be built on guesses."""


class Epoch(NamedTuple):
    """Who wrote a record: later owners of a partition compare greater.

    `term` is the consumer group's generation, or a greater one that was found in the
    changelog (a group that is made anew starts from one); `offset` is the place of
    the owner's own record in the changelog.
    """

    term: int
    offset: int


class StoredLead(msgspec.Struct, array_like=True, frozen=True):
    """A lead in the changelog; fields may only ever be added at the end."""

    version: int
    term: int
    owner: int
    positions: dict[str, int]
    """Per topic (base name): the last offset whose record this state includes."""
    state: bytes
    wake_at: Instant | None
    outbox: tuple[Output, ...] = ()
    """What followed from the last change: sent again if the input comes again."""


class Ownership(msgspec.Struct, array_like=True, frozen=True):
    """A worker's record that it takes a changelog partition over."""

    version: int
    term: int
    id: str
    worker: str


class Lead:
    """A lead in memory; its state is decoded when it is first needed."""

    __slots__ = ("_state", "outbox", "partition", "positions", "wake_at")

    def __init__(
        self,
        partition: int,
        positions: Mapping[str, int],
        state: LeadState | bytes,
        wake_at: Instant | None,
        outbox: tuple[Output, ...] = (),
    ) -> None:
        """Hold what is durable of a lead."""
        self.partition = partition
        self.positions = positions
        self.wake_at = wake_at
        self.outbox = outbox
        """Outputs that may not have been sent; empty when they certainly were."""
        self._state = state

    @property
    def state(self) -> LeadState:
        """Return the state in the core's own form.

        Raises
        ------
        ChangelogError
            When it was stored by a version whose states this one cannot read.
        """
        if isinstance(self._state, bytes):
            try:
                self._state = decode_state(self._state)
            except msgspec.DecodeError as error:
                msg = f"unreadable state in partition {self.partition}: {error}"
                raise ChangelogError(msg) from error
        return self._state


_encode: Final = msgspec.msgpack.Encoder().encode
_lead: Final = msgspec.msgpack.Decoder(StoredLead).decode
_ownership: Final = msgspec.msgpack.Decoder(Ownership).decode


def encode_ownership(ownership: Ownership) -> bytes:
    """Return `ownership` as it goes on the changelog."""
    return _encode(ownership)


class LeadTable:
    """The leads of the partitions that this worker owns."""

    def __init__(self, store: MutableMapping[str, Lead]) -> None:
        """Keep the leads in `store`, the data of the Faust table."""
        self._store = store
        self._epochs: dict[int, Epoch] = {}

    def __len__(self) -> int:
        """Return the number of leads held."""
        return len(self._store)

    @property
    def partitions(self) -> frozenset[int]:
        """The partitions that are owned and complete."""
        return frozenset(self._epochs)

    def get(self, lead_id: str) -> Lead | None:
        """Return what is durable of `lead_id`, None if it is not known here."""
        return self._store.get(lead_id)

    def put(self, lead_id: str, lead: Lead) -> None:
        """Replace what is known of `lead_id`; it must be durable already."""
        self._store[lead_id] = lead

    def encode(
        self,
        partition: int,
        positions: Mapping[str, int],
        state: LeadState,
        outbox: tuple[Output, ...],
    ) -> bytes:
        """Return the changelog's record of a lead, signed with our epoch."""
        epoch = self._epochs[partition]
        return _encode(
            StoredLead(
                VERSION,
                epoch.term,
                epoch.offset,
                dict(positions),
                encode_state(state),
                state.wake_at,
                outbox,
            )
        )

    def drop(self, partitions: Iterable[int]) -> None:
        """Forget the leads of `partitions`: they belong to another worker."""
        gone = frozenset(partitions)
        if not gone:
            return
        for partition in gone:
            self._epochs.pop(partition, None)
        for lead_id in [
            lead_id for lead_id, lead in self._store.items() if lead.partition in gone
        ]:
            del self._store[lead_id]

    def adopt(self, rebuilt: "Rebuilt") -> None:
        """Own a partition, with the leads that its changelog holds."""
        self._epochs[rebuilt.partition] = rebuilt.epoch
        self._store.update(rebuilt.leads())

    def forget_sent(
        self, partitions: frozenset[int], committed: Mapping[tuple[str, int], int]
    ) -> None:
        """Drop the outboxes of leads whose input was acknowledged: they were sent.

        `committed` gives, by topic (base name) and partition, the position from
        which records will be delivered again.
        """
        for lead in self._store.values():
            if lead.outbox and lead.partition in partitions:
                again = any(
                    offset >= committed.get((topic, lead.partition), 0)
                    for topic, offset in lead.positions.items()
                )
                if not again:
                    lead.outbox = ()

    def wakeups(self, partitions: frozenset[int]) -> Iterable[tuple[int, str, Instant]]:
        """Yield partition, lead and planned instant of every lead that has one."""
        for lead_id, lead in self._store.items():
            if lead.wake_at is not None and lead.partition in partitions:
                yield lead.partition, lead_id, lead.wake_at


class Rebuilt:
    """One partition's leads in the making, record by record of its changelog.

    Of two records of a lead the one with the later owner wins, then the later one.
    A worker that was paused and lost the partition signs with an older epoch, so
    what it writes late never wins.
    """

    def __init__(self, partition: int, term: int, claim: str) -> None:
        """Collect `partition` for the owner whose claim has this id."""
        self.partition = partition
        self.records = 0
        self.complete = False
        """Whether our own claim was reached: everything before it was read."""
        self.epoch = Epoch(term, -1)
        self._claim = claim
        self._stored: dict[str, tuple[StoredLead, bytes]] = {}
        self._overwritten: set[str] = set()

    def apply(self, key: bytes | None, value: bytes | None, offset: int) -> None:
        """Take the next record of the changelog.

        Raises
        ------
        ChangelogError
            When the record cannot be read by this version.
        """
        if self.complete:
            return
        self.records += 1
        if key is None:
            msg = f"a record without a key at {self.partition}:{offset}"
            raise ChangelogError(msg)
        try:
            if key == OWNER_KEY:
                if value is not None:
                    self._take_over(_ownership(value), offset)
                return
            lead_id = key.decode()
            if value is None:
                self._stored.pop(lead_id, None)
                self._overwritten.discard(lead_id)
            else:
                self._keep(lead_id, _lead(value), value)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            msg = f"unreadable changelog record at {self.partition}:{offset}: {error}"
            raise ChangelogError(msg) from error

    def leads(self) -> dict[str, Lead]:
        """Return the leads as the changelog leaves them."""
        return {
            lead_id: Lead(
                self.partition,
                stored.positions,
                stored.state,
                stored.wake_at,
                stored.outbox,
            )
            for lead_id, (stored, _) in self._stored.items()
        }

    def repairs(self) -> Iterable[tuple[str, bytes]]:
        """Yield the leads whose last record lost, with the one that won.

        Compaction keeps the last record of a key, so the winner must be written
        again.
        """
        for lead_id in self._overwritten:
            yield lead_id, self._stored[lead_id][1]

    def _take_over(self, ownership: Ownership, offset: int) -> None:
        if ownership.id == self._claim:
            self.epoch = Epoch(self.epoch.term, offset)
            self.complete = True
        else:
            self._note_term(ownership.term)

    def _keep(self, lead_id: str, stored: StoredLead, value: bytes) -> None:
        if stored.version != VERSION:
            msg = f"lead {lead_id} was stored in format {stored.version}"
            raise ChangelogError(msg)
        self._note_term(stored.term)
        held = self._stored.get(lead_id)
        if held is not None:
            before = held[0]
            if (stored.term, stored.owner) < (before.term, before.owner):
                self._overwritten.add(lead_id)
                return
        self._stored[lead_id] = (stored, value)
        self._overwritten.discard(lead_id)

    def _note_term(self, term: int) -> None:
        # A group that was made anew counts from one; its owners must still win.
        if term > self.epoch.term:
            self.epoch = Epoch(term, self.epoch.offset)
