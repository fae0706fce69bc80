"""Replay: the fold that a live worker is, over events in the order of their receipt.

Wake-ups come from the states' own plans instead of a timer, each at its planned
instant, so the updates and alerts are those that a worker publishes. What leads tell
their accounts is heard at once.
"""

from collections.abc import Iterable, Iterator
from functools import partial
from heapq import heappop, heappush

from schemas.event import Event
from schemas.time import Instant, to_instant
from scorers.account_state import AccountState
from scorers.accounts import AccountStep, on_account_wakeup, on_member
from scorers.backfill import Lessons, Questions
from scorers.belonging import is_account_id
from scorers.compiled import CompiledModel
from scorers.identity import derive_lead_id
from scorers.scorer import Reading, on_backfill, on_event, on_retract, on_wakeup, read
from scorers.state import LeadState
from scorers.step import Step
from scorers.versions import Versions

Told = Step | AccountStep
"""What follows for a lead, or for an account."""


class Replay:
    """Every lead's and every account's state after the events taken so far."""

    def __init__(self, model: CompiledModel | Versions, *, wake: bool = True) -> None:
        """Begin with no lead, and with one model or with all that were in force.

        Without `wake` nobody is woken between events: scores and alerts are the
        same, only the updates in between are left out, and it is much faster.
        """
        self.states: dict[str, LeadState] = {}
        self.accounts: dict[str, AccountState] = {}
        self._versions = model if isinstance(model, Versions) else Versions.only(model)
        self._lessons = Lessons(self._versions)
        self._wake = wake
        self._plans: list[tuple[Instant, str]] = []
        self._now: Instant = 0

    def take(self, event: Event) -> Iterator[Told]:
        """Yield what follows until `event` is received, and then from it.

        Events must come in the order of their receipt; an earlier one counts at
        the latest receipt so far, as it would for a worker. The last `Step` is that
        of the event itself; what it means for accounts follows it.

        Raises
        ------
        ValueError
            If no identifier of the event is legal.
        """
        lead_id = derive_lead_id(event)
        if lead_id is None:
            msg = "no legal identifier: the event belongs to nobody"
            raise ValueError(msg)
        self._now = max(self._now, event.now)
        yield from self._woken(self._now)
        yield from self._taught(lead_id)
        self._lessons.note(lead_id, event)
        now, state = self._now, self.states.get(lead_id)
        yield from self._keep(
            self._versions.apply(state, now, lambda m, s: on_event(m, s, event, now))
        )

    def retract(
        self, lead_id: str, event_ids: Iterable[str], at: Instant
    ) -> Iterator[Told]:
        """Yield what follows until events of a lead are withdrawn, and then from it."""
        self._now = max(self._now, at)
        yield from self._woken(self._now)
        yield from self._taught(lead_id)
        now, ids = self._now, frozenset(event_ids)
        yield from self._keep(
            self._versions.apply(
                self.states[lead_id], now, lambda m, s: on_retract(m, s, ids, now)
            )
        )

    def until(self, at: Instant) -> Iterator[Told]:
        """Yield what follows when nothing more is received until `at`."""
        self._now = max(self._now, at)
        yield from self._woken(self._now)
        if self._wake:
            return
        for key in [*self.states, *self.accounts]:
            planned = self._planned(key)
            if planned is not None and planned <= self._now:
                yield from self._look(key, self._now)

    def readings(self) -> Iterator[tuple[LeadState, Reading]]:
        """Yield every lead with its score at the instant that was reached."""
        for state in self.states.values():
            yield state, read(self._model, state, self._now)

    @property
    def _model(self) -> CompiledModel:
        return self._versions.at(self._now).model

    def _keep(self, step: Step) -> Iterator[Told]:
        state = step.state
        self.states[state.lead_id] = state
        if step.outcome == "scored":
            self._plan(state.lead_id, self._versions.wake_at(state))
        yield step
        for word in step.members:
            account = self.accounts.get(word.account_id)
            at = to_instant(word.as_of)
            model = self._versions.at(at).model
            yield self._keep_account(on_member(model, account, word, at))

    def _keep_account(self, step: AccountStep) -> AccountStep:
        state = step.state
        self.accounts[state.account_id] = state
        self._plan(state.account_id, state.wake_at)
        return step

    def _plan(self, key: str, at: Instant | None) -> None:
        if self._wake and at is not None:
            heappush(self._plans, (at, key))

    def _planned(self, key: str) -> Instant | None:
        if is_account_id(key):
            return self.accounts[key].wake_at
        return self._versions.wake_at(self.states[key])

    def _look(self, key: str, at: Instant) -> Iterator[Told]:
        if is_account_id(key):
            model = self._versions.at(at).model
            yield self._keep_account(on_account_wakeup(model, self.accounts[key], at))
            return
        yield from self._keep(
            self._versions.apply(self.states[key], at, lambda m, s: on_wakeup(m, s, at))
        )
        yield from self._taught(key)

    def _taught(self, lead_id: str) -> Iterator[Told]:
        """Let rules that came into force since then learn what a lead did before."""
        for at, event, asked in self._lessons.due(lead_id, self._now):
            step = self._versions.apply(
                self.states[lead_id],
                at,
                partial(_learn, event=event, asked=asked, at=at),
            )
            if step.outcome == "scored":
                yield from self._keep(step)

    def _woken(self, now: Instant) -> Iterator[Told]:
        while self._plans and self._plans[0][0] <= now:
            at, key = heappop(self._plans)
            if self._planned(key) == at:  # else it was planned anew since
                yield from self._look(key, at)


def _learn(
    model: CompiledModel,
    state: LeadState,
    *,
    event: Event,
    asked: Questions,
    at: Instant,
) -> Step:
    return on_backfill(model, state, event, asked.rules, at, traits=asked.traits)
