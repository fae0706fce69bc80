"""Senders that go on through an outage, a collector to kill, and what must hold."""

import json
import os
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import httpx
from confluent_kafka import OFFSET_BEGINNING, Consumer, TopicPartition

from streams.processes import Child, free_port
from streams.settings import Settings
from streams.spool_file import look
from tests.waiting import wait_until

KEY = "wk-1"
TOPIC = "web.events.v1"
_PAUSE_SECONDS = 0.02
"""Between two requests of one sender."""


class CollectorProcess:
    """`leadpulse collector` as a process on one port, killed and started again."""

    def __init__(self, settings: Settings, directory: Path) -> None:
        """Plan it; nothing runs yet."""
        self.url = f"http://127.0.0.1:{free_port()}"
        metrics_port = free_port()
        self._metrics_url = f"http://127.0.0.1:{metrics_port}/metrics"
        self._settings = settings.model_copy(
            update={
                "collector_port": int(self.url.rpartition(":")[2]),
                "metrics_port": metrics_port,
            }
        )
        self._directory = directory
        self.child: Child | None = None
        self._client = httpx.Client(timeout=10)

    def start(self) -> None:
        """Serve; returns when it answers."""
        own = {
            name: text
            for name, text in os.environ.items()
            if not name.startswith("LEADPULSE_")
        }
        self.child = Child(
            name="collector",
            argv=[sys.executable, "-m", "streams.cli.main", "collector"],
            directory=self._directory,
            cwd=Path.cwd(),
            environ={**own, **self._settings.environ()},
        )
        self.child.start()
        self.child.wait_ready(self._answers, within=60, doing="starting")

    def kill(self) -> None:
        """End it as a power cut would."""
        assert self.child is not None
        self.child.kill()

    def close(self) -> None:
        """End it for good."""
        if self.child is not None:
            self.child.kill()
        self._client.close()

    def standing(self) -> dict[str, object]:
        """Return what `/readyz` says."""
        answer = self._client.get(f"{self.url}/readyz")
        return {"code": answer.status_code, **answer.json()}

    def drained(self) -> float:
        """Return how many records this process sent from the spool to Kafka."""
        text = self._client.get(self._metrics_url).text
        name = "leadpulse_spool_drained_total "
        (line,) = [one for one in text.splitlines() if one.startswith(name)]
        return float(line.split()[1])

    def _answers(self) -> bool:
        with suppress(httpx.TransportError):
            return self._client.get(f"{self.url}/healthz").status_code == 200
        return False


class Sender(threading.Thread):
    """One person's tracker: numbered events, each sent until it is acknowledged."""

    def __init__(self, url: str, person: str, *, batch: int) -> None:
        """Send to `url` events of `person`, `batch` at once."""
        super().__init__(daemon=True)
        self._url = url
        self._person = person
        self._batch = batch
        self._stop_asked = threading.Event()
        self.acknowledged: list[str] = []
        self.refused = 0

    def run(self) -> None:
        """Send until asked to stop; what was begun is finished."""
        number = 0
        with httpx.Client(timeout=60) as client:
            while not self._stop_asked.is_set():
                ids = [f"{self._person}-{number + n}" for n in range(self._batch)]
                number += self._batch
                while not self._send(client, ids):
                    self._stop_asked.wait(0.05)
                self.acknowledged += ids
                self._stop_asked.wait(_PAUSE_SECONDS)

    def _send(self, client: httpx.Client, ids: Sequence[str]) -> bool:
        batch = [
            {"type": "track", "event": "x", "userId": self._person, "messageId": one}
            for one in ids
        ]
        with suppress(httpx.TransportError):
            answer = client.post(
                f"{self._url}/v1/batch", json={"batch": batch}, auth=(KEY, "")
            )
            if answer.status_code == 200:
                return True
            assert answer.status_code == 503, answer.text
            assert answer.headers["retry-after"]
        self.refused += 1
        return False

    def finish(self) -> None:
        """Return when the last event is acknowledged."""
        self._stop_asked.set()
        self.join(60)
        assert not self.is_alive()


