"""A draft of a model tried: is it right, what would it change, do its tests hold."""

from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import chain
from typing import Final

import msgspec

from schemas.event import Event
from schemas.locale import Locale
from schemas.time import DAY, HOUR, Instant
from scorers.advice import advice
from scorers.comparison import (
    Life,
    busiest_hour,
    compare,
    live,
    ranking_quality,
)
from scorers.compiled import CompiledModel, compile_model
from scorers.compiled_rules import title_of
from scorers.explanation import explain_lead
from scorers.loading import ModelError, Problem, load_model
from scorers.model import Model
from scorers.sentences import Section, sections
from scorers.state import LeadState
from scorers.timeline import load_timelines
from scorers.timeline_run import run_timeline
from streams.learning.draft import redrafted

SOURCE: Final = "draft"
"""What a draft is called where problems name their place."""
_SHOWN: Final = 60
_LEAST: Final = 0.005


class Checked(msgspec.Struct, frozen=True, kw_only=True):
    """Whether a text is a model, and what is wrong with it or looks so."""

    valid: bool
    problems: tuple[Problem, ...] = ()
    advice: tuple[str, ...] = ()
    name: str = ""
    version: str = ""
    digest: str = ""
    rules: int = 0
    same: bool = False
    """Whether it is the model in force."""


class LineChange(msgspec.Struct, frozen=True, kw_only=True):
    """What a rule gives a lead, before and after."""

    rule: str
    title: str
    before: float
    after: float


class Tried(msgspec.Struct, frozen=True, kw_only=True):
    """One lead under two models, at the same instant."""

    lead_id: str
    at: Instant
    score_before: float
    score_after: float
    tier_before: str
    tier_after: str
    lines: tuple[LineChange, ...]
    """Of every rule that gives something by either."""
    says: tuple[Section, ...]
    """What the second model says of the lead."""


class Moves(msgspec.Struct, frozen=True, kw_only=True):
    """How many leads go from one tier to another."""

    before: str
    after: str
    leads: int


class LeadMove(msgspec.Struct, frozen=True, kw_only=True):
    """A lead that ends in another tier."""

    lead_id: str
    before: str
    after: str
    score_before: float
    score_after: float


class Load(msgspec.Struct, frozen=True, kw_only=True):
    """What a model asks of the people who are told."""

    alerts: int
    per_day: float
    busiest: int
    """Alerts in the busiest hour."""
    ranking: float | None
    """How often it ranks a lead that was won above one that was lost."""
    tiers: dict[str, int]


class Effect(msgspec.Struct, frozen=True, kw_only=True):
    """What a draft changes on a sample of what really happened."""

    leads: int
    events: int
    days: float
    changed: int
    moves: tuple[Moves, ...]
    examples: tuple[LeadMove, ...]
    gained: int
    lost: int
    earlier: int
    later: int
    same: int
    before: Load
    after: Load


class TimelineMiss(msgspec.Struct, frozen=True, kw_only=True):
    """An expectation that did not come true."""

    at: str
    who: str
    what: str
    expected: str
    got: str


class TimelineOutcome(msgspec.Struct, frozen=True, kw_only=True):
    """What a timeline came to; without misses it holds."""

    name: str
    misses: tuple[TimelineMiss, ...]


class TimelinesRun(msgspec.Struct, frozen=True, kw_only=True):
    """What came of the tests of a model."""

    run: int
    failed: int
    outcomes: tuple[TimelineOutcome, ...]
    problems: tuple[Problem, ...] = ()
    """Of the text of the tests."""


def check(text: str, in_force: str = "") -> Checked:
    """Return whether `text` is a model; `in_force` is the digest of the present one."""
    try:
        model = load_model(text, SOURCE)
    except ModelError as error:
        return Checked(valid=False, problems=tuple(error.problems))
    compiled = compile_model(model)
    return Checked(
        valid=True,
        advice=tuple(advice(model)),
        name=model.model,
        version=model.version,
        digest=compiled.digest,
        rules=sum(len(group.rules) for group in model.groups.values()),
        same=compiled.digest == in_force,
    )


