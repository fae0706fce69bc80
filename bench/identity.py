"""Anonymous visitors who become known: what is lost, and what it costs.

People send events at a steady rate; a share of them is a cookie first, then an address,
then a user id. Afterwards the topics are read: every person must be one lead that knows
each of their events once and scores what one lead with all of them scores.

    python -m bench.identity --broker kafka --events 2000000 --people 100000 --rate 2000

Apache Kafka is the broker that counts; the embedded one adds its own long poll. The
time from link to merged score is from the receipt of the event that showed two
identifiers to the broker's timestamp of the update of the one lead.
"""

import argparse
import sys
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path

import msgspec
from confluent_kafka import Message, Producer
from msgspec.structs import replace

from schemas.command import Absorb, Command, Forward, Link
from schemas.event import Event
from schemas.score import ScoreUpdate
from schemas.time import MINUTE, Instant, to_datetime, to_instant
from schemas.topics import (
    COMMANDS,
    DEAD_LETTERS,
    EVENT_TOPICS,
    SCORE_UPDATES,
    Topic,
    topic_for,
)
from scorers.identity import derive_lead_id
from scorers.mailbox import on_message
from scorers.masses import hash64
from scorers.scorer import read
from scorers.state import LeadState
from streams.broker import ApacheBroker, EmbeddedBroker
from streams.settings import Settings, load_settings
from streams.topic_reader import read_topic
from streams.topics_admin import create_topics
from tests.people import make_visits, person_of
from tests.worker_harness import MODEL, WorkerProcess, committed, stored_states

_EXACT = 1e-9

_command = msgspec.json.Decoder(Command).decode
_update = msgspec.json.Decoder(ScoreUpdate).decode
_event = msgspec.json.Decoder(Event).decode