@contextmanager
def sending(url: str, *, people: int, batch: int) -> Iterator[list[Sender]]:
    """Have `people` send at once; all is acknowledged at the end of the block."""
    senders = [Sender(url, f"person{number}", batch=batch) for number in range(people)]
    for sender in senders:
        sender.start()
    yield senders
    for sender in senders:
        sender.finish()


def acknowledged(senders: Sequence[Sender]) -> int:
    """Return how many events the senders were told are kept."""
    return sum(len(sender.acknowledged) for sender in senders)


def check_nothing_lost(settings: Settings, senders: Sequence[Sender]) -> int:
    """Assert ids in = ids out, each person's in order; return how many came twice."""
    sent = {one for sender in senders for one in sender.acknowledged}
    found = ids_by_partition(settings, sent)
    assert {one for ids in found for one in ids} == sent
    for ids in found:
        firsts: dict[str, list[int]] = {}
        for one in dict.fromkeys(ids):
            person, _, number = one.rpartition("-")
            firsts.setdefault(person, []).append(int(number))
        for person, numbers in firsts.items():
            assert numbers == sorted(numbers), f"{person} is out of order"
    return sum(map(len, found)) - len(sent)


def ids_by_partition(settings: Settings, wanted: set[str]) -> list[list[str]]:
    """Return the ids on each partition in their order, once all `wanted` are there."""
    consumer = Consumer(
        {"bootstrap.servers": settings.bootstrap, "group.id": "unused", "log_level": 0}
    )
    try:
        topic = settings.topic(TOPIC)
        numbers = sorted(consumer.list_topics(topic, 30).topics[topic].partitions)
        consumer.assign(
            [TopicPartition(topic, number, OFFSET_BEGINNING) for number in numbers]
        )
        ids: dict[int, list[str]] = {number: [] for number in numbers}
        missing = set(wanted)

        def came() -> bool:
            """Say whether anything came; the embedded broker knows no sure end."""
            messages = consumer.consume(20_000, 0.5)
            for message in messages:
                one = json.loads(message.value() or b"{}")["id"]
                ids[message.partition()].append(one)
                missing.discard(one)
            return bool(messages)

        with suppress(AssertionError):  # told below, with how many
            wait_until(lambda: not came() and not missing, within=120)
        assert not missing, f"{len(missing)} of {len(wanted)} are lost: {min(missing)}"
    finally:
        consumer.close()
    return list(ids.values())


def drive_outage(
    collector: CollectorProcess,
    settings: Settings,
    *,
    go_away: Callable[[], None],
    come_back: Callable[[], None],
    during: int,
    drained: int = 0,
    people: int = 4,
    batch: int = 100,
) -> int:
    """Go through an outage under load with the collector killed as it drains.

    `during` is how many events must be acknowledged while Kafka is away, `drained` how
    many of them must be on Kafka before the kill. Returns how many came twice.
    """
    collector.start()
    wait_until(lambda: collector.standing()["status"] == "ready", within=30)
    with sending(collector.url, people=people, batch=batch) as senders:
        wait_until(lambda: acknowledged(senders) >= 10 * batch, within=30)
        go_away()
        before = acknowledged(senders)
        wait_until(lambda: acknowledged(senders) >= before + during, within=60)
        standing = collector.standing()
        assert (standing["code"], standing["status"]) == (200, "spooling")
        come_back()
        wait_until(
            lambda: (
                collector.standing()["status"] == "draining"
                and collector.drained() >= drained
            ),
            within=60,
            what="draining",
        )
        collector.kill()
        left = look(settings.data_dir)
        assert left is not None
        assert left.events > 0, "all was drained before the collector was killed"
        assert left.owner is None
        collector.start()
        wait_until(
            lambda: collector.standing()["status"] == "ready",
            within=120,
            what="drained",
        )
        now = acknowledged(senders)
        wait_until(lambda: acknowledged(senders) >= now + 4 * batch, within=30)
    return check_nothing_lost(settings, senders)
