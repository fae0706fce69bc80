"""The tables: every owned lead's and account's state, and what the changelogs hold.

A table wraps the store of a Faust table. The rest of the code never sees that store,
and nothing gets into it before it is durable in the changelog.
"""

import sys
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, MutableMapping
from typing import Any, ClassVar, Final, NamedTuple, Self

import msgspec

from schemas.time import Instant
from scorers.account_state import AccountState, decode_account, encode_account
from scorers.state import LeadState, decode_score, decode_state, encode_state
from streams.codec import Output

VERSION: Final = 1
OWNER_KEY: Final = b"#owner"
"""Key of the record by which a worker takes a changelog partition over."""

MAX_STORED_BYTES: Final = 900_000
"""Brokers take a megabyte by default; a state that outgrows it could not be kept."""


MOST_UNPACKED: Final = 8_192
"""States of a table that are kept ready for use: some 14 kB each, 2 kB in bytes."""

_SOURCE_MARK: Final = "/"


def source_name(lead_id: str, topic: str) -> str:
    """Return the name under which a position in what `lead_id` forwards is kept."""
    return f"{lead_id}{_SOURCE_MARK}{topic}"


def is_source(name: str) -> bool:
    """Say whether a position is in what a lead forwards, not in a topic."""
    return _SOURCE_MARK in name


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


class Claim(NamedTuple):
    """What an owner wrote on a changelog partition when it took it over."""

    id: str
    term: int
    offset: int


