"""Deals as numbers: what was known of each at an instant, and what came of it."""

from collections.abc import Sequence
from typing import Final

import msgspec
import numpy as np

from schemas.time import DAY, Instant
from scorers.snapshots import Example
from streams.learning.currencies import worth_of
from streams.learning.design import Flags, Floats, Whole
from streams.learning.futures import LEAST, Past, month_of

UNKNOWN: Final = "not known"
"""The part of what nobody says."""


class Deals(msgspec.Struct, frozen=True):
    """Deals as numbers: when each began and ended, and what came of it."""

    began: Whole
    ended: Whole
    """A day after the last one known where a deal is open."""
    won: Floats
    open: Floats
    """1 where nothing had become of it when the data ended."""
    value: Floats
    """What was foretold of its worth; not a number where nothing was."""
    amount: Floats
    """What it brought, where it was won and somebody said; else not a number."""
    score: Floats
    leads: Sequence[str]
    kinds: dict[str, Sequence[str]]
    """The parts by which a forecast is told: owner, source, tier, stage."""

    def waiting(self, at: Instant) -> Flags:
        """Return which deals had begun by `at` and not ended."""
        return (self.began < at) & (self.ended > at)

    def won_by(self, at: Instant) -> Flags:
        """Return which deals had been won by `at`."""
        return (self.began < at) & (self.ended <= at) & (self.won > 0)

    def worth(self, at: Instant) -> Floats:
        """Return what each deal is worth as far as is known at `at`.

        It is what those that had been won by then brought, where nobody said, and
        everywhere if what was said told less of them than that.
        """
        won = self.won_by(at) & (self.amount > 0)
        usual = float(self.amount[won].mean()) if won.any() else 0.0
        told = won & (self.value > 0)
        if told.sum() > LEAST // 2:
            brought = np.log(self.amount[told])
            if np.std(brought - np.log(self.value[told])) > np.std(brought):
                return np.full(len(self.value), usual)
        return np.where(np.isnan(self.value), usual, self.value)

    def past(self, at: Instant) -> Past | None:
        """Return what was known at `at`; None where too few had ended by then."""
        worth = self.worth(at)
        over = (self.began < at) & (self.ended <= at)
        if over.sum() < LEAST:
            return None
        since = int(self.ended[over].min())
        mine = (self.began < at) & (self.ended >= since)
        gone, began = over[mine], self.began[mine]
        end = np.minimum(self.ended[mine], at)
        won, waits = self.won_by(at), self.waiting(at)
        ratio = self.brought(at)[won] / np.maximum(worth[won], 1e-9)
        return Past(
            at=at,
            entered=np.maximum(since - began, 0) // DAY,
            left=np.maximum(-((began - end) // DAY), 1),
            over=gone,
            won=gone & (self.won[mine] > 0),
            month=month_of(end),
            ratio=ratio if len(ratio) else np.ones(1),
            began=self.began[waits],
            value=worth[waits],
        )

    def brought(self, at: Instant) -> Floats:
        """Return what deals brought, what they were worth where nobody said."""
        return np.where(np.isnan(self.amount), self.worth(at), self.amount)

    def fact(self, at: Instant, start: Instant, end: Instant) -> float:
        """Return what deals that were open at `at` brought from `start` to `end`."""
        closed = self.waiting(at) & (self.ended > start) & (self.ended <= end)
        return float(self.brought(end)[closed & (self.won > 0)].sum())


def deals_of(examples: Sequence[Example], until: Instant) -> Deals:
    """Return the deals behind the first snapshot of each lead."""
    first: dict[str, Example] = {}
    for each in examples:
        before = first.get(each.snapshot.lead_id)
        if before is None or each.snapshot.at < before.snapshot.at:
            first[each.snapshot.lead_id] = each
    known = list(first.values())
    amounts = np.array(
        [
            each.verdict.amount
            if each.verdict and each.verdict.won and each.verdict.amount is not None
            else np.nan
            for each in known
        ],
        float,
    )
    return Deals(
        began=np.array([each.snapshot.at for each in known], np.int64),
        ended=np.array(
            [each.verdict.at if each.verdict else until + DAY for each in known],
            np.int64,
        ),
        won=np.array([float(bool(e.verdict and e.verdict.won)) for e in known]),
        open=np.array([float(each.verdict is None) for each in known]),
        value=np.array(
            [np.nan if (told := worth_of(each)) is None else told for each in known],
            float,
        ),
        amount=amounts,
        score=np.array([each.snapshot.score for each in known], float),
        leads=[each.snapshot.lead_id for each in known],
        kinds={
            "owner": [_kind(each, "owner") for each in known],
            "source": [_kind(each, "lead_source", "source") for each in known],
            "tier": [each.snapshot.tier for each in known],
            "stage": [_kind(each, "lifecycle_stage") for each in known],
        },
    )


def _kind(example: Example, *names: str) -> str:
    for name in names:
        value = example.snapshot.known.get(name)
        if value is not None:
            return str(value)
    return UNKNOWN
