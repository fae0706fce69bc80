"""A second generation of states, made of the events beside the one that is in force.

It is the fold that a worker is (`scorers.replay`), over all partitions at once. States
that were not used lately are kept in bytes, as a worker keeps them.
"""

from collections.abc import Callable, Iterator, MutableMapping
from typing import TYPE_CHECKING, Final, TypeVar, cast

from schemas.command import Retract
from schemas.event import Event
from schemas.model_version import PRIMARY
from schemas.time import to_instant
from schemas.topics import ACCOUNT_STATE, LEAD_STATE, MODEL_VERSIONS
from scorers.account_state import AccountState
from scorers.compiled import CompiledModel
from scorers.replay import Replay
from scorers.state import LeadState
from scorers.versions import Versions
from streams.agents.scoring import impossible_time, known_as
from streams.clock import SystemClock
from streams.model_book import ModelBook, read_version
from streams.partitioner import partition_of
from streams.raw_log import RawLog, Received
from streams.state_files import Row
from streams.state_records import (
    VERSION,
    Claim,
    Stored,
    decode_stored,
    encode_stored,
)
from streams.suppression_feed import load_suppressions
from streams.tables import AccountTable, Kept, LeadTable, StateTable
from streams.topic_reader import read_topic
from streams.unlinked import read_unlinked

if TYPE_CHECKING:
    from streams.settings import Settings

S = TypeVar("S", LeadState, AccountState)

_NOBODY: Final = Claim("", 0, -1)
_REPORTED: Final = 256


class Packed(MutableMapping[str, S]):
    """States by their keys, most of them in bytes."""

    def __init__(self, table: type[StateTable], partitions: int) -> None:
        """Begin with none, as `table` would keep them in so many partitions."""
        self._store: dict[str, Kept] = {}
        self._table = table(self._store)
        self._partitions = partitions

    def __getitem__(self, key: str) -> S:
        """Return a state; KeyError if there is none."""
        kept = self._table.get(key)
        if kept is None:
            raise KeyError(key)
        return cast("S", kept.state)

    def __setitem__(self, key: str, state: S) -> None:
        """Keep a state."""
        where = partition_of(key.encode(), self._partitions)
        kind = self._table.kind
        term, owner = _NOBODY.term, _NOBODY.offset
        packed, digest = kind.encode(state), kind.model_of(state)
        stored = Stored(VERSION, term, owner, {}, packed, state.wake_at, model=digest)
        self._table.renew(key, where, stored, state)

    def __delitem__(self, key: str) -> None:
        """Forget a state."""
        self._table.remove(key)

    def __iter__(self) -> Iterator[str]:
        """Yield the keys."""
        return iter(self._store)

    def __len__(self) -> int:
        """Return the number of states."""
        return len(self._store)

    def rows(self, topic: str) -> Iterator[Row]:
        """Yield every state as it goes into a file."""
        for key, kept in self._store.items():
            value = encode_stored(kept.stored(_NOBODY))
            yield Row(
                topic=topic, partition=kept.partition, key=key.encode(), value=value
            )

    def load(self, row: Row) -> None:
        """Take a state in from a file."""
        kept = self._table.kind(row.partition, decode_stored(row.value))
        self._store[row.key.decode()] = kept


class Generation:
    """Every lead and every account, folded from what was received."""

    def __init__(
        self, settings: "Settings", model: CompiledModel, partitions: int
    ) -> None:
        """Begin with nobody; read which models were in force, and who was erased.

        Raises
        ------
        UserError
            When a topic cannot be read.
        """
        self._settings = settings
        self.partitions = partitions
        self._book = ModelBook(model)
        self.models = [model.ref.digest]
        """What was in force by now: the file everything began with, the versions."""
        self.coming: list[str] = []
        """Versions that are published and not in force yet."""
        self._now = SystemClock().now()
        self._read_models()
        self._suppressions = load_suppressions(settings)
        self.leads: Packed[LeadState] = Packed(LeadTable, partitions)
        self.accounts: Packed[AccountState] = Packed(AccountTable, partitions)
        self._replay = Replay(
            self.versions,
            wake=False,
            unlinked=read_unlinked(settings.unlinked_path),
            states=self.leads,
            accounts=self.accounts,
        )

    def _read_models(self) -> None:
        name = self._settings.topic(MODEL_VERSIONS.name)
        for message in read_topic(self._settings, name, only={0}):
            if (value := message.value()) is None:
                continue
            self._book.load(0, [value])
            version = read_version(value)
            if version is None or version.slot != PRIMARY or version.thresholds:
                continue
            if to_instant(version.at) <= self._now:
                self.models.append(version.id)
            else:
                self.coming.append(version.id)

    def versions(self, workspace: str) -> Versions:
        """Return the versions of a workspace's own model."""
        return self._book.primary(0, workspace)

    def fold(
        self, log: RawLog, report: Callable[[int], None] = lambda _done: None
    ) -> int:
        """Take in what `log` holds, in order; return how much counted."""
        counted = 0
        for done, received in enumerate(log, start=1):
            counted += self._take(received)
            if done % _REPORTED == 0:
                report(done)
        report(len(log))
        return counted

    def rows(self) -> Iterator[Row]:
        """Yield every state as it goes into a file."""
        yield from self.leads.rows(LEAD_STATE.name)
        yield from self.accounts.rows(ACCOUNT_STATE.name)

    def load(self, row: Row) -> None:
        """Take a state in from a file; other rows are passed over."""
        if row.topic == LEAD_STATE.name:
            self.leads.load(row)
        elif row.topic == ACCOUNT_STATE.name:
            self.accounts.load(row)

    def place_of(self, key: str) -> int:
        """Return the partition of a lead or an account."""
        return partition_of(key.encode(), self.partitions)

    def _take(self, received: Received) -> bool:
        content = received.content
        admitted = self._suppressions.admit(content)
        match admitted:
            case Event() as event:
                event = known_as(event, self._settings)
                # What workers have set aside, also where the dead letter is gone.
                if impossible_time(event, max(received.at, self._now)) is not None:
                    return False
                try:
                    for _ in self._replay.take(event, received.whose):
                        pass
                except ValueError:
                    return False  # of nobody, or not to be scored: a dead letter
                return True
            case Retract(lead_id=lead_id, event_ids=ids):
                if lead_id in self.leads:
                    for _ in self._replay.retract(lead_id, ids, received.now):
                        pass
                return True
            case _:
                return False
