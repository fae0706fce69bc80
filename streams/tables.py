"""The tables: every owned lead's and account's state, and what the changelogs hold.

A table wraps the store of a Faust table. The rest of the code never sees that store,
and nothing gets into it before it is durable in the changelog.
"""

import sys
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, MutableMapping
from typing import TYPE_CHECKING, Any, ClassVar, Final, cast

import msgspec
from mypy_extensions import mypyc_attr

from schemas.time import Instant
from scorers.account_state import AccountState, decode_account, encode_account
from scorers.state import LeadState, decode_score, decode_state, encode_state
from streams.outgoing import Output
from streams.state_records import (
    VERSION,
    ChangelogError,
    Claim,
    Epoch,
    Stored,
    is_source,
)

if TYPE_CHECKING:
    from streams.rebuilding import Rebuilt


MOST_UNPACKED: Final = 8_192
"""States of a table that are kept ready for use: some 14 kB each, 2 kB in bytes."""


Packed = bytes | memoryview
"""A state in bytes: its own, or a part of a snapshot's file (ADR 0047)."""


@mypyc_attr(allow_interpreted_subclasses=True)
class Kept(ABC):
    """A state in memory: in bytes, and in the core's own form while it is in use."""

    __slots__ = (
        "_state",
        "last_round",
        "model",
        "outbox",
        "packed",
        "partition",
        "positions",
        "wake_at",
    )

    def __init__(self, partition: int, stored: Stored) -> None:
        """Hold what a record of the changelog of `partition` holds."""
        self.partition = partition
        self.last_round = -1
        """When it was used last, as its table counts."""
        self.model = ""
        self.renew(stored)
        self.outbox = stored.outbox
        """Outputs that may not have been sent; empty when they certainly were."""

    def renew(self, stored: Stored, state: Any = None) -> None:
        """Hold what was made durable last, all of its outputs sent.

        `state` is the one of `stored` in the core's own form, where it is at hand.
        """
        self.positions = stored.positions
        self.wake_at = stored.wake_at
        self.outbox = ()
        if stored.model != self.model:
            self.model = sys.intern(stored.model)
        self._state = state
        self.packed: Packed = cast("Any", stored).state

    @staticmethod
    @abstractmethod
    def encode(state: Any) -> bytes:
        """Return `state` in bytes."""

    # No static method: compiled, one that is called on an instance is not looked up.
    @abstractmethod
    def decode(self, data: Packed) -> Any:
        """Return the state of these bytes."""

    @staticmethod
    def model_of(state: Any) -> str:  # noqa: ARG004 - accounts have none
        """Return the digest of the model that the state was made by."""
        return ""

    @property
    def state(self) -> Any:
        """Return the state in the core's own form.

        Raises
        ------
        ChangelogError
            When it was stored by a version whose states this one cannot read.
        """
        if self._state is None:
            try:
                self._state = self.decode(self.packed)
            except msgspec.DecodeError as error:
                msg = f"unreadable state in partition {self.partition}: {error}"
                raise ChangelogError(msg) from error
        return self._state

    def stored(self, claim: Claim) -> Stored:
        """Return it as the owner with this claim stores it."""
        return Stored(
            VERSION,
            claim.term,
            claim.offset,
            self.positions,
            cast("Any", self.packed),
            self.wake_at,
            self.outbox,
            self.model,
        )

    def pack(self) -> None:
        """Keep the bytes alone: a sixth of the memory, until the state is needed."""
        self._state = None

    @property
    def is_packed(self) -> bool:
        """Whether only the bytes are kept."""
        return self._state is None


class Lead(Kept):
    """What is durable of a lead: its `state` is a `LeadState`."""

    __slots__ = ()

    @staticmethod
    def encode(state: LeadState) -> bytes:
        """Return `state` in bytes."""
        return encode_state(state)

    @staticmethod
    def model_of(state: LeadState) -> str:
        """Return the digest of the model that the lead was scored by last."""
        return state.model

    def decode(self, data: Packed) -> LeadState:
        """Return the lead's state of these bytes."""
        return decode_state(data)

    @property
    def score(self) -> float:
        """The last published score; asking does not unpack what is stored."""
        if self._state is not None:
            return float(self.state.score)
        try:
            return decode_score(self.packed)
        except msgspec.DecodeError as error:
            msg = f"unreadable state in partition {self.partition}: {error}"
            raise ChangelogError(msg) from error


class Account(Kept):
    """What is durable of an account: its `state` is an `AccountState`."""

    __slots__ = ()

    @staticmethod
    def encode(state: AccountState) -> bytes:
        """Return `state` in bytes."""
        return encode_account(state)

    def decode(self, data: Packed) -> AccountState:
        """Return the account's state of these bytes."""
        return decode_account(data)


