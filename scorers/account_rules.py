"""A model's accounts made ready to run: thresholds worked out, nothing left to ask."""

import math
from collections.abc import Collection, Iterable, Mapping
from typing import Final

from schemas.alert import DecisionReason
from schemas.time import DAY, Instant, Millis
from scorers.account_policy import AccountAlert, Accounts, AccountScoring
from scorers.account_state import Member
from scorers.curve import HALF
from scorers.quiet import Quiet

_EVERYBODY: Final = 0.0


class CompiledSurge:
    """An account-surge policy; what it watches is the number of active people."""

    entered: DecisionReason = "surged"

    def __init__(self, alert: AccountAlert) -> None:
        """Prepare `alert`."""
        self.name = alert.name
        self.kind = alert.kind
        self.enter = float(alert.people)
        self.leave = alert.people / 2
        self.within: Millis = alert.within
        self.events = 1 if alert.each is None else alert.each.events or 1
        self.points = 0.0 if alert.each is None else alert.each.points or 0.0
        self.factor = 0.0 if alert.momentum is None else alert.momentum.factor
        self.baseline = 0 if alert.momentum is None else alert.momentum.baseline // DAY
        """Days of which a usual one is made."""
        self.dwell = alert.dwell
        self.leave_dwell: Millis = 0
        self.cooldown = alert.cooldown
        self.re_rise = alert.re_rise
        self.quiet = None if alert.quiet_hours is None else Quiet(alert.quiet_hours)
        self.route = alert.route
        self.digest = alert.digest

    def counts(self, member: Member, at: Instant) -> bool:
        """Say whether `member` did enough within the time before `at`."""
        signs, since = member.signs, at - self.within
        # Most people of a large account did nothing lately; signs are in order of time.
        if not signs or signs[-1][0] <= since:
            return False
        points = [points for when, points in signs if since < when <= at]
        return len(points) >= self.events and (
            not self.points or math.fsum(points) >= self.points
        )

    def people(self, members: Iterable[Member], at: Instant) -> int:
        """Return how many of `members` did enough within the time before `at`."""
        since, people = at - self.within, 0
        for member in members:
            # Asked here as well: a call for everybody would be most of the work.
            signs = member.signs
            if signs and signs[-1][0] > since and self.counts(member, at):
                people += 1
        return people

    def usual(self, members: Collection[Member], at: Instant) -> float:
        """Return how many people are active on a usual day before `at`.

        Today and yesterday (UTC) are left out: a burst is not compared to itself.
        An account that is known for less time than the baseline is judged by that.
        """
        newest = at // DAY - 2
        first = min((member.first_day() for member in members), default=newest + 1)
        days = min(self.baseline, newest - first + 1)
        if days <= 0:
            return 0.0
        return sum(member.days_active(newest, days) for member in members) / days

    def is_unusual(self, members: Collection[Member], at: Instant) -> bool:
        """Say whether more people are active than the account is used to."""
        if not self.factor:
            return True
        return today(members, at) >= self.factor * self.usual(members, at)


def today(members: Iterable[Member], at: Instant) -> int:
    """Return how many people were active in the 24 hours before `at`."""
    since, people = at - DAY, 0
    for member in members:
        active_at = member.active_at
        if active_at is not None and since < active_at <= at:
            people += 1
    return people


class CompiledAccounts:
    """What a model says of accounts, ready to be asked."""

    def __init__(
        self, accounts: Accounts, tiers: Mapping[str, float], scale: int
    ) -> None:
        """Prepare `accounts`; `tiers` gives the score at which each begins."""
        self.surges = tuple(CompiledSurge(alert) for alert in accounts.alerts)
        self.window: Millis = max((surge.within for surge in self.surges), default=0)
        """How long signs of life are of interest to any of the surges."""
        self.measures_points = any(surge.points for surge in self.surges)
        """Whether it matters what each event gave."""
        active = accounts.active
        self.at_least = active.at_least
        self.within: Millis | None = active.within
        self._active_from = _bound(active.of_tier, active.min_score, tiers)
        self._scoring: AccountScoring = accounts.score
        self._counts_from = _bound(
            accounts.score.of_tier, accounts.score.min_score, tiers
        )
        self._scale = scale

    def score(self, members: Collection[Member]) -> float:
        """Return what the people add up to, rounded as a published score is."""
        return math.floor(self._exact(members) * self._scale + HALF) / self._scale

    def _exact(self, members: Collection[Member]) -> float:
        scores = sorted([member.score for member in members], reverse=True)
        scoring = self._scoring
        match scoring.kind:
            case "top_mean":
                assert scoring.people is not None
                return math.fsum(scores[: scoring.people]) / scoring.people
            case "breadth":
                assert scoring.points is not None
                people = sum(score >= self._counts_from for score in scores)
                return min(scoring.cap, people * scoring.points)
            case _:
                return scores[0] if scores else 0.0

    def active_of(self, members: Iterable[Member], at: Instant) -> int:
        """Return how many of `members` are active people at `at`."""
        least, active = self._active_from, 0
        since = None if self.within is None else at - self.within
        for member in members:
            if member.score >= least:
                active_at = member.active_at
                if since is None or (active_at is not None and active_at > since):
                    active += 1
        return active

    def is_qualified(self, active: int, people: int) -> bool:
        """Say whether `active` of so many `people` are as many as asked for."""
        match self.at_least:
            case "any":
                return active > 0
            case "all":
                return 0 < people == active
            case number:
                return active >= number


def _bound(tier: str | None, score: float | None, tiers: Mapping[str, float]) -> float:
    if tier is not None:
        return tiers[tier]
    return _EVERYBODY if score is None else score
