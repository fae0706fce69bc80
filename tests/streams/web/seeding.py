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
from schemas.topics import (
    CRM_EVENTS,
    DELIVERIES,
    EMAIL_EVENTS,
    NOTIFICATIONS,
    TRAINING,
    WEB_EVENTS,
)
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


COMPANIES: Final = (
    ("Northwind Robotics", "northwind", 60),
    ("Alborz Software", "alborz", 45),
    ("Helio Energy", "helio", 90),
    ("Bluebird Retail", "bluebird", 400),
    ("Kestrel Analytics", "kestrel", 30),
    ("Parsa Logistics", "parsa", 75),
)
FIRST: Final = ("leila", "jonas", "amir", "sofia", "nora", "omar", "ivy", "reza", "mia")
TITLES: Final = ("Head of Sales", "CTO", "Marketing Manager", "Founder", "Analyst")
DONE: Final[tuple[tuple[str, str, dict[str, Any]], ...]] = (
    ("web", "", {"path": "/pricing"}),
    ("web", "", {"path": "/product/suite"}),
    ("email", "Email Opened", {"email_id": "m1"}),
    ("content", "Content Downloaded", {"asset_id": "a1", "asset_type": "ebook"}),
    ("web", "Demo Requested", {"form": "demo"}),
    ("email", "Email Link Clicked", {"email_id": "m1", "link_url": "https://x.y/z"}),
    ("content", "Webinar Attended", {"asset_id": "a2"}),
    ("web", "", {"path": "/careers"}),
    ("crm", "Call Logged", {}),
)
_TOPICS: Final = {"web": WEB_EVENTS, "email": EMAIL_EVENTS, "crm": CRM_EVENTS}


def lives(count: int, now: Instant) -> Iterator[Put]:
    """Yield what people of some companies did in three weeks, for workers to score."""
    chosen = random.Random(7)
    found: list[Event] = []
    for number in range(count):
        company, site, size = COMPANIES[number % len(COMPANIES)]
        email = f"{FIRST[number % len(FIRST)]}.{number}@{site}.example"
        start = now - round(chosen.uniform(0.5, 20) * DAY)
        warmth = chosen.random()

        def did(
            at: Instant, name: str = "", *, email: str = email, **given: Any
        ) -> None:
            kind = "track" if name else "page"
            values = {"type": kind, "name": name, "channel": "web", **given}
            when = to_datetime(at)
            found.append(
                Event(
                    id=f"l{len(found)}",
                    email=email,
                    occurred_at=when,
                    received_at=when,
                    source="segment",
                    **values,
                )
            )

        did(
            start,
            type="identify",
            traits={
                "company": company,
                "employees": size,
                "industry": chosen.choice(("technology", "retail", "energy")),
                "title": chosen.choice(TITLES),
                "annual_revenue": chosen.choice((2_000_000, 20_000_000)),
                "budget": chosen.choice((0, 5_000, 40_000)),
                "lifecycle_stage": chosen.choice(("awareness", "interest", "decision")),
            },
        )
        owner = f"{list(OWNERS)[number % len(OWNERS)]}@sales.example"
        did(start + 1, "Lead Assigned", channel="crm", properties={"owner": owner})
        for step in range(round(3 + warmth * 12)):
            at = start + round((now - start) * (step + chosen.random()) / 16)
            channel, name, properties = chosen.choice(DONE)
            did(at, name, channel=channel, properties=properties)
        if warmth > 0.6:
            at = now - chosen.randint(2, 300) * MINUTE
            did(at - 1, "Demo Requested", properties={"form": "demo"})
            did(at, properties={"path": "/pricing"})
            amount = chosen.choice((8_000, 24_000, 120_000, 1_400_000))
            did(
                at,
                "Stage Changed",
                channel="crm",
                properties={"stage": "proposal", "amount": amount, "currency": "EUR"},
            )
    for event in sorted(found, key=lambda each: each.now):
        topic = _TOPICS.get(event.channel, WEB_EVENTS).name
        yield topic, lead_id_of("email", event.email or ""), event
