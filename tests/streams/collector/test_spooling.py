"""While Kafka is away the collector keeps what it takes on disk, and says so."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest
from prometheus_client import REGISTRY

from streams.broker import EmbeddedBroker
from streams.clock import SystemClock
from streams.collector.server import create_server
from streams.collector.spooling import SpooledEventLog
from streams.event_log import NotDurableError, Record, RecordRefusedError
from streams.settings import Settings
from streams.spool import Spool, SpoolFullError
from streams.spool_file import SpoolUnusableError
from streams.topics_admin import create_topics
from tests.conftest import MakeTopics
from tests.outage_harness import ids_by_partition
from tests.streams.collector.conftest import KEYS, read_records, running
from tests.waiting import wait_until

AUTH = ("wk-1", "")


@pytest.fixture
def small(own_broker: EmbeddedBroker, make_topics: MakeTopics) -> Settings:
    """Settings of a collector on that broker, with the smallest spool."""
    return make_topics(
        bootstrap=own_broker.bootstrap,
        write_keys=KEYS,
        collector_port=0,
        produce_timeout_seconds=2,
        spool_after_seconds=0.2,
        spool_max_bytes=10_000_000,
    )


def send(client: httpx.Client, *messages: dict[str, object]) -> httpx.Response:
    return client.post("/v1/batch", json={"batch": messages}, auth=AUTH)


def track(number: int, size: int = 0) -> dict[str, object]:
    return {
        "type": "track",
        "event": "x",
        "userId": "u",
        "messageId": f"m-{number}",
        "properties": {"pad": "x" * size},
    }


def test_a_dead_broker(own_broker: EmbeddedBroker, small: Settings) -> None:
    """Events and dead letters wait on disk until it is full, and all go out in order.

    The broker is away when the collector starts.
    """
    own_broker.kill()
    accepted = []
    with running(small) as (client, _):
        ready = client.get("/readyz")
        assert send(client, {"type": "?"}, track(0)).json()["accepted"] == 1
        for number in range(1, 1_000):
            answer = send(client, *(track(number, 30_000) for _ in range(15)))
            if answer.status_code == 503:
                break
            accepted.append(f"m-{number}")
        full = client.get("/readyz")
        held = REGISTRY.get_sample_value("leadpulse_spool_events")
        own_broker.start()
        create_topics(small)
        wait_until(lambda: client.get("/readyz").json() == {"status": "ready"}, 20)
        assert send(client, track(1_000)).status_code == 200

    assert (ready.status_code, ready.json()["status"]) == (200, "spooling")
    assert "no broker answers" in ready.json()["kafka"]
    assert 15 < len(accepted) < 30
    assert answer.headers["retry-after"] == "10"
    assert answer.json()["error"]["reason"] == "not-durable"
    assert (full.status_code, full.json()["status"]) == (503, "not ready")
    assert full.json()["spool"]["events"] == held == 15 * len(accepted) + 2
    told = ["m-0", *accepted, "m-1000"]
    found = [ids for ids in ids_by_partition(small, set(told)) if ids]
    assert [list(dict.fromkeys(ids)) for ids in found] == [told]
    (letter,) = read_records(small, 1, "dead-letters.v1")
    assert letter.value == b'{"type":"?"}'
    assert REGISTRY.get_sample_value("leadpulse_spool_events") == 0


def test_a_spool_of_somebody_else(small: Settings) -> None:
    """A second collector on the same folder does not start, and says why."""

    async def hold() -> None:
        spool = Spool(small.data_dir, limit=small.spool_max_bytes)
        with pytest.raises(SpoolUnusableError, match="LEADPULSE_DATA_DIR of its own"):
            create_server(small)
        await spool.close()

    asyncio.run(hold())


class LateError(NotDurableError):
    """As Kafka when it does not answer."""


class Kafka:
    """An event log that can be away, refuse a record, or take its time."""

    def __init__(self) -> None:
        self.away = False
        self.took: list[str] = []
        self.slow: asyncio.Event | None = None
        self.asked_when_slow = asyncio.Event()

    async def append(
        self, records: Sequence[Record], *, within: float | None = None
    ) -> None:
        if self.slow is not None:
            self.asked_when_slow.set()
            try:
                async with asyncio.timeout(within):
                    await self.slow.wait()
            except TimeoutError:
                raise LateError from None
        if self.away:
            raise LateError
        for record in records:
            assert record.value is not None
            if record.value == b"illegal":
                raise RecordRefusedError
            self.took.append(record.value.decode())

    async def missing_topics(self) -> list[str]:
        return []

    async def close(self) -> None:
        pass


def records(*values: str) -> list[Record]:
    return [Record("t", b"k", value.encode(), []) for value in values]


@asynccontextmanager
async def spooled(
    tmp_path: Path, kafka: Kafka, *, patience: float = 30, limit: int = 10_000_000
) -> AsyncIterator[SpooledEventLog]:
    log = SpooledEventLog(
        kafka, Spool(tmp_path, limit=limit), SystemClock(), patience=patience
    )
    log.start()
    try:
        yield log
    finally:
        await log.close()


async def until(log: SpooledEventLog, status: str) -> None:
    async with asyncio.timeout(10):
        while (await log.standing()).status != status:  # noqa: ASYNC110 - no event
            await asyncio.sleep(0.005)


async def test_new_events_go_behind_the_spool(tmp_path: Path) -> None:
    """Under load that never pauses the spool is emptied, and nothing overtakes it."""
    kafka = Kafka()
    kafka.away = True
    sent: list[str] = []
    async with spooled(tmp_path, kafka) as log:

        async def load() -> None:
            for number in range(400):
                sent.append(str(number))
                await log.append(records(str(number)))
                if number == 200:
                    kafka.away = False
                await asyncio.sleep(0)

        await load()
        await until(log, "ready")
        assert kafka.took == sent


async def test_what_was_under_way_is_spooled_in_its_order(tmp_path: Path) -> None:
    """When Kafka is given up, everything it had not acknowledged goes to disk."""
    kafka = Kafka()
    kafka.slow = asyncio.Event()
    async with spooled(tmp_path, kafka, patience=0.05) as log:
        await asyncio.gather(*(log.append(records(str(n))) for n in range(50)))
        assert (await log.standing()).spool["events"] == 50
        kafka.slow.set()
        await until(log, "ready")
        assert kafka.took == [str(number) for number in range(50)]


async def test_a_slow_kafka_is_not_asked_again_and_again(tmp_path: Path) -> None:
    """A send from the spool may take longer than a sender waits; nothing overtakes."""
    kafka = Kafka()
    kafka.away = True
    async with spooled(tmp_path, kafka, patience=0.05) as log:
        await log.append(records("1"))
        kafka.slow = asyncio.Event()
        kafka.away = False
        await asyncio.wait_for(kafka.asked_when_slow.wait(), 10)
        await asyncio.gather(*(log.append(records(str(n))) for n in range(2, 9)))
        assert kafka.took == []
        assert (await log.standing()).status == "draining"
        kafka.slow.set()
        await until(log, "ready")

    assert kafka.took == [str(number) for number in range(1, 9)]


async def test_what_kafka_never_takes_stops_nobody(tmp_path: Path) -> None:
    """A record that Kafka refuses for good stays on disk; the others go out."""
    kafka = Kafka()
    kafka.away = True
    async with spooled(tmp_path, kafka) as log:
        await log.append(records("1", "2"))
        await log.append(records("3", "illegal", "4"))
        await log.append(records("5"))
        kafka.away = False
        await until(log, "ready")
        await log.append(records("6"))
        with pytest.raises(RecordRefusedError):
            await log.append(records("illegal"))

    assert list(dict.fromkeys(kafka.took)) == ["1", "2", "3", "4", "5", "6"]
    spool = Spool(tmp_path, limit=1_000_000)
    assert (spool.events, spool.aside) == (0, 1)
    await spool.close()


async def test_a_full_spool_lets_nothing_pass(tmp_path: Path) -> None:
    """Kafka being back is no reason to overtake: first comes what waits on disk."""
    kafka = Kafka()
    kafka.away = True
    async with spooled(tmp_path, kafka, limit=500) as log:
        await log.append(records("1" * 300))
        with pytest.raises(SpoolFullError):
            await log.append(records("2" * 300))
        kafka.away = False
        await until(log, "ready")
        await log.append(records("3"))
        assert [one[0] for one in kafka.took] == ["1", "3"]
