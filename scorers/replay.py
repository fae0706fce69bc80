"""Replay: the fold that a live worker is, over events in the order of their receipt.

Wake-ups come from the states' own plans instead of a timer, each at its planned
instant, so the updates and alerts are those that a worker publishes. What leads tell
their accounts is heard at once.
"""

from collections.abc import Iterable, Iterator
from heapq import heappop, heappush

from schemas.event import Event
from schemas.time import Instant, to_instant
from scorers.account_state import AccountState
from scorers.accounts import AccountStep, on_account_wakeup, on_member
from scorers.belonging import is_account_id
from scorers.compiled import CompiledModel
from scorers.identity import derive_lead_id
from scorers.scorer import Reading, on_event, on_retract, on_wakeup, read
from scorers.state import LeadState
from scorers.step import Step

Told = Step | AccountStep
"""What follows for a lead, or for an account."""


class Replay:
    """Every lead's and every account's state after the events taken so far."""

    def __init__(self, model: CompiledModel, *, wake: bool = True) -> None:
        """Begin with no lead.

        Without `wake` nobody is woken between events: scores and alerts are the
        same, only the updates in between are left out, and it is much faster.
        """
        self.states: dict[str, LeadState] = {}
        self.accounts: dict[str, AccountState] = {}
        self._model = model
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
        state = self.states.get(lead_id)
        yield from self._keep(on_event(self._model, state, event, self._now))

    def retract(
        self, lead_id: str, event_ids: Iterable[str], at: Instant
    ) -> Iterator[Told]:
        """Yield what follows until events of a lead are withdrawn, and then from it."""
        self._now = max(self._now, at)
        yield from self._woken(self._now)
        state = self.states[lead_id]
        yield from self._keep(on_retract(self._model, state, event_ids, self._now))

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

    def _keep(self, step: Step) -> Iterator[Told]:
        state = step.state
        self.states[state.lead_id] = state
        if step.outcome == "scored":
            self._plan(state.lead_id, state.wake_at)
        yield step
        for word in step.members:
            account = self.accounts.get(word.account_id)
            heard = on_member(self._model, account, word, to_instant(word.as_of))
            yield self._keep_account(heard)

    def _keep_account(self, step: AccountStep) -> AccountStep:
        state = step.state
        self.accounts[state.account_id] = state
        self._plan(state.account_id, state.wake_at)
        return step

    def _plan(self, key: str, at: Instant | None) -> None:
        if self._wake and at is not None:
            heappush(self._plans, (at, key))

    def _planned(self, key: str) -> Instant | None:
        return (self.accounts if is_account_id(key) else self.states)[key].wake_at

    def _look(self, key: str, at: Instant) -> Iterator[Told]:
        if is_account_id(key):
            yield self._keep_account(
                on_account_wakeup(self._model, self.accounts[key], at)
            )
        else:
            yield from self._keep(on_wakeup(self._model, self.states[key], at))

    def _woken(self, now: Instant) -> Iterator[Told]:
        while self._plans and self._plans[0][0] <= now:
            at, key = heappop(self._plans)
            if self._planned(key) == at:  # else it was planned anew since
                yield from self._look(key, at)