def adjusted(text: str, points: Mapping[str, float]) -> str:
    """Return the draft with other points for the rules named; comments stay.

    A rule that is not there, or that has no single number, stays as it is.

    Raises
    ------
    ModelError
        When `text` is no model.
    """
    model = load_model(text, SOURCE)
    changes: dict[tuple[str | int, ...], float | str] = {}
    for name, group in model.groups.items():
        for place, rule in enumerate(group.rules):
            if rule.name in points and isinstance(rule.points, float):
                path = ("groups", name, "rules", place, "points")
                changes[path] = float(points[rule.name])
    return redrafted(text, changes)


def try_on(
    models: tuple[CompiledModel, CompiledModel],
    state: LeadState,
    now: Instant,
    locale: Locale,
) -> Tried:
    """Return how a lead stands by the first model and by the second."""
    before, after = (explain_lead(model, state, now) for model in models)
    titles = _titles(models[0].source, locale) | _titles(models[1].source, locale)
    given: list[dict[str, float]] = []
    for told in (before, after):
        lines: dict[str, float] = {}
        for line in told.ledger:
            if line.rule and abs(line.points) >= _LEAST:
                lines[line.rule] = lines.get(line.rule, 0.0) + line.points
        given.append(lines)
    names = dict.fromkeys(chain(given[0], given[1]))
    return Tried(
        lead_id=after.lead_id,
        at=after.at,
        score_before=before.score,
        score_after=after.score,
        tier_before=before.tier,
        tier_after=after.tier,
        lines=tuple(
            LineChange(
                rule=name,
                title=titles.get(name, name),
                before=round(given[0].get(name, 0.0), 2),
                after=round(given[1].get(name, 0.0), 2),
            )
            for name in names
        ),
        says=sections(models[1], after, locale),
    )


def _titles(model: Model, locale: Locale) -> dict[str, str]:
    titles = {each.name: title_of(each, locale) for each in model.dormancy}
    for group in model.groups.values():
        titles |= {rule.name: title_of(rule, locale) for rule in group.rules}
    return titles


def life_of(model: CompiledModel, events: Sequence[Event]) -> Life:
    """Return what `model` makes of a sample."""
    return live(model, events)


def effect(before: Life, after: Life, events: int) -> Effect:
    """Return what changes from one life of a sample to the other."""
    found = compare(before, after)
    moves = Counter((each.before, each.after) for each in found.tiers)
    return Effect(
        leads=found.leads,
        events=events,
        days=round(after.hours * HOUR / DAY, 2),
        changed=len(found.tiers),
        moves=tuple(
            Moves(before=one, after=other, leads=count)
            for (one, other), count in moves.most_common()
        ),
        examples=tuple(
            LeadMove(
                lead_id=each.lead_id,
                before=each.before,
                after=each.after,
                score_before=each.score_before,
                score_after=each.score_after,
            )
            for each in found.tiers[:_SHOWN]
        ),
        gained=len(found.gained),
        lost=len(found.lost),
        earlier=len(found.earlier),
        later=len(found.later),
        same=found.same,
        before=_load(before),
        after=_load(after),
    )


def _load(life: Life) -> Load:
    return Load(
        alerts=len(life.alerts),
        per_day=round(len(life.alerts) / max(life.hours / 24, 1 / 24), 2),
        busiest=busiest_hour(life),
        ranking=ranking_quality(life.samples),
        tiers=dict(Counter(life.tiers.values())),
    )


def run_timelines(model: CompiledModel, text: str, source: str) -> TimelinesRun:
    """Return what came of the timelines that `text` describes under `model`."""
    try:
        timelines = load_timelines(text, source)
    except ModelError as error:
        return TimelinesRun(
            run=0, failed=0, outcomes=(), problems=tuple(error.problems)
        )
    outcomes = tuple(
        TimelineOutcome(
            name=found.name,
            misses=tuple(
                TimelineMiss(
                    at=miss.at,
                    who=miss.who,
                    what=miss.what,
                    expected=miss.expected,
                    got=miss.got,
                )
                for miss in found.misses
            ),
        )
        for found in (run_timeline(model, each) for each in timelines.tests)
    )
    failed = sum(bool(each.misses) for each in outcomes)
    return TimelinesRun(run=len(outcomes), failed=failed, outcomes=outcomes)
