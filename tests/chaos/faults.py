"""The faults: each does its harm, and returns when scores come out again."""

import os
import resource
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from redis import Redis

from streams.model_files import read_model_text
from tests.chaos.stage import SESSION, Stage
from tests.chaos.watch import now
from tests.waiting import wait_until
from tests.worker_harness import WorkerProcess

Fault = Callable[[Stage], None]


def pause(stage: Stage, least: float, most: float) -> None:
    """Let the world go on for a time by chance: when it strikes is the test."""
    threading.Event().wait(stage.chance.uniform(least, most))


def kill(stage: Stage) -> None:
    """A worker is killed and started again at once under its name."""
    victim = stage.victim_in_service()
    victim.kill()
    stage.watch.mark()
    victim.start()
    stage.story.faults["worker kill"] += 1
    away = stage.watch.wait_served("after a kill")
    stage.story.away["worker killed, started again at once"].append(away)


def kill_and_leave(stage: Stage) -> None:
    """A worker is killed and stays away until others have taken over."""
    victim = stage.victim_in_service()
    victim.kill()
    stage.watch.mark()
    stage.story.faults["worker kill"] += 1
    away = stage.watch.wait_served("by the others after a kill")
    stage.story.away["worker killed, others take over"].append(away)
    stage.story.faults["rebalance"] += 1
    victim.start()


def out_of_memory(stage: Stage) -> None:
    """A worker is killed again and again while it starts, as for its memory."""
    victim = stage.victim()
    for _ in range(stage.chance.randint(3, 5)):
        victim.kill()
        stage.story.faults["worker kill"] += 1
        victim.start()
        pause(stage, 0.1, 2.5)
    stage.watch.mark()
    stage.watch.wait_served("after a burst of kills")


def zombie(stage: Stage) -> None:
    """A worker sleeps until others serve its partitions, then wakes among them."""
    victim = stage.victim_in_service()
    victim.send(signal.SIGSTOP)
    stage.watch.mark()
    try:
        away = stage.watch.wait_served("by the others of a sleeper")
        stage.story.away["worker sleeps, others take over"].append(away)
        # The kernel may have kept the sleeper's seat warm for a moment: past that.
        pause(stage, 0.0, 2.0)
    finally:
        victim.send(signal.SIGCONT)
    stage.story.faults["zombie"] += 1
    stage.story.faults["rebalance"] += 1
    stage.watch.mark()
    stage.watch.wait_served("after a sleeper woke")


def doze(stage: Stage) -> None:
    """A worker sleeps for less than a session, or a little more, at any moment."""
    victim = stage.victim()
    victim.send(signal.SIGSTOP)
    try:
        pause(stage, 0.5, SESSION * 1.5)
    finally:
        victim.send(signal.SIGCONT)
    stage.story.faults["doze"] += 1
    stage.watch.mark()
    stage.watch.wait_served("after a doze")


def storm(stage: Stage) -> None:
    """Workers come and go before the group has settled."""
    passing: list[WorkerProcess] = []
    try:
        for _ in range(2):
            passing.append(stage.passing_worker().start())
            stage.story.faults["rebalance"] += 1
            pause(stage, 1.0, 4.0)
        for worker in passing:
            stage.story.faults["rebalance"] += 1
            if stage.chance.random() < 0.5:
                worker.kill()
                stage.story.faults["worker kill"] += 1
            else:
                worker.send(signal.SIGTERM)
            pause(stage, 0.2, 2.0)
        stage.watch.mark()
        stage.watch.wait_served("after workers came and went")
    finally:
        for worker in passing:
            worker.end()


def broker_killed(stage: Stage) -> None:
    """The broker is killed and comes back."""
    stage.broker.broker.kill()
    killed = stage.watch.mark()
    pause(stage, 0.0, 3.0)
    stage.broker.broker.start()
    back = (now() - killed) / 1_000
    stage.story.faults["broker restart"] += 1
    away = stage.watch.wait_served("after the broker was killed")
    stage.story.away["broker killed"].append(away)
    stage.story.away["broker back, until scored"].append(max(0.0, away - back))


def broker_restarted(stage: Stage) -> None:
    """The broker is stopped in good order and comes back."""
    stage.broker.broker.stop()
    stage.watch.mark()
    stage.broker.broker.start()
    stage.story.faults["broker restart"] += 1
    away = stage.watch.wait_served("after the broker was restarted")
    stage.story.away["broker restarted in good order"].append(away)


