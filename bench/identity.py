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
from contextlib import ExitStack
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
    LEAD_STATE,
    SCORE_UPDATES,
    Topic,
    topic_for,
)
from scorers import judging
from scorers.identity import derive_lead_id
from scorers.masses import hash64
from scorers.memory import learn
from scorers.scorer import read
from scorers.state import LeadState
from streams.broker import ApacheBroker, EmbeddedBroker
from streams.partitioner import partition_of
from streams.rebuilding import Rebuilt
from streams.settings import Settings, load_settings
from streams.tables import Lead
from streams.topic_reader import read_topic
from streams.topics_admin import create_topics
from tests.people import make_visits, one_lead_each, person_of
from tests.worker_harness import MODEL, WorkerProcess, committed, positions

_EXACT = 1e-9
_PROVED = 500
"""Of so many people one is worked out in full, beside the short way."""
_POLL_SECONDS = 2.0
_TYPE_BYTES = 100
"""A command says within these what it is."""

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
        # A poll ends early when a delivery is reported.
        while (early := began + number / given.rate - time.monotonic()) > 0:
            producer.poll(early)
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


def _records(
    settings: Settings, topic: Topic, partition: int | None = None
) -> Iterator[Message]:
    only = () if partition is None else (partition,)
    return read_topic(settings, settings.topic(topic.name), only=only)


class _Person:
    """What one lead makes of all that a person does, whatever identifiers it shows.

    It is only read at the end: what is decided and told on the way, which is most of
    what an event costs, is left out.
    """

    def __init__(self, lead_id: str) -> None:
        self.state = LeadState(lead_id=lead_id)

    def take(self, event: Event) -> None:
        state, event_id = self.state, hash64(event.id)
        if event_id in state.ids:
            return
        state.now = max(state.now, event.now)
        reason = judging.judge(MODEL, state, event)
        learn(MODEL, state, event, event_id, state.now, machine=reason is not None)
        judging.take(MODEL, state, event, event_id, reason)


def _by_partition(settings: Settings, folder: Path) -> list[Path]:
    """Write each event into the file of the partition that its person belongs to."""
    paths = [folder / f"events-{each}.ndjson" for each in range(settings.partitions)]
    with ExitStack() as stack:
        files = [stack.enter_context(path.open("wb")) for path in paths]
        for topic in EVENT_TOPICS:
            for record in _records(settings, topic):
                value = record.value() or b""
                home = person_of(_event(value)).encode()
                files[partition_of(home, settings.partitions)].write(value + b"\n")
    return paths


def _expected(path: Path) -> dict[str, LeadState]:
    """Return what each person would be if all was known from the start.

    Of a few people all is worked out as a worker would, to prove the short way.
    """
    with path.open("rb") as lines:
        events = sorted(map(_event, lines), key=lambda event: event.now)
    people: dict[str, _Person] = {}
    proved = []
    for event in events:
        lead_id = person_of(event)
        people.setdefault(lead_id, _Person(lead_id)).take(event)
        if hash64(lead_id) % _PROVED == 0:
            proved.append(event)
    for lead_id, state in one_lead_each(proved).items():
        short = people[lead_id].state
        if short.ids != state.ids or _differ(short, state, state.now):
            sys.exit(f"the short way is wrong about {lead_id}")
    return {lead_id: person.state for lead_id, person in people.items()}


def _stored(settings: Settings, partition: int) -> dict[str, LeadState]:
    """Return the leads of a partition as a new owner would read them."""
    rebuilt = Rebuilt(partition, 0, "")
    for record in _records(settings, LEAD_STATE, partition):
        rebuilt.apply(record.key(), record.value(), record.offset() or 0)
    kept = rebuilt.kept(Lead).items()
    return {key: lead.state for key, lead in kept if not lead.state.claims}


def _wait(settings: Settings, events: int, within: float) -> None:
    """Return when all events are scored and leads have nothing to say any more."""
    deadline = time.monotonic() + within
    while (left := events - committed(settings)) or (left := _unheard(settings)):
        if time.monotonic() > deadline:
            print(f"  it did not come to rest: {left:,} records are left")
            return
        time.sleep(_POLL_SECONDS)


def _unheard(settings: Settings) -> int:
    """Return how many commands are not acknowledged yet; wake-ups are only hints."""
    heard = positions(settings, [COMMANDS])
    return sum(
        (record.offset() or 0) >= heard[record.topic() or "", record.partition() or 0]
        and b'"wakeup"' not in (record.value() or b"")[:_TYPE_BYTES]
        for record in _records(settings, COMMANDS)
    )


def _differ(one: LeadState, other: LeadState, at: Instant) -> bool:
    return abs(read(MODEL, one, at).exact - read(MODEL, other, at).exact) > _EXACT


def _check(settings: Settings, folder: Path) -> Counter[str]:
    """Return how many events and scores are not as they should be.

    One partition at a time: memory holds the people of that.
    """
    wrong = Counter[str]()
    at: Instant = time.time_ns() // 1_000_000 + MINUTE
    for partition, path in enumerate(_by_partition(settings, folder)):
        expected, found = _expected(path), _stored(settings, partition)
        path.unlink()
        wrong["leads that are nobody"] += len(found.keys() - expected.keys())
        for lead_id, state in expected.items():
            have = found.get(lead_id) or LeadState(lead_id=lead_id)
            wrong["events lost"] += len(state.ids.keys() - have.ids.keys())
            wrong["events made up"] += len(have.ids.keys() - state.ids.keys())
            wrong["scores that differ (counted twice, or not)"] += _differ(
                state, have, at
            )
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
        value = record.value() or b""
        if b'"merge"' not in value:
            continue  # most are not about it, and are not worth the decoding
        update = _update(value)
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
        behind = given.events - committed(settings)
        began = time.monotonic()
        _wait(settings, given.events, given.patience)
        rest = time.monotonic() - began
    finally:
        for worker in workers:
            worker.end()
    told, absorbed = _commands(settings)
    times = _merge_times(settings, absorbed)
    wrong = _check(settings, folder)
    strangers = int(given.people * given.anonymous)
    print(
        f"{given.events:,} events of {given.people:,} people, {strangers:,} of them "
        f"anonymous first, in {seconds:.0f} s ({given.events / seconds:,.0f}/s), "
        f"{given.workers} workers, {settings.partitions} partitions"
    )
    print(
        f"  {behind:,} events were not acknowledged when the last was sent; "
        f"at rest {rest:.0f} s later"
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
