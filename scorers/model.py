"""The scoring model as people write it: declarative, versioned, checked.

One word per idea: the YAML key is the field here, the metric's label and the
column's heading. Nothing in this module computes a score; `compiled` prepares a
model for that and `scorer` does it.
"""

import math
import re
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    field_validator,
    model_validator,
)

from schemas.event import CHANNELS
from schemas.time import DAY, HOUR, MINUTE, SECOND, WEEK, Millis
from scorers.pattern import check_pattern

_DURATION = re.compile(r"^(\d+(?:\.\d+)?)\s*(ms|s|m|h|d|w)$")
_UNITS: dict[str, int] = {
    "ms": 1,
    "s": SECOND,
    "m": MINUTE,
    "h": HOUR,
    "d": DAY,
    "w": WEEK,
}
_NAME = r"^[a-z][a-z0-9]*(-[a-z0-9]+)*$"


def parse_duration(value: object) -> Millis:
    """Return the milliseconds of a duration such as ``30m``, ``36h`` or ``14d``.

    >>> parse_duration("1.5h")
    5400000

    Raises
    ------
    ValueError
        If the text is not a number followed by ms, s, m, h, d or w.
    """
    if isinstance(value, str) and (match := _DURATION.match(value.strip())):
        return round(float(match[1]) * _UNITS[match[2]])
    msg = "write a duration as a number and a unit: 90s, 30m, 36h, 14d, 2w"
    raise ValueError(msg)


def _positive(value: Millis) -> Millis:
    if value <= 0:
        msg = "must be longer than zero"
        raise ValueError(msg)
    return value


Duration = Annotated[
    int,
    BeforeValidator(parse_duration, json_schema_input_type=str),
]
PositiveDuration = Annotated[
    int,
    BeforeValidator(
        lambda value: _positive(parse_duration(value)), json_schema_input_type=str
    ),
]
Points = Annotated[float, Field(strict=True, ge=-100, le=100, allow_inf_nan=False)]
Number = Annotated[float, Field(strict=True, allow_inf_nan=False)]
Name = Annotated[str, Field(pattern=_NAME, max_length=64)]


class Part(BaseModel):
    """Base of every part of a model: frozen, and unknown keys are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True)


# ── conditions ──────────────────────────────────────────────────────────────────

Scalar = Annotated[str | int | float | bool, Field(union_mode="left_to_right")]


class Test(Part):
    """What one field's value must satisfy; all given operators must hold."""

    eq: Scalar | None = Field(None, description="Equal; text ignores case.")
    ne: Scalar | None = Field(None, description="Not equal, or absent.")
    one_of: list[Scalar] | None = Field(
        None, alias="in", min_length=1, description="Equal to one of these."
    )
    none_of: list[Scalar] | None = Field(
        None, alias="not_in", min_length=1, description="Equal to none, or absent."
    )
    gt: Number | None = Field(None, description="Greater than.")
    gte: Number | None = Field(None, description="Greater than or equal to.")
    lt: Number | None = Field(None, description="Less than.")
    lte: Number | None = Field(None, description="Less than or equal to.")
    matches: str | None = Field(None, description="A regular expression, anywhere.")
    starts_with: str | None = Field(None, description="Begins so; ignores case.")
    ends_with: str | None = Field(None, description="Ends so; ignores case.")
    contains: str | None = Field(None, description="Has this inside; ignores case.")
    exists: bool | None = Field(None, description="Present (true) or absent (false).")

    @field_validator("matches")
    @classmethod
    def _safe_pattern(cls, value: str | None) -> str | None:
        if value is not None:
            check_pattern(value)
        return value

    @model_validator(mode="after")
    def _something_asked(self) -> "Test":
        if not self.model_fields_set:
            msg = "name at least one operator: eq, in, gte, matches, exists, …"
            raise ValueError(msg)
        return self


_FIELD = re.compile(
    r"^(type|event|channel|source|(properties|traits|context)(\.[^.\s]+)+)$"
)
_BRANCHES = ("all", "any", "not")


def _check_condition(value: object) -> object:
    """Refuse a condition that is no mapping or names a field there is not."""
    if not isinstance(value, dict) or not value:
        msg = "write a condition as field: value pairs, or all/any/not"
        raise ValueError(msg)
    return value


