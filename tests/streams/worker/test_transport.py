"""The holes of stock Faust, closed: what is committed was durable, and all of it is.

The app runs in this process on the embedded broker, so that a test can hold a write
back or fail it at will.
"""

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any, cast

import msgspec
import pytest
from aiokafka.consumer.group_coordinator import GroupCoordinator
from aiokafka.errors import (
    CommitFailedError,
    IllegalStateError,
    KafkaTimeoutError,
    NodeNotReadyError,
)
from aiokafka.protocol.group import SyncGroupRequest
from aiokafka.structs import TopicPartition as AioPartition
from faust.tables.recovery import RebalanceAgain
from faust.transport.drivers.aiokafka import AIOKafkaConsumerThread
from prometheus_client import REGISTRY

from schemas.event import Event
from schemas.score import ScoreUpdate
from schemas.time import DAY, SECOND
from schemas.topics import (
    COMMANDS,
    DEAD_LETTERS,
    EVENT_TOPICS,
    SCORE_UPDATES,
    TOPICS,
    WEB_EVENTS,
)
from scorers.identity import derive_lead_id
from scorers.masses import hash64
from streams.app import Ports, WorkerApp, create_app
from streams.bulk_log import BulkLog
from streams.event_log import NotDurableError, Record
from streams.partitioner import partition_of
from streams.producing import Parts
from streams.settings import Settings
from streams.state_records import OWNER_KEY
from streams.transport import recovery
from streams.transport.consumer import BatchConsumerThread, NotOwnerError
from streams.transport.progress import Fetch, LogWentBackError, Partition
from streams.transport.reader import SourceReader
from streams.transport.recovery import StateRecovery
from tests.worker_harness import (
    MODEL,
    check_exact,
    check_updates,
    committed,
    make_events,
    produce,
    put_raw,
    read_all,
    stored_states,
)

MakeTopics = Callable[..., Settings]


@pytest.fixture
def settings(make_topics: MakeTopics, tmp_path: Path) -> Settings:
    return make_topics(partitions=2, session_seconds=1.0, data_dir=tmp_path)


class SteeredLog:
    """A real log that can be held back or made to fail before a topic's records."""

    def __init__(self, settings: Settings) -> None:
        self._log = BulkLog(settings, name="worker", topics=TOPICS)
        self._prefix = settings.topic_prefix
        self.open = asyncio.Event()
        self.open.set()
        self.reached = asyncio.Event()
        self.fail_at: str | None = None

    async def append(self, parts: Sequence[Parts]) -> None:
        records = [Record(*each) for each in parts]
        topics = {
            record.topic.removeprefix(self._prefix)
            for record in records
            if record.key != OWNER_KEY
        }
        if topics:
            self.reached.set()
            await self.open.wait()
        if self.fail_at in topics:
            raise NotDurableError(self.fail_at)
        await self._log.append(records)

    async def missing_topics(self) -> list[str]:
        return await self._log.missing_topics()

    async def close(self) -> None:
        await self._log.close()


class Run:
    """A worker's app in this process."""

    def __init__(self, settings: Settings) -> None:
        self.failures: list[BaseException] = []
        self.log = SteeredLog(settings)
        ports = Ports(
            log=self.log,
            clock=settings.clock(),
            model=MODEL,
            partitions=settings.partitions,
            on_failure=self.failures.append,
        )
        self.app: WorkerApp = create_app(settings, ports)


@asynccontextmanager
async def running(settings: Settings) -> AsyncIterator[Run]:
    run = Run(settings)
    starting = asyncio.create_task(run.app.start())
    try:
        await until(lambda: run.app.not_ready() is None, "the app to be ready")
        yield run
    finally:
        run.log.open.set()
        starting.cancel()
        with suppress(asyncio.CancelledError):
            await starting
        await run.app.stop()
        await run.log.close()


async def until(condition: Callable[[], object], what: str) -> None:
    """Wait for a condition that may block, without holding up the app."""
    deadline = asyncio.get_running_loop().time() + 30
    while not await asyncio.to_thread(condition):
        assert asyncio.get_running_loop().time() < deadline, f"waited for {what}"
        await asyncio.sleep(0.02)


async def acknowledged(settings: Settings) -> int:
    return await asyncio.to_thread(committed, settings)


async def wait_committed(settings: Settings, count: int) -> None:
    await until(lambda: committed(settings) == count, f"{count} committed")


