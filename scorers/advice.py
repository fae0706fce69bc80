"""What is allowed in a model and yet probably not meant."""

import math
from collections.abc import Iterator

from schemas import vocabulary
from scorers.consistency import BEST
from scorers.model import Condition, Group, Model, Rule
from scorers.wording import closest

_NAMES = sorted({name for names in vocabulary.NAMES.values() for name in names})

_LIKENESS = 0.85
"""A slip of the finger is this alike; a name of one's own is less."""


def advice(model: Model) -> list[str]:
    """Return a sentence about everything in `model` that looks like an oversight."""
    return [
        *_caps(model),
        *_bounds(model),
        *(
            sentence
            for group in model.groups.values()
            for rule in group.rules
            for sentence in (*_names(rule), *_reach(rule, group))
        ),
    ]


def _caps(model: Model) -> Iterator[str]:
    total = math.fsum(group.cap for group in model.groups.values())
    if total < BEST:
        yield f"the caps add up to {total:g}: no lead can score more than that"
    if total > BEST:
        yield (
            f"the caps add up to {total:g}: whatever is above 100 is cut off, so the "
            "best leads look alike"
        )


def _bounds(model: Model) -> Iterator[str]:
    for tier in model.tiers:
        if tier.at > model.ceiling:
            yield (
                f"tier {tier.name} begins at {tier.at:g}, but no lead can score more "
                f"than {model.ceiling:g}"
            )
    for alert in model.alerts:
        due = model.threshold(alert)
        if due is not None and due > model.ceiling:
            yield (
                f"alert {alert.name} is due at {due:g}, but no lead can score more "
                f"than {model.ceiling:g}"
            )


def _conditions(rule: Rule) -> Iterator[Condition]:
    waiting = [rule.when, rule.where]
    if rule.absence is not None:
        waiting += [rule.absence.after, rule.absence.unless]
    while waiting:
        condition = waiting.pop(0)
        if condition is not None:
            yield condition
            waiting += [*condition.all, *condition.any, condition.negated]


def _names(rule: Rule) -> Iterator[str]:
    for condition in _conditions(rule):
        test = condition.fields.get("event")
        for name in () if test is None else (test.eq, *(test.one_of or ())):
            if name is None or vocabulary.spell(str(name)) in _NAMES:
                continue
            if near := closest(str(name), _NAMES, likeness=_LIKENESS):
                yield (
                    f"rule {rule.name}: the event '{name}' is not in the vocabulary; "
                    f"did you mean '{near}'?"
                )
        for path in condition.fields:
            yield from _trait(rule, path)
    if not isinstance(rule.points, float):
        yield from _trait(rule, rule.points.of)


def _trait(rule: Rule, path: str) -> Iterator[str]:
    head, _, name = path.partition(".")
    if head != "traits" or name in vocabulary.TRAITS:
        return
    if near := closest(name, vocabulary.TRAITS, likeness=_LIKENESS):
        yield (
            f"rule {rule.name}: the trait '{name}' is not in the vocabulary; "
            f"did you mean '{near}'?"
        )


def _reach(rule: Rule, group: Group) -> Iterator[str]:
    if isinstance(rule.points, float) and rule.points > group.cap:
        yield (
            f"rule {rule.name} gives {rule.points:g} points, but its group gives "
            f"{group.cap:g} at the most"
        )
    endless = rule.silence is not None and rule.silence.then is not None
    if endless and rule.max is None and group.floor is None:
        yield f"rule {rule.name} takes points without end: give it a `max`"
