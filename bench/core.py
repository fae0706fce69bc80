"""Measure the core alone: events, wake-ups and bytes of state, with the default model.

Run it on a quiet machine::

    python bench/core.py                        # a plausible mix of 400 leads
    python bench/core.py --clicks FILE.csv      # and a retailer's clickstream
    python bench/core.py --profile              # and where the time goes

The clickstream is a CSV with the columns ``user_id``, ``event`` and ``timestamp``; each
row becomes a page view whose path is the event. Times are of the process, so a busy
machine shows less than it would in wall time.
"""

import argparse
import cProfile
import csv
import pstats
import random
import statistics
import time
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

from schemas.event import Event
from schemas.time import DAY
from scorers.compiled import CompiledModel, compile_model
from scorers.loading import load_model
from scorers.scorer import on_event, on_wakeup
from scorers.state import LeadState, encode_state

DEFAULT = Path(__file__).parents[1] / "deploy" / "models" / "default.yaml"
MIX: tuple[tuple[int, str, str, str, dict[str, object]], ...] = (
    # weight, type, name, channel, properties
    (30, "page", "", "web", {"path": "/blog/post"}),
    (10, "page", "", "web", {"path": "/product/one"}),
    (6, "page", "", "web", {"path": "/pricing"}),
    (2, "page", "", "web", {"path": "/careers"}),
    (14, "track", "Email Delivered", "email", {}),
    (12, "track", "Email Opened", "email", {}),
    (5, "track", "Email Link Clicked", "email", {"link_url": "https://a.example/l"}),
    (5, "track", "Product Viewed", "web", {"product": "one"}),
    (4, "track", "Content Clicked", "content", {"asset_id": "a1"}),
    (3, "track", "Content Downloaded", "content", {"asset_type": "ebook"}),
    (3, "track", "Post Liked", "social", {"post_id": "p"}),
    (2, "track", "Webinar Registered", "content", {"asset_id": "w"}),
    (1, "track", "Demo Requested", "web", {}),
    (2, "track", "Call Logged", "crm", {}),
)
TRAITS = {
    "company": "Lamp Ltd",
    "employees": 40,
    "industry": "software",
    "title": "VP Sales",
    "country": "DE",
}


def mixed(leads: int, each: int) -> Iterator[Event]:
    """Yield a month of a plausible mix, in the order of receipt."""
    dice = random.Random(1)  # noqa: S311 - the same mix each time, no secret
    start = datetime(2026, 1, 1, tzinfo=UTC)
    weights = [weight for weight, *_ in MIX]
    moments = sorted(dice.uniform(0, 30) for _ in range(leads * each))
    met: set[int] = set()
    for number, day in enumerate(moments):
        lead = dice.randrange(leads)
        at = start + timedelta(days=day)
        _, kind, name, channel, properties = dice.choices(MIX, weights)[0]
        traits: dict[str, object] = {}
        if lead not in met or dice.random() < 0.02:  # noqa: PLR2004 - now and then
            met.add(lead)
            kind, name, channel, properties = "identify", "", "crm", {}
            traits = TRAITS
        yield Event(
            id=f"e{number}",
            type=kind,
            name=name,
            channel=channel,
            occurred_at=at,
            received_at=at + timedelta(seconds=1),
            user_id=f"user-{lead}",
            email=f"user-{lead}@lamp-{lead % 97}.example"
            if channel == "email"
            else None,
            properties={**properties, "email_id": f"m{number % 5}"},
            traits=traits,
        )


def clicks(path: Path) -> Iterator[Event]:
    """Yield a clickstream's rows as page views, in the order of time."""
    with path.open(newline="") as file:
        rows = sorted(csv.DictReader(file), key=lambda row: row["timestamp"])
    for number, row in enumerate(rows):
        at = datetime.fromisoformat(row["timestamp"]).replace(tzinfo=UTC)
        yield Event(
            id=f"c{number}",
            type="page",
            channel="web",
            occurred_at=at,
            received_at=at,
            anonymous_id=row["user_id"],
            properties={"path": f"/{row['event']}"},
        )


def scored(model: CompiledModel, events: Iterable[Event]) -> dict[str, LeadState]:
    """Return the states of all leads after all events."""
    states: dict[str, LeadState] = {}
    for event in events:
        who = event.user_id or event.anonymous_id or ""
        states[who] = on_event(model, states.get(who), event, event.now).state
    return states


def measure(name: str, model: CompiledModel, events: list[Event]) -> None:
    """Print what events, wake-ups and states cost."""
    figures = []
    states: dict[str, LeadState] = {}
    for _ in range(3):
        begin = time.process_time()
        states = scored(model, events)
        figures.append((time.process_time() - begin) / len(events))
    print(f"\n{name}: {len(events):,} events of {len(states):,} leads")
    print(f"  on_event   {min(figures) * 1e6:8.1f} µs   {1 / min(figures):9,.0f} /s")

    due = [state for state in states.values() if state.wake_at is not None]
    begin = time.process_time()
    for state in due:
        on_wakeup(model, state, state.wake_at or 0)
    took = (time.process_time() - begin) / max(1, len(due))
    print(f"  on_wakeup  {took * 1e6:8.1f} µs   next change that was due")
    begin = time.process_time()
    for state in due:
        on_wakeup(model, state, state.now + 30 * DAY)
    took = (time.process_time() - begin) / max(1, len(due))
    print(f"  on_wakeup  {took * 1e6:8.1f} µs   thirty days late")
    begin = time.process_time()
    for state in due:
        on_wakeup(model, state, state.now)
    took = (time.process_time() - begin) / max(1, len(due))
    print(f"  on_wakeup  {took * 1e6:8.1f} µs   nothing due")

    sizes = sorted(len(encode_state(state)) for state in states.values())
    p99 = sizes[int(len(sizes) * 0.99)]
    middle = statistics.median(sizes)
    print(f"  state      {middle:8,.0f} B median  {p99:,} B p99  {sizes[-1]:,} B most")
    tiers: dict[str, int] = {}
    for state in states.values():
        tiers[state.tier] = tiers.get(state.tier, 0) + 1
    print(f"  tiers      {tiers}")


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--clicks", type=Path, help="a CSV: user_id, event, timestamp")
    parser.add_argument("--leads", type=int, default=400)
    parser.add_argument("--events", type=int, default=50, help="events of each lead")
    parser.add_argument("--profile", action="store_true")
    given = parser.parse_args()
    model = compile_model(load_model(DEFAULT.read_text("utf-8"), DEFAULT.name))
    events = list(mixed(given.leads, given.events))
    measure("plausible mix", model, events)
    if given.clicks:
        measure(given.clicks.name, model, list(clicks(given.clicks)))
    if given.profile:
        with cProfile.Profile() as profile:
            scored(model, events)
        pstats.Stats(profile).sort_stats("tottime").print_stats(25)


if __name__ == "__main__":
    main()
