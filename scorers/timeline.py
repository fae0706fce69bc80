"""The model's own test: what happens to leads, and what must come of it.

This is the language; `scorers.timeline_run` runs it.
"""

from typing import Annotated, Any, Final

from pydantic import Field, StrictBool, model_validator

from schemas.event import Channel
from scorers.loading import load_part
from scorers.parts import Duration, Number, Part, PositiveDuration
from scorers.predicate import Test

THE_LEAD: Final = "lead"
"""Who it is about where a timeline names nobody."""

Wanted = Number | Test
"""A number, or operators such as {gte: 60}."""


class Person(Part):
    """What is known of a lead before anything happens."""

    traits: dict[str, Any] = {}
    """Facts, such as employees or title."""
    email: str | None = None
    """The e-mail address."""


class Happening(Part):
    """Something that happens: exactly one of page, track, identify and withdraw."""

    at: Duration
    """When it happens, counted from time 0."""
    page: str | None = None
    """The path of a page that is seen."""
    track: str | None = None
    """The name of an event."""
    identify: dict[str, Any] | None = None
    """Traits that become known."""
    withdraw: str | None = Field(None, min_length=1)
    """The id of an event that turns out to be a machine's, or may not be used."""
    id: str | None = Field(None, min_length=1, max_length=100)
    """A name for the event, by which it can be withdrawn."""
    properties: dict[str, Any] = {}
    """Properties of the event."""
    channel: Channel | None = None
    """The channel; the one that the event's name belongs to if absent."""
    received: Duration | None = None
    """When we hear of it; at once if absent."""
    times: Annotated[int, Field(strict=True, ge=1, le=10_000)] = 1
    """How often it happens."""
    every: PositiveDuration | None = None
    """How long it is from one time to the next."""
    who: str = THE_LEAD
    """Whom it happens to, where a timeline has several leads."""

    @model_validator(mode="after")
    def _one_kind(self) -> "Happening":
        given = [kind for kind in _KINDS if getattr(self, kind)]
        if len(given) != 1:
            msg = f"needs exactly one of {', '.join(_KINDS)}"
            raise ValueError(msg)
        if self.withdraw and (more := self.model_fields_set - {"at", "withdraw"}):
            msg = f"withdraw takes an event back and has no `{min(more)}` of its own"
            raise ValueError(msg)
        if self.times > 1 and self.every is None:
            msg = "times needs `every`: how long from one to the next"
            raise ValueError(msg)
        return self


_KINDS: Final = ("page", "track", "identify", "withdraw")


class Expectation(Part):
    """What must be true at an instant."""

    at: Duration
    """When we look."""
    who: str = THE_LEAD
    """At whom we look, where a timeline has several leads."""
    account: str | None = Field(None, min_length=1)
    """The account at which we look instead, by its mail domain or its CRM id."""
    score: Wanted | None = None
    """The score: a number, or operators such as {gte: 60}."""
    tier: str | None = None
    """The tier; none where it has none."""
    grade: str | None = None
    """The grade, such as A1."""
    groups: dict[str, Wanted] = {}
    """Points of groups, after their caps."""
    alert: str | None = None
    """An alert that was told since we last looked."""
    no_alert: str | StrictBool | None = None
    """An alert that was not; true for no alert at all."""
    reason: str | None = None
    """Why that alert was told; without `alert`, why any decision was made."""
    because: list[str] = []
    """Rules that are among the reasons for the score."""
    not_because: list[str] = []
    """Rules that are not."""
    stage: str | None = None
    """The stage of the journey."""
    next_action: str | None = None
    """A part of the next action that the alert names."""
    ranking: list[str] = []
    """Leads from the highest score to the lowest; no two may be equal."""
    members: Wanted | None = None
    """account: how many people it has."""
    active: Wanted | None = None
    """account: how many of them are active."""
    qualified: StrictBool | None = None
    """account: whether as many are active as the model asks."""
    trend: Wanted | None = None
    """account: the points gained since seven days before."""

    @model_validator(mode="after")
    def _something_asked(self) -> "Expectation":
        asked = self.model_fields_set - {"at", "who", "account"}
        if not asked:
            msg = "expects nothing: add score, tier, grade, groups, alert, …"
            raise ValueError(msg)
        if self.account is None:
            if of_accounts := asked & _OF_ACCOUNTS:
                msg = f"`{min(of_accounts)}` is an account's: say which `account`"
                raise ValueError(msg)
        elif of_leads := self.model_fields_set - _OF_ACCOUNTS - _OF_BOTH:
            msg = f"an account has no `{min(of_leads)}`: leave it or `account` out"
            raise ValueError(msg)
        if self.next_action is not None and self.alert is None:
            msg = "next_action is read from an alert: say which `alert`"
            raise ValueError(msg)
        return self

    @property
    def subject(self) -> str:
        """Whom it is about; of a ranking that names nobody else, the first."""
        if self.account is not None:
            return self.account
        if self.ranking and "who" not in self.model_fields_set:
            return self.ranking[0]
        return self.who


_OF_ACCOUNTS: Final = {"members", "active", "qualified", "trend"}
_OF_BOTH: Final = {
    *("at", "account", "score", "tier"),
    *("alert", "no_alert", "reason", "next_action"),
}


class Timeline(Part):
    """One test: a sentence, what happens, and what must come of it."""

    name: str = Field(min_length=1)
    """What is being shown, in one sentence."""
    lead: Person = Field(default_factory=Person)
    """The lead."""
    leads: dict[str, Person] = {}
    """Several leads by name, in place of `lead`."""
    events: list[Happening] = []
    """What happens."""
    expect: Annotated[list[Expectation], Field(min_length=1)]
    """What must be true."""
    tolerance: Annotated[float, Field(strict=True, ge=0, le=10)] = 0.05
    """How far off a number may be."""

    @model_validator(mode="after")
    def _known_people(self) -> "Timeline":
        known = set(self.leads) or {THE_LEAD}
        named = {event.who for event in self.events if event.withdraw is None}
        for item in self.expect:
            named |= {item.subject} if item.account is None else set()
            named |= set(item.ranking)
        if strangers := sorted(named - known):
            msg = f"there is no lead {strangers[0]!r}; there is {', '.join(known)}"
            raise ValueError(msg)
        return self

    @model_validator(mode="after")
    def _known_ids(self) -> "Timeline":
        ids = [event.id for event in self.events if event.id is not None]
        if len(set(ids)) != len(ids):
            msg = f"two events have the id {max(ids, key=ids.count)!r}"
            raise ValueError(msg)
        for event in self.events:
            if event.withdraw is not None and event.withdraw not in ids:
                msg = f"no event has the id {event.withdraw!r}: give it to one"
                raise ValueError(msg)
        return self


class Timelines(Part):
    """A file of tests beside a model."""

    tests: Annotated[list[Timeline], Field(min_length=1)]
    """The tests."""


def load_timelines(text: str, source: str) -> Timelines:
    """Return the tests that `text` describes; `source` is its name in messages.

    Raises
    ------
    ModelError
        With every problem there is, not only the first.
    """
    return load_part(Timelines, text, source)
