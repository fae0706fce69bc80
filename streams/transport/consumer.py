"""The batched consumer: one message per fetch, acknowledged by hand.

Stock Faust spends four tasks on a record and infers offsets from acknowledged
messages. Here the agent is handed a whole `Fetch`, says when everything that it
caused is durable, and only then do positions move (FAUST.md §1 traps 1, 3, 4, 10b).
"""

import asyncio
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, cast

import structlog
from aiokafka.errors import ConsumerStoppedError, IllegalStateError, KafkaError
from aiokafka.protocol.group import SyncGroupRequest
from aiokafka.structs import OffsetAndMetadata
from aiokafka.structs import TopicPartition as AioPartition
from faust.transport.drivers import aiokafka as driver
from faust.types import TP, ConsumerMessage

from streams.metrics import FETCH_LIMIT, LOST_TO_RETENTION
from streams.transport.pace import Pace
from streams.transport.progress import Fetch, Partition, Progress
from streams.transport.reader import SourceReader
from streams.transport.received import Received

_RECHECK_SECONDS: Final = 0.05

if TYPE_CHECKING:
    from streams.settings import Settings

_log = structlog.get_logger(__name__)


class NotOwnerError(Exception):
    """The partitions of a fetch may belong to another worker by now."""


class BatchConsumerThread(driver.AIOKafkaConsumerThread):
    """The thread that talks to the broker; it knows when it was last heard."""

    heard_at: float = 0.0
    """When that was sent by which the coordinator last knew us."""
    assigned_generation: int = -1
    _synced_at: float = 0.0
    """When the group was asked last what is assigned to us."""

    async def on_start(self) -> None:
        """Connect, fetch nothing, and watch what goes to the group's coordinator."""
        await super().on_start()
        consumer = self._ensure_consumer()
        await asyncio.sleep(0)  # a task that never began cannot be closed
        consumer._fetcher._fetch_task.cancel()  # noqa: SLF001 - no setting
        coordinator = consumer._coordinator  # noqa: SLF001 - no API
        beat = coordinator._do_heartbeat  # noqa: SLF001 - no API tells its success
        ask = coordinator._send_req  # noqa: SLF001 - no API tells when

        async def timed(request: Any) -> Any:
            if isinstance(request, SyncGroupRequest):
                self._synced_at = time.monotonic()
            return await ask(request)

        async def watched() -> bool:
            sent_at = time.monotonic()
            accepted: bool = await beat()
            if accepted:
                self.heard_at = sent_at
            return accepted

        coordinator._do_heartbeat = watched  # noqa: SLF001 - see above
        coordinator._send_req = timed  # noqa: SLF001 - see above

    async def on_partitions_assigned(
        self, assigned: set[TP], generation_id: int = 0
    ) -> None:
        """Note the generation that the assignment is valid for.

        A worker that slept since it asked does not take the answer for a word of now.
        """
        self.heard_at = self._synced_at
        self.assigned_generation = generation_id
        await super().on_partitions_assigned(assigned, generation_id)

    @property
    def is_member(self) -> bool:
        """Whether the coordinator still knows us under the assigned generation."""
        consumer = self._consumer
        if consumer is None or self.assigned_generation < 0:
            return False
        generation: int = consumer._coordinator.generation  # noqa: SLF001 - no API
        return generation == self.assigned_generation

    def note_fetch(self) -> None:
        """Let the client know that records are asked for; else it leaves the group."""
        if self._consumer is not None:
            with self._consumer._subscription.fetch_context():  # noqa: SLF001 - no API
                pass

    async def committed(self) -> dict[Partition, int | None]:
        """Return the committed position of every assigned partition."""
        found: dict[Partition, int | None] = await self.call_thread(self._committed)
        return found

    async def _committed(self) -> dict[Partition, int | None]:
        consumer = self._ensure_consumer()
        assigned = list(consumer.assignment())
        # All at once: the client then asks the coordinator in one request.
        found = await asyncio.gather(*map(consumer.committed, assigned))
        return {
            Partition(each.topic, each.partition): position
            for each, position in zip(assigned, found, strict=True)
        }

    async def seek_to_committed(self) -> dict[TP, int]:
        """Return where to read on: what is committed, else the beginning."""
        positions: dict[TP, int] = await self.call_thread(self._where_to_read_on)
        return positions

    async def _where_to_read_on(self) -> dict[TP, int]:
        consumer = self._ensure_consumer()
        committed = await self._committed()
        first = await consumer.beginning_offsets(
            [AioPartition(*partition) for partition in committed]
        )
        positions: dict[TP, int] = {}
        for partition, position in committed.items():
            beginning = first[AioPartition(*partition)]
            if position is not None and position < beginning:
                LOST_TO_RETENTION.labels(partition.topic).inc(beginning - position)
                _log.error(
                    "events_lost_to_retention",
                    topic=partition.topic,
                    partition=partition.partition,
                    committed=position,
                    first_kept=beginning,
                    advice="the worker was away longer than the topic keeps events",
                )
            positions[TP(*partition)] = max(position or 0, beginning)
        if not positions.keys() <= consumer.assignment():
            msg = "the partitions were assigned anew meanwhile"
            raise IllegalStateError(msg)
        return positions

    async def _commit(self, offsets: Mapping[TP, int]) -> bool:
        """Commit; False if the coordinator does not take it from us any more.

        What is not committed is read again and recognised by its positions, so a
        refused commit is no reason to crash.
        """
        consumer = self._ensure_consumer()
        wanted = {
            AioPartition(tp.topic, tp.partition): OffsetAndMetadata(offset, "")
            for tp, offset in offsets.items()
        }
        mine = {tp: wanted[tp] for tp in wanted.keys() & consumer.assignment()}
        if not mine:  # all of them went to another, and the client would call it a bug
            _log.warning("commit_too_late", partitions=len(wanted))
            return False
        try:
            await consumer.commit(mine)
        except (KafkaError, ConsumerStoppedError) as error:
            _log.warning("commit_refused", error=repr(error))
            return False
        return True


