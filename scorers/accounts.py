"""The accounts' reducer: (model, account, word of a member, now) → what follows.

As for leads: settle first, then apply. What time alone changes — somebody's activity
leaving a window, the end of a cooldown, a new day for the trend — becomes true at its
planned instant whenever it is looked at, so a wake-up is only a hint.
"""

import copy
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Annotated, Literal

import msgspec

from schemas.account import AccountScore, MemberUpdate, TopMember
from schemas.alert import Alert
from schemas.time import DAY, Instant, Millis, to_instant
from scorers import alerting
from scorers.account_notice import by_strength, score_of, strength, surge_alert_of
from scorers.account_rules import CompiledAccounts, CompiledSurge
from scorers.account_state import MAX_MEMBERS, AccountState, Member, Published
from scorers.compiled import CompiledModel
from scorers.curve import NEVER
from scorers.state import AlertState
from scorers.step import Decision

_TOP = 5
_TREND_DAYS = 7
_DEPARTED_FOR = 7 * DAY
_SILENT_REASONS = frozenset({"not-hot"})

AccountOutcome = Literal["applied", "stale"]


class AccountStep(msgspec.Struct, frozen=True, gc=False):
    """The consequence of one input for one account, in the order of its instants."""

    state: AccountState
    outcome: AccountOutcome
    updates: tuple[AccountScore, ...] = ()
    alerts: tuple[Alert, ...] = ()
    decisions: tuple[Decision, ...] = ()

    @property
    def wake_at(self) -> Annotated[Instant | None, "when to look again"]:
        """Return when the account should be looked at again, or None for never."""
        return self.state.wake_at


class _Draft:
    """A new state in the making, and what becomes true on the way."""

    def __init__(self, model: CompiledModel, state: AccountState, now: Instant) -> None:
        assert model.accounts is not None, "the model has no accounts"
        self.model = model
        self.accounts: CompiledAccounts = model.accounts
        self.state = copy.copy(state)
        self.now = max(now, state.now)
        self.withdrawn: frozenset[str] = frozenset()
        """Surges that do not stand any more, because events were withdrawn."""
        self.updates: list[AccountScore] = []
        self.alerts: list[Alert] = []
        self.decisions: list[Decision] = []

    def step(self) -> AccountStep:
        return AccountStep(
            state=self.state,
            outcome="applied",
            updates=tuple(self.updates),
            alerts=tuple(self.alerts),
            decisions=tuple(self.decisions),
        )


def on_member(
    model: CompiledModel,
    state: AccountState | None,
    member: MemberUpdate,
    now: Instant,
) -> AccountStep:
    """Return what follows when a lead tells its account where it stands at `now`.

    `state` is None for a new account. A word that is repeated, or older than what
    the account has heard of the lead, changes nothing at all.
    """
    if state is None:
        state = AccountState(account_id=member.account_id)
    if not member.erased and member.sequence <= _heard(state, member.lead_id):
        return AccountStep(state=state, outcome="stale")
    draft = _Draft(model, state, now)
    _settle(draft)
    if member.withdrawn:
        stood = _standing(draft)
        _apply(draft.state, member, draft.now)
        draft.withdrawn = stood - _standing(draft)
    else:
        _apply(draft.state, member, draft.now)
    _conclude(draft)
    return draft.step()


def on_account_wakeup(
    model: CompiledModel, state: AccountState, now: Instant
) -> AccountStep:
    """Return what follows when nothing is heard of an account until `now`."""
    draft = _Draft(model, state, now)
    _settle(draft)
    _conclude(draft)
    return draft.step()


# ── members ─────────────────────────────────────────────────────────────────────


def _heard(state: AccountState, lead_id: str) -> int:
    """Return the sequence of the last word of a lead; zero if there was none."""
    known = state.members.get(lead_id)
    gone, _ = state.departed.get(lead_id, (0, 0))
    return gone if known is None else max(known.sequence, gone)


