"""What every part of a model is made of: names, numbers and durations."""

import re
from typing import Annotated, Any, Final

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

from schemas.time import DAY, HOUR, MINUTE, SECOND, WEEK, Millis

_DURATION: Final = re.compile(r"^(\d+(?:\.\d+)?)\s*(ms|s|m|h|d|w)$")
_UNITS: Final[dict[str, Millis]] = {
    "ms": 1,
    "s": SECOND,
    "m": MINUTE,
    "h": HOUR,
    "d": DAY,
    "w": WEEK,
}
_LONGEST: Final[Millis] = 36_525 * DAY
_SCHEMA: Final[Any] = {
    "pattern": r"^\s*\d+(\.\d+)?\s*(ms|s|m|h|d|w)\s*$",
    "examples": ["30m", "36h", "14d", "2w"],
}


def parse_domain(text: str) -> str:
    """Return a mail domain in small letters, without the @ before it.

    >>> parse_domain("@Example.com.")
    'example.com'

    Raises
    ------
    ValueError
        If it is an address, or no domain at all.
    """
    plain = text.strip().removeprefix("@").rstrip(".").casefold()
    if "@" in plain or "." not in plain or any(map(str.isspace, plain)):
        msg = "write a domain as it stands behind the @: example.com"
        raise ValueError(msg)
    return plain


def parse_duration(value: object) -> Millis:
    """Return the milliseconds of a duration such as ``30m``, ``36h`` or ``14d``.

    >>> parse_duration("1.5h")
    5400000

    Raises
    ------
    ValueError
        If the text is not a number followed by ms, s, m, h, d or w, or is longer
        than a hundred years.
    """
    if isinstance(value, str) and (match := _DURATION.match(value.strip())):
        amount = float(match[1]) * _UNITS[match[2]]
        if amount > _LONGEST:
            msg = "is longer than a hundred years"
            raise ValueError(msg)
        return round(amount)
    msg = "write a duration as a number and a unit: 90s, 30m, 36h, 14d, 2w"
    raise ValueError(msg)


def parse_positive_duration(value: object) -> Millis:
    """Return the milliseconds of a duration that is longer than zero.

    Raises
    ------
    ValueError
        As `parse_duration` does, and for zero.
    """
    millis = parse_duration(value)
    if millis <= 0:
        msg = "must be longer than zero"
        raise ValueError(msg)
    return millis


def tell_duration(millis: Millis) -> str:
    """Return a duration as it is written in a model, in its largest whole unit.

    >>> tell_duration(36 * 3_600_000), tell_duration(14 * 86_400_000)
    ('36h', '14d')
    """
    for unit in ("d", "h", "m", "s"):
        if millis and millis % _UNITS[unit] == 0:
            return f"{millis // _UNITS[unit]}{unit}"
    return f"{millis}ms"


_WRITTEN = Annotated[str, Field(json_schema_extra=_SCHEMA)]

Duration = Annotated[
    int, BeforeValidator(parse_duration, json_schema_input_type=_WRITTEN)
]
PositiveDuration = Annotated[
    int, BeforeValidator(parse_positive_duration, json_schema_input_type=_WRITTEN)
]
Number = Annotated[float, Field(strict=True, allow_inf_nan=False)]
Points = Annotated[float, Field(strict=True, ge=-100, le=100, allow_inf_nan=False)]
Share = Annotated[float, Field(strict=True, ge=0, le=1)]
Count = Annotated[int, Field(strict=True, ge=0)]
Domain = Annotated[str, Field(max_length=253), AfterValidator(parse_domain)]
Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9]*(-[a-z0-9]+)*$", max_length=64)]

FIELD: Final = re.compile(
    r"^(type|event|channel|source|(properties|traits|context)(\.[^.\s]+)+)$"
)
FieldPath = Annotated[str, Field(pattern=FIELD.pattern, max_length=200)]
"""The path of a field of an event or of a lead: ``properties.path``."""


class Part(BaseModel):
    """Base of every part of a model: frozen, and unknown keys are errors."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, use_attribute_docstrings=True
    )
