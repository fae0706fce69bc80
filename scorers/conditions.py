"""Predicates of a model, compiled once into plain functions.

A value that a stranger sent is compared forgivingly: text ignores case, a number
written as text is a number. Nothing here raises on odd input; it just does not
match.
"""

import math
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from schemas.event import Event
from scorers.model import Condition, Ladder, PerUnit, PointsSource, Test
from scorers.pattern import LONGEST_TEXT, check_pattern

EventTest = Callable[[Event], bool]
TraitTest = Callable[[Mapping[str, Any]], bool]
ValueTest = Callable[[Any], bool]


def as_number(value: object) -> float | None:
    """Return `value` as a finite number, or None where it is none.

    >>> as_number("12.5"), as_number("many"), as_number(True)
    (12.5, None, None)
    """
    if isinstance(value, bool):
        return None
    if isinstance(value, int | float):
        try:
            number = float(value)
        except OverflowError:
            return None
    elif isinstance(value, str) and len(value) <= 64:  # noqa: PLR2004 no number is longer
        try:
            number = float(value.replace(",", "").replace("_", ""))
        except ValueError:
            return None
    else:
        return None
    return number if math.isfinite(number) else None


def _plain(value: object) -> object:
    """Return `value` so that equal things compare equal."""
    if isinstance(value, str):
        return value.casefold()
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return as_number(value)
    return value


def _equals(wanted: object) -> ValueTest:
    plain = _plain(wanted)
    if isinstance(plain, float):
        return lambda value: as_number(value) == plain
    return lambda value: _plain(value) == plain


def _among(wanted: Sequence[object]) -> ValueTest:
    """Return a test for any of several values, in one look-up."""
    plain = [_plain(item) for item in wanted]
    numbers = frozenset(item for item in plain if isinstance(item, float))
    texts = frozenset(item for item in plain if isinstance(item, str))

    def among(value: object) -> bool:
        if numbers and as_number(value) in numbers:
            return True
        known = _plain(value)
        return isinstance(known, str) and known in texts

    return among


def compile_test(test: Test) -> ValueTest:
    """Return a function that says whether a value passes `test`."""
    checks: list[ValueTest] = []
    if test.eq is not None:
        checks.append(_equals(test.eq))
    if test.ne is not None:
        same = _equals(test.ne)
        checks.append(lambda value: not same(value))
    if test.one_of is not None:
        checks.append(_among(test.one_of))
    if test.none_of is not None:
        barred = _among(test.none_of)
        checks.append(lambda value: not barred(value))
    checks.extend(_bounds(test))
    checks.extend(_texts(test))
    if test.exists is not None:
        wanted = test.exists
        checks.append(lambda value: (value is not None and value != "") is wanted)
    return _every(checks)


def _every(checks: list[Callable[[Any], bool]]) -> Callable[[Any], bool]:
    """Return the conjunction; the usual sizes do without a loop."""
    match checks:
        case [only]:
            return only
        case [first, second]:
            return lambda subject: first(subject) and second(subject)
        case _:
            return lambda subject: all(check(subject) for check in checks)


def _bounds(test: Test) -> list[ValueTest]:
    checks: list[ValueTest] = []

    def add(bound: float | None, holds: Callable[[float, float], bool]) -> None:
        if bound is not None:
            limit = bound
            checks.append(
                lambda value: (
                    (number := as_number(value)) is not None and holds(number, limit)
                )
            )

    add(test.gt, lambda number, limit: number > limit)
    add(test.gte, lambda number, limit: number >= limit)
    add(test.lt, lambda number, limit: number < limit)
    add(test.lte, lambda number, limit: number <= limit)
    return checks


def _texts(test: Test) -> list[ValueTest]:
    checks: list[ValueTest] = []
    if test.matches is not None:
        search: Callable[[str], re.Match[str] | None]
        search = check_pattern(test.matches).search
        checks.append(
            lambda value: (
                isinstance(value, str) and search(value[:LONGEST_TEXT]) is not None
            )
        )
    if test.starts_with is not None:
        start = test.starts_with.casefold()
        checks.append(
            lambda value: isinstance(value, str) and value.casefold().startswith(start)
        )
    if test.ends_with is not None:
        end = test.ends_with.casefold()
        checks.append(
            lambda value: isinstance(value, str) and value.casefold().endswith(end)
        )
    if test.contains is not None:
        part = test.contains.casefold()
        checks.append(lambda value: isinstance(value, str) and part in value.casefold())
    return checks


