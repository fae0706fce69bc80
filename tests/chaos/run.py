"""One seed after another: faults under load, then the count. By hand: `make chaos`."""

import argparse
import logging
import signal
import sys
import tempfile
import threading
import time
import uuid
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from scorers import scorer
from streams.redis_server import RedisServer
from streams.settings import Settings
from streams.topics_admin import create_topics
from tests.chaos.count import Findings, count, prove, settle
from tests.chaos.dense import Dense
from tests.chaos.faults import EVERY, WEIGHTS, Fault, eager_model, pause
from tests.chaos.feed import Accepted, Feed
from tests.chaos.results import Line, keep, told
from tests.chaos.stage import (
    SESSION,
    SNAPSHOTS,
    ProxiedBroker,
    Stage,
    Story,
    brokers,
    log,
)
from tests.chaos.watch import NoMoreEventsError
from tests.waiting import wait_until

PARTITIONS = 4
EVENTS_PER_LEAD = 60
BACKLOG_RATE = 2_000
"""Records a second that workers do at the least when nothing strikes any more."""
BY_NAME = {fault.__name__: fault for fault in EVERY}
PRODUCT = ("-m", "streams.cli.main")


@dataclass
class Outcome:
    """What became of a seed."""

    seed: int
    story: Story
    accepted: Accepted
    findings: Findings
    seconds: float

    def lines(self) -> list[str]:
        """Return it as one would read it."""
        taken = self.accepted
        told = [
            f"seed {self.seed}: {taken.events} events ({taken.doubles} of them sent "
            f"twice), {len(taken.rubbish)} unreadable, {len(taken.ids)} leads, "
            f"{self.seconds:.0f} s: " + ("FOUND" if self.findings else "all adds up")
        ]
        return told + [f"  {each}" for each in (*self.story.lines(), *self.findings)]


