"""Measure ours and its peers in turn, on one broker, on the same events.

    python -m bench.peers --work toy --events 200000 --runs 5
    python -m bench.peers --work real --events 200000 --runs 5 --peers quix

With real work ours is the shipped worker, on a tenth of the events, and the peers do
their toy all the same.

Every contender's results are compared with what follows from the input before its
figure counts. CPU time is that of the worker's process with all of its threads.
"""

import argparse
import random
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

from bench.peers.broker import Topics
from bench.peers.contenders import CONTENDERS, Contender
from bench.peers.environments import NotInstalledError
from bench.peers.measuring import Figure, run_toy
from bench.peers.proof import WrongResultError, fold
from bench.peers.real import Real
from bench.peers.report import draw, summed_up, table
from bench.peers.toy import Event, Job
from schemas.topics import MODEL_VERSIONS, SUPPRESSIONS
from streams.broker.apache import ApacheBroker
from streams.broker.contract import BrokerError
from streams.settings import load_settings
from streams.topics_admin import create_topics

_PARTITIONS = 4
_WARM = 0.2
"""Of the events come before the measured ones: compilers and caches warm up."""
_TOY_TO_REAL = 10
"""Toy events for each real one: a peer's run should not be over at once."""
_BEGIN = 1_795_255_200_000


def toy_events(number: int, leads: int) -> list[Event]:
    """Return events of random leads, half a second apart."""
    chance = random.Random(1)  # noqa: S311 - a load, no secret
    return [
        Event(
            lead=f"lead-{chance.randrange(leads):07}",
            at=_BEGIN + 500 * n,
            points=round(chance.uniform(0.5, 10), 2),
        )
        for n in range(number)
    ]


class Toy:
    """The toy work on one broker."""

    def __init__(self, topics: Topics, folder: Path, events: int, leads: int) -> None:
        """Write the events, once for each length that a contender takes."""
        self._topics = topics
        self._folder = folder
        self._events = toy_events(events, leads)
        self._inputs: dict[float, str] = {}
        self._number = 0
        self._run = f"{time.time():.0f}"

    def run(self, contender: Contender) -> Figure:
        """Return one figure of `contender`."""
        self._number += 1
        events = self._events[: int(len(self._events) * contender.share)]
        name = f"{contender.name}-{self._run}-{self._number}"
        folder = self._folder / name
        folder.mkdir()
        job = Job(
            bootstrap=self._topics.bootstrap,
            group=f"group-{name}",
            partitions=self._topics.partitions,
            input=self._input(contender.share, events),
            output=f"out-{name}",
            changelog=f"changes-{name}",
            directory=str(folder),
        )
        warm = int(len(events) * _WARM)
        return run_toy(contender, job, self._topics, fold(events), warm=warm)

    def _input(self, share: float, events: list[Event]) -> str:
        name = self._inputs.get(share)
        if name is None:
            name = self._inputs[share] = f"toy-{self._run}-{len(events)}"
            self._topics.create(name)
            self._topics.write(name, events)
        return name


def measure(
    run: Callable[[Contender], Figure], contenders: list[Contender], runs: int
) -> dict[str, list[Figure]]:
    """Return each contender's figures; who fails is told and left out from then on."""
    figures: dict[str, list[Figure]] = defaultdict(list)
    failed = set()
    for number in range(1, runs + 1):
        for contender in contenders:
            if contender.name in failed:
                continue
            try:
                figure = run(contender)
            except (NotInstalledError, BrokerError) as error:
                print(f"{contender.title} cannot be installed: {error}", flush=True)
                failed.add(contender.name)
            except (TimeoutError, WrongResultError) as error:
                print(f"{contender.title} FAILED: {error}", flush=True)
                failed.add(contender.name)
                figures.pop(contender.name, None)
            else:
                figures[contender.name].append(figure)
                print(
                    f"run {number} {contender.name}: {figure.per_cpu_second:,.0f} "
                    f"events per CPU second ({figure.events:,} events, "
                    f"{figure.cpu:.2f} s CPU, {figure.wall:.2f} s), exact",
                    flush=True,
                )
    return figures


def main() -> None:
    """Measure, print a table, draw a plot."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--work", choices=("toy", "real"), default="toy")
    parser.add_argument(
        "--peers",
        default=",".join(CONTENDERS.keys() - {"ours"}),
        help="comma-separated",
    )
    parser.add_argument("--events", type=int, default=200_000)
    parser.add_argument("--leads", type=int, default=10_000)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument(
        "--bootstrap", help="of a broker that runs; else one is started"
    )
    parser.add_argument("--plot", type=Path, help="SVG file to draw into")
    given = parser.parse_args()
    names = ["ours", *filter(None, given.peers.split(","))]
    if unknown := [name for name in names if name not in CONTENDERS]:
        parser.error(f"unknown peers: {', '.join(unknown)}")
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        bootstrap = given.bootstrap
        if bootstrap is None:
            broker = stack.enter_context(ApacheBroker(folder / "broker", tell=print))
            bootstrap = broker.bootstrap
        settings = load_settings({}, bootstrap=bootstrap, partitions=_PARTITIONS)
        create_topics(settings, [MODEL_VERSIONS, SUPPRESSIONS])
        topics = Topics(bootstrap, _PARTITIONS)
        toy = Toy(topics, folder, given.events, given.leads)
        run = toy.run
        if given.work == "real":
            real = Real(topics, folder, given.events // _TOY_TO_REAL)

            def run(contender: Contender) -> Figure:
                """Let ours do the real work, and the peers their toy."""
                if contender.name == "ours":
                    return real.run(_WARM)
                return toy.run(contender)

        figures = measure(run, [CONTENDERS[each] for each in names], given.runs)
    lines = [
        summed_up(name, CONTENDERS[name].title, found)
        for name, found in figures.items()
        if found
    ]
    ours = next((line for line in lines if line.name == "ours"), None)
    print(f"\n{table(lines, ours)}")
    if given.plot:
        draw(lines, f"{given.events:,} events of {given.leads:,} leads", given.plot)
    if len(lines) < len(names):
        sys.exit(1)


if __name__ == "__main__":
    main()
