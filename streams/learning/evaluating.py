"""Evaluation: a model and what could be in its place, on leads they did not see."""

from collections.abc import Callable, Iterator, Sequence
from typing import Final

import msgspec
import numpy as np

from schemas.time import Instant
from scorers.compiled import CompiledModel
from scorers.snapshots import Example
from streams.errors import UserError
from streams.learning.contenders import (
    BOOSTING,
    NAIVE_BAYES,
    NAIVE_BAYES_BY_AGE,
    Known,
    contenders,
)
from streams.learning.design import Design, Flags, Floats, Whole, design_of
from streams.learning.foretold import Figure
from streams.learning.funnels import Split
from streams.learning.measuring import (
    Quality,
    difference,
    quality,
)
from streams.learning.points import best_strength, recalibrate
from streams.learning.proposals import propose, read_or_reckoned

PRESENT: Final = "points as they are"
RECALIBRATED: Final = "recalibrated points"
FOLDS: Final = 5
SETTLED: Final = 0.9
"""The share of outcomes that must have had time to come."""
LEAST: Final = 50
"""Leads of either kind without which no figure is worth anything."""


class TooFewError(UserError):
    """There are not enough outcomes to learn from."""


class Evaluation(msgspec.Struct, frozen=True, kw_only=True):
    """How good each way of telling is, on leads that it did not learn from."""

    dataset: str
    model: str
    split: Split
    examples: int
    won: int
    open: int
    """Leads that are still open: nothing is learnt from them."""
    qualities: dict[str, Quality]
    share_of_ceiling: float
    """The AUC of the recalibrated points as a share of gradient boosting's."""
    over_naive_bayes: Figure
    """By how much the recalibrated points' AUC beats naive Bayes'."""
    over_present: Figure
    over_naive_bayes_by_age: Figure | None = None
    """The same where it is told for how long each had been known; None if nobody is."""


class Held(msgspec.Struct):
    """Chances of examples that were not learnt from."""

    rows: np.ndarray
    chance: dict[str, Floats]
    folds: Whole | None = None
    """In which fold of time each is; None where leads of all folds are comparable."""

    def standing(self, name: str) -> Floats:
        """Return which share of its fold each example is ranked above."""
        from scipy.stats import rankdata  # noqa: PLC0415 - heavy

        chance = self.chance[name]
        if self.folds is None:
            return chance
        found = np.empty(len(chance))
        for fold in np.unique(self.folds):
            mine = self.folds == fold
            found[mine] = rankdata(chance[mine]) / mine.sum()
        return found


def decided(examples: Sequence[Example]) -> list[Example]:
    """Return the examples of which it is known what became of them.

    Raises
    ------
    TooFewError
        When too few were won, or too few were not.
    """
    known = [each for each in examples if each.verdict is not None]
    won = sum(bool(each.verdict and each.verdict.won) for each in known)
    if min(won, len(known) - won) < LEAST:
        msg = (
            f"{won:,} of {len(known):,} decided leads were won; at least {LEAST} that "
            f"were and {LEAST} that were not are needed"
        )
        raise TooFewError(msg)
    return known


def evaluate(
    dataset: str,
    text: str,
    model: CompiledModel,
    examples: Sequence[Example],
    *,
    split: Split = "cross-validated",
    report: Callable[[str], None] = lambda _: None,
) -> tuple[Evaluation, Held, Flags]:
    """Return how the model, its recalibrated points and the others compare.

    Raises
    ------
    TooFewError
        When there are not enough outcomes.
    """
    known = decided(examples)
    design = design_of(model, known)
    held = _held(text, design, known, split, report)
    won = design.won[held.rows]
    report("intervals")
    leads, folds = design.leads[held.rows], held.folds
    qualities = {
        name: quality(chance, chance, won, leads=leads, folds=folds)
        for name, chance in held.chance.items()
    }
    recalibrated = held.chance[RECALIBRATED]
    return (
        Evaluation(
            dataset=dataset,
            model=f"{model.ref.name} {model.ref.version}",
            split=split,
            examples=len(known),
            won=int(design.won.sum()),
            open=len({e.snapshot.lead_id for e in examples if e.verdict is None}),
            qualities=qualities,
            share_of_ceiling=qualities[RECALIBRATED].auc.value
            / qualities[BOOSTING].auc.value,
            over_naive_bayes=difference(
                recalibrated, held.chance[NAIVE_BAYES], won, leads=leads, folds=folds
            ),
            over_present=difference(
                recalibrated, held.chance[PRESENT], won, leads=leads, folds=folds
            ),
            over_naive_bayes_by_age=difference(
                recalibrated,
                held.chance[NAIVE_BAYES_BY_AGE],
                won,
                leads=leads,
                folds=folds,
            )
            if NAIVE_BAYES_BY_AGE in held.chance
            else None,
        ),
        held,
        won,
    )