@contextmanager
def broker_stalled(stage: Stage) -> Iterator[None]:
    """Let the broker stand still."""
    child = stage.broker.broker.child
    assert child is not None
    assert child.pid is not None
    os.kill(child.pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(child.pid, signal.SIGCONT)


def broker_stalls(stage: Stage) -> None:
    """The broker stands still, as on a disk that does not answer."""
    with broker_stalled(stage):
        pause(stage, 0.5, 4.0)
    stage.story.faults["broker stalls"] += 1
    stage.watch.mark()
    stage.watch.wait_served("after the broker stood still")


def disk_full(stage: Stage) -> None:
    """The broker's disk takes no more, until somebody makes room."""
    child = stage.broker.broker.child
    assert child is not None
    assert child.pid is not None
    logs = Path(stage.broker.broker.directory / "storage").glob("*/*.log")
    largest = max(each.stat().st_size for each in logs)
    resource.prlimit(child.pid, resource.RLIMIT_FSIZE, (largest, largest))
    wait_until(lambda: not child.running, 60, "the broker to give up")
    stage.watch.mark()
    stage.broker.broker.start()
    stage.story.faults["disk full"] += 1
    stage.watch.wait_served("after the disk was full")


def cut(stage: Stage) -> None:
    """The network to a worker and to the view's role is cut for a time by chance."""
    stage.broker.network.cut()
    try:
        pause(stage, 0.5, SESSION * 2)
    finally:
        stage.broker.network.heal()
    stage.story.faults["network cut"] += 1
    stage.watch.mark()
    stage.watch.wait_served("after the network was cut")


def slow(stage: Stage) -> None:
    """The network to a worker and to the view's role is slow."""
    stage.broker.network.slow(0.2)
    try:
        pause(stage, 2.0, 5.0)
    finally:
        stage.broker.network.heal()
    stage.story.faults["network slow"] += 1
    stage.watch.mark()
    stage.watch.wait_served("after the network was slow")


def redis_away(stage: Stage) -> None:
    """Redis dies and comes back with nothing; scoring goes on meanwhile."""
    stage.redis.kill()
    stage.watch.mark()
    stage.watch.wait_served("while Redis is away")
    stage.redis.start()
    stage.story.faults["redis away"] += 1


def empty_redis(stage: Stage) -> None:
    """Take everything out of Redis."""
    with Redis.from_url(stage.redis.url) as client:
        client.flushall()


def redis_flushed(stage: Stage) -> None:
    """Somebody empties Redis."""
    empty_redis(stage)
    stage.story.faults["redis flushed"] += 1


def clock_jumps(stage: Stage) -> None:
    """A worker's host finds itself minutes in the past or the future."""
    name = stage.chance.choice("ab")
    jump = stage.chance.choice((-600_000, 600_000))
    stage.workers[name].kill()
    stage.story.faults["worker kill"] += 1
    stage.workers[name].settings = stage.workers[name].settings.model_copy(
        update={"clock_origin": now() + jump, "clock_started": now()}
    )
    stage.watch.mark()
    stage.workers[name].start()
    stage.watch.wait_served("after a clock jumped")
    stage.story.faults["clock jump"] += 1


def poison(stage: Stage) -> None:
    """Rubbish comes in among the events."""
    stage.feed.poison += 20
    stage.story.faults["poison"] += 1


def eager_model(path: Path, version: str = "1.0.0", points: int = 3) -> Path:
    """Write the default model, made to alert soon and again, to `path`."""
    text, _ = read_model_text(None)
    for old, new in (
        ('version: "1.0.0"', f'version: "{version}"'),
        ("        points: 3\n", f"        points: {points}\n"),
        ("{name: gold, at: 60", "{name: gold, at: 30"),
        ("{name: silver, at: 30", "{name: silver, at: 25"),
        ("leave_dwell: 15m", "leave_dwell: 0s"),
        ("cooldown: 24h", "cooldown: 30s"),
    ):
        text = text.replace(old, new)
    path.write_text(text, encoding="utf-8")
    return path


def publish_model(stage: Stage, *, points: int) -> None:
    """Publish a version of the model that gives so many points."""
    path = stage.directory / "next.yaml"
    eager_model(path, version=f"1.0.{now()}", points=points)
    stage.command_line("model", "publish", str(path), "--no-backfill")


def new_model(stage: Stage) -> None:
    """Another version of the model is published."""
    stage.story.faults["model change"] += 1
    publish_model(stage, points=stage.chance.choice((2, 4, 6)))


EVERY: tuple[Fault, ...] = (
    kill,
    kill_and_leave,
    out_of_memory,
    zombie,
    doze,
    storm,
    broker_killed,
    broker_restarted,
    broker_stalls,
    disk_full,
    cut,
    slow,
    redis_away,
    redis_flushed,
    clock_jumps,
    poison,
    new_model,
)
"""Each once: the short form, in an order of the seed's."""

WEIGHTS: dict[Fault, float] = {
    kill: 5,
    kill_and_leave: 2,
    out_of_memory: 3,
    zombie: 5,
    doze: 1,
    storm: 1,
    broker_killed: 3,
    broker_restarted: 2,
    broker_stalls: 1,
    disk_full: 0.5,
    cut: 1,
    slow: 0.5,
    redis_away: 0.5,
    redis_flushed: 0.5,
    clock_jumps: 0.5,
    poison: 0.5,
    new_model: 0.5,
}
"""How often each strikes in the long form."""
