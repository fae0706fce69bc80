"""The report of a forecast."""

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from schemas.time import Instant
from scorers.snapshots import Example
from streams.learning.back_testing import back_test, corrections
from streams.learning.charts import band, ranges
from streams.learning.currencies import in_one_currency
from streams.learning.deals import UNKNOWN, deals_of
from streams.learning.forecasting import RUNS, forecast
from streams.learning.foretold import Foretold
from streams.learning.pages import Page

if TYPE_CHECKING:
    from scorers.model import Value


def foretold(
    dataset: str,
    examples: Sequence[Example],
    until: Instant,
    *,
    value: "Value",
    currency: str | None = None,
    at: Instant | None = None,
    months: int = 3,
    runs: int = RUNS,
    report: Callable[[int, int], None] = lambda _done, _all: None,
) -> Foretold:
    """Return what the deals that are open at `at` (the end if None) will bring.

    It is told in `currency`, or in the one that most of their money has; `value` is
    what the model says of it.
    """
    money = in_one_currency(examples, value, currency)
    deals = deals_of(money.examples, until)
    past, tracks = back_test(deals, until, months=months, report=report)
    told = forecast(
        deals,
        until if at is None else at,
        months=months,
        runs=runs,
        currency=money.currency,
        tracks=tracks,
        known_until=until,
    )
    return Foretold(
        dataset=dataset,
        forecast=told,
        back_test=past,
        corrected=corrections(tracks, until),
        left_out=money.left_out,
        unnamed=money.unnamed,
    )


def about_money(found: Foretold) -> list[str]:
    """Return, in sentences, what the currency of a forecast leaves to be said."""
    currency, said = found.forecast.currency, []
    if found.left_out:
        others = ", ".join(f"{n:,} in {name}" for name, n in found.left_out.items())
        said.append(
            f"Money of several currencies is not added up: this is about {currency}; "
            f"the money of other deals is left out, {others} (see --currency)."
        )
    if found.unnamed and found.left_out:
        said.append(
            f"The money of {found.unnamed:,} leads names no currency and counts as "
            f"{currency}."
        )
    return said


def forecast_page(title: str, found: Foretold) -> Page:
    """Return the report of `found`."""
    told, past = found.forecast, found.back_test
    page = Page(
        f"What open deals will bring: {title}",
        f"Open deals at {told.at[:10]}: {told.open:,}, worth "
        f"{told.pipeline:,.0f} {told.currency} if all were won.",
    )
    page.verdict(
        f"Expected in the next {len(told.months)} months: {told.total.value:,.0f} "
        f"{told.currency} (80 %: {told.total.low:,.0f} to {told.total.high:,.0f})."
    )
    for sentence in about_money(found):
        page.say(sentence)
    page.head("By month")
    page.plot(
        ranges(
            [
                (m.month, m.value.value, m.value.low, m.value.high, m.fact)
                for m in told.months
            ],
            told.currency,
        ),
        "expected value of each month with its 80 % interval",
    )
    page.table(
        ["month", "expected", "80 % from", "to", "deals won", "in fact"],
        [
            [
                m.month,
                *_money(m.value.value, m.value.low, m.value.high),
                f"{m.deals:.0f}",
                "" if m.fact is None else f"{m.fact:,.0f}",
            ]
            for m in told.months
        ],
    )
    for by in dict.fromkeys(part.by for part in told.parts):
        parts = [part for part in told.parts if part.by == by]
        if [part.name for part in parts] == [UNKNOWN]:
            continue  # nobody says, so there is nothing to tell apart
        parts.sort(key=lambda part: -part.value.value)
        page.head(f"By {by}")
        page.table(
            [by, "open deals", "expected", "80 % from", "to"],
            [
                [
                    p.name,
                    f"{p.deals:,}",
                    *_money(p.value.value, p.value.low, p.value.high),
                ]
                for p in parts
            ],
        )
    page.head("Forecasts of the past, held against what happened")
    if not past.forecasts:
        page.say("Too few deals have ended to judge forecasts by.")
        return page
    page.say(
        f"{past.forecasts} forecasts of what comes in 30 days, each made with what was "
        f"known then: {past.covered:.0%} of the 80 % intervals held what happened. "
        f"Forecasts were {abs(past.bias):.0%} too "
        f"{'high' if past.bias > 0 else 'low'} on the whole, and off by "
        f"{past.error:.0%} as a rule."
    )
    page.plot(
        band(
            [(m.month, m.value.value, m.value.low, m.value.high) for m in past.points],
            [m.fact or 0.0 for m in past.points],
            told.currency,
        ),
        "past forecasts with their 80 % intervals, and what happened",
    )
    page.table(
        ["days ahead", "forecasts", "side by side", "held", "95 %", "bias", "off by"],
        [
            [
                f"{r.start} to {r.end}",
                f"{r.forecasts:,}",
                f"{r.independent:,}",
                f"{r.covered.value:.0%}",
                f"{r.covered.low:.0%} – {r.covered.high:.0%}",
                f"{r.bias:+.0%}",
                f"{r.error:.0%}",
            ]
            for r in past.reaches
        ],
    )
    page.say(
        "Windows of forecasts overlap: 'side by side' is how many do not, and the 95 % "
        "interval counts only those."
    )
    page.head("What the simulation is corrected by")
    page.say(
        "Deals alone would foretell too narrowly: months differ more than lots do. So "
        "each forecast is multiplied, and its interval made as wide, as forecasts of "
        "the same reach missed by."
    )
    page.table(
        ["days ahead", "checked", "multiplied by", "facts lie around it by"],
        [
            [
                f"{c.start} to {c.end}",
                f"{c.checked:,}",
                f"{c.factor:.2f}",
                f"{math.expm1(c.width):.0%}",
            ]
            for c in found.corrected
        ],
    )
    return page


def _money(*values: float) -> list[str]:
    return [f"{value:,.0f}" for value in values]