class Condition(Part):
    """A predicate over an event or over a lead's traits.

    ``{event: Demo Requested, properties.path: {starts_with: /pricing}}``: every
    pair must hold. A plain value means equal, a list means one of. ``all``, ``any``
    and ``not`` nest.
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
        pairs = _check_condition(value)
        assert isinstance(pairs, dict)
        fields: dict[str, Any] = {}
        shaped: dict[str, Any] = {"fields": fields}
        for key, item in pairs.items():
            if key in {"all", "any"}:
                if not isinstance(item, list) or not item:
                    msg = f"{key}: needs a list of conditions"
                    raise ValueError(msg)
                shaped[key] = item
            elif key == "not":
                shaped["negated"] = item
            elif not isinstance(key, str) or not _FIELD.match(key):
                msg = (
                    f"unknown field {key!r}: use type, event, channel, source, "
                    "properties.<name>, traits.<name>, context.<name>, all, any, not"
                )
                raise ValueError(msg)
            elif isinstance(item, dict):
                fields[key] = item
            elif isinstance(item, list):
                fields[key] = {"in": item}
            else:
                fields[key] = {"eq": item}
        return shaped


# ── points and decay ────────────────────────────────────────────────────────────


class PerUnit(Part):
    """Points in proportion to a number: `points` for every `per` of `of`."""

    of: str = Field(pattern=_FIELD.pattern, description="The number's field.")
    per: Annotated[float, Field(gt=0)]
    points: Points
    min: Points = 0
    max: Points

    @model_validator(mode="after")
    def _ordered(self) -> "PerUnit":
        if self.min > self.max:
            msg = "min is above max"
            raise ValueError(msg)
        return self


class Rung(Part):
    """One rung of a ladder: `points` from `at` on."""

    at: Number
    points: Points


class Ladder(Part):
    """Points by the size of a number: the highest rung that it reaches."""

    of: str = Field(pattern=_FIELD.pattern)
    ladder: Annotated[list[Rung], Field(min_length=1)]

    @model_validator(mode="after")
    def _rising(self) -> "Ladder":
        bounds = [rung.at for rung in self.ladder]
        if bounds != sorted(set(bounds)):
            msg = "rungs must rise: each `at` larger than the one before"
            raise ValueError(msg)
        return self


class Table(Part):
    """Points by value: what `values` says of it, `otherwise` for the rest."""

    of: str = Field(pattern=_FIELD.pattern)
    values: Annotated[dict[str, Points], Field(min_length=1)]
    otherwise: Points = 0


PointsSource = PerUnit | Ladder | Table


class Step(Part):
    """`keep` of the points until this age."""

    until: PositiveDuration
    keep: Annotated[float, Field(ge=0, le=1)]


class HalfLife(Part):
    """Halves every `half_life`: points · 2^(−age / half_life)."""

    half_life: PositiveDuration


class Linear(Part):
    """Falls in a straight line and reaches zero at the age `linear`."""

    linear: PositiveDuration


class Steps(Part):
    """Falls in steps; `rest` is kept after the last one."""

    steps: Annotated[list[Step], Field(min_length=1)]
    rest: Annotated[float, Field(ge=0, le=1)] = 0

    @model_validator(mode="after")
    def _falling(self) -> "Steps":
        ages = [step.until for step in self.steps]
        if ages != sorted(set(ages)):
            msg = "steps must be in order of age"
            raise ValueError(msg)
        kept = [*(step.keep for step in self.steps), self.rest]
        if kept != sorted(kept, reverse=True):
            msg = "each step must keep no more than the one before"
            raise ValueError(msg)
        return self


class Expires(Part):
    """Counts in full until the age `expires`, then not at all."""

    expires: PositiveDuration


Decay = Literal["none"] | HalfLife | Linear | Steps | Expires


class Limit(Part):
    """At most `count` matches count per window and key, by event time."""

    count: Annotated[int, Field(ge=1, le=10_000)] = 1
    per: PositiveDuration | None = Field(
        None, description="Window, aligned to 1970-01-01 UTC; for ever if absent."
    )
    by: str | None = Field(
        None, pattern=_FIELD.pattern, description="Counted apart for each value."
    )
    after: Annotated[int, Field(ge=0, le=1_000)] = Field(
        0, description="The first so many matches give nothing (repeats count)."
    )

    @model_validator(mode="after")
    def _limits_something(self) -> "Limit":
        if self.per is None and self.by is None:
            msg = "needs `per` (a window), `by` (a field) or both"
            raise ValueError(msg)
        return self


class Absence(Part):
    """`after` happened and `unless` did not follow `within` the time."""

    after: Condition
    unless: Condition
    within: PositiveDuration
    same: str | None = Field(
        None,
        pattern=_FIELD.pattern,
        description="Both must have the same value of this field.",
    )


class Silence(Part):
    """Nothing heard: `points` after `first`, and again after each `then`."""

    channels: Annotated[list[str], Field(min_length=1)] = list(CHANNELS)
    first: PositiveDuration
    then: PositiveDuration | None = None

    @field_validator("channels")
    @classmethod
    def _known(cls, value: list[str]) -> list[str]:
        if unknown := [channel for channel in value if channel not in CHANNELS]:
            msg = f"unknown channel {unknown[0]!r}: one of {', '.join(CHANNELS)}"
            raise ValueError(msg)
        return value


class Rule(Part):
    """One reason to give or take points.

    Exactly one of `when` (an event happens), `where` (the lead's traits are so),
    `absence` (something expected did not happen) and `silence` (nothing happens).
    """

    name: Name
    title: str = Field("", max_length=200, description="The reason as people say it.")
    when: Condition | None = None
    where: Condition | None = None
    absence: Absence | None = None
    silence: Silence | None = None
    points: Points | PointsSource
    max: Annotated[float, Field(strict=True, gt=0, le=100)] | None = Field(
        None, description="The most this rule may give or take, without sign."
    )
    limit: Limit | None = None
    decay: Decay | None = Field(None, description="The group's decay if absent.")

    @model_validator(mode="after")
    def _one_kind(self) -> "Rule":
        kinds = [
            kind
            for kind in ("when", "where", "absence", "silence")
            if getattr(self, kind) is not None
        ]
        sourced = not isinstance(self.points, float)
        if len(kinds) > 1 or (not kinds and not sourced):
            msg = "needs exactly one of when, where, absence, silence"
            raise ValueError(msg)
        if not kinds and not self._of_traits():
            msg = "points by a property need `when`: which event carries it?"
            raise ValueError(msg)
        if self.limit is not None and self.when is None:
            msg = "limit counts events: it goes with `when` only"
            raise ValueError(msg)
        if self.decay is not None and self.absence is None and self.when is None:
            msg = "decay goes with `when` and `absence` only"
            raise ValueError(msg)
        if sourced and (self.absence is not None or self.silence is not None):
            msg = "absence and silence take plain points"
            raise ValueError(msg)
        return self

    def _of_traits(self) -> bool:
        return not isinstance(self.points, float) and self.points.of.startswith(
            "traits."
        )

    @property
    def is_event_rule(self) -> bool:
        """Whether matches of single events give the points."""
        return self.when is not None


class Group(Part):
    """A dimension of the score with its own ceiling."""

    title: str = ""
    cap: Annotated[float, Field(strict=True, ge=0, le=100)]
    floor: Annotated[float, Field(strict=True, le=0, ge=-100)] | None = None
    decay: Decay = "none"
    rules: list[Rule] = []


class Tier(Part):
    """A named band of the score, from `at` up to the next."""

    name: Name
    at: Annotated[float, Field(strict=True, gt=0, le=100)]


class GradeScale(Part):
    """Marks by the sum of some groups, best first: `A: 18` means A from 18 on."""

    groups: Annotated[list[str], Field(min_length=1)]
    marks: Annotated[dict[str, Number], Field(min_length=1)]
    otherwise: str

    @model_validator(mode="after")
    def _falling(self) -> "GradeScale":
        bounds = list(self.marks.values())
        if bounds != sorted(set(bounds), reverse=True):
            msg = "marks must fall, best first"
            raise ValueError(msg)
        return self


class Grade(Part):
    """Letter of the fit × number of the engagement."""

    fit: GradeScale
    engagement: GradeScale


class Alert(Part):
    """When a person is told, and when not."""

    name: Name
    kind: Literal["hot", "cooled"]
    enter: str | Number | None = Field(
        None, description="hot: the tier or the score at which the alert is due."
    )
    leave: Number | None = Field(
        None, description="hot: the score below which it ends; 0.85 · enter if absent."
    )
    dwell: Duration = Field(0, description="hot: must last so long before it is told.")
    leave_dwell: Duration = Field(
        0, description="hot: must be below `leave` so long before it ends."
    )
    cooldown: Duration = Field(
        DAY, description="hot: not told again within this time after the last."
    )
    re_rise: Annotated[float, Field(strict=True, gt=0, le=10)] = Field(
        0.2, description="hot: unless the score rose by this share since the last."
    )
    of: Name | None = Field(None, description="cooled: the hot alert that it ends.")

    @model_validator(mode="after")
    def _complete(self) -> "Alert":
        if self.kind == "hot" and self.enter is None:
            msg = "a hot alert needs `enter`: a tier's name or a score"
            raise ValueError(msg)
        if self.kind == "cooled" and self.of is None:
            msg = "a cooled alert needs `of`: the hot alert that it ends"
            raise ValueError(msg)
        return self


class Stage(Part):
    """A stage of the journey and what to do there."""

    name: str
    next_action: str


class Value(Part):
    """Where a deal's value is read, first found first."""

    of: Annotated[list[str], Field(min_length=1)] = ["deal_value", "budget"]
    currency: Annotated[str, Field(pattern=r"^[A-Z]{3}$")] = "USD"


class Model(Part):
    """A whole scoring model, one version of it."""

    model: Name
    version: Annotated[str, Field(min_length=1, max_length=64)]
    description: str = ""
    decimals: Annotated[int, Field(ge=0, le=3)] = Field(
        1, description="Decimals of the published score."
    )
    activity: Condition | None = Field(
        None, description="Which events end a silence; all of the person's if absent."
    )
    groups: Annotated[dict[Name, Group], Field(min_length=1)]
    tiers: list[Tier] = []
    grade: Grade | None = None
    stages: list[Stage] = []
    value: Value = Value()
    alerts: list[Alert] = []

    @model_validator(mode="after")
    def _consistent(self) -> "Model":
        problems = [
            *self._duplicate_names(),
            *self._tier_problems(),
            *self._grade_problems(),
            *self._alert_problems(),
        ]
        if problems:
            raise ValueError("; ".join(problems))
        return self

    def _duplicate_names(self) -> list[str]:
        seen: dict[str, str] = {}
        problems = []
        for group, body in self.groups.items():
            for rule in body.rules:
                if rule.name in seen:
                    problems.append(
                        f"rule {rule.name!r} stands in {seen[rule.name]!r} "
                        f"and again in {group!r}: names must be unique"
                    )
                seen[rule.name] = group
        names = [alert.name for alert in self.alerts]
        problems.extend(
            f"alert {name!r} stands twice: names must be unique"
            for name in sorted({name for name in names if names.count(name) > 1})
        )
        return problems

    def _tier_problems(self) -> list[str]:
        bounds = [tier.at for tier in self.tiers]
        names = [tier.name for tier in self.tiers]
        problems = []
        if bounds != sorted(set(bounds), reverse=True):
            problems.append("tiers overlap: order them from the highest `at` down")
        if len(names) != len(set(names)):
            problems.append("tier names must be unique")
        return problems

    def _grade_problems(self) -> list[str]:
        if self.grade is None:
            return []
        named = [*self.grade.fit.groups, *self.grade.engagement.groups]
        return [
            f"grade: there is no group {name!r}"
            for name in named
            if name not in self.groups
        ]

    def _alert_problems(self) -> list[str]:
        problems = []
        hot = {alert.name for alert in self.alerts if alert.kind == "hot"}
        for alert in self.alerts:
            if alert.kind == "cooled" and alert.of not in hot:
                problems.append(f"alert {alert.name!r}: no hot alert {alert.of!r}")
            if alert.kind != "hot":
                continue
            enter = self.threshold(alert)
            if enter is None:
                problems.append(f"alert {alert.name!r}: no tier {alert.enter!r}")
            elif not 0 < enter <= 100:  # noqa: PLR2004  the score's own range
                problems.append(f"alert {alert.name!r}: enter must be in (0, 100]")
            elif alert.leave is not None and not 0 <= alert.leave <= enter:
                problems.append(
                    f"alert {alert.name!r}: leave {alert.leave:g} is above "
                    f"enter {enter:g}: it would flap"
                )
        return problems

    def threshold(self, alert: Alert) -> float | None:
        """Return the score at which a hot alert is due; None for no such tier."""
        if not isinstance(alert.enter, str):
            return alert.enter
        bounds = {tier.name: tier.at for tier in self.tiers}
        return bounds.get(alert.enter)

    def leave_threshold(self, alert: Alert) -> float:
        """Return the score below which a hot alert ends."""
        if alert.leave is not None:
            return alert.leave
        enter = self.threshold(alert)
        assert enter is not None
        return round(0.85 * enter, 9)

    @property
    def ceiling(self) -> float:
        """The highest score there can be: the caps' sum, 100 at the most."""
        return min(100.0, math.fsum(group.cap for group in self.groups.values()))