class BatchConsumer(driver.Consumer):
    """Hands out one fetch at a time and commits what was declared durable."""

    _thread: BatchConsumerThread

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """Start with nothing assigned."""
        super().__init__(*args, **kwargs)
        self.progress = Progress()
        self.pace = Pace()
        self.term = 0
        """Counts the seeks: what was fetched before the last one is read again."""
        self._reader: SourceReader | None = None
        self._generation = -1
        """Of the group, when it was asked where to read on: what is read is of it."""
        self._let_go = False
        """Whether the partitions are to be assigned anew, and are not yet."""
        self._closing: set[asyncio.Task[None]] = set()
        self._settings: Settings = cast("Any", self.app).settings
        self._session_seconds = float(self.app.conf.broker_session_timeout)
        self._committing = asyncio.Lock()
        self._free = asyncio.Event()
        self._free.set()
        self._at_rest = asyncio.Event()
        self._at_rest.set()
        self._taken_at: float | None = None

    def _new_consumer_thread(self) -> BatchConsumerThread:
        return BatchConsumerThread(self, loop=self.loop, beacon=self.beacon)

    # -- What the agent calls

    def take(self, fetch: Fetch) -> bool:
        """Begin on `fetch`; False if it is from before the last seek: leave it."""
        if fetch.term != self.term or not self.flow_active:
            return False
        if fetch.generation != self._thread.assigned_generation:
            return False  # the tables are, or will be, those of the next generation
        self._at_rest.clear()
        self._taken_at = time.monotonic()
        return True

    def leave(self, fetch: Fetch, *, durable: bool) -> None:
        """Be done with `fetch`; its positions move if all it caused is durable."""
        try:
            if durable and fetch.term == self.term:
                for batch in fetch.batches:
                    self.progress.complete(batch)
                self.pace.note(len(fetch), self.in_hand_seconds)
                FETCH_LIMIT.set(self.pace.records)
        finally:
            self._taken_at = None
            self._at_rest.set()
            self._free.set()

    @property
    def in_hand_seconds(self) -> float:
        """How long the agent has been at the fetch it took; 0 if it is at none.

        It may be asked from other threads.
        """
        taken_at = self._taken_at
        return 0.0 if taken_at is None else time.monotonic() - taken_at

    @property
    def silent_seconds(self) -> float:
        """How long the coordinator has not been heard; from other threads, too."""
        heard_at = self._thread.heard_at
        return time.monotonic() - heard_at if heard_at else 0.0

    async def confirm_ownership(self, fetch: Fetch) -> None:
        """Return when the partitions of `fetch` are known to be ours still.

        A worker that was paused may have lost them without having been told. It
        must hear from the coordinator before it writes anything.

        Raises
        ------
        NotOwnerError
            When the coordinator does not know us any more.
        """
        await self.confirm_membership(fetch.generation)

    async def confirm_membership(self, generation: int) -> None:
        """Return when what was assigned in `generation` is known to be ours still.

        Raises
        ------
        NotOwnerError
            When the coordinator does not know us any more.
        """
        thread = self._thread
        while thread.is_member and thread.assigned_generation == generation:
            if time.monotonic() - thread.heard_at < self._session_seconds:
                return
            await asyncio.sleep(_RECHECK_SECONDS)
        raise NotOwnerError

    def is_caught_up(self, partitions: Iterable[Partition]) -> bool:
        """Say whether everything in `partitions` that is known of has been done."""
        if not self.flow_active or self._reader is None:
            return False
        for partition in partitions:
            durable = self.progress.durable(partition)
            known_end = self._reader.end(partition)
            if durable is None or known_end is None or durable < known_end:
                return False
        return True

    async def committed(self) -> dict[Partition, int | None]:
        """Return what the coordinator keeps for every assigned partition."""
        return await self._thread.committed()

    # -- What Faust calls

    async def _drain_messages(self, fetcher: Any) -> None:
        """Hand out fetches, one at a time, until stopped."""
        while not (self.should_stop or fetcher.should_stop):
            if not self.flow_active:
                await self.wait(self.can_resume_flow)  # type: ignore[arg-type] # mode's own
                continue
            if not self._free.is_set():
                await self.wait_first(self._free.wait(), self.suspend_flow.wait())
                continue
            if self._reader is None:
                await self.sleep(_RECHECK_SECONDS)
                continue
            self._thread.note_fetch()
            if records := self._reader.take(self.pace.records):
                await self._hand_over(records)
            else:
                await self._reader.wait()

    async def _hand_over(self, records: Mapping[Partition, Sequence[Received]]) -> None:
        batches = tuple(
            batch
            for partition, found in records.items()
            if (batch := self.progress.hand_out(partition, found)) is not None
        )
        if not batches:
            return
        first = batches[0]
        message = ConsumerMessage(
            *first.partition,
            offset=first.end - 1,
            timestamp=0.0,
            timestamp_type=0,
            headers=[],
            key=None,
            # Faust looks at no value: `FetchSchema` hands it to the agent as it is.
            value=cast("bytes", Fetch(batches, self._generation, self.term)),
            checksum=None,
            tp=TP(*first.partition),
            generation_id=self.app.consumer_generation_id,
        )
        self._free.clear()
        await self.wait_first(self.callback(message), self.suspend_flow.wait())

    async def perform_seek(self) -> None:
        """Read on from the committed positions; what was handed out is void.

        Raises
        ------
        IllegalStateError
            When the partitions were let go meanwhile: they will be assigned anew.
        """
        generation = self._thread.assigned_generation
        found = await self.seek_to_committed()
        if self._let_go or generation != self._thread.assigned_generation:
            # Faust would let everything flow again after its recovery.
            msg = "the partitions are being assigned anew"
            raise IllegalStateError(msg)
        positions = {Partition(*tp): position for tp, position in found.items()}
        # No await from here on: a fetch is of the old term or of the new one.
        self._stop_reading()
        self.term += 1
        self._generation = generation
        self._reader = SourceReader(self._settings, positions)
        self.progress.begin(positions)
        if self._at_rest.is_set():
            self._free.set()

    async def commit(
        self,
        topics: Any = None,  # noqa: ARG002 - Faust's signature
        start_new_transaction: bool = True,  # noqa: ARG002, FBT001, FBT002 - same
    ) -> bool:
        """Commit every durable position that is not committed yet."""
        # Stock Faust answers a second caller with the commit of the first, which may
        # have looked before the last batch was done.
        async with self._committing:
            wanted = self.progress.to_commit()
            if not wanted:
                return False
            if not await self._commit({TP(*each): wanted[each] for each in wanted}):
                return False
            self.progress.committed(wanted)
            return True

    async def wait_empty(self) -> None:
        """Return when the fetch in hand is done with and its positions committed."""
        await self._at_rest.wait()
        await self.commit()

    async def on_partitions_revoked(self, revoked: set[TP]) -> None:
        """Finish what is in hand, commit it, and only then let go."""
        self._let_go = True
        await super().on_partitions_revoked(revoked)
        self.progress.forget(Partition(*tp) for tp in revoked)
        self._stop_reading()

    async def on_partitions_assigned(
        self, assigned: set[TP], generation_id: int = 0
    ) -> None:
        """Let recovery begin; its seek is the one that counts."""
        self._let_go = False
        await super().on_partitions_assigned(assigned, generation_id)

    def _stop_reading(self) -> None:
        """Take no more from where reading stands; the connections go by themselves."""
        if self._reader is not None:
            closing = asyncio.ensure_future(self._reader.close())
            self._closing.add(closing)
            closing.add_done_callback(self._closing.discard)
            self._reader = None

    async def on_stop(self) -> None:
        """Leave the group and close every connection."""
        await super().on_stop()
        self._stop_reading()
        if self._closing:
            await asyncio.wait(self._closing)

    def verify_event_path(self, now: float, tp: TP) -> None:
        """Stay silent: readiness, liveness and lag are ours to tell."""


class BatchTransport(driver.Transport):
    """Faust's aiokafka transport with the batched consumer."""

    Consumer = BatchConsumer
