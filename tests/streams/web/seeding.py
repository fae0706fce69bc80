"""Weeks of a sales team's life on the topics, for the pages of those who manage."""

import random
from collections.abc import Iterable, Iterator
from typing import Any, Final

import msgspec
from confluent_kafka import Producer
from msgspec.structs import replace

from schemas.alert import Alert
from schemas.delivery import Delivery
from schemas.event import Event
from schemas.examples import ALERT
from schemas.score import Identifiers, ScoreUpdate
from schemas.time import DAY, HOUR, MINUTE, Instant, to_datetime
from schemas.topics import CRM_EVENTS, DELIVERIES, NOTIFICATIONS, TRAINING, WEB_EVENTS
from schemas.training import TrainingOutcome, TrainingRecord, TrainingSnapshot
from scorers.identity import lead_id_of
from streams.settings import Settings
from tests.streams.view.records import update

OWNERS: Final = {"mina": 3, "sam": 14, "neda": 35, "omid": 160}
"""Who owns leads, and in how many minutes they usually answer."""
TIERS: Final = (("gold", 72.0, 0.42), ("silver", 48.0, 0.18), ("bronze", 26.0, 0.07))
"""Each tier, where its scores lie, and how often its leads are won."""

Put = tuple[str, str, Any]
"""A topic, a key, a message."""


def person(number: int) -> str:
    return f"lead{number}@company{number % 60}.example"


def lead_of(number: int) -> str:
    return lead_id_of("email", person(number))


def view_of(count: int, now: Instant) -> list[ScoreUpdate]:
    """Leads as the view has them."""
    chosen = random.Random(3)
    found = []
    for number in range(count):
        tier, middle, _ = TIERS[number % 3]
        found.append(
            update(
                lead_id=lead_of(number),
                score=round(middle + chosen.uniform(-9, 9), 1),
                tier=tier,
                owner=list(OWNERS)[number % len(OWNERS)],
                identifiers=Identifiers(email=(person(number),)),
                at=now - number * MINUTE,
            )
        )
    return found


def followed_up(count: int, now: Instant) -> Iterator[Put]:
    """Yield hot leads of a month, and what the team did about them."""
    chosen = random.Random(11)
    for number in range(count):
        owner, usual = list(OWNERS.items())[number % len(OWNERS)]
        at = now - round(chosen.uniform(0.05, 27) * DAY)
        lead_id, key = lead_of(number), f"al_{number}"
        alert = replace(
            ALERT,
            id=key,
            lead_id=lead_id,
            owner=owner,
            tier="gold" if number % 3 else "silver",
            decided_at=to_datetime(at),
            identifiers=Identifiers(email=(person(number),)),
        )
        yield NOTIFICATIONS.name, lead_id, alert
        told_at = to_datetime(at + 20_000)
        told = Delivery(target="slack", standing="told", at=told_at, alert=alert)
        yield DELIVERIES.name, told.key, told
        yield from _worked(chosen, number, alert, at, usual)


def _worked(
    chosen: random.Random, number: int, alert: Alert, at: Instant, usual: int
) -> Iterator[Put]:
    """Yield what was done about one alert."""
    lead_id = alert.lead_id
    if chosen.random() < 0.14:
        late = replace(
            alert, id=f"{alert.id}u", kind="unworked", reason="unacknowledged",
            decided_at=to_datetime(at + 2 * HOUR),
        )  # fmt: skip
        yield NOTIFICATIONS.name, lead_id, late
        if chosen.random() < 0.5:
            return
    answered = at + round(chosen.lognormvariate(0, 0.8) * usual * MINUTE)
    unfit = chosen.random() < (0.45 if alert.owner == "neda" else 0.1)
    name = "Lead Disqualified" if unfit else "Lead Acknowledged"
    yield _crm(number, name, answered, alert_id=alert.id, by=alert.owner)
    if unfit:
        return
    for deed, odds in (("Call Logged", 0.85), ("Lead Qualified", 0.6)):
        answered += HOUR
        if chosen.random() > odds:
            return
        yield _crm(number, deed, answered)
    if chosen.random() < 0.5:
        amount = round(chosen.uniform(2_000, 24_000))
        yield _crm(number, "Deal Won", answered + DAY, amount=amount)


def _crm(number: int, name: str, at: Instant, **properties: Any) -> Put:
    event = Event(
        id=f"{name}{number}",
        type="track",
        name=name,
        channel="crm",
        email=person(number),
        occurred_at=to_datetime(at),
        properties=properties,
    )
    return CRM_EVENTS.name, lead_of(number), event


def learnt(count: int, now: Instant, models: tuple[str, ...]) -> Iterator[Put]:
    """Yield the training log of some months: decided leads and open ones."""
    chosen = random.Random(5)
    for number in range(count):
        tier, middle, odds = chosen.choices(TIERS, weights=(1, 2, 4))[0]
        at = now - round(chosen.uniform(5, 150) * DAY)
        score = min(100.0, max(0.0, round(chosen.gauss(middle, 9), 1)))
        model = models[0] if at < now - 60 * DAY else models[-1]
        outcomes: tuple[TrainingOutcome, ...] = ()
        if chosen.random() < 0.8:
            won = chosen.random() < odds
            end = at + round(chosen.uniform(3, 60) * DAY)
            if end < now:
                outcomes = (
                    TrainingOutcome(
                        event_id=f"o{number}",
                        at=to_datetime(end),
                        kind="won" if won else "lost",
                        amount=round(chosen.uniform(3_000, 30_000)) if won else None,
                        currency="EUR" if won else "",
                    ),
                )
        owner = list(OWNERS)[number % len(OWNERS)]
        shot = TrainingSnapshot(
            at=to_datetime(at),
            why=f"tier:{tier}",
            score=score,
            tier=tier,
            model=model,
            known={"owner": owner, "deal_value": float(chosen.randint(4, 28) * 1000)},
        )
        lead_id = f"ld_{number:032x}"
        record = TrainingRecord(
            lead_id=lead_id, sequence=1, snapshots=(shot,), outcomes=outcomes
        )
        yield TRAINING.name, lead_id, record


def browsed(count: int, now: Instant) -> Iterator[Put]:
    """Yield what people did on the site in the last days."""
    chosen = random.Random(9)
    found = []
    for number in range(count):
        start = now - round(chosen.uniform(0.2, 9) * DAY)
        for step in range(chosen.randint(2, 14)):
            at = start + step * chosen.randint(1, 50) * MINUTE
            if at >= now:
                break
            name = chosen.choice(
                ["", "", "", "Product Viewed", "Form Submitted", "Demo Requested"]
            )
            path = chosen.choice(["/pricing", "/", "/product", "/blog/scoring"])
            found.append(
                Event(
                    id=f"w{number}-{step}",
                    type="track" if name else "page",
                    name=name,
                    channel="web",
                    email=person(number),
                    occurred_at=to_datetime(at),
                    received_at=to_datetime(at),
                    properties={"path": path, "product": "suite"},
                    context={"page": {"path": path}},
                )
            )
    for event in sorted(found, key=lambda each: each.now):
        yield WEB_EVENTS.name, lead_id_of("email", event.email or ""), event


def put(settings: Settings, records: Iterable[Put]) -> int:
    """Put records on their topics; return how many."""
    producer = Producer(
        {"bootstrap.servers": settings.bootstrap, "partitioner": "murmur2_random"}
    )
    count = 0
    for topic, key, message in records:
        producer.produce(
            settings.topic(topic), msgspec.json.encode(message), key.encode()
        )
        count += 1
        if count % 1_000 == 0:
            producer.flush(20)
    assert producer.flush(20) == 0
    return count
