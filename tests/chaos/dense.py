"""Many faults at once, for hours: what the long form is made of.

Two lanes strike workers, each another one, and a third the broker and what is around
it, without waiting for each other. From time to time all pause until every partition
has a score again: a stall is a failure here, too, and says which faults it came after.
"""

import logging
import random
import signal
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from tests.chaos.faults import (
    broker_stalled,
    empty_redis,
    publish_model,
)
from tests.chaos.results import COUNTED
from tests.chaos.stage import SESSION, Stage
from tests.worker_harness import WorkerProcess

log = logging.getLogger("chaos")

SPELL_SECONDS = 90.0
"""How long faults fall thickly, until all pause."""
CALM_SECONDS = 240.0
"""Within which every partition has a score again, on a machine with other work."""
TAKEOVER_SECONDS = 60.0
"""A sleeper whose partitions nobody took by then was only dozing."""
JOIN_SECONDS = 20.0
READY_SECONDS = 12.0

Deed = Callable[["Lane"], None]


@dataclass
class Dense:
    """Lanes of faults over one stage, until the feed is done or somebody stops it."""

    stage: Stage
    stopping: threading.Event
    until: float
    """When to end, by the monotonic clock."""
    tell: Callable[[str], None]
    taken: set[str] = field(default_factory=set)
    """Workers that are being struck just now."""
    guard: threading.Condition = field(default_factory=threading.Condition)
    failed: list[str] = field(default_factory=list)

    @property
    def is_over(self) -> bool:
        """Whether no more faults should fall."""
        return (
            self.stopping.is_set()
            or bool(self.failed)
            or self.stage.feed.is_done
            or time.monotonic() > self.until
        )

    def run(self) -> list[str]:
        """Let faults fall; return what did not go as it should."""
        number = 0
        while not self.is_over:
            number += 1
            self._spell()
            self._calm(number)
        return self.failed

    def _spell(self) -> None:
        """Strike for a while, workers from two lanes, the rest from this thread.

        A child of the launcher's ends with the thread that started it, so whatever
        is started again but workers is this thread's.
        """
        ends = time.monotonic() + SPELL_SECONDS
        lanes = [Lane(self, random.Random(self.stage.chance.random())) for _ in "123"]
        threads = [
            threading.Thread(target=lane.strike, args=(WORKERS, ends), daemon=True)
            for lane in lanes[:2]
        ]
        for thread in threads:
            thread.start()
        lanes[2].strike(AROUND, ends)
        for thread in threads:
            thread.join()

    def _calm(self, number: int) -> None:
        """Wait until everything is served again; tell what was done so far."""
        self.stage.tend()
        since, deadline = self.stage.watch.since(), time.monotonic() + CALM_SECONDS
        while not since.served() and not self.stage.feed.is_done:
            if time.monotonic() > deadline:
                what = f"no score on every partition for {CALM_SECONDS:.0f} s"
                self.failed.append(f"{what} after spell {number}")
                return
            self.stage.tend()
            self.stopping.wait(0.5)
        events = self.stage.feed.accepted.events
        faults = self.stage.story.faults
        told = ", ".join(f"{name} {faults[name]}" for name in COUNTED)
        self.tell(f"spell {number}: {events} events, {told}")


@dataclass
class Lane:
    """One fault after the other, by its own chance."""

    dense: Dense
    chance: random.Random

    @property
    def stage(self) -> Stage:
        """Return what it happens to."""
        return self.dense.stage

    def strike(self, deeds: dict[Deed, float], ends: float) -> None:
        """Do some of `deeds` until it `ends`, and finish the last one."""
        while time.monotonic() < ends and not self.dense.is_over:
            (deed,) = self.chance.choices([*deeds], [*deeds.values()])
            try:
                deed(self)
            except Exception as error:
                log.exception("%s went wrong", deed.__name__)
                self.dense.failed.append(f"{deed.__name__}: {error}")
                return
            self.pause(0.2, 2.0)

    def pause(self, least: float, most: float) -> None:
        """Let the world go on for a time by chance."""
        self.dense.stopping.wait(self.chance.uniform(least, most))

    def note(self, fault: str) -> None:
        """Count what was done."""
        with self.dense.guard:
            self.stage.story.faults[fault] += 1

    def victim(self) -> "Victim":
        """Return a worker that nobody else strikes meanwhile."""
        return Victim(self)


class Victim:
    """A worker that one lane has for itself."""

    def __init__(self, lane: Lane) -> None:
        """Choose by the lane's chance."""
        self._dense, self._chance = lane.dense, lane.chance
        self._name = ""

    def __enter__(self) -> WorkerProcess:
        """Take one that is free; one that had ended is started."""
        dense = self._dense
        with dense.guard:
            free = sorted(dense.stage.workers.keys() - dense.taken)
            self._name = self._chance.choice(free)
            dense.taken.add(self._name)
        dense.stage.tend(self._name)
        return dense.stage.workers[self._name]

    def __exit__(self, *_: object) -> None:
        """Leave it to the others."""
        with self._dense.guard:
            self._dense.taken.discard(self._name)


