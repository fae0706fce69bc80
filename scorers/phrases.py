"""The model as people talk: what gives how much, how often, and for how long."""

from collections.abc import Iterator
from typing import Final

import msgspec

from schemas.event import CHANNELS
from schemas.locale import Locale
from scorers.compiled import title_of
from scorers.model import (
    Condition,
    Decay,
    Dormancy,
    Expires,
    HalfLife,
    Ladder,
    Limit,
    Linear,
    Model,
    PerUnit,
    Rule,
    Silence,
    Steps,
    Table,
    Test,
)
from scorers.parts import tell_duration


class DormancyPhrases(msgspec.Struct, frozen=True):
    """One dormancy in words."""

    groups: tuple[str, ...]
    title: str
    when: str
    factor: str
    floor: str


class RulePhrases(msgspec.Struct, frozen=True):
    """One rule in words."""

    group: str
    name: str
    title: str
    when: str
    points: str
    most: str
    fades: str


def phrases(model: Model, locale: Locale = "en") -> Iterator[RulePhrases]:
    """Yield every rule of `model` in words, titles in `locale`, in the file's order."""
    for group_name, group in model.groups.items():
        for rule in group.rules:
            ages = rule.when is not None or rule.absence is not None
            yield RulePhrases(
                group=group_name,
                name=rule.name,
                title=title_of(rule, locale),
                when=_when(rule),
                points=_points(rule),
                most="" if rule.max is None else f"{rule.max:g}",
                fades=tell_decay(rule.decay or group.decay) if ages else "",
            )


def _field(path: str) -> str:
    """Return what people call a field: the last part of its path."""
    head, _, rest = path.partition(".")
    return {"properties": rest, "traits": rest, "context": rest}.get(head, head)


def tell_condition(condition: Condition) -> str:
    """Return a condition in words.

    >>> tell_condition(Condition.model_validate({"event": "Demo Requested"}))
    'Demo Requested'
    """
    parts = [_tell_test(path, test) for path, test in condition.fields.items()]
    parts += [tell_condition(part) for part in condition.all]
    if condition.any:
        either = " or ".join(tell_condition(part) for part in condition.any)
        parts.append(f"({either})" if len(condition.any) > 1 else either)
    if condition.negated is not None:
        parts.append(f"not ({tell_condition(condition.negated)})")
    return " and ".join(parts)


_SHOWN: Final = 4
"""So many values of a list are named; of the others only the number."""

_OPERATORS: Final = {
    "eq": "is",
    "ne": "is not",
    "one_of": "is",
    "none_of": "is none of",
    "gt": "is more than",
    "gte": "is at least",
    "lt": "is less than",
    "lte": "is at most",
    "matches": "matches",
    "starts_with": "begins with",
    "ends_with": "ends with",
    "contains": "contains",
}


def _tell_test(path: str, test: Test) -> str:
    plain = test.model_fields_set <= {"eq", "one_of"}
    if path == "event" and plain:
        return _test(test).removeprefix("is ")
    if path == "type" and test.eq == "page":
        return "a page"
    return f"{_field(path)} {_test(test)}"


def _test(test: Test) -> str:
    told = []
    for name in sorted(test.model_fields_set, key=list(Test.model_fields).index):
        value = getattr(test, name)
        if name == "exists":
            told.append("is known" if value else "is unknown")
        elif isinstance(value, list):
            joint = ", " if name == "none_of" else " or "
            shown = [*map(_value, value[:_SHOWN])]
            if len(value) > _SHOWN:
                shown.append(f"{len(value) - _SHOWN} others")
            told.append(f"{_OPERATORS[name]} {joint.join(shown)}")
        else:
            told.append(f"{_OPERATORS[name]} {_value(value)}")
    return " and ".join(told)


def _value(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return f"{value:,.10g}" if isinstance(value, int | float) else str(value)


def _when(rule: Rule) -> str:
    if rule.absence is not None:
        absence = rule.absence
        same = "" if absence.same is None else f" with the same {_field(absence.same)}"
        return (
            f"{tell_condition(absence.after)}, and within "
            f"{tell_duration(absence.within)} no {tell_condition(absence.unless)}{same}"
        )
    if rule.silence is not None:
        return _silence(rule.silence)
    condition = rule.when if rule.when is not None else rule.where
    if condition is None:
        source = rule.points
        return "" if isinstance(source, float) else f"{_field(source.of)} is known"
    told = tell_condition(condition)
    return told if rule.limit is None else f"{told}; {_limit(rule.limit)}"


def dormancy_phrases(model: Model, locale: Locale = "en") -> Iterator[DormancyPhrases]:
    """Yield every dormancy of `model` in words, in the file's order."""
    for dormancy in model.dormancy:
        yield DormancyPhrases(
            groups=tuple(dormancy.groups),
            title=title_of(dormancy, locale),
            when=_silence(dormancy),
            factor=f"× {dormancy.factor:g}",
            floor=f"{dormancy.floor:.0%}" if dormancy.floor else "",
        )


def _silence(silence: Silence | Dormancy) -> str:
    every = len(silence.channels) == len(CHANNELS)
    where = "" if every else f" on {' and '.join(silence.channels)}"
    told = f"nothing{where} for {tell_duration(silence.first)}"
    if silence.then is not None:
        told += f", and again every {tell_duration(silence.then)}"
    return told


def _limit(limit: Limit) -> str:
    times = "once" if limit.count == 1 else f"{limit.count} times"
    per = "" if limit.per is None else f" per {tell_duration(limit.per)}"
    by = "" if limit.by is None else f" for each {_field(limit.by)}"
    after = "" if not limit.after else f", after the first {limit.after}"
    return f"{times}{per}{by}{after}"


def _points(rule: Rule) -> str:
    source = rule.points
    match source:
        case PerUnit():
            return (
                f"{source.points:+g} per {source.per:,.10g} {_field(source.of)}, "
                f"{source.min:g} to {source.max:g}"
            )
        case Ladder():
            return ", ".join(
                f"{rung.points:+g} from {rung.at:,.10g}" for rung in source.ladder
            )
        case Table():
            by_points: dict[float, list[str]] = {}
            for value, points in source.values.items():
                by_points.setdefault(points, []).append(value)
            told = [
                f"{points:+g} {', '.join(values)}"
                for points, values in by_points.items()
            ]
            if source.otherwise:
                told.append(f"{source.otherwise:+g} any other")
            return "; ".join(told)
        case _:
            return f"{source:+g}"


def tell_decay(decay: Decay) -> str:
    """Return in words how points fade.

    >>> tell_decay(HalfLife(half_life="14d"))
    'half every 14d'
    """
    match decay:
        case HalfLife():
            return f"half every {tell_duration(decay.half_life)}"
        case Linear():
            return f"in a line to 0 at {tell_duration(decay.linear)}"
        case Expires():
            return f"in full for {tell_duration(decay.expires)}"
        case Steps():
            told = [
                f"{step.keep:.0%} to {tell_duration(step.until)}"
                for step in decay.steps
            ]
            return ", ".join((*told, f"then {decay.rest:.0%}"))
        case _:
            return "stays"
