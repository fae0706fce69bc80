"""The batched consumer: one message per fetch, acknowledged by hand.

Stock Faust spends four tasks on a record and infers offsets from acknowledged
messages. Here the agent is handed a whole `Fetch`, says when everything that it
caused is durable, and only then do positions move (FAUST.md §1 traps 1, 3, 4, 10b).
"""

import asyncio
import time
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, Final, cast

import structlog
from aiokafka.consumer.fetcher import FetchResult
from aiokafka.errors import ConsumerStoppedError, IllegalStateError, KafkaError
from aiokafka.protocol.group import SyncGroupRequest
from aiokafka.structs import OffsetAndMetadata
from aiokafka.structs import TopicPartition as AioPartition
from faust.transport.drivers import aiokafka as driver
from faust.types import TP, AppT, ConsumerMessage

from streams.metrics import FETCH_LIMIT, LOST_TO_RETENTION
from streams.transport.pace import Pace
from streams.transport.progress import Fetch, Partition, Progress

FETCH_WAIT_MS: Final = 20
"""How long the broker may hold back an empty answer; bounds the idle latency."""
_RECHECK_SECONDS: Final = 0.05

if TYPE_CHECKING:
    from faust.transport.consumer import RecordMap

_log = structlog.get_logger(__name__)


class NotOwnerError(Exception):
    """The partitions of a fetch may belong to another worker by now."""


def _as_it_is(_: Any, record: Any) -> Any:
    return record


class BatchConsumerThread(driver.AIOKafkaConsumerThread):
    """The thread that talks to the broker; it knows when it was last heard."""

    term: int = 0
    """Counts the seeks. Written in this thread only, between two fetches."""
    heard_at: float = 0.0
    """When that was sent by which the coordinator last knew us."""
    assigned_generation: int = -1
    _synced_at: float = 0.0
    """When the group was asked last what is assigned to us."""

    async def on_start(self) -> None:
        """Connect and watch what goes to the group's coordinator."""
        await super().on_start()
        coordinator = self._ensure_consumer()._coordinator  # noqa: SLF001 - no API
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

    def _create_worker_consumer(self, transport: Any) -> Any:
        consumer = super()._create_worker_consumer(transport)
        # Faust fixes 1,500 ms; aiokafka takes it from here for every request.
        consumer._fetch_max_wait_ms = FETCH_WAIT_MS  # noqa: SLF001 - no setting
        return consumer

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

    async def _fetch_records(self, consumer: Any, *args: Any, **kwargs: Any) -> Any:
        """Return the term beside the records: both are of the same instant.

        Nobody reads records again that a seek had sought when they came. Who asked
        before it is of the term before it: they stay where they were, to be asked for.
        """
        term = self.term
        for found in consumer._fetcher._records.values():  # noqa: SLF001 - no API
            if isinstance(found, FetchResult) and found.has_more():
                # The compiled record has all that we ask for; aiokafka would make a
                # second one of each.
                found._partition_records._consumer_record = _as_it_is  # noqa: SLF001 - no API
        kwargs["max_records"] = cast("BatchConsumer", self.consumer).pace.records
        records = await super()._fetch_records(consumer, *args, **kwargs)
        if term != self.term:
            for partition, found in records.items():
                consumer.seek(partition, found[0].offset)
            return term, {}
        return term, records

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
        """Read on from what is committed, else from the beginning; nowhere else."""
        positions: dict[TP, int] = await self.call_thread(self._seek_to_committed)
        return positions

    async def _seek_to_committed(self) -> dict[TP, int]:
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
        # No await from here on: a fetch is of the old term or of the new one.
        self.term += 1
        for tp, position in positions.items():
            consumer.seek(AioPartition(tp.topic, tp.partition), position)
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
        if fetch.term != self._thread.term or not self.flow_active:
            return False
        self._at_rest.clear()
        self._taken_at = time.monotonic()
        return True

    def leave(self, fetch: Fetch, *, durable: bool) -> None:
        """Be done with `fetch`; its positions move if all it caused is durable."""
        try:
            if durable and fetch.term == self._thread.term:
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
        if not self.flow_active:
            return False
        for partition in partitions:
            durable = self.progress.durable(partition)
            try:
                # None until the broker has answered, whatever Faust declares.
                known_end = cast("int | None", self._thread.highwater(TP(*partition)))
            except IllegalStateError:
                return False  # being assigned anew
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
            active = set(self._get_active_partitions())
            if not active:
                await self.sleep(_RECHECK_SECONDS)
                continue
            # Our thread puts the term beside the records (`_fetch_records`).
            term, records = cast(
                "tuple[int, RecordMap]", await self._getmany(active, timeout=1.0)
            )
            if records:
                await self._hand_over(term, records)

    async def _hand_over(self, term: int, records: Mapping[Any, list[Any]]) -> None:
        if term != self._thread.term or not self.flow_active:
            return  # read again after the seek that ended this term
        batches = tuple(
            batch
            for tp, found in records.items()
            if (batch := self.progress.hand_out(Partition(*tp), found)) is not None
        )
        if not batches:
            return
        generation = self._thread.assigned_generation
        first = batches[0]
        message = ConsumerMessage(
            *first.partition,
            offset=first.end - 1,
            timestamp=0.0,
            timestamp_type=0,
            headers=[],
            key=None,
            # Faust looks at no value: `FetchSchema` hands it to the agent as it is.
            value=cast("bytes", Fetch(batches, generation, term)),
            checksum=None,
            tp=TP(*first.partition),
            generation_id=self.app.consumer_generation_id,
        )
        self._free.clear()
        await self.wait_first(self.callback(message), self.suspend_flow.wait())

    async def perform_seek(self) -> None:
        """Read on from the committed positions; what was handed out is void."""
        positions = await self.seek_to_committed()
        self.progress.begin(
            {Partition(*tp): position for tp, position in positions.items()}
        )
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
        await super().on_partitions_revoked(revoked)
        self.progress.forget(Partition(*tp) for tp in revoked)

    def verify_event_path(self, now: float, tp: TP) -> None:
        """Stay silent: readiness, liveness and lag are ours to tell."""


class BatchTransport(driver.Transport):
    """Faust's aiokafka transport with the batched consumer."""

    Consumer = BatchConsumer


def use_batches(app: AppT) -> None:
    """Make `app` consume in batches."""
    app.transport = BatchTransport(app.conf.broker_consumer, app)
