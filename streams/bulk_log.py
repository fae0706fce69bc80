"""The worker's event log: much at a time, in one request to each broker.

librdkafka sends a request for each partition, and hands each record from thread to
thread. Here the record batches are built as they are sent (`record_batches.py`), and
one request takes all of them: a third of the time to wait for, and half of the CPU time
where some tens of records are written (ADR 0050). Connections, metadata and the
protocol are aiokafka's.

Idempotent as Java's producer is: batches are numbered, one append is under way at a
time, and a batch is sent again as it was, so that nothing is kept twice by a retry and
nothing overtakes what was sent before.
"""

import asyncio
import random
import time
from collections import defaultdict, deque
from collections.abc import Iterable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import structlog
from aiokafka.client import AIOKafkaClient
from aiokafka.errors import (
    DuplicateSequenceNumber,
    KafkaError,
    NoError,
    for_code,
)
from aiokafka.protocol.produce import ProduceRequest
from aiokafka.structs import TopicPartition

from schemas.topics import Topic
from streams import metrics
from streams.clock import SystemClock
from streams.event_log import (
    LARGEST_RECORD,
    REFUSALS,
    NotDurableError,
    RecordRefusedError,
    require_topics,
)
from streams.kafka_access import asyncio_config
from streams.partitioner import partition_of
from streams.producer_identity import IdentityRequest
from streams.producing import Parts
from streams.record_batches import Place, RecordBatch, in_batches

if TYPE_CHECKING:
    from streams.settings import Settings

_ALL_IN_SYNC: Final = -1
_METADATA_SECONDS: Final = 2.0
_BACKOFF_SECONDS: Final = 0.1
_ATTEMPTS: Final = 3
"""Requests that may go unanswered within the time of an append."""
_NEXT_SEQUENCE: Final = 0x7FFFFFFF
"""Sequence numbers begin at 0 again after this one."""

_log = structlog.get_logger(__name__)


class _InvalidRecordError(KafkaError):  # type: ignore[misc] # aiokafka has no types
    """A record is not legal on its topic: a code that aiokafka has no name for."""

    errno = 87


class _Left:
    """What is still to be written on one partition."""

    __slots__ = ("batches", "data")

    def __init__(self, batches: Iterable[RecordBatch]) -> None:
        """Begin with all of it."""
        self.batches = deque(batches)
        self.data: bytes | None = None
        """The first batch as it is sent, and sent again."""


