"""Pipelines whose truth is known: deals in months that differ, as sales' months do."""

from dataclasses import dataclass

import numpy as np

from schemas.time import DAY
from streams.learning.deals import Deals
from streams.learning.futures import month_of

NEVER = 10_000 * DAY


@dataclass(frozen=True, slots=True)
class Sales:
    """What simulated sales are like."""

    deals_a_day: float = 3.0
    days: int = 360
    months_apart: float = 0.5
    """How far months lie apart in the log odds to win."""
    quarter: float = 0.4
    """By how much a quarter's last month wins more easily, and its first less."""
    lasts: float = 40.0
    stuck: float = 0.15
    """The share of deals that nobody ever closes."""


def pipeline(sales: Sales, seed: int) -> Deals:
    """Return deals, with what becomes of them long after the last day."""
    chosen = np.random.default_rng(seed)
    count = chosen.poisson(sales.deals_a_day * sales.days)
    began = np.sort(chosen.integers(0, sales.days * DAY, count))
    lasted = (chosen.gamma(1.5, sales.lasts / 1.5, count) * DAY).astype(np.int64) + 1
    ended = np.where(chosen.random(count) < sales.stuck, NEVER, began + lasted)
    month = month_of(np.minimum(ended, NEVER))
    temper = chosen.normal(0, sales.months_apart, int(month.max()) + 1)
    odds = temper[month] + sales.quarter * (month % 3 - 1)
    won = (chosen.random(count) < 1 / (1 + np.exp(-odds))) & (ended < NEVER)
    value = chosen.choice([100.0, 500.0, 1_000.0, 5_000.0], count)
    amount = np.where(won, value * chosen.lognormal(-0.02, 0.2, count), np.nan)
    return Deals(
        began=began,
        ended=ended,
        won=won.astype(float),
        open=(ended == NEVER).astype(float),
        value=value,
        amount=amount,
        score=np.zeros(count),
        leads=[],
        kinds={},
    )


def known_at(deals: Deals, until: int) -> Deals:
    """Return the deals as they were known at `until`."""
    waits = deals.ended > until
    return Deals(
        began=deals.began,
        ended=np.where(waits, until + DAY, deals.ended),
        won=np.where(waits, 0.0, deals.won),
        open=waits.astype(float),
        value=deals.value,
        amount=np.where(waits, np.nan, deals.amount),
        score=deals.score,
        leads=deals.leads,
        kinds=deals.kinds,
    )
