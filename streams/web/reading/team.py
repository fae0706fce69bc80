"""How a team follows up: how soon, how far, who waits, and what to talk about."""

from bisect import bisect_left
from collections.abc import Callable, Iterable, Sequence
from statistics import median
from typing import Final, Literal

import msgspec

from schemas.time import DAY, HOUR, MINUTE, Instant, Millis
from streams.web.reading.team_facts import Fact, Facts, HotAlert

QUICK: Final[Millis] = 5 * MINUTE
SOON: Final[Millis] = HOUR
STEPS: Final[tuple[Millis, ...]] = (QUICK, 15 * MINUTE, HOUR, 4 * HOUR, DAY)
"""Within these times a lead was taken up; what took longer is the rest."""
_ENOUGH: Final = 3
"""Answers below which nothing is said of somebody's habits."""
_APART: Final = 2.0
_WAITING: Final = 0.1
_UNFIT: Final = 0.4
_ESCALATED: Final = 0.25
_LISTED: Final = 200
NOBODY: Final = ""
"""Stands for the owner of leads that nobody owns."""

Stage = Literal["hot", "told", "taken", "contact", "qualified", "won"]
STAGES: Final[tuple[Stage, ...]] = (
    "hot",
    "told",
    "taken",
    "contact",
    "qualified",
    "won",
)

Counsel = Literal["waiting", "escalated", "slow", "unfit", "leading", "steady", "few"]
"""What there is to say to somebody; the first that fits is said."""


class Followed(msgspec.Struct, frozen=True, kw_only=True):
    """A hot alert and what became of it."""

    alert: HotAlert
    told_at: Instant | None
    answered_at: Instant | None
    """When somebody first took it up, whatever they said of it."""
    by: str
    unfit: bool
    contact_at: Instant | None
    qualified_at: Instant | None
    won_at: Instant | None
    amount: float
    escalated_at: Instant | None
    ended_at: Instant | None

    @property
    def began(self) -> Instant:
        """Since when somebody could know of it."""
        return self.alert.at if self.told_at is None else self.told_at

    @property
    def speed(self) -> Millis | None:
        """How long it waited to be taken up; None while it waits."""
        if self.answered_at is None:
            return None
        return max(self.answered_at - self.began, 0)


class Speed(msgspec.Struct, frozen=True, kw_only=True):
    """How soon some hot leads were taken up."""

    name: str
    hot: int
    answered: int
    median_ms: Millis | None
    slow_ms: Millis | None
    """Nine of ten were taken up by then."""
    quick_share: float
    """Of all, taken up within five minutes."""
    hour_share: float
    """Of all, taken up within an hour."""
    escalated: int
    unfit: int
    waiting: int
    longest_ms: Millis | None
    """How long the one that waits longest has waited."""
    won: int
    amount: float


class FunnelStep(msgspec.Struct, frozen=True, kw_only=True):
    """How many hot leads came so far."""

    stage: Stage
    count: int
    share: float
    """Of those that were hot."""


class Waiting(msgspec.Struct, frozen=True, kw_only=True):
    """A hot lead that nobody has taken up."""

    alert_id: str
    lead_id: str
    owner: str
    tier: str
    score: float
    waits_ms: Millis
    escalated: bool


class Escalation(msgspec.Struct, frozen=True, kw_only=True):
    """A hot lead that was told again, for nobody had taken it up."""

    alert_id: str
    lead_id: str
    owner: str
    at: Instant
    after_ms: Millis
    answered_at: Instant | None


class Coaching(msgspec.Struct, frozen=True, kw_only=True):
    """One thing to say to somebody, and the figures behind it."""

    owner: str
    counsel: Counsel
    figures: Speed


class Within(msgspec.Struct, frozen=True, kw_only=True):
    """How many were taken up within a time that the step before did not hold."""

    within_ms: Millis | None
    """None for what took longer than all steps."""
    count: int


class TeamReport(msgspec.Struct, frozen=True, kw_only=True):
    """How the team followed up over some days."""

    days: int
    at: Instant
    everybody: Speed
    owners: tuple[Speed, ...]
    tiers: tuple[Speed, ...]
    spread: tuple[Within, ...]
    funnel: tuple[FunnelStep, ...]
    waiting: tuple[Waiting, ...]
    """Longest first."""
    escalations: tuple[Escalation, ...]
    """Latest first."""
    coaching: tuple[Coaching, ...]


def team_report(facts: Facts, now: Instant, days: int) -> TeamReport:
    """Return how hot leads of the last `days` were followed up."""
    since = now - days * DAY
    followed = [each for each in follow_up(facts) if since <= each.alert.at <= now]
    everybody = _speed("", followed, now)
    owners = _grouped(followed, lambda each: each.alert.owner, now)
    return TeamReport(
        days=days,
        at=now,
        everybody=everybody,
        owners=owners,
        tiers=_grouped(followed, lambda each: each.alert.tier, now),
        spread=tuple(_spread(followed)),
        funnel=tuple(_funnel(followed)),
        waiting=tuple(_waiting(followed, now))[:_LISTED],
        escalations=tuple(_escalations(followed))[:_LISTED],
        coaching=tuple(_coached(each, everybody) for each in owners),
    )


def follow_up(facts: Facts) -> list[Followed]:
    """Return each hot alert with what was done about it before the next one came."""
    by_lead: dict[str, list[HotAlert]] = {}
    for alert in facts.alerts:
        by_lead.setdefault(alert.lead_id, []).append(alert)
    return [
        _followed(facts, alert, after)
        for alerts in by_lead.values()
        for alert, after in zip(alerts, [*alerts[1:], None], strict=True)
    ]