class BulkLog:
    """The event log on Kafka, for one who writes much at a time.

    Create and use it on one event loop. Appends are written one after the other.
    """

    def __init__(
        self, settings: "Settings", *, name: str, topics: Iterable[Topic]
    ) -> None:
        """Connect to nothing yet."""
        self._timeout = settings.produce_timeout_seconds
        self._took = metrics.APPEND_SECONDS.labels(name)
        self._failed = partial(metrics.APPEND_FAILURES.labels, name)
        self._topics = [settings.topic(topic.name) for topic in topics]
        self._settings = settings
        self._client_id = f"{settings.app_id}-{name}"
        self._wall = SystemClock()
        """For the records' own time, as every client stamps them."""
        self._client: AIOKafkaClient | None = None
        self._topics_seen = False
        self._identity: tuple[int, int] | None = None
        """Producer id and epoch."""
        self._sequences: defaultdict[Place, int] = defaultdict(int)
        """The number of the next record of each partition."""
        self._turn = asyncio.Lock()
        self._connecting = asyncio.Lock()
        self._closing: set[asyncio.Task[None]] = set()

    async def append(
        self, records: Sequence[Parts], *, within: float | None = None
    ) -> None:
        """Return when every record is durable; NotDurableError if any may not be.

        `within` is how many seconds Kafka has, if it is less than it may take.
        """
        if not records:
            return
        began = time.perf_counter()
        seconds = self._timeout if within is None else min(self._timeout, within)
        try:
            async with asyncio.timeout(seconds), self._turn:
                await self._write(records)
        except TimeoutError:
            self._failed("late").inc()
            msg = f"no acknowledgement within {seconds:g} s"
            raise NotDurableError(msg) from None
        except RecordRefusedError:
            self._failed("refused").inc()
            raise
        except NotDurableError:
            self._failed("failed").inc()
            raise
        self._took.observe(time.perf_counter() - began)

    async def missing_topics(self) -> list[str]:
        """Return the topics that are not there; NotDurableError without a broker."""
        try:
            async with asyncio.timeout(_METADATA_SECONDS):
                client = await self._connected()
                if not await client.force_metadata_update():
                    msg = "no broker answers"
                    raise NotDurableError(msg)
        except TimeoutError:
            msg = "no broker answers in time"
            raise NotDurableError(msg) from None
        there = client.cluster.topics()
        missing = [topic for topic in self._topics if topic not in there]
        self._topics_seen = not missing
        return missing

    async def close(self) -> None:
        """Return when what is being appended is written, or its time is over."""
        async with self._turn:
            self._give_up()
        if self._closing:
            await asyncio.wait(self._closing)

    async def _write(self, records: Sequence[Parts]) -> None:
        """Write all of it; whatever goes wrong, the next append begins anew.

        After a failure nobody knows what the broker has, or will still get: a new
        identity is sure to be numbered rightly. What the old one still delivers is a
        repeat, and ids make that harmless.
        """
        try:
            if not self._topics_seen:
                require_topics(await self.missing_topics())
            client = await self._connected()
            if self._identity is None:
                self._identity = await self._identified(client)
            place = partial(_partition, client)
            batches = in_batches(records, self._wall.now(), place)
            for found in batches.values():
                if any(each.size > LARGEST_RECORD for each in found):
                    msg = f"not sent: a record of more than {LARGEST_RECORD:,} bytes"
                    raise RecordRefusedError(msg)
            left = {place: _Left(found) for place, found in batches.items()}
            while left:
                await self._write_first(client, left)
        except KafkaError as error:
            self._give_up()
            msg = f"not acknowledged: {error!r}"
            raise NotDurableError(msg) from None
        except BaseException:
            self._give_up()
            raise

    async def _write_first(
        self, client: AIOKafkaClient, left: dict[Place, _Left]
    ) -> None:
        """Send the first batch of each partition, and rest where some must wait.

        Raises
        ------
        RecordRefusedError
            When the broker will never take one of them.
        KafkaError
            When it is of no use to send one again.
        """
        leaders: defaultdict[int, dict[Place, bytes]] = defaultdict(dict)
        again = False
        for place, waiting in left.items():
            leader = client.cluster.leader_for_partition(TopicPartition(*place))
            if leader is None or leader < 0:
                again = True  # until it has one
            else:
                leaders[leader][place] = self._data(place, waiting)
        answers = [_send(client, node, data) for node, data in leaders.items()]
        # Most have one broker: then there is nothing to do at once.
        found = (
            [await answers[0]] if len(answers) == 1 else await asyncio.gather(*answers)
        )
        refused: KafkaError | None = None
        for errors in found:
            for place, error in errors.items():
                if error is None or isinstance(error, DuplicateSequenceNumber):
                    self._is_written(place, left)
                elif getattr(error, "errno", None) in REFUSALS:
                    refused = error
                elif not error.retriable:
                    raise error
                else:
                    again = True
                    _log.debug("append_again", place=place, error=repr(error))
        if refused is not None:
            msg = f"refused: {refused!r}"
            raise RecordRefusedError(msg)
        if again:
            await client.force_metadata_update()
            await asyncio.sleep(_BACKOFF_SECONDS)

    def _data(self, place: Place, waiting: _Left) -> bytes:
        if waiting.data is None:
            assert self._identity is not None  # noqa: S101 - asked before
            sequence = self._sequences[place]
            waiting.data = waiting.batches[0].sealed(*self._identity, sequence)
        return waiting.data

    def _is_written(self, place: Place, left: dict[Place, _Left]) -> None:
        waiting = left[place]
        batch = waiting.batches.popleft()
        waiting.data = None
        sequence = self._sequences[place] + batch.records
        self._sequences[place] = sequence & _NEXT_SEQUENCE
        if not waiting.batches:
            del left[place]

    def _give_up(self) -> None:
        """Be somebody else from now on, by new connections."""
        self._topics_seen = False
        self._identity = None
        self._sequences.clear()
        client, self._client = self._client, None
        if client is not None:
            closing = asyncio.ensure_future(client.close())
            self._closing.add(closing)
            closing.add_done_callback(self._closing.discard)

    async def _connected(self) -> AIOKafkaClient:
        """Return a client that knows the brokers; asks until one answers."""
        async with self._connecting:
            while self._client is None:
                client = AIOKafkaClient(
                    **asyncio_config(self._settings),
                    client_id=self._client_id,
                    # Of one that dies without a word there is time to ask another.
                    request_timeout_ms=int(self._timeout * 1_000 / _ATTEMPTS),
                )
                try:
                    await client.bootstrap()
                except KafkaError:
                    await client.close()
                    await asyncio.sleep(_BACKOFF_SECONDS)
                except BaseException:
                    await client.close()
                    raise
                else:
                    self._client = client
            return self._client

    async def _identified(self, client: AIOKafkaClient) -> tuple[int, int]:
        """Return a producer id and its epoch; asks until Kafka can tell.

        Raises
        ------
        KafkaError
            When it will not tell us.
        """
        while True:
            node = client.get_random_node()
            if node is None:  # a cluster that is starting may have told of none
                await client.force_metadata_update()
                await asyncio.sleep(_BACKOFF_SECONDS)
                continue
            try:
                answer: Any = await client.send(node, IdentityRequest())
                error = for_code(answer.error_code)
                if error is NoError:
                    return answer.producer_id, answer.producer_epoch
                raise error
            except KafkaError as error:
                if not error.retriable:
                    raise
                await asyncio.sleep(_BACKOFF_SECONDS)


def _partition(client: AIOKafkaClient, topic: str, key: bytes | None) -> int:
    """Return where a record of `key` belongs, as Java's partitioner has it."""
    partitions = len(client.cluster.partitions_for_topic(topic) or (0,))
    if key is None:
        return random.randrange(partitions)  # noqa: S311 - any of them will do
    return partition_of(key, partitions)


def _error(code: int) -> KafkaError | None:
    if code == NoError.errno:
        return None
    if code == _InvalidRecordError.errno:
        return _InvalidRecordError()
    return for_code(code)()


async def _send(
    client: AIOKafkaClient, node: int, data: dict[Place, bytes]
) -> dict[Place, KafkaError | None]:
    """Return what became of each batch; None where it is durable."""
    topics: defaultdict[str, list[tuple[int, bytes]]] = defaultdict(list)
    for (topic, number), each in data.items():
        topics[topic].append((number, each))
    request = ProduceRequest(
        transactional_id=None,
        required_acks=_ALL_IN_SYNC,
        timeout=client._request_timeout_ms,  # noqa: SLF001 - as its own producer does
        topics=[*topics.items()],
    )
    try:
        answer: Any = await client.send(node, request)
    except KafkaError as error:
        return dict.fromkeys(data, error)
    found: dict[Place, KafkaError | None] = {}
    for topic, partitions in answer.topics:
        for number, code, *_ in partitions:
            found[topic, number] = _error(code)
    return found