def _apply(state: AccountState, member: MemberUpdate, now: Instant) -> None:
    """Take a member's word into `state`, which is at `now`."""
    members = dict(state.members)
    members.pop(member.lead_id, None)
    departed = {
        lead_id: (sequence, at)
        for lead_id, (sequence, at) in state.departed.items()
        if at > now - _DEPARTED_FOR and lead_id != member.lead_id
    }
    if member.erased:
        departed.pop(member.lead_id, None)
    elif member.left:
        departed[member.lead_id] = (member.sequence, now)
    else:
        members[member.lead_id] = _member(member)
    if len(members) > MAX_MEMBERS:
        weakest, _ = max(members.items(), key=strength)
        del members[weakest]
    state.members, state.departed = members, departed


def _member(told: MemberUpdate) -> Member:
    return Member(
        sequence=told.sequence,
        score=told.score,
        tier=told.tier,
        grade=told.grade,
        active_at=None if told.active_at is None else to_instant(told.active_at),
        active_days=told.active_days,
        signs=tuple((to_instant(sign.at), sign.points) for sign in told.signs),
        name=told.name,
        domain=told.domain,
        owner=told.owner,
        stage=told.stage,
        last_event=told.last_event,
    )


# ── time ────────────────────────────────────────────────────────────────────────


def _settle(draft: _Draft) -> None:
    """Make everything planned up to `draft.now` true, each at its own instant."""
    state, now = draft.state, draft.now
    plan = state.wake_at
    if state.model != draft.model.digest:
        plan = None
        if state.model:
            surges = draft.accounts.surges
            people = {each.name: _people(each, state, state.now) for each in surges}
            plan = _next_plan(draft, state.now, people)
        state.model = draft.model.digest
    while plan is not None and plan <= now:
        state.now = plan
        plan = _evaluate(draft, plan)
    state.now = now


def _conclude(draft: _Draft) -> None:
    """Add up, decide, publish, and plan the next look."""
    draft.state.wake_at = _evaluate(draft, draft.now)


