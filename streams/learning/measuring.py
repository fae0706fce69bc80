"""How good predictions are: AUC, Brier, log loss, lift, each with an interval.

Intervals are percentiles over resampled leads, all examples of a lead together.
Scores have few distinct values, so a resample is a new weight for each of them. Where
examples come in folds of time, leads are ranked among those of their fold: that more
are won in one year than in the next says nothing about whom to call.
"""

from collections.abc import Iterable, Iterator
from typing import Final, TypeVar

import msgspec
import numpy as np
from numpy.typing import NDArray

from streams.learning.design import Flags, Floats, Whole
from streams.learning.foretold import Figure

Names = NDArray[np.str_]
Part = TypeVar("Part")

DRAWS: Final = 400
LEVELS: Final = 1_000
"""Distinct values that are told apart; more make no figure better."""
CONFIDENCE: Final = 0.95
_TINY: Final = 1e-6


class Quality(msgspec.Struct, frozen=True, kw_only=True):
    """How good a way of telling the winners is."""

    auc: Figure
    brier: Figure
    log_loss: Figure
    lift_10: Figure
    """How many times as often as anybody the best 10 % are won."""
    lift_20: Figure
    capture_10: Figure
    """The share of all that are won that is among the best 10 %."""
    capture_20: Figure
    examples: int
    won: int


class Cells:
    """Predictions by their distinct values: how many were won and lost at each."""

    def __init__(self, predicted: Floats, chance: Floats, won: Flags) -> None:
        """Sort `predicted` into levels; `chance` is the probability that each means."""
        levels = np.unique(predicted)
        if len(levels) > LEVELS:
            levels = np.unique(np.quantile(predicted, np.linspace(0, 1, LEVELS)))
        self.levels = levels
        place = np.clip(
            np.searchsorted(levels, predicted, side="right") - 1, 0, len(levels) - 1
        )
        self.cell = place * 2 + won
        count = np.bincount(self.cell, minlength=2 * len(levels))
        both = np.bincount(self.cell, chance, minlength=2 * len(levels))
        self.chance = np.clip(both / np.maximum(count, 1), _TINY, 1 - _TINY)
        self.count = count.astype(np.float64)

    def weights(self, counted: Floats | None = None) -> Floats:
        """Return the weight of each cell when examples count so often."""
        if counted is None:
            return self.count
        return np.bincount(self.cell, counted, minlength=len(self.count)).astype(float)

    def auc(self, weights: Floats) -> float:
        """Return the area under the ROC curve; a half where there is nothing to tell.

        scikit-learn's own would check its input anew for every resample: ten times the
        time. A test holds both to be the same.
        """
        won, lost = np.cumsum(weights[1::2][::-1]), np.cumsum(weights[0::2][::-1])
        if not won[-1] or not lost[-1]:
            return 0.5
        before = np.concatenate(([0.0], won[:-1]))
        steps = np.diff(lost, prepend=0.0)
        return float((steps * (won + before)).sum() / 2 / won[-1] / lost[-1])

    def measures(self, weights: Floats) -> dict[str, float]:
        """Return every measure by its name."""
        won = np.arange(len(weights)) % 2
        total, wins = weights.sum(), weights[1::2].sum()
        brier = float((weights * (self.chance - won) ** 2).sum() / total)
        said = np.where(won == 1, self.chance, 1 - self.chance)
        found = {
            "auc": self.auc(weights),
            "brier": brier,
            "log_loss": float(-(weights * np.log(said)).sum() / total),
        }
        for share in (10, 20):
            captured = self.captured(weights, total * share / 100) / max(wins, _TINY)
            found[f"lift_{share}"] = captured / (share / 100)
            found[f"capture_{share}"] = captured
        return found

    @staticmethod
    def captured(weights: Floats, capacity: float) -> float:
        """Return how many winners are among the best `capacity`; ties share."""
        won, lost = weights[1::2][::-1], weights[0::2][::-1]
        each = won + lost
        before = np.concatenate(([0.0], np.cumsum(each)[:-1]))
        taken = np.clip(capacity - before, 0.0, each)
        share = np.divide(taken, each, out=np.zeros_like(each), where=each > 0)
        return float((share * won).sum())