def _followed(facts: Facts, alert: HotAlert, after: HotAlert | None) -> Followed:
    end = None if after is None else after.at
    deeds = [
        fact
        for fact in facts.deeds.get(alert.lead_id, ())
        if fact.alert_id == alert.id
        or (
            not fact.alert_id and fact.at >= alert.at and (end is None or fact.at < end)
        )
    ]

    def first(*wanted: str) -> Fact | None:
        return next((fact for fact in deeds if fact.deed in wanted), None)

    answer = first("taken", "unfit", "contact", "qualified", "won", "lost")
    contact = first("contact")
    qualified, won = first("qualified"), first("won")
    ended = _between(facts.ended.get(alert.lead_id, ()), alert.at, end)
    return Followed(
        alert=alert,
        told_at=facts.told.get(alert.id),
        answered_at=None if answer is None else answer.at,
        by="" if answer is None else answer.by,
        unfit=first("unfit") is not None,
        contact_at=None if contact is None else contact.at,
        qualified_at=None if qualified is None else qualified.at,
        won_at=None if won is None else won.at,
        amount=sum(fact.amount or 0.0 for fact in deeds if fact.deed == "won"),
        escalated_at=_between(facts.escalated.get(alert.lead_id, ()), alert.at, end),
        ended_at=ended,
    )


def _between(
    instants: Sequence[Instant], start: Instant, end: Instant | None
) -> Instant | None:
    place = bisect_left(instants, start)
    found = instants[place] if place < len(instants) else None
    return None if found is None or (end is not None and found >= end) else found


def _speed(name: str, followed: Sequence[Followed], now: Instant) -> Speed:
    speeds = sorted(each.speed for each in followed if each.speed is not None)
    count = max(len(followed), 1)
    waits = [now - each.began for each in followed if _waits(each)]
    return Speed(
        name=name,
        hot=len(followed),
        answered=len(speeds),
        median_ms=round(median(speeds)) if speeds else None,
        slow_ms=speeds[(len(speeds) * 9 - 1) // 10] if speeds else None,
        quick_share=sum(each <= QUICK for each in speeds) / count,
        hour_share=sum(each <= SOON for each in speeds) / count,
        escalated=sum(each.escalated_at is not None for each in followed),
        unfit=sum(each.unfit for each in followed),
        waiting=len(waits),
        longest_ms=max(waits, default=None),
        won=sum(each.won_at is not None for each in followed),
        amount=sum(each.amount for each in followed),
    )


def _waits(each: Followed) -> bool:
    """Say whether nobody has taken up a lead that is still hot."""
    return each.answered_at is None and each.ended_at is None


def _grouped(
    followed: Iterable[Followed], name: Callable[[Followed], str], now: Instant
) -> tuple[Speed, ...]:
    """Return figures by name, of whom most was asked first."""
    parts: dict[str, list[Followed]] = {}
    for each in followed:
        parts.setdefault(name(each), []).append(each)
    found = [_speed(part, own, now) for part, own in parts.items()]
    return tuple(sorted(found, key=lambda each: (-each.hot, each.name)))


def _spread(followed: Sequence[Followed]) -> Iterable[Within]:
    speeds = sorted(each.speed for each in followed if each.speed is not None)
    before = 0
    for step in STEPS:
        upto = bisect_left(speeds, step + 1)
        yield Within(within_ms=step, count=upto - before)
        before = upto
    yield Within(within_ms=None, count=len(speeds) - before)


def _funnel(followed: Sequence[Followed]) -> Iterable[FunnelStep]:
    """Yield the steps: who came further has come through those before."""
    reached = [_reached(each) for each in followed]
    for place, stage in enumerate(STAGES):
        count = sum(each >= place for each in reached)
        yield FunnelStep(stage=stage, count=count, share=count / max(len(followed), 1))


def _reached(each: Followed) -> int:
    marks = (
        each.alert.at,
        each.told_at,
        each.answered_at,
        each.contact_at,
        each.qualified_at,
        each.won_at,
    )
    return max(place for place, mark in enumerate(marks) if mark is not None)


def _waiting(followed: Iterable[Followed], now: Instant) -> Iterable[Waiting]:
    waits = [each for each in followed if _waits(each)]
    for each in sorted(waits, key=lambda one: one.began):
        yield Waiting(
            alert_id=each.alert.id,
            lead_id=each.alert.lead_id,
            owner=each.alert.owner,
            tier=each.alert.tier,
            score=each.alert.score,
            waits_ms=now - each.began,
            escalated=each.escalated_at is not None,
        )


def _escalations(followed: Iterable[Followed]) -> Iterable[Escalation]:
    found = [
        Escalation(
            alert_id=each.alert.id,
            lead_id=each.alert.lead_id,
            owner=each.alert.owner,
            at=each.escalated_at,
            after_ms=each.escalated_at - each.alert.at,
            answered_at=each.answered_at,
        )
        for each in followed
        if each.escalated_at is not None
    ]
    return sorted(found, key=lambda one: -one.at)


def _coached(own: Speed, team: Speed) -> Coaching:
    return Coaching(owner=own.name, counsel=_counsel(own, team), figures=own)


def _counsel(own: Speed, team: Speed) -> Counsel:
    many = own.waiting and own.waiting >= _WAITING * own.hot
    if many and (own.longest_ms or 0) > SOON:
        return "waiting"
    if own.hot < _ENOUGH or own.median_ms is None or team.median_ms is None:
        return "few"
    if own.escalated / own.hot >= _ESCALATED:
        return "escalated"
    if own.median_ms > max(_APART * team.median_ms, QUICK):
        return "slow"
    if own.unfit / own.hot >= _UNFIT:
        return "unfit"
    if own.median_ms * _APART < team.median_ms:
        return "leading"
    return "steady"
