"""Predicates as people write them; `conditions` turns them into functions."""

from typing import Any, Final, get_args

from pydantic import (
    Field,
    StrictBool,
    StrictFloat,
    StrictInt,
    StrictStr,
    field_validator,
    model_validator,
)
from pydantic_core import PydanticCustomError

from schemas.event import CHANNELS, EventType
from scorers.parts import FIELD, Number, Part
from scorers.pattern import check_pattern

Scalar = StrictStr | StrictBool | StrictInt | StrictFloat


class Test(Part):
    """What one field's value must satisfy; all given operators must hold."""

    __test__ = False  # not a test case, whatever pytest makes of the name

    eq: Scalar | None = None
    """Equal to this; text ignores case."""
    ne: Scalar | None = None
    """Not equal to this, or absent."""
    one_of: list[Scalar] | None = Field(None, alias="in", min_length=1)
    """Equal to one of these."""
    none_of: list[Scalar] | None = Field(None, alias="not_in", min_length=1)
    """Equal to none of these, or absent."""
    gt: Number | None = None
    """Greater than this number."""
    gte: Number | None = None
    """Greater than this number, or equal to it."""
    lt: Number | None = None
    """Less than this number."""
    lte: Number | None = None
    """Less than this number, or equal to it."""
    matches: StrictStr | None = None
    """Has a place that this regular expression matches; case counts unless (?i)."""
    starts_with: StrictStr | None = None
    """Begins with this; ignores case."""
    ends_with: StrictStr | None = None
    """Ends with this; ignores case."""
    contains: StrictStr | None = None
    """Has this inside; ignores case."""
    exists: StrictBool | None = None
    """Present (true) or absent (false)."""

    @field_validator("matches")
    @classmethod
    def _safe_pattern(cls, value: str | None) -> str | None:
        if value is not None:
            check_pattern(value)
        return value

    @model_validator(mode="before")
    @classmethod
    def _no_blank(cls, value: object) -> object:
        if value is None:
            msg = "is empty: give a value, or {exists: false} where it must be absent"
            raise ValueError(msg)
        return value

    @model_validator(mode="after")
    def _something_asked(self) -> "Test":
        if not self.model_fields_set:
            msg = "name at least one operator: eq, in, gte, matches, exists, …"
            raise ValueError(msg)
        return self


_CLOSED: Final[dict[str, tuple[str, ...]]] = {
    "type": get_args(EventType),
    "channel": CHANNELS,
}
"""Fields of an event that can only have these values."""


class Condition(Part):
    """A predicate over an event, or over a lead's traits: every pair must hold.

    ``{event: Demo Requested, properties.path: {starts_with: /pricing}}``. A plain
    value means equal, a list means one of. ``all``, ``any`` and ``not`` nest.
    """

    fields: dict[str, Test] = {}
    all: list["Condition"] = []
    any: list["Condition"] = []
    negated: "Condition | None" = None

    @model_validator(mode="before")
    @classmethod
    def _from_pairs(cls, value: object) -> object:
        if isinstance(value, Condition):
            return value
        if not isinstance(value, dict) or not value:
            msg = "write a condition as field: value pairs, or all, any, not"
            raise ValueError(msg)
        fields: dict[str, Any] = {}
        shaped: dict[str, Any] = {"fields": fields}
        for key, item in value.items():
            if key in {"all", "any"}:
                if not isinstance(item, list) or not item:
                    msg = f"`{key}` needs a list of conditions"
                    raise ValueError(msg)
                shaped[key] = item
            elif key == "not":
                shaped["negated"] = item
            elif not isinstance(key, str) or not FIELD.match(key):
                error = PydanticCustomError(
                    "unknown_field",
                    "there is no field '{field}': use type, event, channel, source, "
                    "properties.<name>, traits.<name>, context.<name>, all, any, not",
                    {"field": str(key)},
                )
                raise error
            elif isinstance(item, list):
                fields[key] = {"in": item}
            elif isinstance(item, dict) or item is None:
                fields[key] = item
            else:
                fields[key] = {"eq": item}
        return shaped

    @model_validator(mode="after")
    def _possible(self) -> "Condition":
        for field, known in _CLOSED.items():
            test = self.fields.get(field)
            if test is None:
                continue
            for value in (test.eq, *(test.one_of or ())):
                if value is not None and value not in known:
                    error = PydanticCustomError(
                        "unknown_value",
                        "{field} is never '{value}': it is one of {known}",
                        {
                            "field": field,
                            "value": str(value),
                            "known": ", ".join(known),
                        },
                    )
                    raise error
        return self

    def paths(self) -> set[str]:
        """Return every field that the condition reads, however deep."""
        found = set(self.fields)
        for part in (*self.all, *self.any):
            found |= part.paths()
        return found if self.negated is None else found | self.negated.paths()