def killed(lane: Lane) -> None:
    """A worker is killed, at whatever it is, and comes back at once or later."""
    with lane.victim() as victim:
        victim.kill()
        lane.note("worker kill")
        if lane.chance.random() < 0.2:
            lane.pause(0.0, SESSION * 1.5)
        victim.start()
        lane.pause(0.5, 5.0)


def killed_in_a_row(lane: Lane) -> None:
    """A worker is killed again and again while it starts, as for its memory."""
    with lane.victim() as victim:
        for _ in range(lane.chance.randint(2, 4)):
            victim.kill()
            lane.note("worker kill")
            victim.start()
            lane.pause(0.1, 3.0)


def slept(lane: Lane) -> None:
    """A worker sleeps until others serve its partitions, then wakes among them."""
    with lane.victim() as victim:
        deadline = time.monotonic() + READY_SECONDS
        while victim.get("/readyz")[0] != 200:
            # Who serves nothing would wake as nobody.
            if time.monotonic() > deadline or lane.dense.is_over:
                victim.kill()
                lane.note("worker kill")
                victim.start()
                return
            lane.pause(0.2, 0.5)
        victim.send(signal.SIGSTOP)
        since = lane.stage.watch.since()
        try:
            deadline = time.monotonic() + TAKEOVER_SECONDS
            while not since.served() and time.monotonic() < deadline:
                lane.dense.stopping.wait(0.2)
                if lane.dense.stopping.is_set():
                    break
            lane.pause(0.0, 2.0)
        finally:
            victim.send(signal.SIGCONT)
        lane.note("zombie" if since.served() else "doze")
        if since.served():
            lane.note("rebalance")
        lane.pause(1.0, 3.0)


def came_and_went(lane: Lane) -> None:
    """A worker without a name joins, and leaves or dies before all have settled."""
    with lane.dense.guard:
        passing = lane.stage.passing_worker()
    passing.start()
    try:
        deadline = time.monotonic() + JOIN_SECONDS
        while passing.get("/readyz")[0] != 200:
            if time.monotonic() > deadline or lane.dense.is_over:
                return  # it may not have got as far as the group
            lane.dense.stopping.wait(0.3)
        lane.note("rebalance")
        lane.pause(0.0, 3.0)
        if lane.chance.random() < 0.5:
            passing.kill()
            lane.note("worker kill")
        else:
            passing.send(signal.SIGTERM)
            lane.pause(1.0, 2.0)
        lane.note("rebalance")
    finally:
        passing.end()


def broker_went(lane: Lane) -> None:
    """The broker is killed, or stopped in good order, and comes back."""
    broker = lane.stage.broker.broker
    if lane.chance.random() < 0.6:
        broker.kill()
        lane.pause(0.0, 3.0)
    else:
        broker.stop()
    broker.start()
    lane.note("broker restart")
    lane.pause(10.0, 25.0)  # it takes as long to come back: workers live meanwhile


def broker_stood_still(lane: Lane) -> None:
    """The broker stands still, as on a disk that does not answer."""
    with broker_stalled(lane.stage):
        lane.pause(0.5, 4.0)
    lane.note("broker stalls")


def network_was_bad(lane: Lane) -> None:
    """The network to a worker and to the view's role is cut, or slow."""
    network = lane.stage.broker.network
    if lane.chance.random() < 0.6:
        network.cut()
        fault = "network cut"
    else:
        network.slow(0.2)
        fault = "network slow"
    try:
        lane.pause(0.5, SESSION * 1.5)
    finally:
        network.heal()
    lane.note(fault)


def redis_went(lane: Lane) -> None:
    """Redis dies and comes back with nothing, or is emptied."""
    if lane.chance.random() < 0.5:
        lane.stage.redis.kill()
        lane.pause(0.5, 4.0)
        lane.stage.redis.start()
        lane.note("redis away")
    else:
        empty_redis(lane.stage)
        lane.note("redis flushed")


def rubbish_came(lane: Lane) -> None:
    """Rubbish comes in among the events."""
    lane.stage.feed.poison += 20
    lane.note("poison")


def model_changed(lane: Lane) -> None:
    """Another version of the model is published."""
    lane.note("model change")
    publish_model(lane.stage, points=lane.chance.choice((2, 4, 6)))


WORKERS: dict[Deed, float] = {
    killed: 14,
    killed_in_a_row: 3,
    slept: 4,
    came_and_went: 2,
}
AROUND: dict[Deed, float] = {
    broker_went: 6,
    broker_stood_still: 1,
    network_was_bad: 2,
    redis_went: 0.5,
    rubbish_came: 0.5,
    model_changed: 0.3,
}
"""How often each strikes."""
