"""What a row of the board shows, and what the live events say of it."""

from collections.abc import Iterable
from typing import Any

import msgspec

from schemas.alert import Alert, DealValue
from schemas.score import Identifiers, Reason, ScoreUpdate
from schemas.time import Instant, to_instant
from streams.view_board import Line
from streams.view_deals import DealState
from streams.view_records import WorkDone

_FOR, _AGAINST = 2, 1


class Why(msgspec.Struct, frozen=True, kw_only=True):
    """One reason: the rule, what it gives, and in words of the model's language."""

    rule: str
    points: float
    text: str


class OpenAlert(msgspec.Struct, frozen=True, kw_only=True):
    """The latest alert of a lead."""

    id: str
    alert: str
    kind: str
    at: Instant
    next_action: str = ""
    recalled: bool = False


class LeadScore(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Where a lead stands; instants are milliseconds since 1970 (UTC)."""

    lead_id: str
    sequence: int
    name: str
    score: float
    delta: float
    tier: str
    at: Instant
    grade: str = ""
    why: tuple[Why, ...] = ()
    cause: str = ""
    owner: str | None = None
    account_id: str | None = None
    next_change_at: Instant | None = None
    do_not_email: bool = False


class LeadRow(LeadScore, frozen=True, kw_only=True, omit_defaults=True):
    """A row: where the lead stands, how it came there, what was done about it."""

    trend: tuple[tuple[Instant, float], ...] = ()
    last_at: Instant | None = None
    last_event: str = ""
    alert: OpenAlert | None = None
    work: WorkDone | None = None
    deal_value: DealValue | None = None


def name_of(known: Identifiers, lead_id: str) -> str:
    """Return what a person calls a lead by: address, user id, anonymous id."""
    for values in (known.email, known.user_id, known.anonymous_id):
        if values:
            return values[0]
    return lead_id


def score_of(update: ScoreUpdate) -> LeadScore:
    """Return where a lead stands by its last update."""
    return LeadScore(**_score(update))


def row_of(line: Line) -> LeadRow:
    """Return the row of what the view knows."""
    told = [open_alert(alert) for alert in line.alerts[:1]]
    last = line.last
    return LeadRow(
        **_score(line.update),
        trend=tuple((point.at, point.score) for point in line.trend),
        last_at=None if last is None else to_instant(last.at),
        last_event="" if last is None else last.name,
        alert=next(iter(told), None),
        work=worked(line.work),
        deal_value=deal_value(line.deal, line.alerts),
    )


def deal_value(deal: DealState | None, alerts: Iterable[Alert]) -> DealValue | None:
    """Return what the deal is worth: by the CRM, else by the latest alert that says."""
    told = next((each.deal_value for each in alerts if each.deal_value), None)
    if deal is None:
        return told
    if deal.lost:
        return None
    currency = deal.currency or ("" if told is None else told.currency)
    return DealValue(amount=deal.amount, currency=currency)


def open_alert(alert: Alert) -> OpenAlert:
    """Return what a row says of an alert."""
    return OpenAlert(
        id=alert.id,
        alert=alert.alert,
        kind=alert.kind,
        at=to_instant(alert.decided_at),
        next_action=alert.next_action,
        recalled=alert.recalls is not None,
    )


def standing(alert: OpenAlert | None, work: WorkDone | None, now: Instant) -> str:
    """Return how it stands: open, taken, snoozed, unfit, or nothing (js/rows.js)."""
    told = alert is not None and not alert.recalled and alert.kind != "cooled"
    if work and (alert is None or not told or work.at >= alert.at):
        if work.name == "Lead Snoozed":
            return "snoozed" if (work.until or 0) > now else "open" if told else ""
        return "unfit" if work.name == "Lead Disqualified" else "taken"
    return "open" if told else ""


def worked(work: Iterable[WorkDone]) -> WorkDone | None:
    """Return what was done last; whose the lead is does not change how it stands."""
    return next((each for each in work if each.name != "Lead Assigned"), None)


def why_of(reasons: tuple[Reason, ...]) -> tuple[Why, ...]:
    """Return the strongest reasons for, and the strongest against."""
    given = [reason for reason in reasons if reason.points > 0][:_FOR]
    taken = [reason for reason in reasons if reason.points < 0][:_AGAINST]
    return tuple(
        Why(rule=each.rule, points=each.points, text=each.text)
        for each in (*given, *taken)
    )


def _score(update: ScoreUpdate) -> dict[str, Any]:
    after = update.next_change_at
    return {
        "lead_id": update.lead_id,
        "sequence": update.sequence,
        "name": name_of(update.identifiers, update.lead_id),
        "score": update.score,
        "delta": update.delta,
        "tier": update.tier,
        "at": to_instant(update.as_of),
        "grade": update.grade,
        "why": why_of(update.reasons),
        "cause": update.cause.kind,
        "owner": update.owner,
        "account_id": update.account_id,
        "next_change_at": None if after is None else to_instant(after),
        "do_not_email": update.do_not_email,
    }
