"""A proposal: the model with recalibrated points, as a text that people can publish."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from schemas.score import NO_TIER
from scorers.compiled import CompiledModel, compile_model
from scorers.loading import load_model
from scorers.model import Model
from scorers.snapshots import Example, rescored
from streams.learning.design import Design, Floats
from streams.learning.draft import Path, redrafted
from streams.learning.points import Recalibrated

DRAFT: Final = "-draft"


@dataclass(frozen=True, slots=True)
class Proposal:
    """A draft model and what it was made of."""

    text: str
    model: CompiledModel
    recalibrated: Recalibrated
    scores: Floats
    """What the draft gives the examples that it was made of, by the matrix."""


def propose(text: str, design: Design, recalibrated: Recalibrated) -> Proposal:
    """Return the model of `text` with the points that `recalibrated` asks for.

    Caps and floors give way where they would cut points off. Tiers and the scores at
    which alerts begin and end move so that as many leads reach them as before.
    """
    model = load_model(text, "model")
    changes: dict[Path, float | str] = {
        number.path: float(points)
        for number, points in zip(design.numbers, recalibrated.points, strict=True)
    }
    for number, points in zip(design.numbers, recalibrated.points, strict=True):
        # A rule counts as often as before its maximum was reached, not less.
        if number.most is not None and points:
            most = number.most * abs(float(points) / number.points)
            changes[*number.path[:-1], "max"] = min(round(most, 1), 100.0)
    bounds = recalibrated.bounds
    for name, cap, floor in zip(bounds.names, bounds.caps, bounds.floors, strict=True):
        changes["groups", name, "cap"] = cap
        changes["groups", name, "floor"] = floor
    scores = np.round(design.scored(recalibrated.points, bounds), model.decimals)
    changes |= _thresholds(model, design.score, scores)
    changes["version",] = f"{model.version}{DRAFT}"
    drafted = redrafted(text, changes)
    return Proposal(
        text=drafted,
        model=compile_model(load_model(drafted, "draft")),
        recalibrated=recalibrated,
        scores=scores,
    )


def _thresholds(model: Model, before: Floats, after: Floats) -> dict[Path, float | str]:
    """Return the bounds at which as many leads are on either side as before."""
    changes: dict[Path, float | str] = {}
    ceiling = 100.0
    for place, tier in enumerate(model.tiers):  # the highest stands first
        moved = min(_as_many(before, after, tier.at), ceiling - 1)
        # Every tier below has to have its own place.
        ceiling = max(moved, float(len(model.tiers) - place))
        changes["tiers", place, "at"] = ceiling
    for place, alert in enumerate(model.alerts):
        for key in ("enter", "leave"):
            bound = getattr(alert, key, None)
            if isinstance(bound, float):
                changes["alerts", place, key] = max(_as_many(before, after, bound), 1.0)
    return changes


def _as_many(before: Floats, after: Floats, bound: float) -> float:
    share = float((before >= bound).mean())
    candidates = np.arange(1.0, 100.0)
    reached = np.array([(after >= candidate).mean() for candidate in candidates])
    return float(candidates[np.abs(reached - share).argmin()])


@dataclass(frozen=True, slots=True)
class Read:
    """What a model says of examples, by the core itself."""

    scores: Floats
    tiers: tuple[str, ...]

    def share(self, tier: str) -> float:
        """Return the share of the examples that are in a tier."""
        return self.tiers.count(tier) / max(len(self.tiers), 1)


def read_all(model: CompiledModel, examples: Sequence[Example]) -> Read:
    """Return what `model` says of the states behind `examples`.

    Raises
    ------
    ValueError
        When an example has no state: then a model can only be reckoned.
    """
    scores, tiers = [], []
    for example in examples:
        if example.state is None:
            msg = "has no state to read"
            raise ValueError(msg)
        score, tier, _ = rescored(model, example.state, example.snapshot.at)
        scores.append(score)
        tiers.append(tier)
    return Read(np.array(scores), tuple(tiers))


def read_or_reckoned(
    proposal: Proposal, design: Design, examples: Sequence[Example]
) -> Read:
    """Return what the draft says of examples: by the core where there are states.

    A training log has none; there the matrix reckons.
    """
    if all(each.state is not None for each in examples):
        return read_all(proposal.model, examples)
    found = proposal.recalibrated
    scores = design.scored(found.points, found.bounds)
    scores = np.round(scores, proposal.model.source.decimals)
    return Read(scores, tuple(proposal.model.tier_of(score) for score in scores))


def tier_names(model: CompiledModel) -> list[str]:
    """Return the tiers from the highest down, and the name of none."""
    return [*(name for name, _ in model.tiers), NO_TIER]