def check_health_while_held(app: WorkerApp) -> None:
    """Slow is not ready, and only slow for long while Kafka answers is stuck."""
    assert app.not_ready() is None
    taken_at = app.batches._taken_at
    assert taken_at is not None
    app.batches._taken_at = taken_at - 20
    assert "does Kafka acknowledge" in (app.not_ready() or "")
    assert app.stuck() is None
    app.batches._taken_at = taken_at - 400
    assert "Kafka answers" in (app.stuck() or "")
    thread = app.batches._thread
    thread.heard_at -= 60
    assert "Kafka has not been heard" in (app.not_ready() or "")
    assert app.stuck() is None
    thread.heard_at += 60
    app.batches._taken_at = taken_at


async def test_nothing_is_committed_before_it_is_durable(settings: Settings) -> None:
    """A slow broker holds the commit back, however often a commit is asked for."""
    events = make_events(20, 5)
    async with running(settings) as run:
        run.log.open.clear()
        produce(settings, events)
        async with asyncio.timeout(10):
            await run.log.reached.wait()

        assert not await run.app.batches.commit()
        assert await acknowledged(settings) == 0
        check_health_while_held(run.app)

        run.log.open.set()
        await wait_committed(settings, len(events))
        assert run.app.in_hand_seconds == 0
    check_exact(settings, events)


@pytest.mark.parametrize("topic", ["lead.states.v1", "lead.score-updates.v1"])
async def test_a_failed_write_is_not_acknowledged(
    settings: Settings, topic: str
) -> None:
    """What the broker did not take is told once and read again by the next worker."""
    events = make_events(20, 5)
    async with running(settings) as run:
        run.log.fail_at = topic
        produce(settings, events)
        await until(lambda: run.failures, "the failure to be told")
        assert [type(each) for each in run.failures] == [NotDurableError]
    assert await acknowledged(settings) == 0

    async with running(settings):
        await wait_committed(settings, len(events))
    check_exact(settings, events)


async def test_stops_commit_everything_that_was_done(settings: Settings) -> None:
    """Orderly stops under load lose nothing, repeat nothing, and leave no batch open.

    A stock Faust worker loses about one event at every such stop.
    """
    events = make_events(400, 20)
    for round_ in range(4):
        async with running(settings):
            produce(settings, events[round_ * 100 : round_ * 100 + 100])
            floor = round_ * 100
            await until(lambda floor=floor: committed(settings) > floor, "a commit")
    async with running(settings):
        await wait_committed(settings, len(events))
    check_exact(settings, events)


