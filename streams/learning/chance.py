"""P(won): what a score means, with intervals, and whether it goes on meaning it."""

from collections.abc import Sequence
from typing import Any, Final

import msgspec
import numpy as np

from scorers.snapshots import Example
from streams.learning.design import Design, Flags, Floats
from streams.learning.drift import Watch, watched
from streams.learning.evidence import wilson
from streams.learning.foretold import Figure
from streams.learning.measuring import DRAWS, Names, resamples

_BANDS: Final = 10
_CROWD: Final = 20
_RANDOM: Final = 7
_PRIOR: Final = 4.0
"""How firmly segments are drawn to what all leads say: a variance of 1/4."""
_MOST_SEGMENTS: Final = 40


class Band(msgspec.Struct, frozen=True, kw_only=True):
    """What scores of a band mean."""

    low: float
    high: float
    leads: int
    won: int
    chance: Figure
    """P(won), never falling with the score, and its interval."""


class Segment(msgspec.Struct, frozen=True, kw_only=True):
    """How much oftener than their score says a segment's leads are won."""

    name: str
    leads: int
    won: int
    expected: float
    """What the score alone foretells."""
    odds: Figure
    """Odds as a multiple of what the score says, drawn to 1 where little is known."""


class Rolling(msgspec.Struct, frozen=True, kw_only=True):
    """Test, then train: figures of predictions made before each outcome was known."""

    at: tuple[int, ...]
    log_loss: tuple[float, ...]
    auc: tuple[float, ...]
    brier: tuple[float, ...]
    drifts: tuple[int, ...]
    """When scores began to mean something else."""


class Chances(msgspec.Struct, frozen=True, kw_only=True):
    """What scores mean."""

    bands: tuple[Band, ...]
    reliability: tuple[tuple[float, float, float, float], ...]
    """Of held-out leads: foretold, won in fact, and that share's interval."""
    by_score: float
    """Log loss of the isotonic reading of the score, held out."""
    by_groups: float
    """Log loss of the logistic regression on the groups, held out."""
    best: str
    base: float
    """Log loss of saying the base rate of everybody."""
    segments: dict[str, tuple[Segment, ...]]
    rolling: Rolling


def chances_of(design: Design, examples: Sequence[Example]) -> Chances:
    """Return what the scores of `examples` mean."""
    from sklearn.metrics import log_loss  # noqa: PLC0415 - heavy

    by_score, by_groups, judged = _held_out(design, examples)
    won = design.won[judged]
    losses = [
        float(log_loss(won, each, labels=[False, True]))
        for each in (by_score, by_groups)
    ]
    best = "isotonic on the score" if losses[0] <= losses[1] else "logistic on groups"
    base = np.full(len(won), design.won.mean())
    return Chances(
        bands=bands_of(design),
        reliability=reliability_of(
            by_score if losses[0] <= losses[1] else by_groups,
            won,
            design.leads[judged],
        ),
        by_score=losses[0],
        by_groups=losses[1],
        best=best,
        base=float(log_loss(won, base, labels=[False, True])),
        segments={
            name: found
            for name in ("owner", "lead_source", "industry", "region")
            if (found := segments_of(design, examples, name))
        },
        rolling=rolling_of(design, examples),
    )


def isotonic(scores: Floats, won: Flags | Floats, weight: Floats | None = None) -> Any:
    """Return scikit-learn's isotonic reading of `scores`."""
    from sklearn.isotonic import IsotonicRegression  # noqa: PLC0415 - heavy

    reading = IsotonicRegression(y_min=0.0005, y_max=0.9995, out_of_bounds="clip")
    return reading.fit(scores, won.astype(float), sample_weight=weight)


