"""Recalibration: points moved by what became of people, and rounded for people.

A logistic regression on what each number of the model gave, with three differences: it
is drawn towards the points that somebody wrote (the prior), no rule changes its sign,
and what comes out is rounded to numbers that a person would choose. scikit-learn has
neither priors nor signs, so the likelihood is minimised with scipy.
"""

from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from streams.learning.design import Bounds, Design, Flags, Floats
from streams.learning.measuring import Cells

NICE: Final = np.array(
    [*range(11), 12, 15, 18, 20, 25, 30, 35, 40, 45, 50, 60, 70, 80, 90, 100], float
)
"""Sizes of points that a person chooses."""

STRENGTHS: Final = (1.0, 3.0, 10.0, 30.0, 100.0)
"""How firmly to hold on to the present points, tried one after the other."""

_PER_LOGIT: Final = (5.0, 6.0, 7.0, 8.0, 10.0, 12.0, 15.0)
"""Points for a factor e in the odds: the larger, the finer and the wider the scale."""

_SLOPE: Final = 0.1
"""What a point is taken for in the odds where the present score says nothing."""
_CONSTANT: Final = 0.999
_OUTSIDE: Final = 0.005
_GOOD_ENOUGH: Final = 0.0007
_BEST: Final = 100.0
_SAMPLE: Final = 200_000
"""Examples by which a scale is chosen."""


@dataclass(frozen=True, slots=True)
class Fit:
    """Log odds per number, as the outcomes and the prior together want them."""

    intercept: float
    weights: Floats
    spread: Floats
    """The standard error of each weight, the prior counted."""
    prior: Floats
    strength: float


@dataclass(frozen=True, slots=True)
class Recalibrated:
    """New points, and the caps and floors that let them count."""

    points: Floats
    low: Floats
    """Where the interval of each begins, in points, before rounding."""
    high: Floats
    bounds: Bounds
    per_logit: float
    fit: Fit


def recalibrate(
    design: Design, *, strength: float | None = None, folds: int = 3
) -> Recalibrated:
    """Return the points that the outcomes of `design` ask for.

    Raises
    ------
    ValueError
        When nobody, or everybody, was won.
    """
    if design.won.all() or not design.won.any():
        msg = "needs leads that were won and leads that were not"
        raise ValueError(msg)
    chosen = best_strength(design, folds=folds) if strength is None else strength
    fit = fitted(design, chosen)
    return rounded(design, fit)


def fitted(design: Design, strength: float) -> Fit:
    """Return the regularised, sign-constrained fit of `design`."""
    from scipy.optimize import minimize  # noqa: PLC0415 - heavy
    from scipy.special import expit  # noqa: PLC0415 - heavy

    units = _felt(design)
    slope = _slope(design)
    prior = slope * design.points
    offset = slope * (design.fixed * design.kept).sum(axis=1)
    won = design.won.astype(np.float64)
    counts = design.weight
    size = float(counts.sum())

    def loss(at: Floats) -> tuple[float, Floats]:
        odds = at[0] + offset + units @ at[1:]
        gap = at[1:] - prior
        missed = np.logaddexp(0.0, odds) - won * odds
        off = counts * (expit(odds) - won)
        slopes = np.concatenate(([off.sum()], units.T @ off + strength * gap))
        total = counts @ missed + strength * (gap @ gap) / 2
        return float(total) / size, slopes / size

    signs = np.array([number.sign for number in design.numbers])
    limits = [(None, None)] + [
        (0.0 if sign > 0 else None, 0.0 if sign < 0 else None) for sign in signs
    ]
    start = np.concatenate(
        ([_logit(float(counts @ won) / size) - (units @ prior).mean()], prior)
    )
    found = minimize(
        loss,
        start,
        jac=True,
        bounds=limits,
        method="L-BFGS-B",
        options={"maxiter": 500, "maxfun": 2_000, "ftol": 1e-10},
    )
    weights = found.x[1:]
    chance = expit(found.x[0] + offset + units @ weights)
    return Fit(
        intercept=float(found.x[0]),
        weights=weights,
        spread=_spread(units, counts * chance * (1 - chance), strength),
        prior=prior,
        strength=strength,
    )


def _spread(units: Floats, weight: Floats, strength: float) -> Floats:
    """Return the standard errors at the optimum (Laplace), the intercept left free."""
    lifted = np.column_stack((np.ones(len(units)), units))
    curvature = lifted.T @ (lifted * weight[:, None])
    curvature[np.diag_indices_from(curvature)] += [1e-9, *[strength] * units.shape[1]]
    return np.sqrt(np.diag(np.linalg.inv(curvature))[1:])


def _slope(design: Design) -> float:
    """Return what a point of the present score is in the log odds."""
    from sklearn.linear_model import LogisticRegression  # noqa: PLC0415 - heavy

    plain = LogisticRegression(C=1e6)
    plain.fit(design.score[:, None] / 10, design.won, sample_weight=design.weight)
    found = float(plain.coef_[0, 0]) / 10
    return found if found > _SLOPE / 10 else _SLOPE / 3


