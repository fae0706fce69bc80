"""Calibration of a model: what its scores mean, and what its points should be."""

from collections.abc import Callable, Sequence
from typing import Final

import msgspec
import numpy as np

from schemas.time import DAY
from scorers.compiled import CompiledModel
from scorers.snapshots import Example
from streams.learning.chance import Chances, captured, chances_of
from streams.learning.design import Design, design_of
from streams.learning.evaluating import decided, ready_by
from streams.learning.evidence import (
    Ground,
    Suggestion,
    grounds,
    idle_rules,
    suggestions,
)
from streams.learning.foretold import Figure
from streams.learning.funnels import Split
from streams.learning.gate import judge
from streams.learning.points import recalibrate
from streams.learning.proposals import (
    Proposal,
    Read,
    propose,
    read_or_reckoned,
    tier_names,
)
from streams.learning_gate import Gate

HELD_OUT: Final = 0.3
"""The share of the leads by which a draft is judged."""


class Effect(msgspec.Struct, frozen=True, kw_only=True):
    """What changes for held-out leads where a bound is."""

    name: str
    before: float
    after: float
    """The score at which it begins."""
    leads_before: int
    leads_after: int
    won_before: int
    won_after: int
    gained: int
    """Leads that are above it only now."""
    lost: int


class Calibration(msgspec.Struct, frozen=True, kw_only=True):
    """All figures of a calibration."""

    dataset: str
    model: str
    draft: str
    examples: int
    won: int
    open: int
    learnt: int
    held_out: int
    strength: float
    """How firmly the present points were held on to; 1 is one lead's word per point."""
    gate: Gate
    grounds: tuple[Ground, ...]
    idle: tuple[str, ...]
    """Rules that do not earn their points."""
    suggestions: tuple[Suggestion, ...]
    caps: tuple[tuple[str, float, float], ...]
    """Groups whose cap moved: name, before, after."""
    effects: tuple[Effect, ...]
    chances: Chances
    capacity: int | None = None
    captured: Figure | None = None
    """The share of the won among the leads that the team can work in a week."""


def calibrate(
    dataset: str,
    text: str,
    model: CompiledModel,
    examples: Sequence[Example],
    *,
    split: Split,
    capacity: int | None = None,
    strength: float | None = None,
    report: Callable[[str], None] = lambda _: None,
) -> tuple[Calibration, Proposal]:
    """Return what outcomes say of a model, and the draft that they ask for.

    The draft learns from the earlier leads and is judged by the later ones, or by a
    part drawn by lot where time means nothing.

    Raises
    ------
    TooFewError
        When there are not enough outcomes.
    """
    known = decided(examples)
    design = design_of(model, known)
    learn, judged = held_out(design, split)
    part = design.only(learn)
    report("points")
    recalibrated = recalibrate(part, strength=strength)
    proposal = propose(text, part, recalibrated)
    rest = [known[row] for row in judged]
    report("judging the draft")
    present = design.score[judged]
    drafted = read_or_reckoned(proposal, design.only(judged), rest)
    gate = judge(
        proposal.model,
        model,
        drafted.scores,
        present,
        design.won[judged],
        leads=design.leads[judged],
    )
    report("evidence")
    found = grounds(part, recalibrated)
    told = suggestions(model, [known[row] for row in learn], part, recalibrated)
    report("chances")
    return (
        Calibration(
            dataset=dataset,
            model=f"{model.ref.name} {model.ref.version}",
            draft=f"{proposal.model.ref.name} {proposal.model.ref.version}",
            examples=len(known),
            won=int(design.won.sum()),
            open=len({e.snapshot.lead_id for e in examples if e.verdict is None}),
            learnt=len(learn),
            held_out=len(judged),
            strength=recalibrated.fit.strength,
            gate=gate,
            grounds=tuple(found),
            idle=tuple(idle_rules(found)),
            suggestions=tuple(told),
            caps=tuple(
                (name, before, after)
                for name, before, after in zip(
                    design.bounds.names,
                    design.bounds.caps,
                    recalibrated.bounds.caps,
                    strict=True,
                )
                if before != after
            ),
            effects=tuple(_effects(model, proposal, design.only(judged), drafted)),
            chances=chances_of(design, known),
            capacity=capacity,
            captured=None if capacity is None else captured(design, capacity, 7 * DAY),
        ),
        proposal,
    )


def held_out(design: Design, split: Split) -> tuple[np.ndarray, np.ndarray]:
    """Return what to learn from and what to judge by; no lead is in both."""
    if split == "time-ordered":
        first: dict[str, int] = {}
        for lead, at in zip(design.leads, design.at, strict=True):
            first[lead] = min(first.get(lead, at), at)
        began = np.array([first[lead] for lead in design.leads])
        late = began > np.quantile(began, 1 - HELD_OUT)
        if late.any():
            ready = ready_by(design, np.flatnonzero(~late), int(design.at[late].min()))
            return ready, np.flatnonzero(late)
    names, place = np.unique(design.leads, return_inverse=True)
    chosen = np.random.default_rng(7).random(len(names)) < HELD_OUT
    return np.flatnonzero(~chosen[place]), np.flatnonzero(chosen[place])


def _effects(
    model: CompiledModel, proposal: Proposal, held: Design, drafted: Read
) -> list[Effect]:
    """Return what changes at each tier and at each alert that begins at a score.

    A lead counts once, however often it was decided about.
    """
    after = dict(proposal.model.tiers)
    bounds = [
        (f"tier {name}", at, after[name])
        for name, at in model.tiers
        if name in tier_names(proposal.model)
    ]
    bounds += [
        (f"alert {old.name}", old.enter, new.enter)
        for old, new in zip(model.alerts, proposal.model.alerts, strict=True)
        if old.kind == "hot"
    ]
    effects = []
    for name, before, now in bounds:
        above, is_above = held.score >= before, drafted.scores >= now
        was, is_now = set(held.leads[above]), set(held.leads[is_above])
        effects.append(
            Effect(
                name=name,
                before=float(before),
                after=float(now),
                leads_before=len(was),
                leads_after=len(is_now),
                won_before=len(set(held.leads[above & held.won])),
                won_after=len(set(held.leads[is_above & held.won])),
                gained=len(is_now - was),
                lost=len(was - is_now),
            )
        )
    return effects
