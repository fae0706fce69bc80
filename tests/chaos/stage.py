"""What the faults happen to: a broker, a Redis, workers, the view's role, a network."""

import logging
import os
import random
import subprocess
import sys
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from streams.broker import ApacheBroker
from streams.processes import LOOPBACK, Child, free_port
from streams.redis_server import RedisServer
from streams.settings import Settings
from tests.chaos.feed import Feed
from tests.chaos.network import Network
from tests.chaos.watch import Watch
from tests.worker_harness import WorkerProcess

log = logging.getLogger("chaos")
SESSION = 6.0
"""The least that Apache Kafka allows unless told otherwise."""
SNAPSHOTS = 3.0
"""Seconds between snapshots: most restarts begin with one. All share a folder."""


class ProxiedBroker:
    """Apache Kafka with a second listener that leads through a network to be cut."""

    def __init__(self, directory: Path) -> None:
        """Keep its data in `directory`."""
        self._behind = free_port()
        self.network = Network(self._behind)
        self.broker = ApacheBroker(
            directory,
            properties={
                "listeners": f"CLIENTS://{LOOPBACK}:{{port}},"
                f"FAR://{LOOPBACK}:{self._behind},"
                f"CONTROLLER://{LOOPBACK}:{{controller}}",
                "advertised.listeners": f"CLIENTS://{LOOPBACK}:{{port}},"
                f"FAR://{LOOPBACK}:{self.network.port}",
                "listener.security.protocol.map": "CLIENTS:PLAINTEXT,FAR:PLAINTEXT,"
                "CONTROLLER:PLAINTEXT",
            },
        )

    @property
    def far(self) -> str:
        """Where clients connect that sit beyond the network."""
        return f"{LOOPBACK}:{self.network.port}"

    def start(self) -> "ProxiedBroker":
        """Serve, near and far."""
        self.broker.start()
        self.network.start()
        return self

    def stop(self) -> None:
        """Leave nothing running."""
        self.network.stop()
        self.broker.kill()


@dataclass
class Story:
    """What was done, and how long there was no service after it."""

    faults: Counter[str] = field(default_factory=Counter)
    away: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    """Seconds from a fault until every partition was scored again, by fault."""
    endings: Counter[str] = field(default_factory=Counter)
    """The last words of workers that ended by themselves."""

    def add(self, other: "Story") -> None:
        """Take in what was done elsewhere."""
        self.faults += other.faults
        self.endings += other.endings
        for name, seconds in other.away.items():
            self.away[name] += seconds

    def lines(self) -> list[str]:
        """Return it as one would read it."""
        counts = ", ".join(f"{name} {n}" for name, n in sorted(self.faults.items()))
        told = [f"faults: {counts}"]
        for name, seconds in sorted(self.away.items()):
            ordered = sorted(seconds)
            p50 = ordered[len(ordered) // 2]
            p99 = ordered[min(len(ordered) - 1, int(len(ordered) * 0.99))]
            told.append(
                f"no service, {name}: p50 {p50:.1f} s, p99 {p99:.1f} s, "
                f"n = {len(ordered)}"
            )
        told += [
            f"ended by itself {n} times: {each}" for each, n in self.endings.items()
        ]
        return told


class Stage:
    """Everything that runs for one seed."""

    def __init__(
        self,
        settings: Settings,
        broker: ProxiedBroker,
        redis: RedisServer,
        directory: Path,
        *,
        seed: int,
        feed: Feed,
        command: Sequence[str],
    ) -> None:
        """Plan `command`'s workers a and b near the broker, c beyond the network."""
        self.settings, self.broker, self.redis = settings, broker, redis
        self.chance = random.Random(seed)
        self.directory = directory
        self.feed = feed
        self.command = command
        self.story = Story()
        self.watch = Watch(settings, lambda: feed.is_done)
        self.far = settings.model_copy(update={"bootstrap": broker.far})
        self.workers = {
            "a": self.worker("a"),
            "b": self.worker("b"),
            "c": self.worker("c", self.far),
        }
        self._view: Child | None = None
        self._extra = 0

    def worker(self, name: str, settings: Settings | None = None) -> WorkerProcess:
        """Return a worker that keeps its name, not started."""
        given = (settings or self.settings).model_copy(update={"worker_id": name})
        return WorkerProcess(
            given, self.directory / f"{name}.log", command=self.command
        )

    def passing_worker(self) -> WorkerProcess:
        """Return a worker without a name that keeps a place, not started."""
        self._extra += 1
        log = self.directory / f"extra-{self._extra}.log"
        return WorkerProcess(self.settings, log, command=self.command)

    def start(self) -> None:
        """Let everything run; returns when scores come out."""
        self._start_view()
        for worker in self.workers.values():
            worker.start()
        for worker in self.workers.values():
            worker.wait_ready(60)
        self.watch.start()
        self.watch.mark()
        self.feed.start()
        self.watch.wait_served("at the start")

    def tend(self, only: str | None = None) -> None:
        """Start again whatever ended by itself, as a supervisor would."""
        for name, worker in self.workers.items():
            if only not in {None, name}:
                continue
            if worker.process is not None and worker.process.poll() is not None:
                self.story.faults["worker ended by itself, started again"] += 1
                last = worker.tail().strip().rpartition("\n")[2][:300]
                self.story.endings[last] += 1
                log.info("worker %s ended by itself: %s", name, last)
                worker.start()
        if only is None:
            self.tend_view()

    def tend_view(self) -> None:
        """Start the view's role again if it ended by itself."""
        if self._view is not None and not self._view.running:
            self.story.faults["view ended by itself, started again"] += 1
            last = (self._view.tail(1) or [""])[-1][:300]
            self.story.endings[f"view: {last}"] += 1
            self._start_view()

    def victim(self) -> WorkerProcess:
        """Return one of the workers, by chance."""
        return self.workers[self.chance.choice(sorted(self.workers))]

    def victim_in_service(self) -> WorkerProcess:
        """Return one that scores just now: what is measured is how it is missed."""
        victim = self.victim()
        if victim.process is not None and victim.process.poll() is not None:
            victim.start()
        victim.wait_ready(60)
        return victim

    def command_line(self, *words: str) -> None:
        """Run a command of the product; it must succeed."""
        done = subprocess.run(
            [sys.executable, "-m", "streams.cli.main", *words],
            env={**os.environ, **self.settings.environ()},
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr

    def stop(self) -> None:
        """End the workers in good order; they may not fail at it."""
        self.tend()  # one may have met a broker that was away, and have said so
        for worker in self.workers.values():
            worker.wait_ready(60)
        for name, worker in self.workers.items():
            assert worker.stop(60) == 0, f"{name}: {worker.tail()}"

    def end(self) -> None:
        """Leave nothing behind."""
        for worker in self.workers.values():
            worker.end()
        if self._view is not None:
            self._view.kill()
        self.watch.stop()

    def _start_view(self) -> None:
        own: Mapping[str, str] = {**os.environ, **self.far.environ()}
        self._view = Child(
            name="view",
            argv=[sys.executable, "-m", "streams.cli.main", "view"],
            directory=self.directory,
            cwd=Path.cwd(),
            environ=own,
        )
        self._view.start()


@contextmanager
def brokers(directory: Path) -> Iterator[tuple[ProxiedBroker, RedisServer]]:
    """Give a broker behind a network and a Redis, shared by all seeds."""
    broker = ProxiedBroker(directory / "kafka")
    redis = RedisServer(directory / "redis", keep=False)
    try:
        yield broker.start(), redis.start()
    finally:
        redis.kill()
        broker.stop()