class Stored(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """A state in the changelog; fields may only ever be added at the end."""

    version: int
    term: int
    owner: int
    positions: Mapping[str, int]
    """Per topic (base name): the last offset whose record this state includes.

    Also per lead and topic, where the lead forwards what is this one's by now.
    """
    state: bytes
    wake_at: Instant | None
    outbox: tuple[Output, ...] = ()
    """What followed from the last change: sent again if the input comes again."""
    model: str = ""
    """Digest of the model that a lead was scored by last."""


class _Sign(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """The first fields of a record; the rest is not looked at."""

    version: int
    term: int
    owner: int


class Ownership(msgspec.Struct, array_like=True, frozen=True):
    """A worker's record that it takes a changelog partition over."""

    version: int
    term: int
    id: str
    worker: str


class Kept(ABC):
    """A state in memory: in bytes, and in the core's own form while it is in use."""

    __slots__ = (
        "_packed",
        "_state",
        "model",
        "outbox",
        "partition",
        "positions",
        "wake_at",
    )

    def __init__(
        self,
        partition: int,
        positions: Mapping[str, int],
        state: Any,
        wake_at: Instant | None,
        outbox: tuple[Output, ...] = (),
        *,
        model: str = "",
        packed: bytes | None = None,
    ) -> None:
        """Hold what is durable; `state` may be as it is stored, in bytes.

        `packed` is the same in bytes, where it is at hand.
        """
        self.partition = partition
        self.positions = positions
        self.wake_at = wake_at
        self.outbox = outbox
        """Outputs that may not have been sent; empty when they certainly were."""
        self.model = sys.intern(model)
        is_packed = isinstance(state, bytes)
        self._state = None if is_packed else state
        self._packed: bytes | None = state if is_packed else packed

    @classmethod
    def restored(cls, partition: int, stored: Stored) -> Self:
        """Return what a record of the changelog holds; a third of the time it takes."""
        kept = cls.__new__(cls)
        kept.partition = partition
        kept.positions = stored.positions
        kept.wake_at = stored.wake_at
        kept.outbox = stored.outbox
        kept.model = sys.intern(stored.model)
        kept._state = None  # noqa: SLF001 - our own
        kept._packed = stored.state  # noqa: SLF001 - our own
        return kept

    @staticmethod
    @abstractmethod
    def encode(state: Any) -> bytes:
        """Return `state` in bytes."""

    @staticmethod
    @abstractmethod
    def decode(data: bytes) -> Any:
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
        if self._state is None and self._packed is not None:
            try:
                self._state = self.decode(self._packed)
            except msgspec.DecodeError as error:
                msg = f"unreadable state in partition {self.partition}: {error}"
                raise ChangelogError(msg) from error
        return self._state

    @property
    def packed(self) -> bytes:
        """The state in bytes."""
        return self.encode(self._state) if self._packed is None else self._packed

    def stored(self, claim: Claim) -> Stored:
        """Return it as the owner with this claim stores it."""
        return Stored(
            VERSION,
            claim.term,
            claim.offset,
            self.positions,
            self.packed,
            self.wake_at,
            self.outbox,
            self.model,
        )

    def pack(self) -> None:
        """Keep the bytes alone: a sixth of the memory, until the state is needed."""
        self._packed = self.packed
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

    @staticmethod
    def decode(data: bytes) -> LeadState:
        """Return the lead's state of these bytes."""
        return decode_state(data)

    @property
    def score(self) -> float:
        """The last published score; asking does not unpack what is stored."""
        if self._state is not None or self._packed is None:
            return float(self.state.score)
        try:
            return decode_score(self._packed)
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

    @staticmethod
    def decode(data: bytes) -> AccountState:
        """Return the account's state of these bytes."""
        return decode_account(data)


_encode: Final = msgspec.msgpack.Encoder().encode
_stored: Final = msgspec.msgpack.Decoder(Stored).decode
decode_ownership: Final = msgspec.msgpack.Decoder(Ownership).decode
"""Returns the claim of these bytes; msgspec.DecodeError if they are none."""


_sign: Final = msgspec.msgpack.Decoder(_Sign).decode


def decode_epoch(value: bytes) -> tuple[int, int]:
    """Return by whom a state was stored, as an `Epoch` compares.

    Raises
    ------
    msgspec.DecodeError
        When it is no state.
    """
    sign = _sign(value)
    return sign.term, sign.owner


def encode_stored(stored: Stored) -> bytes:
    """Return a state as it goes on the changelog."""
    return _encode(stored)


def encode_ownership(ownership: Ownership) -> bytes:
    """Return `ownership` as it goes on the changelog."""
    return _encode(ownership)


def sign_anew(value: bytes, term: int, *, begin_anew: bool) -> bytes:
    """Return a record as an owner of `term` would write it, before any claim.

    To `begin_anew` it includes nothing of any topic, and has nothing left to send.
    """
    stored = _stored(value)
    return _encode(
        Stored(
            stored.version,
            term,
            -1,
            {} if begin_anew else stored.positions,
            stored.state,
            stored.wake_at,
            () if begin_anew else stored.outbox,
            stored.model,
        )
    )


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
        self._in_use: dict[str, Kept] = {}
        """What may be unpacked, the one that was used last at the end."""

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

    def put(self, key: str, kept: Kept) -> None:
        """Replace what is known of `key`; it must be durable already."""
        self._store[key] = kept
        self._use(key, kept)

    def _use(self, key: str, kept: Kept) -> None:
        """Note that a state is in use, and pack what was not for the longest time."""
        in_use = self._in_use
        in_use.pop(key, None)
        in_use[key] = kept
        while len(in_use) > self._most_unpacked:
            in_use.pop(next(iter(in_use))).pack()

    def encode(
        self,
        partition: int,
        positions: Mapping[str, int],
        state: LeadState | AccountState,
        outbox: tuple[Output, ...],
        *,
        packed: bytes | None = None,
    ) -> bytes:
        """Return the changelog's record of a state, signed with our epoch.

        `packed` is the state in bytes, where it is at hand.
        """
        epoch = self._epochs[partition]
        return _encode(
            Stored(
                VERSION,
                epoch.term,
                epoch.offset,
                positions,
                self.kind.encode(state) if packed is None else packed,
                state.wake_at,
                outbox,
                self.kind.model_of(state),
            )
        )

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
        self._store.update(rebuilt.kept(self.kind))

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
        self._in_use.pop(key, None)
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


class Rebuilt:
    """One partition's states in the making, record by record of its changelog.

    Of two records of a key the one with the later owner wins, then the later one.
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
        self.claim = claim
        """Id of our own claim: everything before it is to be read."""
        self._stored: dict[str, Stored] = {}
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
                    self._take_over(decode_ownership(value), offset)
                return
            name = key.decode()
            if value is None:
                self._stored.pop(name, None)
                self._overwritten.discard(name)
            else:
                self._keep(name, _stored(value))
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            msg = f"unreadable changelog record at {self.partition}:{offset}: {error}"
            raise ChangelogError(msg) from error

    def kept(self, kind: type[Kept]) -> dict[str, Kept]:
        """Return the states as the changelog leaves them, as `kind`."""
        return {
            key: kind.restored(self.partition, stored)
            for key, stored in self._stored.items()
        }

    def winners(self) -> Iterable[tuple[str, bytes]]:
        """Yield every key with the record that counts."""
        for key, stored in self._stored.items():
            yield key, _encode(stored)

    def restore(self, states: dict[str, Stored]) -> None:
        """Begin with what a snapshot holds, before any record is applied."""
        self._stored = states
        for stored in states.values():
            self._note_term(stored.term)
            break  # they are all of one owner

    def repairs(self) -> Iterable[tuple[str, bytes]]:
        """Yield the keys whose last record lost, with the one that won.

        Compaction keeps the last record of a key, so the winner must be written
        again.
        """
        for key in self._overwritten:
            yield key, _encode(self._stored[key])

    def erase(self, is_erased: Callable[[str], bool]) -> list[str]:
        """Drop the states of whoever was erased; return their keys.

        What a worker that had lost the partition wrote after an erasure ends here.
        """
        gone = [key for key in self._stored if is_erased(key)]
        for key in gone:
            del self._stored[key]
            self._overwritten.discard(key)
        return gone

    def _take_over(self, ownership: Ownership, offset: int) -> None:
        if ownership.id == self.claim:
            self.epoch = Epoch(self.epoch.term, offset)
            self.complete = True
        else:
            self._note_term(ownership.term)

    def _keep(self, key: str, stored: Stored) -> None:
        if stored.version != VERSION:
            msg = f"{key} was stored in format {stored.version}"
            raise ChangelogError(msg)
        self._note_term(stored.term)
        held = self._stored.get(key)
        if held is not None and ((stored.term, stored.owner) < (held.term, held.owner)):
            self._overwritten.add(key)
            return
        self._stored[key] = stored
        self._overwritten.discard(key)

    def _note_term(self, term: int) -> None:
        # A group that was made anew counts from one; its owners must still win.
        if term > self.epoch.term:
            self.epoch = Epoch(term, self.epoch.offset)
