"""A worker with a million leads: memory, recovery, restart, and what silence costs.

Writes a changelog of as many leads as asked for on Apache Kafka, each with the state
that the demo's people come to under the default model, and lets one worker own them::

    python -m bench.million_leads
    python -m bench.million_leads --leads 100000 --due 1000

The peer of recovery is a bare read of the same records by a confluent-kafka consumer
that looks at none of them, in a process of its own. Almost all leads are silent: their
next look is a month away. Before the restart `--due` further leads are written whose
score is to be looked at within one minute. At the end every lead's last state is
compared with what the core alone makes of the state and the events that were written.
"""

import argparse
import math
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from itertools import cycle, islice
from pathlib import Path
from typing import NamedTuple

import msgspec
from confluent_kafka import Consumer, TopicPartition
from msgspec.structs import replace

from bench.core import demo, scored, stream_of
from bench.peers.broker import Topics
from bench.peers.measuring import cpu_seconds
from bench.peers.proof import TOLERANCE, WrongResultError
from bench.people import settled
from schemas.event import Event
from schemas.time import DAY, MINUTE, SECOND, Instant, to_datetime
from schemas.topics import LEAD_STATE, SCORE_UPDATES, WEB_EVENTS
from scorers.identity import lead_id_of
from scorers.scorer import on_event, on_wakeup
from scorers.state import LeadState, decode_state, encode_state
from streams.broker.apache import ApacheBroker
from streams.demo.personas import STORY
from streams.model_files import read_model
from streams.processes import Child, free_port
from streams.role_metrics import RoleMetrics, answers_ok, read_metrics
from streams.settings import Settings, load_settings
from streams.state_records import OWNER_KEY, VERSION, Stored, decode_stored
from streams.topics_admin import create_topics

_PARTITIONS = 4
_PEOPLE = 2_000
"""Different states; each stands for as many leads as it takes."""
_TOGETHER = 400
"""Leads who share the demo's companies; the next have others."""
_IDLE_SECONDS = 30
_SNAPSHOT_SECONDS = 60.0
"""Later than what is measured of an idle worker, and soon enough to wait for."""
_AHEAD = 60 * SECOND
"""From writing the leads that will be due to the first of them being due."""
_PATIENCE_SECONDS = 600.0
_LOOK_SECONDS = 0.05
_WARM_EVENTS = 1_000
_EVENTS = 9_000
"""Together no more than there are leads: each gets one."""
_SELDOM_SECONDS = 2.0
_READ = "--read"


Pair = tuple[str, bytes, bytes]
"""Topic, key and value of a record."""


class Start(NamedTuple):
    """What it took a worker to be ready."""

    wall: float
    cpu: float
    resident: int
    """Bytes of memory when it was."""
    highest: int
    """Bytes at the most, on the way."""


def people() -> list[LeadState]:
    """Return states of the demo's people, whose stories ended yesterday."""
    begin = time.time_ns() // 1_000_000 - STORY - DAY
    model = read_model(None)
    states = scored(model, stream_of(demo(_PEOPLE, begin)))
    return [state for state in states.values() if not state.claims]


