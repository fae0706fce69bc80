"""Whether anything that is known beforehand tells who buys in Maven's pipeline.

    python -m bench.pipeline_signal tried --data leads/maven_crm
    python -m bench.pipeline_signal shuffled --data leads/maven_crm --draws 20

`tried`: other things that were known when work on a deal began (how sellers, managers,
companies and products had done by then; the calendar), by logistic regression and by
shallow boosting: the future by the past, AUC within folds, and what it has over naive
Bayes on the columns of the table.
`shuffled`: what gradient boosting comes to where outcomes are dealt out anew within
each month, beside what it comes to with the true ones.
"""

import argparse
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegressionCV
from sklearn.model_selection import TimeSeriesSplit
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits

from schemas.time import DAY, to_datetime
from scorers.snapshots import Example
from streams.learning.contenders import BOOSTING, NAIVE_BAYES, Known, contenders
from streams.learning.design import Design, Flags, Floats, Whole, design_of
from streams.learning.evaluating import decided, folds_of
from streams.learning.measuring import difference, quality
from streams.learning.sources import source_of

KEYS = ("owner", "manager", "company", "product")
Fit = Callable[[np.ndarray, np.ndarray], Floats]


def calendar(examples: list[Example]) -> Floats:
    """Return weekday, day of month and of quarter, and how many deals began lately."""
    at = np.array([each.snapshot.at for each in examples])
    begun = np.sort(at)
    rows = []
    for instant in at:
        day = to_datetime(int(instant))
        quarter = (day.month - 1) % 3 * 30.5 + day.day
        wave = 2 * np.pi * quarter / 91.5
        lately = [
            np.searchsorted(begun, instant) - np.searchsorted(begun, instant - span)
            for span in (7 * DAY, 28 * DAY)
        ]
        rows.append(
            [
                *(float(day.weekday() == each) for each in range(7)),
                day.day,
                quarter,
                *(f(k * wave) for f in (np.sin, np.cos) for k in (1, 2)),
                *lately,
            ]
        )
    return np.array(rows, float)


def history(examples: list[Example], design: Design) -> Floats:
    """Return how those behind each deal had done by then, and how busy they were."""
    columns = []
    for keys in (*((key,) for key in KEYS), ("owner", "product")):
        deals: dict[tuple[str, ...], list[int]] = defaultdict(list)
        names = [
            tuple(str(each.snapshot.known.get(key)) for key in keys)
            for each in examples
        ]
        for row, name in enumerate(names):
            deals[name].append(row)
        for span in (90 * DAY, 10_000 * DAY):
            column = np.empty((len(examples), 3))
            for row, name in enumerate(names):
                mine, at = np.array(deals[name]), design.at[row]
                over = design.ended[mine] <= at
                counted = mine[over & (design.ended[mine] > at - span)]
                wins = float(design.won[counted].sum())
                column[row] = (
                    (wins + 2.5) / (len(counted) + 5),
                    len(counted),
                    int((~over & (design.at[mine] < at)).sum()),
                )
            columns.append(column)
    return np.column_stack(columns)


def regression(table: Floats, won: Flags) -> Fit:
    """Return a logistic regression whose strength the past chooses."""

    def fit(learn: np.ndarray, judge: np.ndarray) -> Floats:
        chosen = LogisticRegressionCV(
            Cs=8,
            cv=TimeSeriesSplit(4),
            scoring="neg_log_loss",
            max_iter=2_000,
            l1_ratios=(0,),
            use_legacy_attributes=False,
        )
        way = make_pipeline(StandardScaler(), chosen).fit(table[learn], won[learn])
        return np.asarray(way.predict_proba(table[judge])[:, 1])

    return fit


def boosting(table: Floats, won: Flags) -> Fit:
    """Return shallow boosting."""

    def fit(learn: np.ndarray, judge: np.ndarray) -> Floats:
        way = HistGradientBoostingClassifier(
            max_depth=2, max_iter=80, learning_rate=0.05, random_state=7
        ).fit(table[learn], won[learn])
        return np.asarray(way.predict_proba(table[judge])[:, 1])

    return fit


def tried(examples: list[Example], design: Design) -> None:
    """Print what each way comes to."""
    ways = dict(contenders(Known(examples), design.won))
    split = list(folds_of(design, "time-ordered"))
    rows = np.concatenate([judge for _, judge in split])
    folds: Whole = np.repeat(np.arange(len(split)), [len(each) for _, each in split])
    won, leads = design.won[rows], design.leads[rows]

    def held(fit: Fit) -> Floats:
        return np.concatenate([fit(learn, judge) for learn, judge in split])

    bayes = held(ways[NAIVE_BAYES])
    told = quality(bayes, bayes, won, leads=leads, folds=folds)
    print(f"{NAIVE_BAYES}: {told.auc}", flush=True)
    past, days = history(examples, design), calendar(examples)
    for name, table in (
        ("how those behind it had done", past),
        ("the calendar", days),
        ("both", np.column_stack((past, days))),
    ):
        for way in (regression, boosting):
            chance = held(way(table, design.won))
            told = quality(chance, chance, won, leads=leads, folds=folds)
            over = difference(chance, bayes, won, leads=leads, folds=folds)
            print(f"{name}; {way.__name__}: {told.auc}, over {over}", flush=True)


def dealt_anew(design: Design, draws: int) -> Iterator[Flags]:
    """Yield the true outcomes, and then others that each month's deals might have."""
    yield design.won
    chosen = np.random.default_rng(7)
    months = [f"{to_datetime(int(at)):%Y-%m}" for at in design.at]
    _, month = np.unique(months, return_inverse=True)
    for _ in range(draws):
        won = design.won.copy()
        for each in range(month.max() + 1):
            mine = np.flatnonzero(month == each)
            won[mine] = chosen.permutation(won[mine])
        yield won


def shuffled(examples: list[Example], design: Design, draws: int) -> None:
    """Print what boosting comes to with outcomes that nothing can tell."""
    known, found = Known(examples), []
    split = list(folds_of(design, "time-ordered"))
    for number, won in enumerate(dealt_anew(design, draws)):
        fit = dict(contenders(known, won))[BOOSTING]
        share = sum(len(judge) for _, judge in split)
        auc = 0.0
        for learn, judge in split:
            chance = fit(learn, judge)
            told = quality(chance, chance, won[judge], draws=1)
            auc += told.auc.value * len(judge) / share
        found.append(auc)
        if not number:
            print(f"true outcomes: AUC {auc:.3f}", flush=True)
    low, high = np.quantile(found[1:], [0.025, 0.975])
    above = np.mean(np.array(found[1:]) >= found[0])
    print(
        f"dealt anew {draws} times: 95 % are between {low:.3f} and {high:.3f}; "
        f"{above:.0%} reach the true outcomes' or more"
    )


def main() -> None:
    """Run one of the two."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=("tried", "shuffled"))
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--draws", type=int, default=20)
    parser.add_argument("--every", type=int, default=0, help="days between looks")
    given = parser.parse_args()
    source = source_of(
        "maven-pipeline",
        model=None,
        data=given.data,
        every=given.every * DAY,
        horizon=None,
        split=None,
    )
    examples = decided(source.examples)
    design = design_of(source.model, examples)
    # A core that somebody else is busy on makes many threads wait for one another.
    with threadpool_limits(1):
        if given.what == "tried":
            tried(examples, design)
        else:
            shuffled(examples, design, given.draws)


if __name__ == "__main__":
    main()