async def test_a_refused_commit_does_not_end_the_worker(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither a refusal, nor partitions that went before the commit, nor no answer.

    What was refused is committed with what comes next. A machine that gives no time
    shows all three, one after another.
    """
    events = make_events(20, 5)
    seek = BatchConsumerThread._where_to_read_on
    trouble: list[Exception] = [KafkaTimeoutError(), NodeNotReadyError()]

    async def late(thread: BatchConsumerThread) -> object:
        if trouble:
            raise trouble.pop()
        return await seek(thread)

    monkeypatch.setattr(BatchConsumerThread, "_where_to_read_on", late)
    async with running(settings) as run:
        assert not trouble
        app = run.app
        consumer = app.batches._thread._ensure_consumer()
        refused: list[str] = []

        async def refuse(*_: object) -> None:
            refused.append("by the group")
            raise CommitFailedError

        coordinator = consumer._coordinator
        with monkeypatch.context() as patched:
            patched.setattr(coordinator, "commit_offsets", refuse)
            produce(settings, events)
            await until(lambda: refused, "the group to refuse a commit")
            patched.setattr(consumer, "assignment", frozenset)
            await until(app.batches.progress.to_commit, "what is to commit")
            assert not await app.batches.commit()
            assert await acknowledged(settings) == 0
        await wait_committed(settings, len(events))
        assert run.failures == []
        assert app.crash_reason is None
    check_exact(settings, events)


async def test_records_that_come_across_a_seek_are_read_again(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is waited for from before a rebalance, and comes after it, is not lost.

    Nobody takes it by then, and what a reader handed out it does not hand out again.
    """
    events = make_events(20, 5)
    poll = SourceReader._poll
    asked, sought, answered = (threading.Event() for _ in range(3))

    def late(reader: SourceReader) -> None:
        if asked.is_set():
            poll(reader)
            return
        asked.set()
        sought.wait(30)
        while not reader._first:
            poll(reader)
        answered.set()

    monkeypatch.setattr(SourceReader, "_poll", late)
    async with running(settings) as run:
        consumer = run.app.batches
        await until(asked.is_set, "the question")
        consumer.stop_flow()
        await consumer.perform_seek()
        produce(settings, events)
        sought.set()
        await until(answered.is_set, "the answer")
        consumer.resume_flow()
        await wait_committed(settings, len(events))
    check_exact(settings, events)


async def test_a_seek_that_a_rebalance_overtakes_is_none(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A recovery that ends after its partitions were let go lets nothing flow.

    A worker that is stopped in its recovery and goes on hears of both at once.
    """
    where = BatchConsumerThread._where_to_read_on
    async with running(settings) as run:
        consumer = run.app.batches
        asked, let_go = threading.Event(), threading.Event()

        async def late(thread: BatchConsumerThread) -> object:
            asked.set()
            await asyncio.to_thread(let_go.wait, 30)
            return await where(thread)

        monkeypatch.setattr(BatchConsumerThread, "_where_to_read_on", late)
        seeking = asyncio.ensure_future(consumer.perform_seek())
        await until(asked.is_set, "the question")
        await consumer.on_partitions_revoked(consumer.assignment())
        let_go.set()
        with pytest.raises(IllegalStateError, match="assigned anew"):
            await seeking
        assert consumer._reader is None


async def test_what_was_read_for_a_generation_is_of_it(settings: Settings) -> None:
    """A fetch from before a rebalance is not begun with the tables of after it."""
    async with running(settings) as run:
        consumer, thread = run.app.batches, run.app.batches._thread
        fetch = Fetch((), thread.assigned_generation, consumer.term)
        assert consumer.take(fetch)
        consumer.leave(fetch, durable=False)
        thread.assigned_generation += 1
        assert not consumer.take(fetch)
        thread.assigned_generation -= 1


async def test_a_seek_without_an_answer_is_tried_again(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Kafka that is away for longer than Faust waits ends no recovery for good."""
    seek, wait = BatchConsumerThread._where_to_read_on, StateRecovery._wait
    asked: list[object] = []

    async def late(thread: BatchConsumerThread) -> object:
        asked.append(thread)
        if len(asked) == 1:
            # The fault itself: nothing is waited for here.
            await asyncio.sleep(1)
        return await seek(thread)

    async def impatient(service: StateRecovery, coro: Any, **limit: Any) -> None:
        await wait(service, coro, **(limit if asked else dict.fromkeys(limit, 0.2)))

    monkeypatch.setattr(BatchConsumerThread, "_where_to_read_on", late)
    monkeypatch.setattr(StateRecovery, "_wait", impatient)
    events = make_events(20, 5)
    async with running(settings):
        assert len(asked) > 1
        produce(settings, events)
        await wait_committed(settings, len(events))
    check_exact(settings, events)


async def test_what_retention_took_is_counted() -> None:
    """A worker that was away too long reads on from what is kept, and says so."""
    place = Partition("web.events.v1", 0)

    class Client:
        async def beginning_offsets(self, _: object) -> dict[AioPartition, int]:
            return {AioPartition(*place): 40}

        def assignment(self) -> set[AioPartition]:
            return {AioPartition(*place)}

    class Thread:
        _ensure_consumer = staticmethod(Client)

        async def _committed(self) -> dict[Partition, int | None]:
            return {place: 33}

    found = await BatchConsumerThread._where_to_read_on(cast("Any", Thread()))
    assert found == {place: 40}
    labels = {"topic": "web.events.v1"}
    lost = REGISTRY.get_sample_value("leadpulse_lost_to_retention_total", labels)
    assert lost == 7


async def test_a_truncated_topic_ends_the_worker(settings: Settings) -> None:
    """A log that goes back crashes the app instead of being skipped as known."""
    async with running(settings) as run:
        ahead = {
            Partition(settings.topic(topic.name), each): 1_000
            for topic in EVENT_TOPICS
            for each in range(settings.partitions)
        }
        run.app.batches.progress.begin(ahead)
        produce(settings, make_events(5, 5))
        await until(lambda: run.app.crash_reason, "the crash")

    assert isinstance(run.app.crash_reason, LogWentBackError)


class Member:
    """A consumer thread as far as ownership goes."""

    def __init__(self) -> None:
        self.is_member = True
        self.assigned_generation = 3
        self.heard_at = time.monotonic()


async def test_ownership_is_confirmed_by_the_coordinator(settings: Settings) -> None:
    """After a pause a worker waits for an answer before it writes anything."""
    async with running(settings) as run:
        consumer = run.app.batches
        member = Member()
        real, consumer._thread = consumer._thread, cast("BatchConsumerThread", member)
        try:
            fetch = Fetch((), generation=3, term=0)
            await consumer.confirm_ownership(fetch)

            member.heard_at -= 60
            waiting = asyncio.create_task(consumer.confirm_ownership(fetch))
            _, pending = await asyncio.wait({waiting}, timeout=0.2)
            assert pending, "it did not wait for the coordinator"
            member.heard_at = time.monotonic()
            await waiting

            member.heard_at -= 60
            waiting = asyncio.create_task(consumer.confirm_ownership(fetch))
            await asyncio.sleep(0)
            member.is_member = False
            with pytest.raises(NotOwnerError):
                await waiting

            member.is_member, member.assigned_generation = True, 4
            with pytest.raises(NotOwnerError):
                await consumer.confirm_ownership(fetch)
        finally:
            consumer._thread = real


async def test_sleep_before_an_assignment_counts(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who slept between the group's answer and reading it is not sure of owning."""
    ask = GroupCoordinator._send_req
    assigned = AIOKafkaConsumerThread.on_partitions_assigned
    unsure: list[float] = []
    slept: list[object] = []

    async def sleepy(coordinator: GroupCoordinator, request: object) -> object:
        answer = await ask(coordinator, request)
        if isinstance(request, SyncGroupRequest) and not slept:
            slept.append(request)
            await asyncio.sleep(settings.session_seconds)
        return answer

    async def noted(thread: BatchConsumerThread, *args: Any) -> None:
        unsure.append(time.monotonic() - thread.heard_at)
        await assigned(thread, *args)

    monkeypatch.setattr(GroupCoordinator, "_send_req", sleepy)
    monkeypatch.setattr(AIOKafkaConsumerThread, "on_partitions_assigned", noted)
    async with running(settings):
        assert slept
    assert unsure[0] >= settings.session_seconds


async def test_a_reading_that_was_interrupted_is_none(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Half a changelog is neither taken for the states nor anything repaired by it."""
    events = make_events(20, 5)
    async with running(settings) as run:
        produce(settings, events)
        await wait_committed(settings, len(events))
        owner = run.app.owner
        monkeypatch.setattr(recovery, "read_changelog", lambda *_: None)
        with pytest.raises(RebalanceAgain):
            await owner.rebuild(frozenset({0, 1}), generation=99)
        assert owner.generation is None


async def test_silence_is_noticed_without_events(
    make_topics: MakeTopics, tmp_path: Path
) -> None:
    """A lead of whom nothing more is heard cools by wake-ups alone, a few of them."""
    started = time.time_ns() // 1_000_000
    settings = make_topics(
        partitions=2,
        session_seconds=1.0,
        data_dir=tmp_path,
        clock_origin=started,
        clock_started=started,
        clock_speed=20.0 * DAY / SECOND,
    )
    async with running(settings) as run:
        produce(settings, make_events(30, 2, now=started))
        await until(lambda: _silenced(settings), "silence to cost points")
        assert run.failures == []

    states = stored_states(settings)
    check_updates(settings, states)
    assert len(read_all(settings, COMMANDS)) < 2_000
    assert read_all(settings, DEAD_LETTERS) == []


def _silenced(settings: Settings) -> bool:
    """Whether an update says that inactivity or decay was its cause."""
    return any(
        msgspec.json.decode(each.value() or b"", type=ScoreUpdate).cause.kind != "event"
        for each in read_all(settings, SCORE_UPDATES)
    )


async def test_poison_and_strays_on_real_topics(settings: Settings) -> None:
    """Bad bytes become dead letters and a stray event finds its lead; all goes on."""
    (stray, *events) = make_events(30, 5)
    lead_id = derive_lead_id(stray)
    assert lead_id is not None
    wrong = 1 - partition_of(lead_id.encode(), settings.partitions)
    async with running(settings):
        put_raw(settings, WEB_EVENTS, b"{", key=b"k", headers=[("any", b"\xff")])
        put_raw(settings, WEB_EVENTS, None, key=b"k")
        put_raw(settings, COMMANDS, b"\x00", key=b"k")
        put_raw(
            settings,
            WEB_EVENTS,
            msgspec.json.encode(stray),
            key=lead_id.encode(),
            partition=wrong,
        )
        produce(settings, events)
        await wait_committed(settings, len(events) + 3)
        await until(lambda: _knows(settings, lead_id, stray), "the stray to arrive")

    letters = read_all(settings, DEAD_LETTERS)
    assert sorted(str(each.value()) for each in letters) == sorted(
        map(str, (b"{", None, b"\x00"))
    )
    assert ("any", b"\xff") in [pair for each in letters for pair in each.headers()]
    check_exact(settings, [stray, *events])


def _knows(settings: Settings, lead_id: str, event: Event) -> bool:
    """Whether the durable state of a lead includes an event."""
    state = stored_states(settings).get(lead_id)
    return state is not None and hash64(event.id) in state.ids
