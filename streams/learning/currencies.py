"""Money of one currency: what is foretold is never a sum over several."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Final

import msgspec
from msgspec.structs import replace

from scorers.snapshots import Example

if TYPE_CHECKING:
    from scorers.model import Value

_NAMING: Final = ("currency", "budget_currency")


class InOneCurrency(msgspec.Struct, frozen=True, kw_only=True):
    """Examples whose money can be added up, and what had to be left out for it."""

    examples: list[Example]
    currency: str
    left_out: dict[str, int]
    """Leads whose money is in another currency, by currency; the most stand first."""
    unnamed: int
    """Leads that have money and name no currency: they are taken to be in this one."""


def in_one_currency(
    examples: Sequence[Example], value: "Value", wanted: str | None = None
) -> InOneCurrency:
    """Return the examples in `wanted`, or in the currency that most leads' money has.

    Money that names no currency is in that of the model where the model says one, else
    in the one that others name most. Leads without money stay. Who brought money of
    another currency that nobody foresaw was not won in this one: an open deal of which
    nothing is known is foretold in each currency what it will bring there.
    """
    stated = value.currency if "currency" in value.model_fields_set else ""
    named: dict[str, str] = {}
    with_money: set[str] = set()
    for each in examples:
        lead = each.snapshot.lead_id
        named[lead] = named.get(lead) or _named(each)
        if money_of(each) is not None:
            with_money.add(lead)
    said = Counter(named[lead] for lead in with_money if named[lead])
    most = most_named(said)
    nameless = sum(not named[lead] for lead in with_money)
    home = stated or most or value.currency
    said[home] += nameless
    chosen = wanted or most_named(said)
    gone = {lead for lead in with_money if (named[lead] or home) != chosen}
    foreseen = gone & {
        each.snapshot.lead_id
        for each in examples
        if _foreseen(each) or worth_of(each) is not None
    }
    return InOneCurrency(
        examples=[
            each if each.snapshot.lead_id not in gone else _elsewhere(each)
            for each in examples
            if each.snapshot.lead_id not in foreseen
        ],
        currency=chosen,
        left_out={n: count for n, count in said.most_common() if count and n != chosen},
        unnamed=nameless if home == chosen else 0,
    )


def most_named(said: Mapping[str, int]) -> str:
    """Return the currency that was named most often; empty where none was.

    As often: the first by the alphabet, so that it is the same every time.
    """
    return min(said, key=lambda name: (-said[name], name), default="")


def money_of(example: Example) -> float | None:
    """Return what a lead brought or is said to be worth; None where nobody said."""
    verdict = example.verdict
    if verdict is not None and verdict.won and verdict.amount is not None:
        return verdict.amount
    return worth_of(example)


def worth_of(example: Example) -> float | None:
    """Return what a lead was said to be worth when it was looked at."""
    for name in ("deal_value", "amount", "budget"):
        value = example.snapshot.known.get(name)
        if isinstance(value, int | float) and not isinstance(value, bool):
            return float(value)
    return None


def _named(example: Example) -> str:
    verdict = example.verdict
    if verdict is not None and verdict.currency:
        return verdict.currency
    return _foreseen(example)


def _foreseen(example: Example) -> str:
    """Return the currency that was known of a lead before anything came of it."""
    known = (example.snapshot.known.get(name) for name in _NAMING)
    return next((str(name).upper()[:3] for name in known if name), "")


def _elsewhere(example: Example) -> Example:
    """Return the example of a lead that was won, though not in this currency."""
    if example.verdict is None:
        return example
    return replace(example, verdict=replace(example.verdict, won=False, amount=None))
