"""How long there is no service after a kill. By hand: `make downtime TRIALS=30`.

Workers are killed and started again at once, killed and left away until others take
over, and the broker is killed, under load, each as often as asked for: with snapshots,
with a standby of each partition, then with neither. What is measured ends with the
first score on the last partition. Run it on a machine that does nothing else.
"""

import argparse
import logging
import sys
import tempfile
from pathlib import Path

from tests.chaos.faults import broker_killed, kill, kill_and_leave
from tests.chaos.run import play
from tests.chaos.stage import SNAPSHOTS, Story, brokers

MEASURED = (broker_killed, kill, kill_and_leave)
ARRANGEMENTS = {"snapshots": (SNAPSHOTS, 0), "standby": (0.0, 1), "neither": (0.0, 0)}
"""Seconds between snapshots, standbys of each partition."""


def main() -> int:
    """Measure and tell; leave with 1 if anything was lost on the way."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, default=30, help="of each fault")
    parser.add_argument("--warm", type=int, default=50_000, help="events before them")
    parser.add_argument("--leads", type=int, default=5_000)
    parser.add_argument("--rate", type=int, default=500, help="events a second")
    parser.add_argument("--having", nargs="+", choices=ARRANGEMENTS)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    logging.basicConfig(format="%(asctime)s %(message)s", level=logging.INFO)
    found = 0
    with tempfile.TemporaryDirectory(prefix="downtime-") as folder:
        directory = Path(folder)
        with brokers(directory) as (broker, redis):
            for name in given.having or ARRANGEMENTS:
                snapshots, standbys = ARRANGEMENTS[name]
                outcome = play(
                    broker,
                    redis,
                    directory,
                    seed=given.seed,
                    events=sys.maxsize,
                    rate=given.rate,
                    leads=given.leads,
                    faults=MEASURED * given.trials,
                    snapshots=snapshots,
                    standbys=standbys,
                    warm=given.warm,
                )
                found += len(outcome.findings)
                told = [f"{name}, {outcome.accepted.events} events"]
                told += [f"  {line}" for line in _times(outcome.story)]
                told += [f"  {each}" for each in outcome.findings]
                sys.stdout.write("\n".join(told) + "\n")
                sys.stdout.flush()
    return 1 if found else 0


def _times(story: Story) -> list[str]:
    return [line for line in story.lines() if line.startswith("no service")]


if __name__ == "__main__":
    sys.exit(main())
