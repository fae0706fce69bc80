"""Silence as people write it: what it costs, and what it leaves of other points."""

from typing import Annotated, Final

from pydantic import AfterValidator, Field, model_validator
from pydantic_core import PydanticCustomError

from schemas.event import CHANNELS
from scorers.parts import Name, Part, PositiveDuration, Share
from scorers.texts import Title


def _known(value: list[str]) -> list[str]:
    if unknown := [channel for channel in value if channel not in CHANNELS]:
        error = PydanticCustomError(
            "unknown_value",
            "there is no channel '{value}': use {known}",
            {"value": unknown[0], "known": ", ".join(CHANNELS)},
        )
        raise error
    return value


Channels = Annotated[list[str], Field(min_length=1), AfterValidator(_known)]
"""Names of channels, at least one."""

EVERYWHERE: Final[list[str]] = list(CHANNELS)


class Silence(Part):
    """Nothing is heard of a lead: points at `first`, and again after each `then`."""

    channels: Channels = EVERYWHERE
    """Where it is silent; all channels if absent."""
    first: PositiveDuration
    """How long it is silent before the points count for the first time."""
    then: PositiveDuration | None = None
    """How long until they count once more, and so on; never again if absent."""


class Dormancy(Part):
    """Nothing is heard of a lead: what some groups give is multiplied by `factor`.

    So it is at `first`, once more after each `then`, and never below `floor`. What
    such a group takes stays: silence never makes a score better.
    """

    name: Name
    """Stable name in words-with-dashes; no rule has the same."""
    title: Title = ""
    """The reason as people say it, in one language or {en, fa}; else the name."""
    groups: Annotated[list[str], Field(min_length=1)]
    """The groups whose points are multiplied, after their caps."""
    channels: Channels = EVERYWHERE
    """Where it is silent; all channels if absent."""
    first: PositiveDuration
    """How long it is silent before the points are multiplied for the first time."""
    then: PositiveDuration | None = None
    """How long until they are multiplied once more; never again if absent."""
    factor: Annotated[float, Field(strict=True, ge=0, le=0.99)]
    """What they are multiplied by each time, such as 0.5 for half."""
    floor: Share = 0.0
    """The least share of the points that is left, however long it is silent."""

    @model_validator(mode="after")
    def _ends(self) -> "Dormancy":
        if self.then is not None and not self.factor:
            msg = "a factor of 0 leaves nothing to multiply once more: drop `then`"
            raise ValueError(msg)
        if self.then is not None and self.floor < _LEAST_FLOOR:
            msg = (
                "with `then` it would go on for ever: say with `floor` which share is "
                "left at the least, 0.01 or more"
            )
            raise ValueError(msg)
        if self.floor > self.factor:
            msg = (
                f"the floor ({self.floor:g}) is above the factor ({self.factor:g}), so "
                f"the factor never counts: write factor: {self.floor:g}"
            )
            raise ValueError(msg)
        return self


_LEAST_FLOOR: Final = 0.01