def _logit(share: float) -> float:
    return float(np.log(share / (1 - share)))


def best_strength(design: Design, *, folds: int = 3, seed: int = 7) -> float:
    """Return the strength of the prior that foretells best what it has not seen."""
    from sklearn.metrics import log_loss  # noqa: PLC0415 - heavy
    from sklearn.model_selection import StratifiedGroupKFold  # noqa: PLC0415 - heavy

    split = StratifiedGroupKFold(folds, shuffle=True, random_state=seed)
    rows = _sample(design, seed)
    small = design.only(rows)
    losses = dict.fromkeys(STRENGTHS, 0.0)
    for learn, judge in split.split(small.units, small.won, small.leads):
        part, rest = small.only(learn), small.only(judge)
        if part.won.all() or not part.won.any():
            continue
        for strength in STRENGTHS:
            fit = fitted(part, strength)
            losses[strength] += log_loss(
                rest.won,
                chances(rest, fit, part),
                labels=[False, True],
                sample_weight=rest.weight,
            )
    return min(losses, key=losses.__getitem__)


def chances(design: Design, fit: Fit, of: Design) -> Floats:
    """Return P(won) of every example by a fit that was made `of` another design."""
    from scipy.special import expit  # noqa: PLC0415 - heavy

    offset = _slope(of) * (design.fixed * design.kept).sum(axis=1)
    return np.asarray(expit(fit.intercept + offset + _felt(design) @ fit.weights))


def _felt(design: Design) -> Floats:
    """Return how often each number counted, less what dormancy took of its group."""
    felt: Floats = design.units * design.kept[:, design.group_of]
    return felt


def _sample(design: Design, seed: int) -> np.ndarray:
    if len(design) <= _SAMPLE:
        return np.arange(len(design))
    drawn = np.random.default_rng(seed).choice(len(design), _SAMPLE, replace=False)
    return np.sort(drawn)


def nice(points: Floats) -> Floats:
    """Return `points` as a person would write them.

    >>> nice(np.array([0.3, -2.6, 13.8, 55.5, 230.0])).tolist()
    [0.0, -3.0, 15.0, 60.0, 100.0]
    """
    sizes = np.abs(points)[:, None]
    chosen = NICE[np.abs(sizes - NICE[None, :]).argmin(axis=1)]
    return np.asarray(np.sign(points) * chosen + 0.0)


def rounded(design: Design, fit: Fit) -> Recalibrated:
    """Return the fit in points: the smallest scale that ranks as well as any.

    A rule that everybody has cannot be learnt; it lifts all scores so far that those
    below zero show.
    """
    rows = _sample(design, 11)
    small = design.only(rows)
    base = _base(small)
    found: list[tuple[float, float, Recalibrated]] = []
    for per_logit in _PER_LOGIT:
        points = nice(fit.weights * per_logit)
        if base is not None:
            points = _lifted(small, points, base)
        bounds = _bounds(small, points)
        scores = np.round(small.scored(points, bounds))
        cells = Cells(scores, scores, small.won)
        around = 1.96 * fit.spread * per_logit
        found.append(
            (
                cells.auc(cells.weights()),
                per_logit,
                Recalibrated(
                    points=points,
                    low=fit.weights * per_logit - around,
                    high=fit.weights * per_logit + around,
                    bounds=bounds,
                    per_logit=per_logit,
                    fit=fit,
                ),
            )
        )
    best = max(auc for auc, _, _ in found)
    return next(each for auc, _, each in found if auc >= best - _GOOD_ENOUGH)


def _base(design: Design) -> int | None:
    """Return the number that counts once for everybody, if there is one."""
    everybody = (design.units == 1.0).mean(axis=0) >= _CONSTANT
    for place in np.flatnonzero(everybody):
        if design.numbers[place].sign > 0:
            return int(place)
    return None


def _lifted(design: Design, points: Floats, base: int) -> Floats:
    lifted = points.copy()
    lifted[base] = 0.0
    totals = design.sums(lifted).sum(axis=1)
    low, high = np.quantile(totals, [_OUTSIDE, 1 - _OUTSIDE])
    wanted = min(max(0.0, -low), max(0.0, _BEST - high))
    lifted[base] = float(NICE[np.searchsorted(NICE, min(wanted, _BEST))])
    return lifted


def _bounds(design: Design, points: Floats) -> Bounds:
    """Return caps and floors that are never tighter, and let the points count."""
    sums = design.sums(points)
    high, low = sums.max(axis=0), sums.min(axis=0)
    caps = tuple(
        float(max(cap, min(_BEST, np.ceil(top))))
        for cap, top in zip(design.bounds.caps, high, strict=True)
    )
    floors = tuple(
        float(min(floor, max(-_BEST, np.floor(bottom))))
        for floor, bottom in zip(design.bounds.floors, low, strict=True)
    )
    return replace(design.bounds, caps=caps, floors=floors)


def rates(flags: Flags, won: Flags) -> tuple[int, int]:
    """Return how many there are, and how many of them were won."""
    return int(flags.sum()), int((flags & won).sum())