def _next_plan(draft: _Draft, at: Instant, people: Mapping[str, int]) -> Instant | None:
    """Return the first instant after `at` at which time alone may change something.

    `people` are those who are active then, by surge.
    """
    state, accounts = draft.state, draft.accounts
    plans = [_next_trend(state, at), alerting.next_deadline(state.alerts, at)]
    members = state.members.values()
    if accounts.within is not None:
        active = [m.active_at for m in members if m.active_at is not None]
        plans.append(_first_end(active, accounts.within, at))
    for surge in accounts.surges:
        if _memory_of(state, surge).phase != "out":
            signs = [
                when
                for member in members
                if member.signs and member.signs[-1][0] > at - surge.within
                for when, _ in member.signs
            ]
            plans.append(_first_end(signs, surge.within, at))
        elif surge.factor and people[surge.name] >= surge.enter:
            plans.append(_midnight(at // DAY + 1))  # a usual day is another one then
    return min((plan for plan in plans if plan is not None and plan > at), default=None)


def _first_end(whens: Iterable[Instant], within: Millis, at: Instant) -> Instant | None:
    """Return the first instant after `at` that is so long after one of `whens`."""
    since, first = at - within, NEVER
    for when in whens:
        if since < when < first:
            first = when
    return None if first == NEVER else first + within


def _next_trend(state: AccountState, at: Instant) -> Instant | None:
    """Return the midnight at which the score of seven days before is another one."""
    base = _score_on(state, at // DAY - _TREND_DAYS)
    for day, score in state.history:
        if day > at // DAY - _TREND_DAYS and score != base:
            return _midnight(day + _TREND_DAYS)
    return None


def _midnight(day: int) -> Instant:
    return day * DAY


def _score_on(state: AccountState, day: int) -> float:
    """Return the score at the end of `day`."""
    return next((score for on, score in reversed(state.history) if on <= day), 0.0)


def _remember(state: AccountState, score: float, day: int) -> None:
    """Note the score of `day` as far as a trend may still ask for it."""
    kept = [(on, value) for on, value in state.history if on < day]
    if not kept or kept[-1][1] != score:
        kept.append((day, score))
    oldest = day - _TREND_DAYS
    while len(kept) > 1 and kept[1][0] <= oldest:
        del kept[0]
    state.history = tuple(kept)


# ── adding up and deciding ──────────────────────────────────────────────────────


def _evaluate(draft: _Draft, at: Instant) -> Instant | None:
    """Add up and decide at `at`, publish what is new; return when to look again."""
    state, before = draft.state, draft.state.published
    score = draft.accounts.score(state.members.values())
    _remember(state, score, at // DAY)
    published = _published(draft, score, at)
    people = {surge.name: _people(surge, state, at) for surge in draft.accounts.surges}
    verdicts = [
        (surge, _verdict(draft, surge, at, people[surge.name]))
        for surge in draft.accounts.surges
    ]
    for surge, verdict in verdicts:
        if verdict.state != _memory_of(state, surge):
            state.alerts = {**state.alerts, surge.name: verdict.state}
        if verdict.reason not in _SILENT_REASONS:
            draft.decisions.append(Decision(surge.name, verdict.reason, verdict.tell))
    plan = _next_plan(draft, at, people)
    if published != before or state.sequence == 0:
        state.sequence += 1
        state.published = published
        draft.updates.append(score_of(draft.model, state, before, at, plan))
    draft.alerts += [
        surge_alert_of(
            draft.model,
            state,
            surge,
            verdict=verdict,
            previous=before.score,
            at=at,
            decided_at=draft.now,
        )
        for surge, verdict in verdicts
        if verdict.tell or verdict.recalled
    ]
    return plan


def _published(draft: _Draft, score: float, at: Instant) -> Published:
    state, accounts = draft.state, draft.accounts
    members = state.members
    active = accounts.active_of(members.values(), at)
    return Published(
        score=score,
        tier=draft.model.tier_of(score),
        members=len(members),
        active=active,
        qualified=accounts.is_qualified(active, len(members)),
        top=tuple(
            [
                TopMember(lead_id=lead_id, score=member.score, tier=member.tier)
                for lead_id, member in by_strength(members)[:_TOP]
            ]
        ),
        trend=round(score - _score_on(state, at // DAY - _TREND_DAYS), 6),
        name=_most_said([m.name for m in members.values()]) or state.published.name,
        domain=_most_said([m.domain for m in members.values()])
        or state.published.domain,
    )


def _most_said(words: list[str] | list[str | None]) -> str:
    """Return what most members say; of several the first in the alphabet."""
    different = set(words)
    if len(different) == 1:  # as nearly always
        return different.pop() or ""
    said = Counter(word for word in words if word)
    return min(said, key=lambda word: (-said[word], word), default="")


def _memory_of(state: AccountState, surge: CompiledSurge) -> AlertState:
    return state.alerts.get(surge.name) or AlertState()


def _people(surge: CompiledSurge, state: AccountState, at: Instant) -> int:
    return surge.people(state.members.values(), at)


def _standing(draft: _Draft) -> frozenset[str]:
    """Return the surges for which enough people are active."""
    return frozenset(
        surge.name
        for surge in draft.accounts.surges
        if _people(surge, draft.state, draft.now) >= surge.enter
    )


def _verdict(
    draft: _Draft, surge: CompiledSurge, at: Instant, people: int
) -> alerting.Verdict:
    """Return what a surge's policy makes of the account, of `people`, at `at`."""
    state = draft.state
    known = _memory_of(state, surge)
    if (
        known.phase == "out"
        and people >= surge.enter
        and not surge.is_unusual(state.members.values(), at)
    ):
        return alerting.Verdict(known, "usual")
    if surge.name in draft.withdrawn:
        return alerting.decide_withdrawn(surge, known, 0.0, at)
    return alerting.decide(surge, known, float(people), at)
