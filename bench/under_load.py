"""One worker or two on real work: capacity, alert latency under load, a long soak.

Apache Kafka, the default model, the demo's people whose lives happen within the run::

    python -m bench.under_load                  # capacity; latency at 10, 50 and 90 %
    python -m bench.under_load --workers 2      # the same work by one, then by two
    python -m bench.under_load --soak 1800      # at 70 % for half an hour
    python -m bench.under_load --soak 1800 --generations 1     # 400 people, always

Two capacities are told, in wall time: the broker, the sender and whatever else is at
work take their part of the machine, as they would anywhere. One is how fast a backlog
goes, of which a thousand events are done at a time; the other is the highest rate that
is sustained while it comes, without more and more waiting (Karimov and others,
"Benchmarking Distributed Stream Data Processing Systems", ICDE 2018). Shares are of
the second. Latency is from `received_at`, stamped when the event is sent, until a
consumer of the notifications has the alert. At the end of each run its topics are
verified: every event counted once, every score that of a replay.

With `--generations` the same people come again and again, and before anything is
measured each has had so many events that a state grows no more (`MAX_IDS`): then memory
has to stay as it is.
"""

import argparse
import os
import statistics
import sys
import tempfile
import threading
import time
from contextlib import ExitStack
from itertools import islice
from pathlib import Path

import msgspec
from confluent_kafka import OFFSET_END, Consumer, Producer, TopicPartition

from bench.deployment_proof import proved
from bench.million_leads import Worker, memory
from bench.peers.broker import Topics
from bench.people import PEOPLE, prepared, stories
from schemas.alert import Alert
from schemas.time import to_instant
from schemas.topics import EVENT_TOPICS, NOTIFICATIONS
from scorers.state import MAX_IDS
from streams.broker.apache import ApacheBroker
from streams.partitioner import partition_of
from streams.processes import free_port
from streams.settings import Settings, load_settings
from streams.topics_admin import create_topics

_PARTITIONS = 4
_WARM_RATE = 1_500.0
_WARM_SECONDS = 60
"""A broker that has just been started compiles its own code for about so long."""
_BACKLOG = 60_000
_LATENCY_SECONDS = 60
_TRIAL_SECONDS = 30
_TRIALS = (1.0, 0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2)
"""Shares of a backlog's rate at which events come; the first that is kept up with."""
_SUSTAINED_SECONDS = 2.0
"""What may wait at the end of a trial, in seconds' worth; each second is committed."""
_LOOK_SECONDS = 0.2
_SAMPLE_SECONDS = 30
_PATIENCE_SECONDS = 600.0
_PER_CENT = 100
_TICK_SECONDS = 0.005
"""A collector's requests bring some events at a time, too."""


class Sender:
    """Sends events as a collector does, received at the instant of sending.

    Events are made ready beforehand and sent in ticks, so that what the sender takes
    of the machine, which would be another's, is little.
    """

    def __init__(self, settings: Settings, generations: int | None = None) -> None:
        """Connect; events are of ever new people, or of so many generations."""
        self._settings = settings
        self._producer = Producer(
            {"bootstrap.servers": settings.bootstrap, "linger.ms": 0, "log_level": 0}
        )
        self._events = prepared(generations)
        self.sent = 0

    def send(self, number: int, rate: float | None = None) -> None:
        """Send so many events, `rate` a second or as fast as it goes."""
        ready = [
            (
                self._settings.topic(each.topic),
                each,
                partition_of(each.key, _PARTITIONS),
            )
            for each in islice(self._events, number)
        ]
        begin = time.monotonic()
        done = 0
        while done < number:
            due = number
            if rate is not None:
                time.sleep(_TICK_SECONDS)
                due = min(number, int((time.monotonic() - begin) * rate))
            now = time.time_ns() // 1_000_000
            for topic, event, partition in ready[done:due]:
                value = event.received(now)
                self._producer.produce(topic, value, event.key, partition)
            done = due
            self._producer.poll(0)
        self._producer.flush()
        self.sent += number


class Alerts:
    """Listens to the notifications and notes how old each alert is."""

    def __init__(self, settings: Settings) -> None:
        """Begin at their end."""
        self.seconds: list[float] = []
        self._stop = threading.Event()
        self._consumer = Consumer(
            {
                "bootstrap.servers": settings.bootstrap,
                "group.id": "bench-alerts",
            }
        )
        topic = settings.topic(NOTIFICATIONS.name)
        self._consumer.assign(
            [TopicPartition(topic, each, OFFSET_END) for each in range(_PARTITIONS)]
        )
        self._consumer.poll(2)
        self._thread = threading.Thread(target=self._listen, daemon=True)
        self._thread.start()

    def _listen(self) -> None:
        decode = msgspec.json.Decoder(Alert).decode
        while not self._stop.is_set():
            message = self._consumer.poll(0.1)
            if message is None or message.error() is not None:
                continue
            now = time.time()
            alert = decode(message.value() or b"")
            if alert.event_id is not None:  # what a timer decides has no receipt
                self.seconds.append(now - to_instant(alert.decided_at) / 1_000)

    def stop(self) -> None:
        """Listen no more."""
        self._stop.set()
        self._thread.join()
        self._consumer.close()


