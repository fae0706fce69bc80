"""Recovery of the tables: claim, read, adopt, repair.

Plugs into Faust where its own recovery sits (`TableManager`), so partitions are
assigned, paused and resumed by Faust and only the reading is ours.
"""

import asyncio
import threading
import time
import uuid
from collections.abc import Callable, Iterable, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from functools import partial
from itertools import chain
from typing import TYPE_CHECKING, Final, cast

import structlog
from aiokafka.errors import IllegalStateError, KafkaError
from faust.tables.manager import TableManager
from faust.tables.recovery import RebalanceAgain, Recovery, ServiceStopped
from mode import Service

from schemas.topics import MODEL_VERSIONS, SUPPRESSIONS, Topic
from streams import metrics
from streams.clock import Clock, SystemClock
from streams.event_log import EventLog, Record
from streams.heap import undisturbed
from streams.model_book import ModelBook
from streams.rebuilding import Rebuilt
from streams.state_records import (
    OWNER_KEY,
    VERSION,
    Ownership,
    Stored,
    encode_ownership,
)
from streams.suppressions import Suppressions
from streams.tables import StateTable
from streams.topic_reader import UnreadableTopicError, read_topic
from streams.transport.changelog import (
    has_claim,
    mark_of,
    open_reader,
    read_changelog,
)
from streams.transport.snapshots import Header, Opened, SnapshotError, SnapshotFolder
from streams.transport.standby import Ahead, Standby

if TYPE_CHECKING:
    from confluent_kafka import Consumer, Message
    from faust.types import TP

    from streams.settings import Settings
    from streams.transport.consumer import BatchConsumer

_WAIT_SECONDS: Final = 1.0

_log = structlog.get_logger(__name__)


