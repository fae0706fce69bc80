"""Training records: built from score updates, alerts and outcomes, in any order.

A record says the same however often, and in whatever order across topics, what it is
made of comes; within a topic it comes in order, as Kafka keeps it.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from operator import attrgetter
from typing import Final

import msgspec
from msgspec.structs import asdict, replace

from schemas.alert import Alert
from schemas.event import Event
from schemas.score import CLIP_MARK, NO_TIER, ScoreUpdate
from schemas.time import WEEK, Instant, Millis, to_datetime, to_instant
from schemas.training import (
    TrainingOutcome,
    TrainingRecord,
    TrainingSnapshot,
    TrainingWord,
)
from scorers.facts import stated_traits
from scorers.outcomes import Outcome, outcome_of
from scorers.snapshots import ALERT, SCHEDULED, TIER, Example, Snapshot, is_open, judged

RECENT: Final = 16
"""Updates that are kept until the alerts of their time have come."""
MOST: Final = 200
"""Snapshots kept of a lead, the latest."""
CARRIED: Final = (
    "lifecycle_stage",
    "lead_source",
    "source",
    "owner",
    "deal_value",
    "budget",
    "currency",
    "budget_currency",
)
"""Properties that the CRM's events say and a forecast is told by."""
_LONGEST: Final = 200


def with_update(record: TrainingRecord, update: ScoreUpdate) -> TrainingRecord:
    """Return the record that has heard of `update` as well; an old one changes nothing.

    A rise into a tier is a decision, and so is each week's end: what was published
    last before it is how the lead stood.
    """
    if update.sequence <= record.sequence:
        return record
    shot = TrainingSnapshot(
        at=update.as_of,
        why=SCHEDULED,
        score=update.score,
        tier=update.tier,
        model=update.model.digest,
        groups=update.groups,
        points={
            rule: points
            for lines in update.ledger.values()
            for rule, points in lines.items()
            if not rule.startswith(CLIP_MARK)
        },
        known={"owner": update.owner} if update.owner else {},
    )
    found = list(record.snapshots)
    if record.recent:
        last = record.recent[-1]
        week = to_instant(last.at) // WEEK + 1
        if to_instant(update.as_of) >= week * WEEK:
            found.append(replace(last, at=to_datetime(week * WEEK)))
    rises = update.delta > 0 and update.tier not in {NO_TIER, update.previous_tier}
    if rises:
        found.append(replace(shot, why=f"{TIER}:{update.tier}"))
    return _settled(
        replace(
            record,
            sequence=update.sequence,
            snapshots=tuple(found),
            recent=(*record.recent, shot)[-RECENT:],
            merged_into=update.merged_into or record.merged_into,
        )
    )


def with_alert(record: TrainingRecord, alert: Alert) -> TrainingRecord:
    """Return the record that has heard of `alert` as well."""
    if alert.account is not None or alert.recalls is not None:
        return record
    word = (alert.alert, alert.decided_at)
    known = {(shot.why, shot.at) for shot in record.snapshots}
    if word in record.waiting or (f"{ALERT}:{word[0]}", word[1]) in known:
        return record
    return _settled(replace(record, waiting=tuple(sorted((*record.waiting, word)))))


def with_outcome(record: TrainingRecord, event: Event) -> TrainingRecord:
    """Return the record that has heard of `event`, if it says what became of a lead."""
    outcome = outcome_of(event)
    if outcome is None or any(known.event_id == event.id for known in record.outcomes):
        return record
    told = TrainingOutcome(**{**asdict(outcome), "at": to_datetime(outcome.at)})
    return replace(
        record,
        outcomes=tuple(
            sorted((*record.outcomes, told), key=attrgetter("at", "event_id"))
        ),
    )


def with_event(record: TrainingRecord, event: Event) -> TrainingRecord:
    """Return the record that has heard of `event`: what became of the lead, and who.

    Of what the CRM says of a lead those properties are kept that forecasts are told by,
    from when on it was known.
    """
    return _with_words(with_outcome(record, event), event)


def _with_words(record: TrainingRecord, event: Event) -> TrainingRecord:
    at, said = to_datetime(event.now), stated_traits(event)
    told = [
        TrainingWord(
            at=at,
            name=name,
            value=value[:_LONGEST] if isinstance(value, str) else float(value),
        )
        for name in CARRIED
        if isinstance(value := said.get(name), str | int | float)
        and not isinstance(value, bool)
        and value != ""
    ]
    if not told:
        return record
    latest: dict[str, str | float] = {}
    words = []
    for word in sorted({*record.words, *told}, key=_in_order):
        if latest.get(word.name) != word.value:
            latest[word.name] = word.value
            words.append(word)
    return replace(record, words=tuple(words[-MOST:]))


def _in_order(word: TrainingWord) -> tuple[Instant, str, str]:
    return to_instant(word.at), word.name, str(word.value)


def _said(words: Sequence[TrainingWord], at: Instant) -> dict[str, str | float]:
    """Return what the CRM had said of a lead by an instant."""
    return {word.name: word.value for word in words if to_instant(word.at) <= at}


def _settled(record: TrainingRecord, *, all_heard: bool = False) -> TrainingRecord:
    """Return the record with alerts joined to the updates that they were about.

    An alert waits until a later update shows that nothing is missing before it.
    """
    found = {(shot.at, shot.why): shot for shot in record.snapshots}
    waiting = []
    for name, at in record.waiting:
        before = [shot for shot in record.recent if shot.at <= at]
        later = all_heard or (record.recent and record.recent[-1].at > at)
        if before and later:
            shot = replace(before[-1], at=at, why=f"{ALERT}:{name}")
            found[shot.at, shot.why] = shot
        else:
            waiting.append((name, at))
    snapshots = tuple(found[key] for key in sorted(found))[-MOST:]
    return replace(record, snapshots=snapshots, waiting=tuple(waiting[-RECENT:]))


def examples_of(
    records: Iterable[TrainingRecord],
    until: Instant,
    horizon: Millis | None = None,
) -> Iterator[Example]:
    """Yield every snapshot of a lead that was open, with what became of the lead.

    What became of a person counts for all leads that turned out to be that person.
    """
    known = {record.lead_id: _settled(record, all_heard=True) for record in records}
    told: dict[str, list[Outcome]] = {}
    for record in known.values():
        told.setdefault(_today(known, record.lead_id), []).extend(
            Outcome(**{**asdict(each), "at": to_instant(each.at)})
            for each in record.outcomes
        )
    for record in known.values():
        owner = _today(known, record.lead_id)
        outcomes = told.get(owner, [])
        for shot in record.snapshots:
            at = to_instant(shot.at)
            if at <= until and is_open(outcomes, at):
                yield Example(
                    snapshot=Snapshot(
                        lead_id=owner,
                        at=at,
                        why=shot.why,
                        score=shot.score,
                        tier=shot.tier,
                        groups=shot.groups,
                        points=shot.points,
                        known=_said(record.words, at) | shot.known,
                        model=shot.model,
                    ),
                    verdict=judged(outcomes, at, until, horizon),
                )


def _today(known: Mapping[str, TrainingRecord], lead_id: str) -> str:
    met = {lead_id}
    record = known.get(lead_id)
    while record is not None and record.merged_into is not None:
        if record.merged_into in met:
            break
        lead_id = record.merged_into
        met.add(lead_id)
        record = known.get(lead_id)
    return lead_id


def encode_record(record: TrainingRecord) -> bytes:
    """Return the record as it goes on its topic: the same record, the same bytes."""
    return msgspec.json.encode(record, order="deterministic")