@mypyc_attr(allow_interpreted_subclasses=True)
class StateTable:
    """The states of the partitions that this worker owns, by their keys."""

    kind: ClassVar[type[Kept]]
    """What it holds."""

    def __init__(
        self, store: MutableMapping[str, Kept], *, unpacked: int = MOST_UNPACKED
    ) -> None:
        """Keep the states in `store`, the data of the Faust table.

        Of the states that were used last `unpacked` stay in the core's own form.
        """
        self._store = store
        self._epochs: dict[int, Epoch] = {}
        self._claims: dict[int, str] = {}
        self._removals: Counter[int] = Counter()
        self._most_unpacked = unpacked
        self._round = 0
        self._recent: dict[str, Kept] = {}
        """What was used in this round, and may be unpacked."""
        self._older: dict[str, Kept] = {}
        """What was used in the round before, and has not been looked at since."""

    def __len__(self) -> int:
        """Return the number of states held."""
        return len(self._store)

    @property
    def partitions(self) -> frozenset[int]:
        """The partitions that are owned and complete."""
        return frozenset(self._epochs)

    def get(self, key: str) -> Kept | None:
        """Return what is durable of `key`, None if it is not known here."""
        kept = self._store.get(key)
        if kept is not None:
            self._use(key, kept)
        return kept

    def _use(self, key: str, kept: Kept) -> None:
        """Note that a state is in use, and pack one that has not been for a round.

        A round is over when as many were used as may be unpacked. By then everything
        of the round before has been packed, or is of this one, too: the two together
        are never more.
        """
        if kept.last_round == self._round:
            return
        kept.last_round = self._round
        if len(self._recent) >= self._most_unpacked:
            self._older, self._recent = self._recent, {}
            self._round += 1
            kept.last_round = self._round
        self._recent[key] = kept
        if self._older:
            _, old = self._older.popitem()
            if old.last_round != self._round:
                old.pack()

    def signed(
        self,
        partition: int,
        positions: Mapping[str, int],
        state: LeadState | AccountState,
        outbox: tuple[Output, ...],
    ) -> Stored:
        """Return a state as the changelog is to keep it, signed with our epoch."""
        term, owner = self._epochs[partition]
        kind = self.kind
        return Stored(
            VERSION,
            term,
            owner,
            positions,
            kind.encode(state),
            state.wake_at,
            outbox,
            kind.model_of(state),
        )

    def renew(self, key: str, partition: int, stored: Stored, state: Any) -> None:
        """Replace what is known of `key` by what is durable now, and was sent."""
        kept = self._store.get(key)
        if kept is None:
            kept = self._store[key] = self.kind(partition, stored)
        kept.renew(stored, state)
        self._use(key, kept)

    def drop(self, partitions: Iterable[int]) -> None:
        """Forget the states of `partitions`: they belong to another worker."""
        gone = frozenset(partitions)
        if not gone:
            return
        for partition in gone:
            self._epochs.pop(partition, None)
            self._claims.pop(partition, None)
        for key in [key for key, kept in self._store.items() if kept.partition in gone]:
            self.remove(key)

    def adopt(self, rebuilt: "Rebuilt") -> None:
        """Own a partition, with the states that its changelog holds."""
        self._epochs[rebuilt.partition] = rebuilt.epoch
        self._claims[rebuilt.partition] = rebuilt.claim
        store, kind, partition = self._store, self.kind, rebuilt.partition
        for key, stored in rebuilt.states():
            store[key] = kind(partition, stored)

    def forget_sent(
        self, partitions: frozenset[int], committed: Mapping[tuple[str, int], int]
    ) -> None:
        """Drop the outboxes of states whose input was acknowledged: they were sent.

        `committed` gives, by topic (base name) and partition, the position from
        which records will be delivered again.
        """
        for kept in self._store.values():
            if kept.outbox and kept.partition in partitions:
                again = any(
                    offset >= committed.get((topic, kept.partition), 0)
                    for topic, offset in kept.positions.items()
                    if not is_source(topic)
                )
                if not again:
                    kept.outbox = ()

    def wakeups(self, partitions: frozenset[int]) -> Iterable[tuple[int, str, Instant]]:
        """Yield partition, key and planned instant of every state that has one."""
        for key, kept in self._store.items():
            if kept.wake_at is not None and kept.partition in partitions:
                yield kept.partition, key, kept.wake_at

    def held(self, partitions: Iterable[int]) -> Iterator[tuple[str, Kept]]:
        """Yield every state of `partitions` with its key."""
        wanted = frozenset(partitions)
        for key, kept in self._store.items():
            if kept.partition in wanted:
                yield key, kept

    def keys_of(self, partition: int) -> list[str]:
        """Return the keys of the states of one partition."""
        return [key for key, kept in self._store.items() if kept.partition == partition]

    def stored(self, keys: Iterable[str], claim: Claim) -> list[tuple[str, Stored]]:
        """Return the states of `keys` as the owner with `claim` stores them.

        What is not known any more is left out.
        """
        found = ((key, self._store.get(key)) for key in keys)
        return [(key, kept.stored(claim)) for key, kept in found if kept is not None]

    def claim(self, partition: int) -> Claim | None:
        """Return by which claim a partition is owned, None if it is not."""
        epoch = self._epochs.get(partition)
        return None if epoch is None else Claim(self._claims[partition], *epoch)

    def removals(self, partition: int) -> int:
        """Return how many states of a partition were removed so far."""
        return self._removals[partition]

    def remove(self, key: str) -> None:
        """Forget a state; that it is gone must be durable already."""
        kept = self._store.pop(key, None)
        self._recent.pop(key, None)
        self._older.pop(key, None)
        if kept is not None:
            self._removals[kept.partition] += 1


class LeadTable(StateTable):
    """The leads of the partitions that this worker owns."""

    kind = Lead


class SideTable(StateTable):
    """What models beside the primary make of the leads, by slot and lead id."""

    kind = Lead


class AccountTable(StateTable):
    """The accounts of the partitions that this worker owns."""

    kind = Account