def _walk(value: Any, keys: tuple[str, ...]) -> Any:
    for key in keys:
        if not isinstance(value, dict):
            return None
        value = value.get(key)
    return value


def event_field(path: str) -> Callable[[Event], Any]:
    """Return a function that reads `path` from an event; None where absent."""
    head, *rest = path.split(".")
    keys = tuple(rest)
    if head == "event":
        return lambda event: event.name
    if head in {"type", "channel", "source"}:
        return lambda event: getattr(event, head)
    if len(keys) == 1:
        key = keys[0]
        if head == "properties":
            return lambda event: event.properties.get(key)
        if head == "traits":
            return lambda event: event.traits.get(key)
    return lambda event: _walk(getattr(event, head), keys)


def trait_field(path: str) -> Callable[[Mapping[str, Any]], Any]:
    """Return a function that reads ``traits.x`` from a lead's latest traits."""
    head, *keys = path.split(".")
    if head != "traits":
        return lambda _traits: None
    if len(keys) == 1:
        key = keys[0]
        return lambda traits: traits.get(key)
    return lambda traits: _walk(traits.get(keys[0]), tuple(keys[1:]))


def compile_event_condition(condition: Condition) -> EventTest:
    """Return a function that says whether an event fulfils `condition`."""
    return _compile(condition, event_field)


def compile_trait_condition(condition: Condition) -> TraitTest:
    """Return a function that says whether a lead's traits fulfil `condition`."""
    return _compile(condition, trait_field)


def _passing(read: Callable[[Any], Any], passes: ValueTest) -> Callable[[Any], bool]:
    return lambda subject: passes(read(subject))


def _compile(
    condition: Condition, field: Callable[[str], Callable[[Any], Any]]
) -> Callable[[Any], bool]:
    checks: list[Callable[[Any], bool]] = []
    checks.extend(
        _passing(field(path), compile_test(test))
        for path, test in condition.fields.items()
    )
    checks.extend(_compile(part, field) for part in condition.all)
    if condition.any:
        choices = [_compile(part, field) for part in condition.any]
        checks.append(lambda subject: any(choice(subject) for choice in choices))
    if condition.negated is not None:
        barred = _compile(condition.negated, field)
        checks.append(lambda subject: not barred(subject))
    return _every(checks)


def compile_points(source: PointsSource) -> Callable[[Any], float]:
    """Return a function from a field's value to points; zero where unknown."""
    if isinstance(source, PerUnit):
        unit = source

        def proportional(value: object) -> float:
            number = as_number(value)
            if number is None:
                return 0.0
            # Nothing for each of infinitely many units is nothing, not nonsense.
            points = number / unit.per * unit.points if unit.points else 0.0
            return min(max(points, unit.min), unit.max)

        return proportional
    if isinstance(source, Ladder):
        rungs = [(rung.at, rung.points) for rung in reversed(source.ladder)]

        def highest(value: object) -> float:
            number = as_number(value)
            if number is None:
                return 0.0
            return next((points for at, points in rungs if number >= at), 0.0)

        return highest
    table = source
    texts = {key.casefold(): points for key, points in table.values.items()}
    numbers = {as_number(key): points for key, points in table.values.items()}

    def looked_up(value: object) -> float:
        if value is None or value == "":
            return 0.0
        plain = _plain(value)
        if isinstance(plain, float):
            return numbers.get(plain, table.otherwise)
        return texts.get(plain, table.otherwise) if isinstance(plain, str) else 0.0

    return looked_up


def static_choices(condition: Condition, path: str) -> frozenset[str] | None:
    """Return the values `path` must have for `condition` to hold; None for any.

    Used to find the rules of an event by its type, name and channel at once
    instead of trying every rule on every event.
    """
    test = condition.fields.get(path)
    if test is not None:
        wanted = [test.eq] if test.eq is not None else test.one_of
        if wanted is not None and all(isinstance(item, str) for item in wanted):
            return frozenset(str(item).casefold() for item in wanted)
    for part in condition.all:
        if (choices := static_choices(part, path)) is not None:
            return choices
    if condition.any:
        each = [static_choices(part, path) for part in condition.any]
        known = [choices for choices in each if choices is not None]
        if len(known) == len(each):
            return frozenset().union(*known)
    return None