class Load:
    """A deployment under load."""

    def __init__(
        self,
        settings: Settings,
        folder: Path,
        workers: int,
        generations: int | None = None,
    ) -> None:
        """Create the topics and connect the sender."""
        self._settings = settings
        self._warm = int(_WARM_RATE * _WARM_SECONDS)
        self._deep = 0
        if generations:
            once = len(stories())
            turns = -(-MAX_IDS * PEOPLE // once)
            self._deep = generations * once * turns
        self._topics = Topics(settings.bootstrap, _PARTITIONS)
        self._sources = [settings.topic(topic.name) for topic in EVENT_TOPICS]
        create_topics(settings)
        self.sender = Sender(settings, generations)
        self.workers = [
            Worker(
                settings.model_copy(
                    update={
                        "metrics_port": free_port(),
                        "worker_id": f"bench-{number}",
                        "data_dir": folder / f"data-{number}",
                    }
                ),
                folder / f"worker-{number}",
            )
            for number in range(workers)
        ]

    def start(self) -> None:
        """Start the workers, and warm them and the broker up."""
        for worker in self.workers:
            worker.start()
        self.sender.send(self._warm, _WARM_RATE)
        self.wait_done()
        while self.sender.sent < self._deep:
            self.sender.send(min(_BACKLOG, self._deep - self.sender.sent))
            self.wait_done()

    def stop(self) -> None:
        """Stop the workers."""
        for worker in self.workers:
            worker.stop()

    def done(self) -> int:
        """Return how many events were acknowledged."""
        group = f"{self._settings.app_id}.scoring"
        return self._topics.committed(group, self._sources)

    def wait_done(self) -> float:
        """Return the instant at which everything sent was acknowledged."""
        deadline = time.monotonic() + _PATIENCE_SECONDS
        while self.done() < self.sender.sent:
            if time.monotonic() > deadline:
                sys.exit(f"{self.done():,} of {self.sender.sent:,} events were scored")
            time.sleep(_LOOK_SECONDS)
        return time.monotonic()

    def capacity(self) -> float:
        """Return the events per second at which a backlog goes."""
        before = self.done()
        # The backlog is there before the first of it is taken: nobody waits for it.
        for worker in self.workers:
            worker.pause()
        self.sender.send(_BACKLOG)
        begin = time.monotonic()
        for worker in self.workers:
            worker.go_on()
        end = self.wait_done()
        return (self.done() - before) / (end - begin)

    def sustained(self, backlog: float) -> float:
        """Return the highest share of a backlog's rate that is kept up with."""
        for share in _TRIALS:
            rate = share * backlog
            self.sender.send(int(rate * _TRIAL_SECONDS), rate)
            waiting = self.sender.sent - self.done()
            self.wait_done()
            print(f"at {rate:,.0f} events/s {waiting:,} waited at the end", flush=True)
            if waiting <= rate * _SUSTAINED_SECONDS:
                return rate
        sys.exit("no rate is sustained")

    def latency(self, rate: float, seconds: float) -> str:
        """Return in words how late alerts are at `rate` events a second."""
        alerts = Alerts(self._settings)
        self.sender.send(int(rate * seconds), rate)
        self.wait_done()
        alerts.stop()
        found = alerts.seconds
        if len(found) < _PER_CENT:
            return f"only {len(found)} alerts"
        cuts = statistics.quantiles(found, n=_PER_CENT)
        return (
            f"{len(found):,} alerts, p50 {cuts[49] * 1e3:,.0f} ms, "
            f"p90 {cuts[89] * 1e3:,.0f} ms, p99 {cuts[98] * 1e3:,.0f} ms, "
            f"max {max(found) * 1e3:,.0f} ms"
        )

    def soak(self, rate: float, seconds: float) -> None:
        """Print memory and lag every half minute, for so long."""
        over = time.monotonic() + seconds
        samples: list[tuple[float, float]] = []
        while time.monotonic() < over:
            self.sender.send(int(rate * _SAMPLE_SECONDS), rate)
            resident = memory(self.workers[0].pid, "VmRSS") / 1e6
            samples.append((time.monotonic(), resident))
            print(
                f"{self.sender.sent:,} events sent, {self.sender.sent - self.done():,} "
                f"to be scored, {resident:,.0f} MB "
                f"({resident - samples[0][1]:+,.0f})",
                flush=True,
            )
        self.wait_done()
        when, sizes = zip(*samples[len(samples) // 2 :], strict=True)
        slope = statistics.linear_regression(when, sizes).slope
        print(f"in the second half memory grew by {3_600 * slope:,.1f} MB an hour")


def _measure(load: Load, backlog: float, soak: float | None) -> None:
    """Print what one worker does at shares of what it sustains."""
    capacity = load.sustained(backlog)
    print(f"sustained are {capacity:,.0f} events/s", flush=True)
    if soak:
        load.soak(0.7 * capacity, soak)
        return
    for share in (0.1, 0.5, 0.9):
        told = load.latency(share * capacity, _LATENCY_SECONDS)
        print(f"at {share:.0%} of it: {told}", flush=True)


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--soak", type=float, metavar="SECONDS")
    parser.add_argument("--generations", type=int, help="of 400 people; else ever new")
    given = parser.parse_args()
    os.environ.setdefault("LEADPULSE_LOG_LEVEL", "warning")
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        broker = stack.enter_context(ApacheBroker(folder / "broker", tell=print))
        figures = []
        for workers in sorted({1, given.workers}):
            name = f"load-{workers}"
            settings = load_settings(
                {},
                bootstrap=broker.bootstrap,
                app_id=name,
                topic_prefix=f"{name}.",
                partitions=_PARTITIONS,
                log_level="warning",
            )
            load = Load(settings, folder / name, workers, given.generations)
            load.start()
            try:
                backlog = load.capacity()
                figures.append(backlog)
                print(f"{workers} worker(s): {backlog:,.0f} events/s", flush=True)
                if given.workers == 1:
                    _measure(load, backlog, given.soak)
            finally:
                load.stop()
            print(proved(settings, load.sender.sent), flush=True)
        if len(figures) > 1:
            print(f"{given.workers} workers do {figures[1] / figures[0]:.2f} × of one")


if __name__ == "__main__":
    main()
