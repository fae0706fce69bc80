"""What a rule is worth, and for how long: points and decay as people write them."""

from typing import Annotated, Any, Final, Literal

from pydantic import Discriminator, Field, Tag, model_validator

from scorers.parts import FieldPath, Number, Part, Points, PositiveDuration, Share

# ── points ──────────────────────────────────────────────────────────────────────


class PerUnit(Part):
    """Points in proportion to a number: `points` for every `per` of it."""

    of: FieldPath
    """The field that holds the number."""
    per: Annotated[float, Field(strict=True, gt=0, allow_inf_nan=False)]
    """The size of one unit: 10 for "every ten employees"."""
    points: Points
    """Points for each unit; part of a unit gives part of them."""
    min: Points = 0
    """Never less than this."""
    max: Points
    """Never more than this."""

    @model_validator(mode="after")
    def _ordered(self) -> "PerUnit":
        if self.min > self.max:
            msg = f"min ({self.min:g}) is above max ({self.max:g})"
            raise ValueError(msg)
        return self


class Rung(Part):
    """One rung of a ladder."""

    at: Number
    """The number from which this rung counts."""
    points: Points
    """What it gives."""


class Ladder(Part):
    """Points by the size of a number: the highest rung that it reaches."""

    of: FieldPath
    """The field that holds the number."""
    ladder: Annotated[list[Rung], Field(min_length=1)]
    """The rungs, from the lowest up. Below the lowest there are no points."""

    @model_validator(mode="after")
    def _rising(self) -> "Ladder":
        bounds = [rung.at for rung in self.ladder]
        if bounds != sorted(set(bounds)):
            msg = "the rungs must rise: each `at` larger than the one before"
            raise ValueError(msg)
        return self


class Table(Part):
    """Points by value."""

    of: FieldPath
    """The field that is looked up."""
    values: Annotated[dict[str, Points], Field(min_length=1)]
    """What each value gives; case does not matter."""
    otherwise: Points = 0
    """What any other value gives. An unknown one gives nothing."""


PointsSource = PerUnit | Ladder | Table

_POINTS_KEYS: Final = {"ladder": "<ladder>", "values": "<table>", "per": "<per-unit>"}


def _points_kind(value: Any) -> str | None:
    """Return which way of giving points `value` is meant as; None for no way."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return "<number>"
    if isinstance(value, dict):
        return next((tag for key, tag in _POINTS_KEYS.items() if key in value), None)
    for kind, tag in zip((Ladder, Table, PerUnit), _POINTS_KEYS.values(), strict=True):
        if isinstance(value, kind):
            return tag
    return None


AnyPoints = Annotated[
    Annotated[Points, Tag("<number>")]
    | Annotated[PerUnit, Tag("<per-unit>")]
    | Annotated[Ladder, Tag("<ladder>")]
    | Annotated[Table, Tag("<table>")],
    Discriminator(
        _points_kind,
        custom_error_type="points_kind",
        custom_error_message=(
            "write points as a number such as 5, or read them off a value: "
            "{of, per, points, max}, {of, ladder} or {of, values}"
        ),
    ),
]

# ── decay ───────────────────────────────────────────────────────────────────────


class HalfLife(Part):
    """Points halve again and again: points · 2^(−age / half_life)."""

    half_life: PositiveDuration
    """The age at which half of the points are left."""


class Linear(Part):
    """Points fall in a straight line."""

    linear: PositiveDuration
    """The age at which nothing is left."""


class Step(Part):
    """One step of a decay."""

    until: PositiveDuration
    """The age at which this step ends."""
    keep: Share
    """The share of the points that counts until then: 1 is all, 0 is nothing."""


class Steps(Part):
    """Points fall in steps."""

    steps: Annotated[list[Step], Field(min_length=1)]
    """The steps, in order of age."""
    rest: Share = 0
    """The share that stays after the last step."""

    @model_validator(mode="after")
    def _falling(self) -> "Steps":
        ages = [step.until for step in self.steps]
        if ages != sorted(set(ages)):
            msg = "the steps must be in order of age: each `until` later than the last"
            raise ValueError(msg)
        kept = [*(step.keep for step in self.steps), self.rest]
        if kept != sorted(kept, reverse=True):
            msg = "points never come back: each step keeps no more than the one before"
            raise ValueError(msg)
        return self


class Expires(Part):
    """Points count in full, and then not at all."""

    expires: PositiveDuration
    """The age at which they stop counting."""


_DECAYS: Final[dict[str, type[Part]]] = {
    "half_life": HalfLife,
    "linear": Linear,
    "steps": Steps,
    "expires": Expires,
}
DECAY_KEYS: Final = tuple(_DECAYS)


def _decay_kind(value: Any) -> str | None:
    """Return which decay `value` is meant as; None for no decay there is."""
    if value == "none":
        return "<none>"
    for key, kind in _DECAYS.items():
        if isinstance(value, kind) or (isinstance(value, dict) and key in value):
            return f"<{key}>"
    return None


Decay = Annotated[
    Annotated[Literal["none"], Tag("<none>")]
    | Annotated[HalfLife, Tag("<half_life>")]
    | Annotated[Linear, Tag("<linear>")]
    | Annotated[Steps, Tag("<steps>")]
    | Annotated[Expires, Tag("<expires>")],
    Discriminator(
        _decay_kind,
        custom_error_type="decay_kind",
        custom_error_message=(
            "write decay as none, {half_life: 14d}, {linear: 30d}, "
            "{expires: 90d} or {steps: [{until: 7d, keep: 1}, …]}"
        ),
    ),
]
