"""Accounts as people write them: what their people add up to, who is told of it."""

from typing import Annotated, Final, Literal

from pydantic import Field, field_validator, model_validator

from schemas.time import DAY, WEEK
from scorers.parts import (
    Count,
    Domain,
    Duration,
    Name,
    Number,
    Part,
    PositiveDuration,
    tell_duration,
)
from scorers.policy import QuietHours

_Score = Annotated[float, Field(strict=True, ge=0, le=100)]
_People = Annotated[Count, Field(ge=1, le=500)]

SHORTEST_BASELINE: Final = WEEK
LONGEST_BASELINE: Final = 7 * WEEK


class AccountScoring(Part):
    """How the scores of an account's people make the account's own."""

    kind: Literal["max", "top_mean", "breadth"] = "max"
    """max: the best person's score. top_mean: the mean of the best `people`.
    breadth: `points` for each person of a tier or score."""
    people: _People | None = None
    """top_mean: so many of the best; one that is missing counts as zero, so another
    person never lowers the score."""
    points: Annotated[float, Field(strict=True, gt=0, le=100)] | None = None
    """breadth: what each person gives."""
    of_tier: Name | None = None
    """breadth: who counts: people of this tier or a higher one."""
    min_score: _Score | None = None
    """breadth: who counts: people of at least this score."""
    cap: Annotated[float, Field(strict=True, gt=0, le=100)] = 100
    """breadth: the most that it may give in all."""

    @model_validator(mode="after")
    def _complete(self) -> "AccountScoring":
        for field, what in _SCORING_NEEDS[self.kind].items():
            if getattr(self, field) is None:
                msg = f"a {self.kind} score needs `{field}`: {what}"
                raise ValueError(msg)
        allowed = {"kind", *_SCORING_NEEDS[self.kind], *_SCORING_MAY[self.kind]}
        foreign = sorted(self.model_fields_set - allowed)
        if foreign:
            msg = f"a {self.kind} score has no `{foreign[0]}`"
            raise ValueError(msg)
        if self.kind == "breadth" and (self.of_tier is None) == (
            self.min_score is None
        ):
            msg = (
                "a breadth score needs either `of_tier` (a tier's name) or "
                "`min_score`: it says which people count"
            )
            raise ValueError(msg)
        return self


_SCORING_NEEDS: Final[dict[str, dict[str, str]]] = {
    "max": {},
    "top_mean": {"people": "how many of the best, such as 3"},
    "breadth": {"points": "what each person gives"},
}
_SCORING_MAY: Final[dict[str, set[str]]] = {
    "max": set(),
    "top_mean": set(),
    "breadth": {"of_tier", "min_score", "cap"},
}


class ActivePeople(Part):
    """Which people of an account are active, and how many make it qualified."""

    at_least: Literal["any", "all"] | _People = "any"
    """any: one active person is enough. all: everybody. A number: so many."""
    of_tier: Name | None = None
    """Active is who has this tier or a higher one …"""
    min_score: _Score | None = None
    """… or at least this score …"""
    within: PositiveDuration | None = None
    """… and was heard of within this time; however long ago if absent."""

    @field_validator("at_least", mode="before")
    @classmethod
    def _countable(cls, value: object) -> object:
        known = value in ("any", "all")
        if known or (type(value) is int and value >= 1):
            return value
        msg = "write any, all or a number of people, such as 2"
        raise ValueError(msg)

    @model_validator(mode="after")
    def _one_measure(self) -> "ActivePeople":
        if self.of_tier is not None and self.min_score is not None:
            msg = "has both of_tier and min_score: one of them says who is active"
            raise ValueError(msg)
        return self


class Each(Part):
    """What each person must have done within the time to be counted."""

    events: Annotated[Count, Field(ge=1, le=32)] | None = None
    """So many events that are signs of life."""
    points: Annotated[float, Field(strict=True, gt=0, le=100)] | None = None
    """So many points gained by them."""

    @model_validator(mode="after")
    def _asks(self) -> "Each":
        if self.events is None and self.points is None:
            msg = "needs `events`, `points` or both; drop it for any sign of life"
            raise ValueError(msg)
        return self


class Momentum(Part):
    """More than the account is used to: a busy account does not ring every day."""

    factor: Annotated[float, Field(strict=True, ge=1, le=100)] = 3
    """The people of the last 24 hours are so many times those of a usual day."""
    baseline: PositiveDuration = 4 * WEEK
    """How far back a usual day is looked for: whole days, 7d to 49d."""

    @field_validator("baseline")
    @classmethod
    def _whole_days(cls, value: int) -> int:
        if value % DAY or not SHORTEST_BASELINE <= value <= LONGEST_BASELINE:
            msg = (
                f"must be whole days from {tell_duration(SHORTEST_BASELINE)} to "
                f"{tell_duration(LONGEST_BASELINE)}, not {tell_duration(value)}"
            )
            raise ValueError(msg)
        return value


class AccountAlert(Part):
    """When a person is told of an account, and when not."""

    name: Name
    """Stable name in words-with-dashes."""
    kind: Literal["account-surge"]
    """account-surge: so many people of one account are active at the same time."""
    people: _People
    """How many people; it is over at half as many."""
    within: PositiveDuration
    """The time within which they are active, 30d at the most."""
    each: Each | None = None
    """What each of them must have done; any sign of life if absent."""
    momentum: Momentum | None = None
    """Only if that is more than the account is used to."""
    dwell: Duration = 0
    """It must last so long before anybody is told."""
    cooldown: Duration = DAY
    """After one alert there is no other for so long; 24h if absent."""
    re_rise: Annotated[Number, Field(gt=0, le=10)] = 0.2
    """… unless there are more people by this share than when it was told."""
    quiet_hours: QuietHours | None = None
    """Hours in which nobody is told; what is due then is told afterwards."""
    route: str | None = Field(None, min_length=1, max_length=200)
    """Who should hear of it, for the delivery: a team, a channel, a territory."""
    digest: bool = False
    """Whether it may wait for the next digest instead of being sent at once."""

    @field_validator("within")
    @classmethod
    def _not_too_long(cls, value: int) -> int:
        if value > LONGEST_WINDOW:
            msg = (
                f"must be at most {tell_duration(LONGEST_WINDOW)}, "
                f"not {tell_duration(value)}"
            )
            raise ValueError(msg)
        return value


LONGEST_WINDOW: Final = 30 * DAY


class Accounts(Part):
    """The companies that leads belong to."""

    free_mail: Annotated[list[Domain], Field(max_length=10_000)] = []
    """Further mail domains that are no company's, with those below them: local
    providers, your own resellers. The known ones and your staff's are none anyhow."""

    score: AccountScoring = Field(default_factory=AccountScoring)
    """How the people's scores make the account's; the best person's if absent."""
    active: ActivePeople = Field(default_factory=ActivePeople)
    """Which people are active, and how many the account needs to be qualified."""
    alerts: list[AccountAlert] = []
    """Who is told of what."""
