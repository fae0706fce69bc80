"""Alert policies as people write them: who is told of what, and when not."""

from typing import Annotated, Final, Literal, get_args
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import Field, model_validator

from schemas.time import DAY, HOUR
from scorers.parts import Duration, Name, Number, Part, PositiveDuration

CLOCK: Final = r"^([01]\d|2[0-3]):[0-5]\d$"
"""How a time of day is written."""


class Hours(Part):
    """Some hours of the day."""

    start: Annotated[str, Field(pattern=CLOCK, alias="from")]
    """When they begin, such as "20:00"."""
    end: Annotated[str, Field(pattern=CLOCK, alias="to")]
    """When they end, such as "08:00" (the next morning)."""
    zone: str = "UTC"
    """The time zone they are meant in, such as Europe/Berlin."""

    @model_validator(mode="after")
    def _real(self) -> "Hours":
        if self.start == self.end:
            msg = "from and to are the same: that would be the whole day"
            raise ValueError(msg)
        try:
            ZoneInfo(self.zone)
        except (ZoneInfoNotFoundError, ValueError, OSError):
            msg = (
                f"there is no time zone {self.zone!r}: write one such as Europe/Berlin"
            )
            raise ValueError(msg) from None
        return self


class QuietHours(Hours):
    """Hours of the day in which nobody is told."""


Day = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]


class Shift(Hours):
    """Hours of the day in which other people are there, or more, or fewer."""

    leads: Annotated[int, Field(strict=True, ge=0, le=1_000_000)]
    """How many leads they can deal with at once."""
    days: Annotated[list[Day], Field(min_length=1)] = list(get_args(Day))
    """The days on which these hours begin; every day if absent."""


class Capacity(Part):
    """How many leads may be hot at once; the score they must reach follows from it."""

    leads: Annotated[int, Field(strict=True, ge=1, le=1_000_000)]
    """How many leads people can deal with at once, outside of all `shifts`."""
    shifts: list[Shift] = []
    """Hours with another number; of those that overlap the first counts."""
    lowest: Number | None = None
    """The score below which the alert never begins; `enter` if absent."""
    highest: Number | None = None
    """The score from which on it always begins; the model's highest if absent."""
    hysteresis: Annotated[float, Field(strict=True, ge=0, le=0.9)] = 0.2
    """It gets easier only when so large a share of the people's time is free."""
    every: PositiveDuration = HOUR
    """It changes once in this time at the most; 1h if absent."""


class Alert(Part):
    """When a person is told, and when not."""

    name: Name
    """Stable name in words-with-dashes."""
    kind: Literal["hot", "cooled", "surge", "stage", "unworked"]
    """hot: the score came up to `enter`. cooled: an alert of that kind ended.
    surge: the lead gained `rise` points `within` a time. stage: it entered one of
    `stages`. unworked: nobody dealt with the alert `of` in time."""
    enter: str | Number | None = None
    """hot: the tier or the score at which the alert is due."""
    leave: Number | None = None
    """hot: the score below which it ends; 0.85 · enter if absent."""
    capacity: Capacity | None = None
    """hot: it begins at the score that as many leads reach as can be dealt with."""
    rise: Annotated[float, Field(strict=True, gt=0, le=100)] | None = None
    """surge: the points gained by events; it is over at half as many."""
    within: PositiveDuration | None = None
    """surge: the time in which they were gained."""
    stages: Annotated[list[str], Field(min_length=1)] | None = None
    """stage: the values of the trait lifecycle_stage that are told."""
    after: PositiveDuration | None = None
    """unworked: the time that sales has to deal with the alert."""
    dwell: Duration = 0
    """It must last so long before anybody is told."""
    leave_dwell: Duration = 0
    """It must be over for so long before the alert ends."""
    cooldown: Duration = DAY
    """After one alert there is no other for so long; 24h if absent."""
    re_rise: Annotated[float, Field(strict=True, gt=0, le=10)] = 0.2
    """hot, surge: … unless it is by this share more than when it was told."""
    inhibits: list[Name] = []
    """Alerts that are not told while this one lasts: gold mutes silver."""
    quiet_hours: QuietHours | None = None
    """Hours in which nobody is told; what is due then is told afterwards."""
    route: str | None = Field(None, min_length=1, max_length=200)
    """Who should hear of it, for the delivery: a team, a channel, a territory."""
    digest: bool = False
    """Whether it may wait for the next digest instead of being sent at once."""
    of: Name | None = None
    """cooled: the alert whose end is told. unworked: the alert to deal with."""

    @model_validator(mode="after")
    def _complete(self) -> "Alert":
        for field, what in _ALERT_NEEDS[self.kind].items():
            if getattr(self, field) is None:
                msg = f"{_a(self.kind)} alert needs `{field}`: {what}"
                raise ValueError(msg)
        allowed = {"name", "kind", *_ALERT_NEEDS[self.kind], *_ALERT_MAY[self.kind]}
        foreign = sorted(self.model_fields_set - allowed)
        if foreign:
            msg = f"{_a(self.kind)} alert has no `{foreign[0]}`"
            raise ValueError(msg)
        return self


def _a(kind: str) -> str:
    return f"an {kind}" if kind.startswith("u") else f"a {kind}"


_ALERT_NEEDS: Final[dict[str, dict[str, str]]] = {
    "hot": {"enter": "a tier's name or a score"},
    "cooled": {"of": "the alert whose end it tells"},
    "surge": {
        "rise": "the points gained",
        "within": "the time in which they are gained, such as 1h",
    },
    "stage": {"stages": "the stages to tell of, such as [decision]"},
    "unworked": {
        "of": "the alert to deal with",
        "after": "the time there is for it, such as 15m",
    },
}
_ALERT_POLICY: Final = {
    "dwell",
    "leave_dwell",
    "cooldown",
    "inhibits",
    "quiet_hours",
    "route",
    "digest",
}
_ALERT_MAY: Final[dict[str, set[str]]] = {
    "hot": {*_ALERT_POLICY, "leave", "re_rise", "capacity"},
    "cooled": {"route", "digest"},
    "surge": {*_ALERT_POLICY, "re_rise"},
    "stage": _ALERT_POLICY,
    "unworked": {"route", "digest"},
}
