"""Values of a record: found, read as times, looked up, converted. Pure."""

import math
from collections.abc import Callable, Collection
from datetime import UTC, datetime
from typing import Any, Final
from zoneinfo import ZoneInfo

from schemas.time import SECOND, Instant, to_datetime, to_instant
from streams.collector.mapping.expression import (
    ExpressionError,
    Search,
    compile_expression,
)
from streams.collector.mapping.language import Reading

_UNITS: Final = {"seconds": SECOND, "milliseconds": 1}
_TRUE: Final = frozenset({"true", "yes", "y", "t", "1", "on"})
_FALSE: Final = frozenset({"false", "no", "n", "f", "0", "off"})
_LATEST: Final[Instant] = 253_402_300_799_000
"""9999-12-31: no later instant can be written."""


class UnreadableError(Exception):
    """A value is there, and is not what the mapping says it is."""


def compile_value(
    found: str | Reading, *, missing: Collection[str], time: bool = False
) -> Search:
    """Return what reads a value out of a record; None where there is nothing.

    With `time` the value is an instant, whether the mapping says how or not. What it
    returns raises UnreadableError and ExpressionError only.
    """
    reading = Reading(path=found) if isinstance(found, str) else found
    if time and reading.time is None and "path" in reading.model_fields_set:
        reading = reading.model_copy(update={"time": "iso"})
    if reading.path is None:
        constant = reading.value
        return lambda _: constant
    nothing = frozenset(missing)
    search = compile_expression(reading.path)
    steps = list(_steps(reading))
    default = reading.default

    def read(record: Any) -> Any:
        value = search(record)
        if isinstance(value, str) and (not value.strip() or value in nothing):
            value = None
        for step in steps:
            if value is None:
                break
            value = step(value, record)
        return default if value is None else value

    return read


Step = Callable[[Any, Any], Any]
"""Turns a value, not None, into what it means; the record stands beside it."""


def _steps(reading: Reading) -> list[Step]:
    steps: list[Step] = []
    if reading.time is not None:
        steps.append(_time_step(reading))
    if reading.table is not None:
        steps.append(_table_step(reading))
    if reading.as_ is not None:
        steps.append(_kind_step(reading))
    if reading.divide_by is not None:
        steps.append(_share_step(reading.divide_by))
    return steps


def _time_step(reading: Reading) -> Step:
    told = reading.time or "iso"
    zone = UTC if reading.zone is None else ZoneInfo(reading.zone)
    plus = None if reading.plus is None else compile_expression(reading.plus)

    def read(value: Any, record: Any) -> Instant:
        instant = read_time(value, told, zone)
        added = None if plus is None else plus(record)
        if added is not None and added != "":
            instant += round(_number(added))
        return instant

    return read


def read_time(value: Any, told: str, zone: Any = UTC) -> Instant:
    """Return the instant that `value` names when it is written as `told`.

    >>> read_time("2026-11-21 10:00", "%Y-%m-%d %H:%M")
    1795255200000
    >>> read_time("1795255200.5", "seconds")
    1795255200500

    Raises
    ------
    UnreadableError
        When it names none.
    """
    if told in _UNITS or told == "microseconds":
        number = _number(value)
        instant = number / 1000 if told == "microseconds" else number * _UNITS[told]
        if abs(instant) > _LATEST:
            msg = f"{_shown(value)} {told} are no time of ours"
            raise UnreadableError(msg)
        return math.floor(instant)
    try:
        text = value if isinstance(value, str) else str(value)
        if told == "iso":
            moment = datetime.fromisoformat(text.strip())
        else:
            # Where the pattern has no zone, the next line gives it one.
            moment = datetime.strptime(text.strip(), told)  # noqa: DTZ007
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=zone)
        return to_instant(moment)
    except (ValueError, OverflowError):
        wanted = "ISO 8601" if told == "iso" else f"written as {told}"
        msg = f"{_shown(value)} is not {wanted}"
        raise UnreadableError(msg) from None


def as_moment(value: Any) -> datetime:
    """Return the moment of a value that stands for a time.

    Raises
    ------
    UnreadableError
        When it does not.
    """
    instant = value if isinstance(value, int) else read_time(value, "iso")
    if isinstance(value, bool) or abs(instant) > _LATEST:
        msg = f"{_shown(value)} is no time"
        raise UnreadableError(msg)
    try:
        return to_datetime(instant)
    except OverflowError:
        msg = f"{_shown(value)} is no time"
        raise UnreadableError(msg) from None


def _table_step(reading: Reading) -> Step:
    table = reading.table or {}
    falls = "otherwise" in reading.model_fields_set

    def look_up(value: Any, _: Any) -> Any:
        key = _text(value)
        if key in table:
            return table[key]
        return reading.otherwise if falls else value

    return look_up


def _kind_step(reading: Reading) -> Step:
    match reading.as_:
        case "number":
            return lambda value, _: _number(value)
        case "whole":
            return lambda value, _: math.floor(_number(value))
        case "boolean":
            return lambda value, _: _boolean(value)
        case "list":
            between = reading.separator
            return lambda value, _: _items(value, between)
        case _:
            return lambda value, _: _text(value)


def _share_step(parts: float) -> Step:
    return lambda value, _: _number(value) / parts


def _number(value: Any) -> float:
    if isinstance(value, str):
        try:
            value = float(value.replace(",", "") if "," in value else value)
        except ValueError:
            msg = f"{_shown(value)} is no number"
            raise UnreadableError(msg) from None
    if isinstance(value, bool) or not isinstance(value, int | float):
        msg = f"{_shown(value)} is no number"
        raise UnreadableError(msg)
    if not math.isfinite(value):
        msg = f"{_shown(value)} is no finite number"
        raise UnreadableError(msg)
    return value


def _boolean(value: Any) -> bool:
    if isinstance(value, bool):
        return value
    word = _text(value).strip().casefold()
    if word in _TRUE or word in _FALSE:
        return word in _TRUE
    msg = f"{_shown(value)} is neither true nor false"
    raise UnreadableError(msg)


def _items(value: Any, between: str) -> list[Any]:
    if isinstance(value, list):
        return value
    if isinstance(value, str):
        return [item.strip() for item in value.split(between) if item.strip()]
    return [value]


def _text(value: Any) -> str:
    """Return a value as its JSON shows it, a text without quotes."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return value if isinstance(value, str) else str(value)


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:59] + "…"  # noqa: PLR2004 - a line's worth


__all__ = [
    "ExpressionError",
    "UnreadableError",
    "as_moment",
    "compile_value",
    "read_time",
]
