"""The ways of telling who will be won that a point model is held against.

They see the same leads at the same instants: everything that was known then. Only naive
Bayes, as Odoo computes it, does not know for how long a lead has been known; a second
one does. Their chances are those for leads that they have not learnt from.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final

import numpy as np

from scorers.snapshots import AGE, Example
from streams.learning.design import Flags, Floats

NAIVE_BAYES: Final = "naive Bayes"
NAIVE_BAYES_BY_AGE: Final = "naive Bayes, told the days known"
LOGISTIC: Final = "logistic regression"
BOOSTING: Final = "gradient boosting"

_SMOOTHING: Final = 0.1
"""What Odoo adds to every count."""
_BINS: Final = 5
_COMMON: Final = 10
"""Of a text, values that fewer leads have are one value."""
_VALUES: Final = 100


class Known:
    """What was known of leads, as columns: texts and numbers."""

    def __init__(self, examples: Sequence[Example]) -> None:
        """Gather the columns that are there.

        A training log has few properties; there what each rule gave was known as well.
        """
        rows = [each.snapshot.known for each in examples]
        self.rules: frozenset[str] = frozenset()
        """Columns that are what a rule gave, not a property."""
        if all(each.state is None for each in examples):
            self.rules = frozenset(
                rule for each in examples for rule in each.snapshot.points
            )
            rows = [
                {rule: each.snapshot.points.get(rule, 0.0) for rule in self.rules} | row
                for each, row in zip(examples, rows, strict=True)
            ]
        names = sorted({name for row in rows for name in row})
        self.texts: dict[str, list[str]] = {}
        self.numbers: dict[str, Floats] = {}
        for name in names:
            values = [row.get(name) for row in rows]
            told = [value for value in values if value is not None]
            if all(_is_number(value) for value in told):
                self.numbers[name] = np.array(
                    [np.nan if value is None else float(value) for value in values]
                )
            else:
                self.texts[name] = [_said(value) for value in values]
        self.size = len(rows)

    def categories(self) -> np.ndarray:
        """Return the texts as a table."""
        return _table([np.array(each, object) for each in self.texts.values()], self)

    def measured(self, *, without: str = "") -> Floats:
        """Return the numbers as a table; nan where one is not known."""
        columns = [each for name, each in self.numbers.items() if name != without]
        found: Floats = _table(columns, self).astype(np.float64)
        return found


def _table(columns: list[Any], known: Known) -> np.ndarray:
    return np.column_stack(columns) if columns else np.empty((known.size, 0))


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _said(value: Any) -> str:
    return "" if value is None else str(value)


Predict = Callable[[np.ndarray, np.ndarray], Floats]
"""Given the rows to learn from and those to judge, the chances of the latter."""


def contenders(known: Known, won: Flags) -> Iterator[tuple[str, Predict]]:
    """Yield the ways by name."""
    texts, numbers = known.categories(), known.measured()
    ageless = known.measured(without=AGE)
    yield (
        NAIVE_BAYES,
        lambda learn, judge: _naive_bayes(texts, ageless, won, learn, judge),
    )
    if AGE in known.numbers:
        yield (
            NAIVE_BAYES_BY_AGE,
            lambda learn, judge: _naive_bayes(texts, numbers, won, learn, judge),
        )
    yield LOGISTIC, lambda learn, judge: _logistic(texts, numbers, won, learn, judge)
    yield BOOSTING, lambda learn, judge: _boosting(texts, numbers, won, learn, judge)


def _coded(texts: np.ndarray, learn: np.ndarray) -> np.ndarray:
    """Return the texts as whole numbers; what was not met before is one more."""
    from sklearn.preprocessing import OrdinalEncoder  # noqa: PLC0415 - heavy

    if not texts.shape[1]:
        return np.empty((len(texts), 0))
    coder = OrdinalEncoder(
        handle_unknown="use_encoded_value",
        unknown_value=-1,
        min_frequency=_COMMON,
        max_categories=_VALUES,
    )
    coder.fit(texts[learn])
    return np.asarray(coder.transform(texts) + 1)


def _binned(numbers: Floats, learn: np.ndarray) -> np.ndarray:
    """Return the numbers as fifths of those that were learnt from; 0 for unknown."""
    binned = np.zeros(numbers.shape)
    for place in range(numbers.shape[1]):
        column = numbers[:, place]
        bounds = np.unique(
            np.nanquantile(column[learn], np.linspace(0, 1, _BINS + 1)[1:-1])
            if not np.isnan(column[learn]).all()
            else []
        )
        known = ~np.isnan(column)
        binned[known, place] = 1 + np.searchsorted(bounds, column[known], side="right")
    return binned


def _naive_bayes(
    texts: np.ndarray,
    numbers: Floats,
    won: Flags,
    learn: np.ndarray,
    judge: np.ndarray,
) -> Floats:
    """Return what Odoo's predictive scoring says: frequencies, 0.1 added to each.

    Odoo takes fields with few values only; here numbers count as fifths, too. Its
    chances are kept between 0.01 % and 99.99 %, as there.
    """
    from sklearn.naive_bayes import CategoricalNB  # noqa: PLC0415 - heavy

    coded = np.column_stack((_coded(texts, learn), _binned(numbers, learn)))
    values = (coded.max(axis=0) + 1).astype(int)
    bayes = CategoricalNB(alpha=_SMOOTHING, min_categories=values)
    bayes.fit(coded[learn], won[learn])
    chance = np.asarray(bayes.predict_proba(coded[judge])[:, 1], np.float64)
    return np.clip(chance, 0.0001, 0.9999)


def _logistic(
    texts: np.ndarray,
    numbers: Floats,
    won: Flags,
    learn: np.ndarray,
    judge: np.ndarray,
) -> Floats:
    from sklearn.linear_model import LogisticRegression  # noqa: PLC0415 - heavy
    from sklearn.preprocessing import OneHotEncoder, StandardScaler  # noqa: PLC0415

    coded = _coded(texts, learn)
    single = OneHotEncoder(handle_unknown="ignore", sparse_output=False)
    middle = np.nan_to_num(np.nanmedian(numbers[learn], axis=0)) if len(learn) else 0.0
    filled = np.where(np.isnan(numbers), middle, numbers)
    absent = np.isnan(numbers).astype(float)
    scaler = StandardScaler().fit(filled[learn]) if numbers.shape[1] else None
    scaled = filled if scaler is None else scaler.transform(filled)
    table = np.column_stack(
        [scaled, absent, single.fit(coded[learn]).transform(coded)]
        if coded.shape[1]
        else [scaled, absent]
    )
    regression = LogisticRegression(max_iter=2_000)
    regression.fit(table[learn], won[learn])
    return np.asarray(regression.predict_proba(table[judge])[:, 1])


def _boosting(
    texts: np.ndarray,
    numbers: Floats,
    won: Flags,
    learn: np.ndarray,
    judge: np.ndarray,
) -> Floats:
    from sklearn.ensemble import HistGradientBoostingClassifier  # noqa: PLC0415

    coded = _coded(texts, learn)
    table = np.column_stack((coded, numbers))
    boosting = HistGradientBoostingClassifier(
        categorical_features=list(range(coded.shape[1])),
        learning_rate=0.06,
        max_iter=150,
        random_state=7,
    )
    boosting.fit(table[learn], won[learn])
    return np.asarray(boosting.predict_proba(table[judge])[:, 1])