def _held_out(
    design: Design, examples: Sequence[Example]
) -> tuple[Floats, Floats, np.ndarray]:
    from sklearn.linear_model import LogisticRegression  # noqa: PLC0415 - heavy
    from sklearn.model_selection import StratifiedGroupKFold  # noqa: PLC0415 - heavy

    groups = groups_of(design, examples)
    by_score, by_groups, rows = [], [], []
    folds = StratifiedGroupKFold(5, shuffle=True, random_state=_RANDOM)
    for learn, judge in folds.split(groups, design.won, design.leads):
        reading = isotonic(design.score[learn], design.won[learn])
        by_score.append(np.asarray(reading.predict(design.score[judge])))
        regression = LogisticRegression(max_iter=1_000)
        regression.fit(groups[learn], design.won[learn])
        by_groups.append(np.asarray(regression.predict_proba(groups[judge])[:, 1]))
        rows.append(judge)
    return np.concatenate(by_score), np.concatenate(by_groups), np.concatenate(rows)


def groups_of(design: Design, examples: Sequence[Example]) -> Floats:
    """Return what each group gave, in tens of points."""
    names = design.bounds.names
    return (
        np.array(
            [
                [each.snapshot.groups.get(name, 0.0) for name in names]
                for each in examples
            ]
        )
        / 10
    )


def reliability_of(
    chance: Floats, won: Flags, leads: Names, bins: int = _BANDS
) -> tuple[tuple[float, float, float, float], ...]:
    """Return foretold chances against what happened, in bins of equal size.

    Intervals count leads: several decisions on one tell no more than the first.
    """
    found = []
    for rows in np.array_split(np.argsort(chance, kind="stable"), bins):
        if len(rows):
            share, many = float(won[rows].mean()), len(np.unique(leads[rows]))
            around = wilson(round(share * many), many)
            found.append((float(chance[rows].mean()), share, around.low, around.high))
    return tuple(found)