@dataclass(kw_only=True)
class TableOwner:
    """Takes partitions of the tables over, and gives them up.

    The tables are owned together, for their topics are co-partitioned.
    """

    settings: "Settings"
    tables: Mapping[Topic, StateTable]
    """The tables by their changelogs."""
    sources: tuple[Topic, ...]
    """What the states are made of."""
    log: EventLog
    models: ModelBook
    """What is in force in the partitions that are owned."""
    suppressions: Suppressions
    """Who was erased: nothing of them is taken over."""
    on_change: Callable[[frozenset[int], frozenset[int]], None]
    """Called with the partitions that were dropped and those that were adopted."""
    snapshots: SnapshotFolder | None = None
    """Where a worker before this one may have left what it had; None for nowhere."""
    standby: Standby | None = None
    """What is kept of partitions that may become ours; None for nothing."""
    clock: Clock = field(default_factory=SystemClock)
    generation: int | None = None
    """Of the group, when the tables last were as assigned; None if they may not be."""
    _stop: threading.Event = field(default_factory=threading.Event)

    def distrust(self) -> None:
        """Read it all again next time: what is in memory may be outdated."""
        self.generation = None

    def interrupt(self) -> None:
        """Give up reading: the partitions are being assigned anew."""
        self._stop.set()

    def stand_by(self, partitions: frozenset[int]) -> None:
        """Keep a copy of the states of these partitions, and of no others."""
        if self.standby is not None:
            topics = [self.settings.topic(topic.name) for topic in self.tables]
            self.standby.follow((each, n) for each in topics for n in partitions)

    async def rebuild(self, wanted: frozenset[int], generation: int) -> frozenset[int]:
        """Own `wanted`, and nothing else; return what was read anew.

        What was owned in the generation just before cannot have had another owner
        since, and is kept.
        """
        owned = frozenset().union(*(t.partitions for t in self.tables.values()))
        kept = owned & wanted
        if self.generation is None or generation != self.generation + 1:
            kept = frozenset()
        self.generation = None
        for table in self.tables.values():
            table.drop(owned - kept)
        self.models.drop(owned - kept)
        metrics.ASSIGNED_PARTITIONS.set(len(wanted))
        new = wanted - kept
        with undisturbed():
            if new:
                await self._load_suppressions(new)
                await self._rebuild_tables(new, generation)
                await self._load_models(new)
            self.on_change(owned - kept, new)
        self.generation = generation
        return new

    async def _rebuild_tables(self, new: frozenset[int], generation: int) -> None:
        for topic, table in self.tables.items():
            started = time.monotonic()
            rebuilt = await self._read(topic, new, generation)
            for each in rebuilt:
                table.adopt(each)
            _log.info(
                "table_recovered",
                changelog=topic.name,
                partitions=sorted(new),
                records=sum(each.records for each in rebuilt),
                states=len(table),
                seconds=round(time.monotonic() - started, 3),
            )

    async def _load_suppressions(self, new: frozenset[int]) -> None:
        topic = self.settings.topic(SUPPRESSIONS.name)
        read = partial(read_topic, self.settings, topic, only=new)
        for record in await self._patiently(read):
            if value := record.value():
                self.suppressions.read(value)

    async def _load_models(self, new: frozenset[int]) -> None:
        topic = self.settings.topic(MODEL_VERSIONS.name)
        read = partial(read_topic, self.settings, topic, only=new)
        # What it finds is taken in here, not in the thread that reads.
        records = await self._patiently(read)
        for partition in new:
            self.models.load(
                partition,
                [
                    value
                    for record in records
                    if record.partition() == partition and (value := record.value())
                ],
            )

    async def _patiently(
        self, read: Callable[[], Iterable["Message"]]
    ) -> list["Message"]:
        """Return what `read` finds, when Kafka can be reached: until then, wait.

        It reads in a thread, for it blocks.
        """
        while True:
            try:
                return await asyncio.to_thread(lambda: list(read()))
            except UnreadableTopicError as error:
                # The topics were there when the worker began.
                _log.warning("recovery_waits", error=str(error))
                await asyncio.sleep(_WAIT_SECONDS)

    async def _read(
        self, changelog: Topic, partitions: Iterable[int], term: int
    ) -> list[Rebuilt]:
        topic = self.settings.topic(changelog.name)
        # Before the claim is there: who follows without waiting for it reads past it.
        ahead = await asyncio.to_thread(self._taken, topic, partitions)
        claim = uuid.uuid4().hex
        worker = self.settings.worker_id or ""
        value = encode_ownership(Ownership(VERSION, term, claim, worker))
        await self.log.append(
            [Record(topic, OWNER_KEY, value, [], each) for each in partitions]
        )
        rebuilt = {each: Rebuilt(each, term, claim) for each in partitions}
        stop = self._stop = threading.Event()
        starts = await asyncio.to_thread(self._restore, topic, rebuilt, ahead)
        try:
            await asyncio.to_thread(
                partial(read_changelog, self.settings, topic, rebuilt, stop, starts)
            )
        finally:
            stop.set()
        if not all(each.complete for each in rebuilt.values()):
            # Interrupted: what was read is not the last word on any state.
            raise RebalanceAgain
        repairs = [
            Record(topic, key.encode(), winner, [], each.partition)
            for each in rebuilt.values()
            for key, winner in each.repairs()
        ]
        repairs += [
            Record(topic, key.encode(), None, [], each.partition)
            for each in rebuilt.values()
            for key in each.erase(self._is_erased)
        ]
        if repairs:
            _log.warning("late_writes_undone", states=len(repairs))
            await self.log.append(repairs)
        return list(rebuilt.values())

    def _taken(self, topic: str, partitions: Iterable[int]) -> dict[int, Ahead]:
        """Return what stood by for `partitions`."""
        if self.standby is None:
            return {}
        found = {each: self.standby.take((topic, each)) for each in partitions}
        return {each: ahead for each, ahead in found.items() if ahead is not None}

    def _restore(
        self, topic: str, rebuilt: dict[int, Rebuilt], ahead: Mapping[int, Ahead]
    ) -> dict[int, int]:
        """Begin with what stood by, else a snapshot; return from where to read on."""
        found: dict[int, Opened] = {}
        if self.snapshots is not None:
            now = self.clock.now()
            for each in rebuilt:
                if (opened := self.snapshots.take(topic, each, now)) is not None:
                    found[each] = opened
        if not ahead and not found:
            return {}
        with closing(open_reader(self.settings)) as reader:
            starts = take_over(reader, topic, rebuilt, ahead)
            for each in starts:
                found.pop(each, None)
            return starts | self._restore_from(reader, topic, rebuilt, found)

    def _restore_from(
        self,
        reader: "Consumer",
        topic: str,
        rebuilt: Mapping[int, Rebuilt],
        found: Mapping[int, Opened],
    ) -> dict[int, int]:
        starts = {}
        for partition, opened in found.items():
            try:
                _believe(reader, opened.header)
                # All of it or nothing: it may turn out at its end not to be whole.
                restored: dict[str, Stored] = dict(chain.from_iterable(opened.states()))
            except (SnapshotError, OSError) as error:
                metrics.SNAPSHOTS.labels("refused").inc()
                _log.warning(
                    "snapshot_refused",
                    changelog=topic,
                    partition=partition,
                    error=str(error),
                )
                continue
            rebuilt[partition].restore(restored)
            starts[partition] = opened.header.read_on
            metrics.SNAPSHOTS.labels("used").inc()
            metrics.RESTORED_STATES.inc(len(restored))
        return starts

    def _is_erased(self, key: str) -> bool:
        # What is kept beside the primary has the slot before the lead's id.
        return self.suppressions.forgets(key.rpartition("/")[2])


