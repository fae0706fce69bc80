"""Routing, pure: which targets hear of an alert, for whom, and when."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from schemas.alert import Alert
from schemas.time import Instant, to_datetime, to_instant
from schemas.workspace import workspace_of
from scorers.quiet import Quiet
from streams.delivery.language import (
    OWNER,
    AnyTarget,
    DeliveryFile,
    Digest,
    EmailTarget,
    FollowUpTarget,
    Recipient,
    Route,
    When,
)

NOBODY = "none"
"""How a route names leads that nobody owns."""
_WEEK = 7


@dataclass(frozen=True, slots=True)
class Plan:
    """When an alert is told at a target; `why` is empty where that is at once."""

    due_at: Instant
    why: str = ""
    digest: bool = False


class Router:
    """What a delivery file makes of an alert."""

    def __init__(self, file: DeliveryFile) -> None:
        """Prepare `file`."""
        self.file = file
        self._person_of: dict[str, str] = {}
        for name, person in file.people.items():
            for known in (name, *(person.owns or ())):
                self._person_of.setdefault(_folded(known), name)

    def person_of(self, owner: str | None) -> str | None:
        """Return the name of the person that the CRM calls `owner`."""
        return None if owner is None else self._person_of.get(_folded(owner))

    def targets(self, alert: Alert) -> dict[str, str]:
        """Return the targets that hear of `alert`, each with the route to it."""
        told: dict[str, str] = {}
        for route in self.file.routes:
            if self._fits(route, alert):
                for target in route.to:
                    told.setdefault(target, route.name)
                if route.last:
                    break
        return told

    def people(self, target: AnyTarget, alert: Alert) -> tuple[str, ...]:
        """Return whom a message at `target` is for; nobody where it is a channel."""
        owner = self.person_of(alert.owner)
        if isinstance(target, FollowUpTarget):
            return ()
        if not isinstance(target, EmailTarget):
            return () if owner is None else (owner,)
        named = (owner if name == OWNER else name for name in target.to)
        return tuple(dict.fromkeys(name for name in named if name is not None))

    def plan(
        self, target: AnyTarget, alert: Alert, people: Iterable[str], now: Instant
    ) -> Plan:
        """Return when `alert` is told at `target`, decided at `now`."""
        digest = target.digest
        if digest is not None and (alert.digest or digest.everything):
            due = next_digest(digest, self.file.zone, now)
            return Plan(due, "digest", digest=True)
        due = now
        quiet = [target.quiet_hours]
        if isinstance(target, EmailTarget):
            # A channel is read by many: one person's night is no reason to wait.
            quiet += [self.recipient(name).quiet_hours for name in people]
        for hours in quiet:
            if hours is not None and (until := Quiet(hours).until(now)) is not None:
                due = max(due, until)
        return Plan(due, "quiet-hours" if due > now else "")

    def recipient(self, name: str) -> Recipient:
        """Return the person called `name`; an empty one if the file lost them."""
        return self.file.people.get(name) or Recipient.model_validate({})

    def zone(self, people: Iterable[str]) -> ZoneInfo:
        """Return the time zone of the first of `people` that has one."""
        for name in people:
            if (zone := self.recipient(name).zone) is not None:
                return ZoneInfo(zone)
        return ZoneInfo(self.file.zone)

    def _fits(self, route: Route, alert: Alert) -> bool:
        when = route.when
        return (
            _any_of(when.kind, alert.kind)
            and _any_of(when.alert, alert.alert)
            and _any_of(when.route, alert.route)
            and _any_of(when.tier, alert.tier)
            and _any_of(when.stage, alert.stage)
            and _any_of(when.workspace, workspace_of(alert.lead_id))
            and self._owned(when, alert)
            and _of_account(when, alert)
            and all(
                _any_of(values, alert.traits.get(trait))
                for trait, values in when.traits.items()
            )
        )

    def _owned(self, when: When, alert: Alert) -> bool:
        person = self.person_of(alert.owner)
        if when.owner is not None:
            wanted = {_folded(name) for name in when.owner}
            names = {_folded(alert.owner or NOBODY), _folded(person or "")}
            if wanted.isdisjoint(names):
                return False
        team = None if person is None else self.recipient(person).team
        return _any_of(when.team, team)


def next_digest(digest: Digest, zone: str, now: Instant) -> Instant:
    """Return the first time after `now` at which `digest` is told."""
    place = ZoneInfo(digest.zone or zone)
    today = to_datetime(now).astimezone(place).date()
    names = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
    times = sorted(time.fromisoformat(at) for at in digest.at)
    for ahead in range(_WEEK + 1):
        day = today + timedelta(days=ahead)
        if names[day.weekday()] in digest.days:
            for at in times:
                found = to_instant(datetime.combine(day, at, place))
                if found > now:
                    return found
    return now


def _of_account(when: When, alert: Alert) -> bool:
    if when.account is None:
        return True
    account = alert.account
    known: list[Any] = [alert.account_id, alert.traits.get("company")]
    if account is not None:
        known += [account.name, account.domain]
    known += [mail.rpartition("@")[2] for mail in alert.identifiers.email]
    return any(_any_of(when.account, each) for each in known if each)


def _any_of(wanted: Iterable[str] | None, found: object) -> bool:
    if wanted is None:
        return True
    return found is not None and _folded(str(found)) in map(_folded, wanted)


def _folded(text: str) -> str:
    return text.strip().casefold()