def records(
    topic: str, states: list[LeadState], leads: int, prefix: str, due: Iterator[Instant]
) -> Iterator[Pair]:
    """Yield the changelog's records of `leads` leads."""
    for number, (state, at) in enumerate(islice(zip(cycle(states), due), leads)):
        user = f"{prefix}{number:07}"
        lead = lead_id_of("user_id", user)
        # Companies with hundreds of thousands of leads would be a bench of their own.
        mine = settled(replace(state, wake_at=at), lead, user, number // _TOGETHER)
        packed = encode_state(mine)
        stored = Stored(VERSION, 1, 0, {}, packed, at, (), state.model)
        yield topic, lead.encode(), msgspec.msgpack.encode(stored)


def prove(settings: Settings, topics: Topics, leads: int, due: int) -> str:
    """Return in words that all states are what the core makes of what was written.

    Raises
    ------
    WrongResultError
        When one is not, or is missing.
    """
    model = read_model(None)
    happened = {
        key: msgspec.json.decode(value, type=Event)
        for key, value in topics.read(settings.topic(WEB_EVENTS.name))
        if value is not None
    }
    begun: dict[bytes, bytes] = {}
    live: dict[bytes, bytes] = {}
    for key, value in topics.read(settings.topic(LEAD_STATE.name)):
        if key == OWNER_KEY or value is None:
            continue
        packed = decode_stored(value).state
        if begun.setdefault(key, packed) != packed:
            live[key] = packed
    woken = 0
    for key, packed in live.items():
        state, final = decode_state(begun[key]), decode_state(packed)
        event = happened.pop(key, None)
        if event is not None:
            state = on_event(model, state, event, event.now).state
        else:
            woken += 1
        # Its next look may have come since: by then it has lost a tenth of a point.
        looked = final.now > state.now
        expected = on_wakeup(model, state, final.now).state if looked else state
        if not math.isclose(expected.score, final.score, abs_tol=TOLERANCE):
            msg = f"{final.lead_id} has {final.score}, it should be {expected.score}"
            raise WrongResultError(msg)
        if not looked and encode_state(expected) != packed:
            msg = f"the state of {final.lead_id} is not what follows from its event"
            raise WrongResultError(msg)
    if happened or woken < due or len(begun) != leads + due:
        msg = (
            f"{len(begun):,} leads, {woken:,} of which were looked at; events of "
            f"{len(happened):,} led to nothing"
        )
        raise WrongResultError(msg)
    return f"proved: {len(live):,} of {len(begun):,} leads changed, each as it should"


def events(settings: Settings, first: int, end: int) -> Iterator[Pair]:
    """Yield an event of each of these silent leads, as the collector writes it."""
    for number in range(first, end):
        now = to_datetime(time.time_ns() // 1_000_000)
        event = Event(
            id=f"again-{number}",
            type="page",
            channel="web",
            name="Pricing Page Viewed",
            user_id=f"s{number:07}",
            occurred_at=now,
            received_at=now,
        )
        key = lead_id_of("user_id", event.user_id or "").encode()
        yield settings.topic(WEB_EVENTS.name), key, msgspec.json.encode(event)


def work(settings: Settings, topics: Topics, worker: "Worker") -> str:
    """Return in words what an event costs, each of another lead."""
    group, topic = f"{settings.app_id}.scoring", settings.topic(WEB_EVENTS.name)
    spent, sent = 0.0, 0
    for count in (_WARM_EVENTS, _EVENTS):
        before = cpu_seconds(worker.pid)
        topics.put(events(settings, sent, sent + count))
        sent += count
        worker.wait(
            lambda: topics.committed(group, [topic]) >= sent,  # noqa: B023 - in its turn
            "to an end with the events",
        )
        spent = cpu_seconds(worker.pid) - before
    return f"{_EVENTS:,} events, each of another lead: {spent / _EVENTS:.6f} s CPU each"


def read(bootstrap: str, topic: str, count: int) -> None:
    """Print the seconds that reading `count` records takes, looking at none."""
    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": "bare"})
    consumer.assign([TopicPartition(topic, each, 0) for each in range(_PARTITIONS)])
    begin, found = time.monotonic(), 0
    while found < count:
        found += len(consumer.consume(5_000, 0.2))
    print(time.monotonic() - begin, time.process_time())
    consumer.close()


def memory(pid: int, field: str) -> int:
    """Return a figure of a process' memory, in bytes."""
    for line in Path(f"/proc/{pid}/status").read_text("utf-8").splitlines():
        name, _, value = line.partition(":")
        if name == field:
            return int(value.split()[0]) * 1024
    msg = f"no {field} of process {pid}"
    raise LookupError(msg)


class Worker:
    """A worker of one deployment, started as often as wanted."""

    def __init__(self, settings: Settings, folder: Path) -> None:
        """Start nothing yet."""
        self._settings = settings
        self._url = f"http://127.0.0.1:{settings.metrics_port}"
        self._child = Child(
            name="worker",
            argv=[sys.executable, "-m", "streams.cli.main", "worker"],
            directory=folder,
            environ={**os.environ, **settings.environ()},
        )

    @property
    def pid(self) -> int:
        """The process."""
        return self._child.pid or 0

    def start(self) -> Start:
        """Start it and return what it took until it was ready."""
        begin = time.monotonic()
        self._child.start()
        self.wait(lambda: answers_ok(f"{self._url}/readyz"), "to be ready")
        return Start(
            time.monotonic() - begin,
            cpu_seconds(self.pid),
            memory(self.pid, "VmRSS"),
            memory(self.pid, "VmHWM"),
        )

    def wait(
        self, what: Callable[[], bool], name: str, *, every: float = _LOOK_SECONDS
    ) -> None:
        """Return when `what` holds; to ask costs the worker something, too."""
        deadline = time.monotonic() + _PATIENCE_SECONDS
        while not what():
            if not self._child.running or time.monotonic() > deadline:
                sys.exit(f"the worker did not come {name}{self._child.last_words()}")
            time.sleep(every)

    def metrics(self) -> RoleMetrics:
        """Return what it says of itself."""
        found = read_metrics([f"{self._url}/metrics"])
        return found or RoleMetrics(())

    def share(self, seconds: float) -> float:
        """Return the share of a core that it uses for so long."""
        before, begin = cpu_seconds(self.pid), time.monotonic()
        time.sleep(seconds)
        return (cpu_seconds(self.pid) - before) / (time.monotonic() - begin)

    def pause(self) -> None:
        """Let it do nothing, without it knowing."""
        os.kill(self.pid, signal.SIGSTOP)

    def go_on(self) -> None:
        """Let it go on."""
        os.kill(self.pid, signal.SIGCONT)

    def stop(self) -> None:
        """Stop it in good order."""
        self._child.stop(within=60)


def told(what: str, start: Start) -> str:
    """Return a start in words."""
    return (
        f"{what}: ready after {start.wall:.1f} s, {start.cpu:.1f} s CPU; "
        f"{start.resident / 1e6:,.0f} MB resident, {start.highest / 1e6:,.0f} at most"
    )


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--leads", type=int, default=1_000_000)
    parser.add_argument("--due", type=int, default=10_000)
    given = parser.parse_args()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        broker = stack.enter_context(ApacheBroker(folder / "broker", tell=print))
        settings = load_settings(
            {},
            bootstrap=broker.bootstrap,
            app_id="million",
            topic_prefix="million.",
            partitions=_PARTITIONS,
            data_dir=folder / "worker",
            metrics_port=free_port(),
            snapshot_seconds=_SNAPSHOT_SECONDS,
        )
        create_topics(settings)
        measure(settings, given.leads, given.due, folder)


def measure(settings: Settings, leads: int, due: int, folder: Path) -> None:
    """Write the leads, and measure a worker that owns them."""
    topics = Topics(settings.bootstrap, _PARTITIONS)
    changelog = settings.topic(LEAD_STATE.name)
    states = people()
    silent = iter(lambda: time.time_ns() // 1_000_000 + 30 * DAY, None)
    topics.put(records(changelog, states, leads, "s", silent))
    sizes = sorted(len(encode_state(state)) for state in states)
    print(f"{leads:,} leads, a state has {sizes[len(sizes) // 2]:,} bytes (median)")

    bare = subprocess.run(
        [
            *(sys.executable, "-m", "bench.million_leads"),
            *(_READ, settings.bootstrap, changelog, str(leads)),
        ],
        check=True,
        capture_output=True,
        text=True,
    )
    wall, cpu = map(float, bare.stdout.split())
    print(f"a bare read of the changelog: {wall:.1f} s, {cpu:.1f} s CPU")

    worker = Worker(settings, folder / "child")
    cold = worker.start()
    print(told("cold start", cold), f"({cold.wall / wall:.1f} × the bare read)")
    print(f"idle, nothing due: {worker.share(_IDLE_SECONDS):.2%} of a core")
    worker.wait(
        lambda: worker.metrics().total("leadpulse_snapshot_seconds") > 0,
        "to an end with its snapshots",
        every=_SELDOM_SECONDS,
    )
    took = worker.metrics().total("leadpulse_snapshot_seconds")
    print(f"snapshots taken in {took:.1f} s, events having their turn in between")
    worker.stop()
    empty, share = _empty(settings, folder)
    print(told("a worker without leads", empty), f"; idle: {share:.2%} of a core")
    used = (cold.resident - empty.resident) / leads
    print(f"memory of a lead: {used:,.0f} bytes")

    begin = time.time_ns() // 1_000_000 + _AHEAD
    when = (begin + n * MINUTE // due for n in range(due))
    topics.put(records(changelog, states, due, "d", when))
    warm = worker.start()
    print(told("restart", warm))
    late = time.time_ns() // 1_000_000 - begin
    if late > 0:
        print(f"the first leads were due {late / SECOND:.1f} s before it was ready")
    updates = settings.topic(SCORE_UPDATES.name)
    before = cpu_seconds(worker.pid)
    worker.wait(
        lambda: worker.metrics().total("leadpulse_wakeups_total") >= due,
        "to wake",
        every=_SELDOM_SECONDS,
    )
    worker.wait(
        lambda: worker.metrics().total("leadpulse_wakeups_pending") >= leads,
        "to an end with them",
        every=_SELDOM_SECONDS,
    )
    spent = cpu_seconds(worker.pid) - before
    print(
        f"{due:,} leads due within a minute: {spent:.1f} s CPU, "
        f"{topics.length(updates):,} updates; {_lag(worker.metrics())}"
    )
    print(work(settings, topics, worker))
    worker.stop()
    print(prove(settings, topics, leads, due))


def _lag(metrics: RoleMetrics) -> str:
    """Return in words how late the wake-ups were, by the worker's own histogram."""
    buckets = {
        float(sample.labels["le"]): sample.value
        for sample in metrics.samples
        if sample.name == "leadpulse_wakeup_lag_seconds_bucket"
    }
    count = max(buckets.values(), default=0.0)
    within = [bound for bound, number in sorted(buckets.items()) if number >= count]
    return f"all ticks at most {within[0]:g} s late" if within else "no tick was told"


def _empty(settings: Settings, folder: Path) -> tuple[Start, float]:
    """Return the start of a worker without leads, and its share of a core."""
    other = settings.model_copy(
        update={
            "app_id": "empty",
            "topic_prefix": "empty.",
            "data_dir": folder / "empty",
            "metrics_port": free_port(),
        }
    )
    create_topics(other)
    worker = Worker(other, folder / "empty-child")
    start = worker.start()
    share = worker.share(_IDLE_SECONDS)
    worker.stop()
    return start, share


if __name__ == "__main__":
    if sys.argv[1:2] == [_READ]:
        read(sys.argv[2], sys.argv[3], int(sys.argv[4]))
    else:
        main()