def take_over(
    reader: "Consumer",
    topic: str,
    rebuilt: dict[int, Rebuilt],
    ahead: Mapping[int, Ahead],
) -> dict[int, int]:
    """Let what stood by be what is rebuilt; return from where each is read on."""
    starts = {}
    for partition, stood in ahead.items():
        try:
            is_same = mark_of(reader, topic, partition, stood.read_on - 1) == stood.mark
        except OSError as error:
            _log.warning("standby_unconfirmed", changelog=topic, error=str(error))
            is_same = False
        metrics.STANDBYS.labels("used" if is_same else "refused").inc()
        if is_same:
            begun = rebuilt[partition]
            stood.rebuilt.expect(begun.epoch.term, begun.claim)
            rebuilt[partition] = stood.rebuilt
            starts[partition] = stood.read_on
        else:
            _log.warning("standby_refused", changelog=topic, partition=partition)
    return starts


def _believe(reader: "Consumer", at: Header) -> None:
    """Return if the changelog is the one that the snapshot was taken of.

    Raises
    ------
    SnapshotError
        When the claim of who took it is not there, or what was its end.
    """
    place = reader, at.topic, at.partition
    if (
        not has_claim(*place, at.claim, at.claimed_at)
        or mark_of(*place, at.read_on - 1) != at.mark
    ):
        msg = "the changelog is another one"
        raise SnapshotError(msg)


class StateRecovery(Recovery):
    """Faust's recovery service with the reading replaced."""

    owner: TableOwner
    _wanted: frozenset[int] = frozenset()
    _others: frozenset[int] = frozenset()
    """What this worker stands by for."""

    async def on_rebalance(
        self,
        assigned: set["TP"],
        revoked: set["TP"],  # noqa: ARG002 - Faust's signature
        newly_assigned: set["TP"],  # noqa: ARG002 - same
        generation_id: int = 0,
    ) -> None:
        """Begin anew with what is assigned now."""
        metrics.REBALANCES.inc()
        owner = self.owner
        sources = {owner.settings.topic(topic.name) for topic in owner.sources}
        self._wanted = frozenset(tp.partition for tp in assigned if tp.topic in sources)
        self._others = frozenset(
            tp.partition
            for tp in self.app.assignor.assigned_standbys()
            if tp.topic in sources
        )
        self._generation_id = generation_id
        self.owner.interrupt()
        self.signal_recovery_start.set()

    @Service.task
    async def _restart_recovery(self) -> None:
        while not self.should_stop:
            if await self.wait_for_stopped(self.signal_recovery_start):  # type: ignore[arg-type] # mode's own
                break
            self.signal_recovery_start.clear()
            generation = self._generation_id
            try:
                self._set_recovery_started()
                metrics.RECOVERING.set(1)
                started = time.monotonic()
                await self._wait(self._rebuild(self._wanted, generation))
                owner = self.owner
                await asyncio.to_thread(owner.stand_by, self._others - self._wanted)
                await self._wait(self.on_recovery_completed(generation))
                metrics.RECOVERING.set(0)
                metrics.RECOVERY_LEFT.set(0)
                metrics.RECOVERY_SECONDS.set(time.monotonic() - started)
            except (RebalanceAgain, IllegalStateError):
                continue  # the next assignment is on its way or here
            except KafkaError as error:
                # No time, no coordinator, no answer: it says nothing of our states.
                _log.warning("recovery_begins_again", error=repr(error))
                await self.sleep(_WAIT_SECONDS)
                self.signal_recovery_start.set()
            except ServiceStopped:
                if self.should_stop:
                    break
                # Faust says so as well where it has waited too long for an answer.
                _log.warning("recovery_begins_again", error="no answer to the seek")
                self.signal_recovery_start.set()

    async def _rebuild(self, wanted: frozenset[int], generation: int) -> None:
        new = await self.owner.rebuild(wanted, generation)
        if not new:
            return
        owner = self.owner
        names = {
            owner.settings.topic(topic.name): topic.name for topic in owner.sources
        }
        positions = await cast("BatchConsumer", self.app.consumer).committed()
        committed = {
            (names[each.topic], each.partition): position
            for each, position in positions.items()
            if position is not None
        }
        for table in owner.tables.values():
            table.forget_sent(new, committed)

    @Service.task
    async def _slurp_changelogs(self) -> None:
        """Nothing to do: the changelog is not read through Faust's consumer."""

    @Service.task
    async def _publish_stats(self) -> None:
        """Nothing to do: `leadpulse_recovering` and the log tell."""

    def flush_buffers(self) -> None:
        """Nothing is buffered."""


class StateTables(TableManager):
    """Faust's table manager with our recovery, and no wait before it."""

    owner: TableOwner

    @property
    def recovery(self) -> StateRecovery:
        """The one recovery service."""
        if self._recovery is None:
            recovery = StateRecovery(self.app, self, beacon=self.beacon, loop=self.loop)
            recovery.owner = self.owner
            self._recovery = recovery
        return cast("StateRecovery", self._recovery)

    async def on_start(self) -> None:
        """Register the tables and be ready for partitions."""
        await self._update_channels()
        await self.recovery.start()

    async def _update_channels(self) -> None:
        """Start the tables; their changelogs are not subscribed to."""
        self._tables_finalized.set()
        for table in self.values():
            await table.maybe_start()
        self._tables_registered.set()
