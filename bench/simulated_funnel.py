"""Funnels whose truth is known: leads with rules, and outcomes drawn from points."""

import itertools
from collections.abc import Iterable
from dataclasses import dataclass

import msgspec
import numpy as np

from scorers.compiled import CompiledModel, compile_model
from scorers.loading import load_model
from scorers.outcomes import Verdict
from scorers.snapshots import Example, Snapshot
from streams.learning.design import Design, Floats, design_of

HOUR = 3_600_000


@dataclass(frozen=True, slots=True)
class Truth:
    """What the simulated people are like: log odds per match of each rule."""

    weights: tuple[float, ...]
    shares: tuple[float, ...]
    """How many leads have each rule."""
    base: float = -1.0


def text_of(points: tuple[float, ...], base: float = 20) -> str:
    """Return a model of one rule for each of `points`, and one that everybody has."""
    rules = "\n".join(
        f"      - {{name: rule-{place}, where: {{traits.r{place}: true}}, "
        f"points: {point:g}}}"
        for place, point in enumerate(points)
    )
    return f"""\
model: simulated
version: "1"
decimals: 0
groups:
  fit:
    cap: 100
    floor: -100
    rules:
      - {{name: everybody, where: {{traits.lead: true}}, points: {base:g}}}
{rules}
tiers:
  - {{name: gold, at: 40}}
alerts:
  - {{name: hot-lead, kind: hot, enter: gold}}
"""


def model_of(points: tuple[float, ...]) -> tuple[str, CompiledModel]:
    """Return such a model's text, and the model."""
    text = text_of(points)
    return text, compile_model(load_model(text, "simulated"))


@dataclass(frozen=True, slots=True)
class Kind:
    """Everybody who has the same rules."""

    has: tuple[bool, ...]
    share: float
    """Of all leads."""
    chance: float
    """How likely they are won."""


def kinds(truth: Truth) -> list[Kind]:
    """Return every kind of lead there is."""
    found = []
    for has in itertools.product((False, True), repeat=len(truth.weights)):
        shares = [
            share if one else 1 - share
            for one, share in zip(has, truth.shares, strict=True)
        ]
        odds = truth.base + float(np.dot(has, truth.weights))
        chance = 1 / (1 + float(np.exp(-odds)))
        found.append(Kind(has, float(np.prod(shares)), chance))
    return found


def chance_of(some: Iterable[Kind]) -> float:
    """Return how likely those of some kinds are won on the whole."""
    mine = list(some)
    return sum(k.share * k.chance for k in mine) / sum(k.share for k in mine)


def drawn(truth: Truth, count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return which lead has which rule, and which is won."""
    chosen = np.random.default_rng(seed)
    has = chosen.random((count, len(truth.weights))) < np.array(truth.shares)
    odds = truth.base + has @ np.array(truth.weights)
    return has, chosen.random(count) < 1 / (1 + np.exp(-odds))


def design(model: CompiledModel, truth: Truth, count: int, seed: int) -> Design:
    """Return the design of simulated leads, without the leads."""
    has, won = drawn(truth, count, seed)
    units = np.column_stack((np.ones(count), has)).astype(np.float32)
    empty = design_of(model, [])
    points = empty.points
    score: Floats = np.clip(np.round(units @ points), 0, 100)
    return Design(
        numbers=empty.numbers,
        bounds=empty.bounds,
        units=units,
        fixed=np.zeros((count, 1)),
        won=won,
        at=np.arange(count, dtype=np.int64) * HOUR,
        ended=np.arange(count, dtype=np.int64) * HOUR + 1,
        leads=np.arange(count).astype(np.str_),
        score=score,
        kept=np.ones((count, 1)),
    )


def examples(
    model: CompiledModel, truth: Truth, count: int, seed: int
) -> list[Example]:
    """Return the simulated leads as examples, as a training log has them."""
    has, won = drawn(truth, count, seed)
    points = [rule.points for rule in model.rules]
    found = []
    for place in range(count):
        given = {"everybody": points[0]} | {
            f"rule-{rule}": points[rule + 1]
            for rule in np.flatnonzero(has[place]).tolist()
        }
        score = min(max(round(sum(given.values())), 0), 100)
        at = place * HOUR
        found.append(
            Example(
                snapshot=Snapshot(
                    lead_id=f"ld_{place}",
                    at=at,
                    why="first",
                    score=score,
                    tier=model.tier_of(score),
                    groups={"fit": score},
                    points=given,
                    model=model.digest,
                ),
                verdict=Verdict(won=bool(won[place]), at=at + 1, amount=100.0),
            )
        )
    return found


def drifting(
    model: CompiledModel, truth: Truth, later: Truth, count: int, seed: int
) -> tuple[Design, list[Example]]:
    """Return simulated leads of which the second half are like `later`."""
    found = [
        *examples(model, truth, count // 2, 2 * seed),
        *(
            replaced(each, count // 2 * HOUR)
            for each in examples(model, later, count // 2, 2 * seed + 1)
        ),
    ]
    return design_of(model, found), found


def replaced(example: Example, by: int) -> Example:
    """Return an example that is later."""
    shot, verdict = example.snapshot, example.verdict
    return Example(
        snapshot=msgspec.structs.replace(
            shot, at=shot.at + by, lead_id=f"{shot.lead_id}-later"
        ),
        verdict=verdict and msgspec.structs.replace(verdict, at=verdict.at + by),
    )
