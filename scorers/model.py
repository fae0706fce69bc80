"""The scoring model as people write it: declarative, versioned, checked.

One word per idea: the YAML key is the field here, the metric's label and the
column's heading. Nothing in this module computes a score; `compiled` prepares a
model for that and `scorer` does it.
"""

import math
from typing import Annotated, Final

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from schemas.locale import Locale
from scorers.account_policy import Accounts
from scorers.consent_policy import Consent
from scorers.consistency import BEST, inconsistencies
from scorers.machine_policy import MachineRule, MachineTraffic
from scorers.parts import (
    Count,
    FieldPath,
    Name,
    Number,
    Part,
    Points,
    PositiveDuration,
    parse_duration,
)
from scorers.policy import Alert, QuietHours
from scorers.predicate import Condition, Test
from scorers.silence import Dormancy, Silence
from scorers.texts import Text, Title
from scorers.worth import (
    AnyPoints,
    Decay,
    Expires,
    HalfLife,
    Ladder,
    Linear,
    PerUnit,
    PointsSource,
    Rung,
    Step,
    Steps,
    Table,
)

__all__ = [
    "Absence",
    "Alert",
    "AnyPoints",
    "Condition",
    "Consent",
    "Decay",
    "Dormancy",
    "Expires",
    "Grade",
    "GradeScale",
    "Group",
    "HalfLife",
    "Ladder",
    "Limit",
    "Linear",
    "MachineTraffic",
    "Model",
    "Part",
    "PerUnit",
    "Points",
    "PointsSource",
    "QuietHours",
    "Rule",
    "Rung",
    "Silence",
    "Stage",
    "Step",
    "Steps",
    "Table",
    "Test",
    "Tier",
    "Value",
    "parse_duration",
]

LEAVE_SHARE: Final = 0.85
"""Where an alert ends that does not say: this share of where it begins."""


class Limit(Part):
    """How often a rule may count, by the time at which its events happened."""

    count: Annotated[int, Field(strict=True, ge=1, le=10_000)] = 1
    """So many matches count in each window and for each value of `by`."""
    per: PositiveDuration | None = None
    """The window, aligned to 1970-01-01 UTC; for ever if absent."""
    by: FieldPath | None = None
    """Count apart for each value of this field."""
    after: Annotated[Count, Field(le=1_000)] = 0
    """So many matches give nothing before the first that counts."""

    @model_validator(mode="after")
    def _limits_something(self) -> "Limit":
        if self.per is None and self.by is None:
            msg = "needs `per` (a window), `by` (a field) or both"
            raise ValueError(msg)
        return self


class Absence(Part):
    """Something happened, and what was expected next did not follow in time."""

    after: Condition
    """The event that raises the expectation."""
    unless: Condition
    """The event that fulfils it."""
    within: PositiveDuration
    """How long it may take."""
    same: FieldPath | None = None
    """Both events must have the same value of this field."""


class Rule(Part):
    """One reason to give or take points.

    It has exactly one of `when` (an event happens), `where` (the traits are so),
    `absence` (something expected did not happen) and `silence` (nothing happens).
    Points that are read off a trait need none of them.
    """

    name: Name
    """Stable name in words-with-dashes; a lead's memory of the rule hangs on it."""
    title: Title = ""
    """The reason as people say it, in one language or {en, fa}; else the name."""
    when: Condition | None = None
    """Each event that is so gives the points."""
    where: Condition | None = None
    """The points count as long as the lead's latest traits are so."""
    absence: Absence | None = None
    """The points count each time that something expected did not follow."""
    silence: Silence | None = None
    """The points count while the lead is silent."""
    points: AnyPoints
    """What it gives, or takes where it is negative."""
    max: Annotated[float, Field(strict=True, gt=0, le=100)] | None = None
    """The most that the rule may give or take in all, written without sign."""
    limit: Limit | None = None
    """How often it may count; with `when` only."""
    decay: Decay | None = None
    """How its points fade; as in its group if absent."""
    machine: MachineRule = "ignored"
    """Whether it counts what machines did; with `when` and `absence` only."""

    @model_validator(mode="after")
    def _one_kind(self) -> "Rule":
        kinds = [
            kind
            for kind in ("when", "where", "absence", "silence")
            if getattr(self, kind) is not None
        ]
        if len(kinds) > 1:
            msg = (
                f"has both {' and '.join(kinds)}, but a rule has exactly one of when, "
                "where, absence and silence: make it two rules"
            )
            raise ValueError(msg)
        if not kinds and not self._of_traits():
            msg = (
                "does not say when it applies: add when (an event), where (traits), "
                "absence or silence"
            )
            raise ValueError(msg)
        if (problem := self._misplaced()) is not None:
            raise ValueError(problem)
        return self

    def _of_traits(self) -> bool:
        return not isinstance(self.points, float) and self.points.of.startswith(
            "traits."
        )

    def _misplaced(self) -> str | None:
        """Return what the rule has that its kind has no use for."""
        sourced = not isinstance(self.points, float)
        if self.limit is not None and self.when is None:
            return "limit counts events: it goes with `when` only"
        if self.decay is not None and self.absence is None and self.when is None:
            return "decay goes with `when` and `absence` only: nothing else gets old"
        if self.machine == "counts" and self.absence is None and self.when is None:
            return "machine: counts goes with `when` and `absence` only: events count"
        if sourced and (self.absence is not None or self.silence is not None):
            return "absence and silence take a plain number of points"
        if self.where is None:
            return None
        if sourced and not self._of_traits():
            return "`where` knows traits only: read the points off traits.<name>"
        for path in sorted(self.where.paths()):
            if not path.startswith("traits."):
                return (
                    f"`where` knows the traits only, and `{path}` is a field of an "
                    "event: write `when`"
                )
        return None