def play(
    broker: ProxiedBroker,
    redis: RedisServer,
    directory: Path,
    *,
    seed: int,
    events: int,
    rate: int,
    leads: int | None = None,
    visitors: float = 0.0,
    faults: Sequence[Fault] | None = None,
    command: Sequence[str] = PRODUCT,
    snapshots: float = SNAPSHOTS,
    standbys: int = 0,
    warm: int = 0,
    strike: Callable[[Stage], list[str]] | None = None,
) -> Outcome:
    """Return what came of a seed: of these `faults`, or of many until `events`.

    A share of the events is of anonymous `visitors`. Nothing strikes before `warm`
    events were scored; without `snapshots` (seconds between them) every restart reads
    its changelogs; so many `standbys` keep a copy of each partition's states. With
    `strike` that does the harm, and returns what did not go as it should.
    """
    started = time.monotonic()
    name = f"chaos-{seed}-{uuid.uuid4().hex[:6]}"
    home = directory / name
    home.mkdir(parents=True)
    model = eager_model(home / "model.yaml")
    settings = Settings(
        bootstrap=broker.broker.bootstrap,
        redis_url=redis.url,
        partitions=PARTITIONS,
        topic_prefix=f"{name}.",
        app_id=name,
        session_seconds=SESSION,
        snapshot_seconds=snapshots,
        standby_replicas=standbys,
        data_dir=home,
        metrics_port=0,
        model_path=model,
        log_format="json",
    )
    create_topics(settings)
    feed = Feed(
        settings,
        seed=seed,
        leads=leads or max(100, events // EVENTS_PER_LEAD),
        rate=rate,
        most=events,
        visitors=visitors,
    )
    stage = Stage(settings, broker, redis, home, seed=seed, feed=feed, command=command)
    findings = Findings()
    try:
        stage.start()
        patience = 60 + 4 * warm / rate
        wait_until(lambda: stage.watch.seen >= warm, patience, f"{warm} events scored")
        findings += (strike or partial(_strike, faults=faults))(stage)
        accepted = feed.finish()
        stage.tend()
        try:
            settle(settings, accepted, within=120 + accepted.records / BACKLOG_RATE)
            stage.stop()
        except AssertionError as error:
            findings.append(f"it did not come to rest: {error}")
        log.info("at rest")
        findings += count(settings, accepted, redis.url, tend=stage.tend_view)
        log.info("counted")
    finally:
        stage.end()
    findings += prove(settings)
    log.info("proved")
    return Outcome(seed, stage.story, accepted, findings, time.monotonic() - started)


def _strike(
    stage: Stage,
    faults: Sequence[Fault] | None,
    stopping: threading.Event | None = None,
) -> list[str]:
    """Let every one of `faults` happen once, or any of them until the feed is done."""
    chance = stage.chance
    stopped = threading.Event() if stopping is None else stopping
    if faults is not None:
        for fault in chance.sample(faults, len(faults)):
            if stopped.is_set():
                break
            pause(stage, 0.2, 1.5)
            _let(stage, fault)
        return []
    weighted = list(WEIGHTS)
    while not stage.feed.is_done and not stopped.is_set():
        pause(stage, 0.1, 3.0)
        (fault,) = chance.choices(weighted, [WEIGHTS[each] for each in weighted])
        _let(stage, fault)
    return []


def _let(stage: Stage, fault: Fault) -> None:
    started = time.monotonic()
    with suppress(NoMoreEventsError):
        fault(stage)
    stage.tend()
    spent = time.monotonic() - started
    log.info("%s: %.1f s, %s events", fault.__name__, spent, stage.feed.accepted.events)


def _tell(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def main() -> int:
    """Play the seeds of the command line; leave with 1 if one finds anything."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, nargs="+", default=[1])
    parser.add_argument("--events", type=int, default=100_000, help="for each seed")
    parser.add_argument("--rate", type=int, default=500, help="events a second")
    parser.add_argument(
        "--visitors", type=float, default=0.0, help="share of anonymous page views"
    )
    parser.add_argument(
        "--standbys", type=int, help="of each partition; else one for odd seeds"
    )
    parser.add_argument("--minutes", type=float, help="begin no seed after these")
    parser.add_argument("--once", action="store_true", help="each fault once, no more")
    parser.add_argument(
        "--only", nargs="+", choices=sorted(BY_NAME), help="these faults, no others"
    )
    parser.add_argument("--plant", help="a bug of tests/chaos/planted.py")
    parser.add_argument(
        "--dense", type=float, metavar="MINUTES", help="many faults at once, so long"
    )
    parser.add_argument("--results", type=Path, help="add a line of JSON for each seed")
    given = parser.parse_args()
    logging.basicConfig(format="%(asctime)s %(message)s", level=logging.INFO)
    command = (
        PRODUCT
        if given.plant is None
        else (
            str(Path(__file__).with_name("planted.py")),
            given.plant,
        )
    )
    faults = EVERY if given.once else None
    if given.only:
        faults = tuple(BY_NAME[each] for each in given.only)
    stopping = _stopped_by_a_signal()
    total, events, bad = Story(), 0, 0
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="chaos-") as folder:
        directory = Path(folder)
        with brokers(directory) as (broker, redis):
            for seed in given.seeds:
                outcome = play(
                    broker,
                    redis,
                    directory,
                    seed=seed,
                    events=sys.maxsize if given.dense else given.events,
                    leads=_leads(given.dense, given.rate * (1 - given.visitors)),
                    rate=given.rate,
                    visitors=given.visitors,
                    command=command,
                    standbys=_standbys(seed, given.standbys),
                    strike=_densely(given.dense, stopping)
                    or partial(_strike, faults=faults, stopping=stopping),
                )
                _tell("\n".join(outcome.lines()))
                if given.results is not None:
                    keep(given.results, kept(outcome, given))
                    _tell(told(given.results))
                total.add(outcome.story)
                events += outcome.accepted.events
                bad += bool(outcome.findings)
                spent = (time.monotonic() - began) / 60
                if given.minutes is not None and spent > given.minutes:
                    break
                if stopping.is_set():
                    break
    _tell(f"\nall seeds: {events} events, {bad} seeds with findings")
    _tell("\n".join(total.lines()))
    return 1 if bad else 0


def _standbys(seed: int, given: int | None) -> int:
    """Return how many a seed has: both kinds of takeover are tried in turn."""
    return seed % 2 if given is None else given


def _leads(dense: float | None, rate: float) -> int | None:
    """Return how many people a dense run is about, None where events say it."""
    return None if dense is None else int(dense * 60 * rate / EVENTS_PER_LEAD)


def _densely(
    minutes: float | None, stopping: threading.Event
) -> Callable[[Stage], list[str]] | None:
    if minutes is None:
        return None

    def strike(stage: Stage) -> list[str]:
        until = time.monotonic() + minutes * 60
        return Dense(stage, stopping, until, _tell).run()

    return strike


def kept(outcome: Outcome, given: argparse.Namespace) -> Line:
    """Return what is kept of a seed."""
    dense: float | None = given.dense
    taken = outcome.accepted
    return Line(
        at=time.strftime("%Y-%m-%dT%H:%MZ", time.gmtime()),
        seed=outcome.seed,
        form="by chance" if dense is None else "dense",
        minutes=dense,
        rate=given.rate,
        visitors=given.visitors,
        standbys=_standbys(outcome.seed, given.standbys),
        core="compiled" if scorer.__file__.endswith(".so") else "python",
        events=taken.events,
        doubles=taken.doubles,
        unreadable=len(taken.rubbish),
        leads=len(taken.ids),
        seconds=round(outcome.seconds),
        faults=dict(sorted(outcome.story.faults.items())),
        endings=dict(outcome.story.endings),
        findings=list(outcome.findings),
    )


def _stopped_by_a_signal() -> threading.Event:
    """Let the first signal end the faults and the feed, and the count still be made.

    The second one ends everything.
    """
    stopping = threading.Event()

    def stop(number: int, _frame: object) -> None:
        if stopping.is_set():
            raise KeyboardInterrupt
        _tell(f"stopped by {signal.Signals(number).name}: counting what there is")
        stopping.set()

    for each in (signal.SIGINT, signal.SIGTERM):
        signal.signal(each, stop)
    return stopping


if __name__ == "__main__":
    sys.exit(main())