def _held(
    text: str,
    design: Design,
    known: Sequence[Example],
    split: Split,
    report: Callable[[str], None],
) -> Held:
    from threadpoolctl import threadpool_limits  # noqa: PLC0415 - heavy

    others = Known(known)
    strength: float | None = None
    rows: list[np.ndarray] = []
    chance: dict[str, list[Floats]] = {}

    def keep(name: str, means: Floats) -> None:
        chance.setdefault(name, []).append(means)

    # A core that somebody else is busy on makes many threads wait for one another.
    with threadpool_limits(1):
        for fold, (learn, judge) in enumerate(folds_of(design, split), start=1):
            of = f"fold {fold} of {FOLDS}"
            part = design.only(learn)
            rows.append(judge)
            keep(PRESENT, _meant(part.score, part.won, design.score[judge]))
            report(f"{of}: {RECALIBRATED}")
            if strength is None:
                strength = best_strength(part)
            proposal = propose(text, part, recalibrate(part, strength=strength))
            rest = [known[row] for row in judge]
            read = read_or_reckoned(proposal, design.only(judge), rest).scores
            # Each fold has a scale of its own; what a score means there is the same.
            keep(RECALIBRATED, _meant(proposal.scores, part.won, read))
            for name, predict in contenders(others, design.won):
                report(f"{of}: {name}")
                keep(name, predict(learn, judge))
    return Held(
        rows=np.concatenate(rows),
        chance={name: np.concatenate(each) for name, each in chance.items()},
        folds=np.repeat(np.arange(len(rows)), [len(each) for each in rows])
        if split == "time-ordered"
        else None,
    )


def folds_of(design: Design, split: Split) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield which examples to learn from and which to judge by.

    A lead is never in both. Ordered by time, nothing is learnt from what comes later,
    nor from leads whose outcome was not known yet when the first to judge came.
    """
    from sklearn.model_selection import (  # noqa: PLC0415 - heavy
        StratifiedGroupKFold,
        TimeSeriesSplit,
    )

    if split == "cross-validated":
        chosen = StratifiedGroupKFold(FOLDS, shuffle=True, random_state=7)
        yield from chosen.split(design.units, design.won, design.leads)
        return
    names, member = np.unique(design.leads, return_inverse=True)
    began = np.full(len(names), np.iinfo(np.int64).max)
    np.minimum.at(began, member, design.at)
    order = np.argsort(began, kind="stable")
    for learn, judge in TimeSeriesSplit(FOLDS).split(order):
        learnt = np.flatnonzero(np.isin(member, order[learn]))
        judged = np.flatnonzero(np.isin(member, order[judge]))
        ready = ready_by(design, learnt, int(design.at[judged].min()))
        if _both(design.won[ready]):
            yield ready, judged


def ready_by(design: Design, rows: np.ndarray, at: Instant) -> np.ndarray:
    """Return which of `rows` could be learnt from at an instant.

    What became of them was known. Of the latest only what ends soon has ended, which is
    won more often or less than others: they are left out where enough remain.
    """
    over: np.ndarray = rows[design.ended[rows] <= at]
    if not len(over):
        return over
    lasted = np.quantile((design.ended - design.at)[over], SETTLED)
    settled: np.ndarray = over[design.at[over] <= at - lasted]
    if len(settled) >= len(over) / 2 and _both(design.won[settled]):
        return settled
    return over


def _both(won: Flags) -> bool:
    return bool(won.any() and not won.all())


def _meant(learnt: Floats, won: Flags, scores: Floats) -> Floats:
    """Return the chance that each of `scores` means, as those who were learnt from."""
    from sklearn.linear_model import LogisticRegression  # noqa: PLC0415 - heavy

    meaning = LogisticRegression(C=1e6).fit(learnt[:, None] / 10, won)
    return np.asarray(meaning.predict_proba(scores[:, None] / 10)[:, 1])