class Group(Part):
    """A dimension of the score with its own ceiling."""

    title: Title = ""
    """The dimension as people say it, in one language or {en, fa}; else the name."""
    cap: Annotated[float, Field(strict=True, ge=0, le=100)]
    """The most that the group may give."""
    floor: Annotated[float, Field(strict=True, le=0, ge=-100)] | None = None
    """The least that the group may give, if it may not fall without end."""
    decay: Decay = "none"
    """How the points of its rules fade, where a rule does not say."""
    rules: list[Rule] = []
    """What gives and takes points here."""


class Tier(Part):
    """A named band of the score, from `at` up to the next tier."""

    name: Name
    """The tier's name, such as gold."""
    at: Annotated[float, Field(strict=True, gt=0, le=100)]
    """The score at which it begins."""


class GradeScale(Part):
    """Marks by the sum of some groups."""

    groups: Annotated[list[str], Field(min_length=1)]
    """The groups that are added up."""
    marks: Annotated[dict[str, Number], Field(min_length=1)]
    """The sum from which each mark is given, the best mark first."""
    otherwise: str = Field(min_length=1)
    """The mark of everybody else."""

    @model_validator(mode="after")
    def _falling(self) -> "GradeScale":
        bounds = list(self.marks.values())
        if bounds != sorted(set(bounds), reverse=True):
            msg = "the marks must fall: the best first, each lower than the one before"
            raise ValueError(msg)
        return self


class Grade(Part):
    """Two marks in one word: who the lead is × what it does, such as A1."""

    fit: GradeScale
    """The first mark: who they are and what they can spend."""
    engagement: GradeScale
    """The second mark: what they do."""


class Stage(Part):
    """A stage of the journey and what to do there."""

    name: str = Field(min_length=1)
    """A value of the trait lifecycle_stage; `unknown` is for leads without one."""
    title: Title = ""
    """The stage as people say it, in one language or {en, fa}; else the name."""
    next_action: Text
    """What to do, in one sentence, in one language or {en, fa}; alerts carry it."""


class Value(Part):
    """The traits that hold the value of a deal."""

    of: Annotated[list[str], Field(min_length=1)] = ["deal_value", "budget"]
    """The traits that may hold it; the first that is known counts."""
    currency: Annotated[str, Field(pattern=r"^[A-Z]{3}$")] = "USD"
    """Its currency, three letters, where the lead's data do not say."""


class Model(Part):
    """A whole scoring model, one version of it."""

    model: Name
    """The model's name, the same in all its versions."""
    version: Annotated[str, Field(min_length=1, max_length=64)]
    """The version, in quotes; every score says which version gave it."""
    description: str = ""
    """What the model is for, in a sentence."""
    locale: Locale = "en"
    """The language in which updates and alerts give their reasons: en or fa."""
    decimals: Annotated[int, Field(strict=True, ge=0, le=3)] = 1
    """Decimals of a published score."""
    activity: Condition | None = None
    """Which events end a silence; everything that the person does if absent."""
    groups: Annotated[dict[Name, Group], Field(min_length=1)]
    """The dimensions of the score. It is their sum, between 0 and 100."""
    consent: list[Consent] = []
    """What people may consent to or refuse, and what gives no points without it."""
    dormancy: list[Dormancy] = []
    """What is left of some groups' points while a lead is silent."""
    tiers: list[Tier] = []
    """Bands of the score, from the highest down."""
    grade: Grade | None = None
    """How a lead's grade is made, such as A1."""
    stages: list[Stage] = []
    """The stages of the journey, and the next action of each."""
    value: Value = Field(default_factory=Value)
    """Where the value of a deal is read."""
    alerts: list[Alert] = []
    """Who is told of what."""
    accounts: Accounts | None = None
    """What the people of one company add up to; nothing if absent."""
    machine_traffic: MachineTraffic = Field(default_factory=MachineTraffic)
    """How machines are told from people."""

    @model_validator(mode="after")
    def _consistent(self) -> "Model":
        problems = inconsistencies(self.model_dump(by_alias=True))
        if problems:
            error = PydanticCustomError(
                "inconsistent",
                "{text}",
                {"text": "; ".join(problem.message for problem in problems)},
            )
            raise error
        return self

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
        return round(LEAVE_SHARE * enter, 9)

    @property
    def ceiling(self) -> float:
        """The highest score there can be: the caps' sum, 100 at the most."""
        return min(BEST, math.fsum(group.cap for group in self.groups.values()))
