"""Measure the core alone: events, wake-ups, bytes of state and ticks.

The default model scores the demo's stream, and retailers' clickstreams if there are
any at hand::

    python -m bench.core
    python -m bench.core --clicks FILE.csv --clicks OTHER.csv
    python -m bench.core --profile              # and where the time goes

A clickstream has the columns ``user_id``, ``event`` and ``timestamp``, or those of the
Google Merchandise Store. All times are CPU time of this process, so what else the
machine does matters less than it would in wall time; each is the median of five runs.
"""

import argparse
import cProfile
import csv
import pstats
import statistics
import time
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from schemas.event import Event
from schemas.time import DAY, MINUTE, Instant, to_datetime, to_iso
from scorers.compiled import CompiledModel, compile_model
from scorers.identity import derive_lead_id
from scorers.loading import load_model
from scorers.scorer import on_event, on_wakeup
from scorers.state import LeadState, encode_state
from scorers.wheel import Wheel
from streams.collector.adapters.segment import Envelope, adapt
from streams.demo.personas import cast

DEFAULT = Path(__file__).parents[1] / "deploy" / "models" / "default.yaml"
BEGIN: Instant = 1_795_255_200_000
RUNS = 5
LEADS = 1_000_000
DUE = 10_000

Stream = list[tuple[str, Event]]
"""Leads' ids and what they did, in the order of receipt."""


def demo(leads: int, begin: Instant = BEGIN) -> Iterator[Event]:
    """Yield three weeks of the demo's people, through the collector's adapter."""
    for person in cast(1, leads):
        for moment in person.life:
            at = begin + moment.at
            raw = msgspec.json.encode({**moment.message, "timestamp": to_iso(at)})
            event = adapt(raw, Envelope(source="demo", received_at=at + MINUTE))
            if isinstance(event, Event):
                yield event


def clicks(path: Path) -> Iterator[Event]:
    """Yield a clickstream's rows as page views, and views of products."""
    with path.open(newline="") as file:
        for number, row in enumerate(csv.DictReader(file)):
            yield _store(number, row) if "visitId" in row else _click(number, row)


def _click(number: int, row: dict[str, str]) -> Event:
    at = datetime.fromisoformat(row["timestamp"]).replace(tzinfo=UTC)
    if row["event"] == "product_view":
        return _event(number, row["user_id"], at, "Product Viewed", product="one")
    return _event(number, row["user_id"], at, path=f"/{row['event']}")


def _store(number: int, row: dict[str, str]) -> Event:
    at = to_datetime(int(row["visitId"]) * 1_000 + int(row["time"] or 0))
    who, product = row["fullVisitorId"], row["v2ProductName"]
    if row["type"] == "EVENT":
        return _event(number, who, at, "Product Viewed", product=product)
    return _event(number, who, at, path=row["pagePathLevel1"])


def _event(
    number: int, who: str, at: datetime, name: str = "", **properties: object
) -> Event:
    return Event(
        id=f"c{number}",
        type="track" if name else "page",
        name=name,
        channel="web",
        occurred_at=at,
        received_at=at,
        anonymous_id=who,
        properties=properties,
    )


def stream_of(events: Iterator[Event]) -> Stream:
    """Return events with their leads, in the order of receipt."""
    ordered = sorted(events, key=lambda event: event.now)
    return [(derive_lead_id(event) or "", event) for event in ordered]


def scored(model: CompiledModel, stream: Stream) -> dict[str, LeadState]:
    """Return the states of all leads after all events."""
    states: dict[str, LeadState] = {}
    for lead, event in stream:
        states[lead] = on_event(model, states.get(lead), event, event.now).state
    return states


def seconds(what: Callable[[], object]) -> float:
    """Return the CPU time that something takes, the median of five runs."""
    figures = []
    for _ in range(RUNS):
        begin = time.process_time()
        what()
        figures.append(time.process_time() - begin)
    return statistics.median(figures)


def measure(name: str, model: CompiledModel, stream: Stream) -> None:
    """Print what events, wake-ups and states cost."""
    states = scored(model, stream)
    each = seconds(lambda: scored(model, stream)) / len(stream)
    print(f"\n{name}: {len(stream):,} events of {len(states):,} leads")
    print(f"  on_event   {each * 1e6:8.1f} µs   {1 / each:9,.0f} /s")

    due = [state for state in states.values() if state.wake_at is not None]
    for what, at in (
        ("next change that was due", lambda state: state.wake_at),
        ("thirty days late", lambda state: state.now + 30 * DAY),
        ("nothing due", lambda state: state.now),
    ):
        each = seconds(lambda at=at: [on_wakeup(model, s, at(s)) for s in due])
        print(f"  on_wakeup  {each / max(1, len(due)) * 1e6:8.1f} µs   {what}")

    sizes = sorted(len(encode_state(state)) for state in states.values())
    p99 = sizes[int(len(sizes) * 0.99)]
    middle = statistics.median(sizes)
    print(f"  state      {middle:8,.0f} B median  {p99:,} B p99  {sizes[-1]:,} B most")
    print(f"  tiers      {dict(Counter(state.tier for state in states.values()))}")


def measure_wheel() -> None:
    """Print what a tick costs when a million leads have plans."""
    wheel = Wheel()
    for number in range(LEADS):
        wheel.plan(f"lead-{number:07}", BEGIN + (number * 7_919) % LEADS)
    ticks = 1_000
    idle = seconds(lambda: [wheel.pop_due(DUE, BEGIN - 1) for _ in range(ticks)])
    busy = seconds(lambda: wheel.pop_due(DUE, BEGIN + LEADS))
    print(f"\ntimers: {LEADS:,} leads with a plan")
    print(f"  tick       {idle / ticks * 1e6:8.2f} µs   nothing due")
    print(f"  tick       {busy * 1e3:8.2f} ms   {DUE:,} due")


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--clicks", type=Path, action="append", default=[])
    parser.add_argument("--leads", type=int, default=400, help="people in the demo")
    parser.add_argument("--profile", action="store_true")
    given = parser.parse_args()
    model = compile_model(load_model(DEFAULT.read_text("utf-8"), DEFAULT.name))
    stream = stream_of(demo(given.leads))
    measure("the demo's stream", model, stream)
    for path in given.clicks:
        measure(path.name, model, stream_of(clicks(path)))
    measure_wheel()
    if given.profile:
        with cProfile.Profile() as profile:
            scored(model, stream)
        pstats.Stats(profile).sort_stats("tottime").print_stats(25)


if __name__ == "__main__":
    main()
