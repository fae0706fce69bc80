"""The language of mappings: which records a payload holds, which events they are.

A mapping is read like a model: unknown keys are mistakes, and every mistake is told
with its line, its path and what was probably meant.
"""

from typing import Annotated, Any, Final, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import (
    AfterValidator,
    Discriminator,
    Field,
    Tag,
    field_validator,
    model_validator,
)

from schemas.event import Channel, EventType
from scorers.parts import Name, Part
from streams.collector.mapping.expression import check_expression

Scalar = str | int | float | bool | None
Expression = Annotated[
    str, Field(min_length=1, max_length=2_000), AfterValidator(check_expression)
]
"""A JMESPath expression over the record."""

TIME_FORMATS: Final = ("iso", "seconds", "milliseconds", "microseconds")


def _check_time(text: str) -> str:
    if text in TIME_FORMATS or "%" in text:
        return text
    msg = (
        f"must be one of {', '.join(TIME_FORMATS)}, or a pattern such as "
        "'%Y-%m-%d %H:%M'"
    )
    raise ValueError(msg)


def _check_zone(text: str) -> str:
    try:
        ZoneInfo(text)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        msg = "is no time zone: write one such as Europe/Berlin, or UTC"
        raise ValueError(msg) from None
    return text


class Reading(Part):
    """How one value is got out of a record: `path` finds it or `value` is it.

    What is found is read as a time, looked up in a table and converted, in this
    order; `default` stands in where there is nothing.
    """

    path: Expression | None = None
    """Where the value is."""
    value: Any = None
    """A constant, the same for every record."""
    time: Annotated[str, AfterValidator(_check_time)] | None = None
    """The value is a time: iso, seconds, milliseconds, microseconds or %Y-%m-%d …"""
    zone: Annotated[str, AfterValidator(_check_zone)] | None = None
    """The zone of a time that names none; UTC if absent."""
    plus: Expression | None = None
    """Milliseconds to add to the time."""
    table: dict[str, Scalar] | None = None
    """What the value is called here; one that is not listed stays as it is."""
    otherwise: Scalar = None
    """What a value becomes that the table does not list."""
    as_: Annotated[
        Literal["text", "number", "whole", "boolean", "list"] | None, Field(alias="as")
    ] = None
    """What kind of value it shall be."""
    separator: Annotated[str, Field(min_length=1, max_length=8)] = ","
    """What stands between the items of a list that is one text."""
    divide_by: Annotated[float, Field(gt=0)] | None = None
    """The number is counted in parts of one: 100 for cents."""
    default: Any = None
    """What it is where nothing is found."""

    @model_validator(mode="after")
    def _finds_something(self) -> "Reading":
        given = self.model_fields_set
        if ("path" in given) == ("value" in given):
            msg = "needs `path` or `value`, one of them"
            raise ValueError(msg)
        for key, needs in (("zone", "time"), ("plus", "time"), ("otherwise", "table")):
            if key in given and needs not in given:
                msg = f"`{key}` needs `{needs}`"
                raise ValueError(msg)
        return self


def _kind(value: Any) -> str | None:
    if isinstance(value, str):
        return "<text>"
    return "<reading>" if isinstance(value, dict | Reading) else None


_EITHER: Final = Discriminator(
    _kind,
    custom_error_type="value_kind",
    custom_error_message="must be a text, or a mapping with `path` or `value`",
)
Found = Annotated[
    Annotated[Expression, Tag("<text>")] | Annotated[Reading, Tag("<reading>")],
    _EITHER,
]
"""An expression, or an expression with what is to be done with its value."""
Named = Annotated[
    Annotated[str, Field(min_length=1, max_length=256), Tag("<text>")]
    | Annotated[Reading, Tag("<reading>")],
    _EITHER,
]
"""The text itself, or where it is found."""

Values = dict[Annotated[str, Field(min_length=1, max_length=256)], Found]
"""Values by name; `*` takes all fields of the object it finds."""


class Fields(Part):
    """The fields of a canonical event, and where they come from."""

    id: Found | None = None
    """What is unique; without it the id is made from the record's content."""
    type: EventType | None = None
    """page, track (if absent), identify, group or alias."""
    name: Named | None = None
    """A track's name or a page's title: a text as it stands, or {path: …}."""
    channel: Channel | None = None
    """web, email, social, content or crm; told by the name if absent."""
    occurred_at: Found | None = None
    """When it happened; the receipt if absent."""
    received_at: Found | None = None
    """When it was taken in, for files that say so."""
    user_id: Found | None = None
    """Who: the id that your own systems know the person by."""
    email: Found | None = None
    """Who: the e-mail address."""
    anonymous_id: Found | None = None
    """Who: the cookie or device."""
    properties: Values = {}
    """What is told about the event."""
    traits: Values = {}
    """What is told about the person."""
    context: Values = {}
    """What is told about the circumstances."""


class EventPart(Fields):
    """One event that a record may be."""

    when: Expression | None = None
    """The record is this event if this is true; always if absent."""


class Table(Part):
    """How a file of rows is to be read."""

    format: Literal["csv", "ndjson"] = "csv"
    """Rows with columns, or one JSON object a line."""
    delimiter: Annotated[str, Field(min_length=1, max_length=1)] = ","
    """What stands between the cells of a row."""
    quote: Annotated[str, Field(max_length=1)] = '"'
    """What stands around a cell with a delimiter in it; "" for nothing."""
    columns: list[str] | None = None
    """The names of the columns, where the file has no line with them."""
    json_columns: list[str] = []
    """Columns whose cells hold JSON."""
    encoding: str = "utf-8"
    """How the file's letters are written."""

    @field_validator("encoding")
    @classmethod
    def _is_known(cls, name: str) -> str:
        try:
            "".encode(name)
        except LookupError:
            msg = "is no encoding: write one such as utf-8 or latin-1"
            raise ValueError(msg) from None
        return name


class Mapping(Part):
    """How the payloads of one source become canonical events."""

    mapping: Name
    """Its name in words-with-dashes, also in the webhook's address."""
    title: Annotated[str, Field(max_length=200)] = ""
    """What it is for, in one line."""
    file: Table = Table()
    """How its files are written, for `leadpulse import`."""
    each: Expression | None = None
    """Where a payload's records are; the payload itself, or its items, if absent."""
    share: dict[str, Expression] = {}
    """Fields of the payload that every record gets under these names."""
    missing: list[str] = []
    """Texts that mean that there is nothing, as "" always does."""
    common: Fields = Fields()
    """What all events have in common; an event's own word wins."""
    events: Annotated[list[EventPart], Field(min_length=1)]
    """The events that a record may be; it is every one whose `when` is true."""
