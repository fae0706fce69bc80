"""Evidence: what speaks for each number of a model, and what deserves a rule."""

from collections.abc import Iterator, Sequence
from typing import Final, Literal

import msgspec
import numpy as np

from scorers.compiled import CompiledModel
from scorers.snapshots import Example
from streams.learning.contenders import Known
from streams.learning.design import Design, Flags, Floats
from streams.learning.foretold import Figure
from streams.learning.points import Recalibrated, chances

Worth = Literal["earns them", "earns nothing", "not proven", "cannot be learnt"]

_COMMON: Final = 30
"""Leads with a property below which nothing is said about it."""
_FALSE: Final = 0.01
"""The share of suggestions that may be chance."""
_SHOWN: Final = 20
_MANY: Final = 60
"""A property with more values than this is a name, not a kind."""
_BINS: Final = 5
_SURE: Final = 0.05


class Ground(msgspec.Struct, frozen=True, kw_only=True):
    """What speaks for one number of a model."""

    rule: str
    label: str
    group: str
    before: float
    after: float
    low: float
    """The 95 % interval of the points, before they are rounded."""
    high: float
    leads: int
    won: int
    rate: Figure
    """Which share of the leads with it is won."""
    lift: Figure
    """The same, as a multiple of all leads' share."""
    worth: Worth


class Suggestion(msgspec.Struct, frozen=True, kw_only=True):
    """A property that no rule reads and that tells who will be won."""

    property: str
    value: str
    leads: int
    won: int
    expected: float
    """How many the model's fit would have expected to be won."""
    points: float
    """What a rule for it might give."""
    p_value: float
    """How likely chance does as much, by itself."""


def grounds(design: Design, found: Recalibrated) -> list[Ground]:
    """Return what speaks for every number of the model."""
    base = float(design.weight @ design.won / design.weight.sum())
    people = len(np.unique(design.leads))
    return [
        _ground(design, found, place, base, people)
        for place in range(len(design.numbers))
    ]


def _ground(
    design: Design, found: Recalibrated, place: int, base: float, people: int
) -> Ground:
    number = design.numbers[place]
    has = design.firsts(design.units[:, place] != 0)
    leads, won = int(has.sum()), int((has & design.won).sum())
    rate = wilson(won, leads)
    after = float(found.points[place])
    low, high = float(found.low[place]), float(found.high[place])
    return Ground(
        rule=number.rule,
        label=number.label,
        group=number.group,
        before=number.points,
        after=after,
        low=low,
        high=high,
        leads=leads,
        won=won,
        rate=rate,
        lift=Figure(*(each / base for each in (rate.value, rate.low, rate.high))),
        worth=_worth(leads, people, number.points, after, low, high),
    )


def _worth(  # noqa: PLR0917 - all of one judgement
    leads: int, of: int, before: float, after: float, low: float, high: float
) -> Worth:
    if leads in {0, of}:
        return "cannot be learnt"
    if before and not after:
        return "earns nothing"
    return "earns them" if low > 0 or high < 0 else "not proven"


def wilson(won: int, leads: int) -> Figure:
    """Return a share with its 95 % interval (Wilson's)."""
    from scipy.stats import binomtest  # noqa: PLC0415 - heavy

    if not leads:
        return Figure(0.0, 0.0, 1.0)
    interval = binomtest(won, leads).proportion_ci(0.95, method="wilson")
    return Figure(won / leads, float(interval.low), float(interval.high))


def idle_rules(found: Sequence[Ground]) -> list[str]:
    """Return the rules none of whose numbers is proven: they do not earn their points.

    One that everybody has, or nobody, is not judged.
    """
    rules: dict[str, list[Ground]] = {}
    for each in found:
        rules.setdefault(each.rule, []).append(each)
    return [
        rule
        for rule, all_of_it in rules.items()
        if any(each.worth != "cannot be learnt" for each in all_of_it)
        and all(each.worth != "earns them" for each in all_of_it)
    ]


def suggestions(
    model: CompiledModel,
    examples: Sequence[Example],
    design: Design,
    found: Recalibrated,
) -> list[Suggestion]:
    """Return properties that no rule reads, and that would tell more than chance.

    Each is held against what the recalibrated model expects already (a score test, in
    which the decisions on a lead stand for one another); of those told, one in a
    hundred may be chance (Benjamini and Hochberg).
    """
    from scipy.stats import false_discovery_control, norm  # noqa: PLC0415 - heavy

    expected = chances(design, found.fit, design)
    counts = design.weight
    weight = counts * expected * (1 - expected)
    off = counts * (design.won - expected)
    _, member = np.unique(design.leads, return_inverse=True)
    candidates: list[Suggestion] = []
    for name, value, has in _properties(model, examples):
        mine = design.firsts(has)
        leads = int(mine.sum())
        if leads < _COMMON or counts[~has].sum() < _COMMON:
            continue
        centred = has - (weight @ has) / weight.sum()
        information = float(weight @ centred**2)
        if information <= 0:
            continue
        score = float(off @ centred)
        apart = np.sqrt((np.bincount(member, off * centred) ** 2).sum())
        sure = abs(score) / max(float(apart), float(np.sqrt(information)))
        candidates.append(
            Suggestion(
                property=name,
                value=value,
                leads=leads,
                won=int((mine & design.won).sum()),
                expected=float(expected[mine].sum()),
                points=round(score / information * found.per_logit),
                p_value=float(2 * norm.sf(sure)),
            )
        )
    if not candidates:
        return []
    adjusted = false_discovery_control([each.p_value for each in candidates])
    told = [
        each
        for each, chance in zip(candidates, adjusted, strict=True)
        if chance < _FALSE and each.points
    ]
    return sorted(told, key=lambda each: each.p_value)[:_SHOWN]


def _properties(
    model: CompiledModel, examples: Sequence[Example]
) -> Iterator[tuple[str, str, Flags]]:
    """Yield the properties that no rule reads: name, value, who has it."""
    known = Known(examples)
    read = {*model.read_traits, *known.rules}
    for name, texts in known.texts.items():
        if name in read:
            continue
        column = np.array(texts, object)
        values = np.unique(column.astype(str))
        if len(values) <= _MANY:
            for value in values:
                yield name, value or "not known", column == value
    for name, numbers in known.numbers.items():
        if name not in read:
            yield from _bins(name, numbers)


def _bins(name: str, numbers: Floats) -> Iterator[tuple[str, str, Flags]]:
    there = ~np.isnan(numbers)
    if not there.any():
        return
    bounds = np.unique(np.quantile(numbers[there], np.linspace(0, 1, _BINS + 1)[1:-1]))
    for bound in bounds:
        yield name, f"≥ {bound:g}", there & (numbers >= bound)
    if not there.all():
        yield name, "not known", ~there
