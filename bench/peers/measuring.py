"""One run of one contender: started, watched from outside, stopped, proved."""

import os
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

import msgspec

from bench.peers.broker import Topics
from bench.peers.contenders import Contender
from bench.peers.proof import prove
from bench.peers.toy import Job, Score
from streams.processes import Child

_LOOK_SECONDS = 0.02
_QUIET_SECONDS = 3.0
"""More than two commits: what is still to be written has been written by then."""
_PATIENCE_SECONDS = 240.0
_TICK = os.sysconf("SC_CLK_TCK")
_ROOT = Path(__file__).parents[2]


class Sample(NamedTuple):
    """What is known of a process at an instant."""

    at: float
    cpu: float
    done: int
    written: int
    """Everything that was put on its topics, outputs and changelog."""


class Figure(NamedTuple):
    """What a run came to."""

    events: int
    cpu: float
    wall: float

    @property
    def per_cpu_second(self) -> float:
        """Events per CPU second of the worker's process."""
        return self.events / self.cpu


def cpu_seconds(pid: int) -> float:
    """Return the CPU time that a process has used, in all of its threads."""
    stat = Path(f"/proc/{pid}/stat").read_text("utf-8").rpartition(")")[2].split()
    return (int(stat[11]) + int(stat[12])) / _TICK


def watch(
    child: Child,
    look: Callable[[], tuple[int, int]],
    *,
    warm: int,
    events: int,
    events_only: bool = False,
) -> Figure:
    """Return what the process used from `warm` events done to the end of its work.

    `look` tells how many events are done, and how much was written. The end is the
    sample from which on neither moved any more, or that of the last event if only
    those count and not what it does for itself later.

    Raises
    ------
    TimeoutError
        When it does not get there, or is there before anything could be seen.
    """
    samples: list[Sample] = []
    deadline = time.monotonic() + _PATIENCE_SECONDS
    moved = time.monotonic()
    while True:
        done, written = look()
        now = time.monotonic()
        if not child.running:
            msg = f"it ended{child.last_words()}"
            raise TimeoutError(msg)
        sample = Sample(now, cpu_seconds(child.pid or 0), done, written)
        if not samples or sample[2:] != samples[-1][2:]:
            samples.append(sample)
            moved = now
        if done >= events and now - moved > _QUIET_SECONDS:
            break
        if now > deadline:
            msg = f"{done} of {events} events in time{child.last_words()}"
            raise TimeoutError(msg)
        time.sleep(_LOOK_SECONDS)
    begin = next(sample for sample in samples if sample.done >= warm)
    end = samples[-1]
    if events_only:
        end = next(sample for sample in samples if sample.done >= events)
    if begin.done == end.done:
        msg = f"{events} events are too few: they were done in one stroke"
        raise TimeoutError(msg)
    return Figure(end.done - begin.done, end.cpu - begin.cpu, end.at - begin.at)


def run_toy(
    contender: Contender,
    job: Job,
    topics: Topics,
    expected: Mapping[str, Score],
    *,
    warm: int,
    environ: Mapping[str, str] = os.environ,
) -> Figure:
    """Return the figure of one run whose results were proved to be right.

    Raises
    ------
    WrongResultError
        When they are not.
    TimeoutError
        When it does not finish.
    """
    topics.create(job.output)
    part = contender.changelog(job)
    if part == job.changelog:
        topics.create(job.changelog, compacted=True)
    events = sum(score.count for score in expected.values())
    folder = Path(job.directory)
    child = Child(
        name=contender.name,
        argv=[*contender.command(), msgspec.json.encode(job).decode()],
        directory=folder,
        cwd=_ROOT,
        environ=environ,
    )
    kept: list[str] = []

    def look() -> tuple[int, int]:
        kept[:] = kept or topics.named(part)
        done = topics.length(job.output)
        return done, done + topics.length(*kept)

    child.start()
    try:
        figure = watch(child, look, warm=warm, events=events)
    finally:
        child.stop()
    changes = (pair for name in kept for pair in topics.read(name))
    prove(expected, topics.read(job.output), changes, contender.decode_change)
    topics.delete([job.output, *kept])
    return figure