def _send(settings: Settings, given: argparse.Namespace) -> float:
    """Send everything at the rate asked for; return the seconds it took."""
    producer = Producer(
        {
            "bootstrap.servers": settings.bootstrap,
            "partitioner": "murmur2_random",
            "linger.ms": 5,
            "queue.buffering.max.messages": 200_000,
        }
    )
    began = time.monotonic()
    visits = make_visits(given.events, given.people, anonymous=given.anonymous)
    for number, visit in enumerate(visits):
        behind = began + number / given.rate - time.monotonic()
        if behind > 0:
            producer.poll(behind)
        now = to_datetime(time.time_ns() // 1_000_000)
        event = replace(visit, occurred_at=now, received_at=now)
        while True:
            try:
                producer.produce(
                    settings.topic(topic_for(event).name),
                    msgspec.json.encode(event),
                    (derive_lead_id(event) or "").encode(),
                )
                break
            except BufferError:
                producer.poll(0.1)
        if number % 100 == 0:
            producer.poll(0)
    if producer.flush(60):
        sys.exit("the broker did not take everything")
    return time.monotonic() - began


def _records(settings: Settings, topic: Topic) -> Iterator[Message]:
    return read_topic(settings, settings.topic(topic.name))


def _one_lead_each(settings: Settings) -> dict[str, LeadState]:
    """Return what each person would be if all was known from the start."""
    states: dict[str, LeadState] = {}
    for topic in EVENT_TOPICS:
        for record in _records(settings, topic):
            event = _event(record.value() or b"")
            lead_id = person_of(event)
            state = states.get(lead_id)
            step = on_message(MODEL, state, event, event.now, lead_id=lead_id)
            states[lead_id] = step.state
    return states


def _settle(settings: Settings, events: int, within: float) -> None:
    """Return when all events are scored and leads have nothing to say any more."""
    deadline, before = time.monotonic() + within, (-1, -1)
    while time.monotonic() < deadline:
        time.sleep(2)
        done = committed(settings)
        said = sum(1 for _ in _records(settings, COMMANDS))
        if done == events and (done, said) == before:
            return
        before = done, said
    print("  it did not come to rest")


def _check(settings: Settings, expected: dict[str, LeadState]) -> Counter[str]:
    """Return how many events and scores are not as they should be."""
    found, wrong = stored_states(settings), Counter[str]()
    at: Instant = time.time_ns() // 1_000_000 + MINUTE
    wrong["leads that are nobody"] = len(found.keys() - expected.keys())
    for lead_id, state in expected.items():
        have = found.get(lead_id) or LeadState(lead_id=lead_id)
        wrong["events lost"] += len(state.ids.keys() - have.ids.keys())
        wrong["events made up"] += len(have.ids.keys() - state.ids.keys())
        want, got = read(MODEL, state, at).exact, read(MODEL, have, at).exact
        wrong["scores that differ (counted twice, or not)"] += abs(want - got) > _EXACT
    wrong["dead letters"] = sum(1 for _ in _records(settings, DEAD_LETTERS))
    return wrong


def _commands(settings: Settings) -> tuple[Counter[str], list[tuple[str, Instant]]]:
    """Return what leads told each other, each once, and the absorptions in order."""
    told: Counter[str] = Counter()
    hops: Counter[int] = Counter()
    absorbed: list[tuple[str, Instant]] = []
    seen = set()
    for record in _records(settings, COMMANDS):
        raw = record.value() or b""
        known = (record.key(), hash64(raw.hex()))
        if known in seen:
            told["repeated"] += 1
            continue
        seen.add(known)
        match _command(raw):
            case Forward() as forward:
                told["forwards"] += 1
                hops[hash64(forward.event.id)] += 1
            case Absorb() as absorb:
                told["absorptions"] += 1
                absorbed.append((absorb.lead_id, to_instant(absorb.at)))
            case Link():
                told["links"] += 1
            case _:
                pass
    told["events that took a second hop"] = len(hops)
    told["events that took a third"] = sum(count > 1 for count in hops.values())
    return told, absorbed


def _merge_times(
    settings: Settings, absorbed: list[tuple[str, Instant]]
) -> list[float]:
    """Return the seconds from each link to the score of the one lead.

    A lead takes in what it is given in order, so its n-th absorption made its n-th
    update that says so. Where a chain made it another number the lead is left out.
    """
    linked: dict[str, list[Instant]] = defaultdict(list)
    for lead_id, at in absorbed:
        linked[lead_id].append(at)
    merged: dict[str, dict[int, Instant]] = defaultdict(dict)
    for record in _records(settings, SCORE_UPDATES):
        update = _update(record.value() or b"")
        if update.cause.kind == "merge" and update.merged_into is None:
            merged[update.lead_id].setdefault(update.sequence, record.timestamp()[1])
    times = []
    for lead_id, instants in linked.items():
        updates = merged[lead_id]
        if len(updates) == len(instants):
            ends = [updates[number] for number in sorted(updates)]
            times += [(end - at) / 1000 for at, end in zip(instants, ends, strict=True)]
    return sorted(times)


def _run(settings: Settings, given: argparse.Namespace, folder: Path) -> int:
    create_topics(settings)
    workers = [
        WorkerProcess(settings, folder / f"worker-{number}.log").start()
        for number in range(given.workers)
    ]
    try:
        for worker in workers:
            worker.wait_ready(120)
        seconds = _send(settings, given)
        _settle(settings, given.events, given.patience)
    finally:
        for worker in workers:
            worker.end()
    told, absorbed = _commands(settings)
    times = _merge_times(settings, absorbed)
    wrong = _check(settings, _one_lead_each(settings))
    strangers = int(given.people * given.anonymous)
    print(
        f"{given.events:,} events of {given.people:,} people, {strangers:,} of them "
        f"anonymous first, in {seconds:.0f} s ({given.events / seconds:,.0f}/s), "
        f"{given.workers} workers, {settings.partitions} partitions"
    )
    for what, count in wrong.items():
        print(f"  {what:<44}{count:>12,}")
    for what, count in told.items():
        print(f"  {what:<44}{count:>12,}{count / given.events:>9.2%}")
    if times:
        for share in (0.5, 0.99):
            at = times[min(len(times) - 1, int(share * len(times)))]
            print(f"  link to merged score, p{share * 100:g}: {at:.3f} s")
        print(f"  (of {len(times):,} merges; the longest {times[-1]:.3f} s)")
    return int(any(wrong.values()))


def main() -> int:
    """Return 0 when nothing was lost or doubled."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--broker", choices=("embedded", "kafka"), default="kafka")
    parser.add_argument("--events", type=int, default=2_000_000)
    parser.add_argument("--people", type=int, default=100_000)
    parser.add_argument("--anonymous", type=float, default=0.3)
    parser.add_argument("--rate", type=float, default=2_000.0, help="Events a second.")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--partitions", type=int, default=8)
    parser.add_argument("--patience", type=float, default=600.0, help="Seconds.")
    given = parser.parse_args()
    broker = ApacheBroker if given.broker == "kafka" else EmbeddedBroker
    with (
        tempfile.TemporaryDirectory(prefix="leadpulse-bench-") as name,
        broker((folder := Path(name)) / "broker") as running,
    ):
        settings = load_settings(
            {},
            bootstrap=running.bootstrap,
            partitions=given.partitions,
            data_dir=folder,
            log_level="warning",
        )
        return _run(settings, given, folder)


if __name__ == "__main__":
    sys.exit(main())