def quality(
    predicted: Floats,
    chance: Floats,
    won: Flags,
    *,
    leads: Names | None = None,
    folds: Whole | None = None,
    draws: int = DRAWS,
    seed: int = 7,
) -> Quality:
    """Return how well `predicted` ranks and `chance` foretells who was won.

    Decisions on the same of `leads` are not independent: they are resampled together.
    With `folds`, figures are those within each, weighed by its size.
    """
    parts = [
        (rows, Cells(predicted[rows], chance[rows], won[rows]))
        for rows in _apart(folds, len(won))
    ]

    def measured(counted: Floats) -> dict[str, float]:
        found: dict[str, float] = {}
        for share, cells, mine in _drawn(parts, counted):
            told = cells.measures(cells.weights(mine))
            for name, value in told.items():
                found[name] = found.get(name, 0.0) + share * value
        return found

    point = measured(np.ones(len(won)))
    drawn = [
        measured(counted)
        for counted in resamples(len(won), leads, draws=draws, seed=seed)
    ]
    return Quality(
        **{
            name: Figure(value, *_ends([each[name] for each in drawn]))
            for name, value in point.items()
        },
        examples=len(won),
        won=int(won.sum()),
    )


def _apart(folds: Whole | None, size: int) -> list[Whole]:
    """Return the rows of each fold; all in one where there are none."""
    if folds is None:
        return [np.arange(size)]
    return [np.flatnonzero(folds == fold) for fold in np.unique(folds)]


def _drawn(
    parts: Iterable[tuple[Whole, Part]], counted: Floats
) -> Iterator[tuple[float, Part, Floats]]:
    """Yield each part of which leads were drawn: its share, itself, their counts."""
    for rows, part in parts:
        share = float(counted[rows].sum() / counted.sum())
        if share:
            yield share, part, counted[rows]


def counts(chosen: np.random.Generator, size: int) -> Floats:
    """Return how often each of `size` examples is in one resample."""
    picked = chosen.integers(0, size, size)
    return np.bincount(picked, minlength=size).astype(np.float64)


def resamples(
    size: int, leads: Names | None, *, draws: int, seed: int
) -> Iterator[Floats]:
    """Yield how often each example is in each of `draws` resamples of the leads."""
    chosen = np.random.default_rng(seed)
    names, member = (
        (None, None) if leads is None else np.unique(leads, return_inverse=True)
    )
    for _ in range(draws):
        if names is None or len(names) == size:
            yield counts(chosen, size)
        else:
            yield counts(chosen, len(names))[member]


def difference(
    better: Floats,
    worse: Floats,
    won: Flags,
    *,
    leads: Names | None = None,
    folds: Whole | None = None,
    draws: int = DRAWS,
    seed: int = 7,
) -> Figure:
    """Return by how much one ranking's AUC beats the other's, with an interval.

    Both are judged on the same resamples, so what they have in common cancels out.
    With `folds`, leads are ranked within each.
    """
    parts = [
        (
            rows,
            (
                Cells(better[rows], better[rows], won[rows]),
                Cells(worse[rows], worse[rows], won[rows]),
            ),
        )
        for rows in _apart(folds, len(won))
    ]

    def gained(counted: Floats) -> float:
        found = 0.0
        for share, (first, second), mine in _drawn(parts, counted):
            gain = first.auc(first.weights(mine)) - second.auc(second.weights(mine))
            found += share * gain
        return found

    drawn = [
        gained(counted)
        for counted in resamples(len(won), leads, draws=draws, seed=seed)
    ]
    return Figure(gained(np.ones(len(won))), *_ends(drawn))


def _ends(drawn: list[float]) -> tuple[float, float]:
    if not drawn:
        return float("nan"), float("nan")
    rest = (1 - CONFIDENCE) / 2
    low, high = np.quantile(drawn, [rest, 1 - rest])
    return float(low), float(high)
