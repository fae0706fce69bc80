"""Drift: whether what scores meant goes on being what they mean."""

import math
from typing import Any, Final

import numpy as np

from streams.learning.design import Design, Flags

REFERENCE: Final = 300
"""Outcomes from which it is learnt what scores mean before changes are looked for."""
_STEADY: Final = 0.9
"""The share of outcomes that must have had time to come."""
_DELTA: Final = 0.002
"""ADWIN's own: how unlikely a change by chance must be."""


def watched(design: Design) -> Flags:
    """Return which examples show drift: the first of each lead, once it is steady.

    At the beginning only what ends soon has ended, and it is won more often or less.
    """
    lasted = design.ended - design.at
    steady = design.at.min() + np.quantile(lasted, _STEADY)
    first = design.firsts(np.ones(len(design), np.bool_))
    found: Flags = first & (design.ended >= steady)
    return found


class Watch:
    """Tells when more or fewer are won than scores say, or scores tell less or more.

    What scores mean is learnt once and then kept: a reading that went on learning would
    hide what it is to show. ADWIN watches how far outcomes lie off it, and how far they
    do so with the score. After an alarm it is learnt anew.
    """

    def __init__(self) -> None:
        """Begin to learn."""
        self._begin()

    def _begin(self) -> None:
        from river import drift  # noqa: PLC0415 - heavy

        adwin: Any = drift.ADWIN  # river's own types cannot be relied upon
        self._met: list[tuple[float, bool]] = []
        self._reading: tuple[float, float] | None = None
        self._middle, self._wide = 0.0, 1.0
        self._watches = (adwin(delta=_DELTA), adwin(delta=_DELTA))

    def heard(self, score: float, *, won: bool) -> bool:
        """Return whether this outcome shows that something has changed for good."""
        if self._reading is None:
            self._met.append((score, won))
            if len(self._met) >= REFERENCE:
                self._learn()
            return False
        place = (score - self._middle) / self._wide
        chance = 1 / (1 + math.exp(-self._reading[0] - self._reading[1] * place))
        off = won - chance
        for watch, value in zip(self._watches, (off, off * place), strict=True):
            watch.update(value)
        if any(watch.drift_detected for watch in self._watches):
            self._begin()
            return True
        return False

    def _learn(self) -> None:
        from sklearn.linear_model import LogisticRegression  # noqa: PLC0415 - heavy

        scores = np.array([score for score, _ in self._met])
        won = np.array([won for _, won in self._met])
        if won.all() or not won.any():
            return  # more of them, then
        self._middle, self._wide = float(scores.mean()), float(scores.std()) or 1.0
        place = (scores - self._middle) / self._wide
        fit = LogisticRegression().fit(place[:, None], won)
        self._reading = float(fit.intercept_[0]), float(fit.coef_[0, 0])