def bands_of(design: Design) -> tuple[Band, ...]:
    """Return the bands of the score, by resampling with their intervals."""
    bounds = np.arange(0, 101, 100 // _BANDS)
    place = np.clip(np.searchsorted(bounds, design.score, side="right") - 1, 0, 9)
    levels, cell = np.unique(design.score, return_inverse=True)
    drawn = np.array(
        [
            _level_chances(levels, cell, design.won, counted)
            for counted in resamples(
                len(design), design.leads, draws=DRAWS // 2, seed=_RANDOM
            )
        ]
    )
    middle = _level_chances(levels, cell, design.won, np.ones(len(design)))
    found = []
    for band in range(_BANDS):
        mine = place == band
        if not mine.any():
            continue
        weights = np.bincount(cell[mine], minlength=len(levels)) / mine.sum()
        low, high = np.quantile(drawn @ weights, [0.025, 0.975])
        found.append(
            Band(
                low=float(bounds[band]),
                high=float(bounds[band + 1]),
                leads=int(mine.sum()),
                won=int((mine & design.won).sum()),
                chance=Figure(float(middle @ weights), float(low), float(high)),
            )
        )
    return tuple(found)


def _level_chances(
    levels: Floats, cell: np.ndarray, won: Flags, weight: Floats
) -> Floats:
    total = np.bincount(cell, weight, minlength=len(levels))
    wins = np.bincount(cell, weight * won, minlength=len(levels))
    share = np.divide(wins, total, out=np.zeros(len(levels)), where=total > 0)
    kept = total > 0
    reading = isotonic(levels[kept], share[kept], total[kept].astype(float))
    return np.asarray(reading.predict(levels))


def segments_of(
    design: Design, examples: Sequence[Example], name: str
) -> tuple[Segment, ...]:
    """Return how segments differ from what their leads' scores say.

    Each moves its leads' log odds by one number, whose prior is that it moves nothing.
    """
    values = np.array([str(each.snapshot.known.get(name, "")) for each in examples])
    names, members = np.unique(values[values != ""], return_counts=True)
    names = names[np.argsort(-members)][:_MOST_SEGMENTS]
    if len(names) < 2:  # noqa: PLR2004 - one segment is no segment
        return ()
    reading = isotonic(design.score, design.won)
    expected = np.clip(reading.predict(design.score), 0.005, 0.995)
    counts = design.weight
    found = []
    for segment in names:
        mine = values == segment
        weight, won = counts[mine], design.won[mine]
        found.append(
            Segment(
                name=str(segment),
                leads=round(float(weight.sum())),
                won=round(float(weight @ won)),
                expected=float(weight @ expected[mine]),
                odds=_beyond(expected[mine], won, weight),
            )
        )
    return tuple(found)


def _beyond(expected: Floats, won: Flags, weight: Floats) -> Figure:
    """Return by what odds are multiplied that `expected` stands for, as a rule."""
    from scipy.optimize import brentq  # noqa: PLC0415 - heavy
    from scipy.special import expit, logit  # noqa: PLC0415 - heavy

    odds = logit(expected)

    def pulled(shift: float) -> float:
        return float(weight @ (won - expit(odds + shift))) - _PRIOR * shift

    middle = float(brentq(pulled, -20.0, 20.0))
    chance = expit(odds + middle)
    spread = 1.96 / float(np.sqrt(weight @ (chance * (1 - chance)) + _PRIOR))
    return Figure(
        float(np.exp(middle)),
        float(np.exp(middle - spread)),
        float(np.exp(middle + spread)),
    )


def rolling_of(design: Design, examples: Sequence[Example]) -> Rolling:
    """Return how predictions did that were made before each outcome was known.

    river's logistic regression learns lead by lead, in the order of the outcomes, and
    is asked before it is told. Drift is told by what scores meant before it.
    """
    river = _river()

    online = river.preprocessing.StandardScaler() | (
        river.linear_model.LogisticRegression()
    )
    window = 500
    loss = river.utils.Rolling(river.metrics.LogLoss, window)
    brier = river.utils.Rolling(river.metrics.MSE, window)
    auc = river.metrics.RollingROCAUC(window)
    watch, judged = Watch(), watched(design)
    names = design.bounds.names
    step = max(len(design) // 200, 1)
    at, losses, briers, aucs, drifts = [], [], [], [], []
    for number, row in enumerate(np.argsort(design.ended, kind="stable")):
        shot = examples[row].snapshot
        known = {name: shot.groups.get(name, 0.0) for name in names}
        known["score"] = shot.score
        won = bool(design.won[row])
        chance = online.predict_proba_one(known).get(True, 0.5)
        online.learn_one(known, won)
        loss.update(won, {True: chance, False: 1 - chance})
        brier.update(float(won), chance)
        auc.update(won, {True: chance, False: 1 - chance})
        if judged[row] and watch.heard(shot.score, won=won):
            drifts.append(int(design.ended[row]))
        if number >= _CROWD and number % step == 0:
            at.append(int(design.ended[row]))
            losses.append(float(loss.get()))
            briers.append(float(brier.get()))
            aucs.append(float(auc.get()))
    return Rolling(
        at=tuple(at),
        log_loss=tuple(losses),
        auc=tuple(aucs),
        brier=tuple(briers),
        drifts=tuple(drifts),
    )


def _river() -> Any:
    """Return river, whose own types cannot be relied upon."""
    import river  # noqa: PLC0415 - heavy
    from river import (  # noqa: F401, PLC0415 - so that they are there
        linear_model,
        metrics,
        preprocessing,
        utils,
    )

    return river


def captured(design: Design, capacity: int, span: int) -> Figure:
    """Return which share of the won one meets by working the best of each `span`.

    A lead takes one of the `capacity` places however often it is decided about in a
    span, and is met when it has one in any; who is level shares the last places.
    """
    leads, member = np.unique(design.leads, return_inverse=True)
    met, won = np.zeros(len(leads)), np.zeros(len(leads), np.bool_)
    won[member[design.won]] = True
    places = design.at // span
    for place in np.unique(places):
        mine = np.flatnonzero(places == place)
        who, inner = np.unique(member[mine], return_inverse=True)
        best = np.zeros(len(who))
        np.maximum.at(best, inner, design.score[mine])
        _, level, many = np.unique(-best, return_inverse=True, return_counts=True)
        before = np.cumsum(many) - many
        share = np.clip((capacity - before) / many, 0.0, 1.0)[level]
        met[who] = np.maximum(met[who], share)
    total, wins = int(won.sum()), float(met[won].sum())
    around = wilson(round(wins), total)
    return Figure(wins / max(total, 1), around.low, around.high)
