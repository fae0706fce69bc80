"""Replay: the fold that a live worker is, over events in the order of their receipt.

Wake-ups come from the states' own plans instead of a timer, each at its planned
instant, so the updates and alerts are those that a worker publishes.
"""

from collections.abc import Iterator
from heapq import heappop, heappush

from schemas.event import Event
from schemas.time import Instant
from scorers.compiled import CompiledModel
from scorers.identity import derive_lead_id
from scorers.scorer import Reading, on_event, on_wakeup, read
from scorers.state import LeadState
from scorers.step import Step


class Replay:
    """Every lead's state after the events taken so far."""

    def __init__(self, model: CompiledModel, *, wake: bool = True) -> None:
        """Begin with no lead.

        Without `wake` nobody is woken between events: scores and alerts are the
        same, only the updates in between are left out, and it is much faster.
        """
        self.states: dict[str, LeadState] = {}
        self._model = model
        self._wake = wake
        self._plans: list[tuple[Instant, str]] = []
        self._now: Instant = 0

    def take(self, event: Event) -> Iterator[Step]:
        """Yield what follows until `event` is received, and then from it.

        Events must come in the order of their receipt; an earlier one counts at
        the latest receipt so far, as it would for a worker.

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
        step = on_event(self._model, self.states.get(lead_id), event, self._now)
        self._keep(step)
        yield step

    def until(self, at: Instant) -> Iterator[Step]:
        """Yield what follows when nothing more is received until `at`."""
        self._now = max(self._now, at)
        yield from self._woken(self._now)
        if not self._wake:
            for state in list(self.states.values()):
                if state.wake_at is not None and state.wake_at <= self._now:
                    step = on_wakeup(self._model, state, self._now)
                    self._keep(step)
                    yield step

    def readings(self) -> Iterator[tuple[LeadState, Reading]]:
        """Yield every lead with its score at the instant that was reached."""
        for state in self.states.values():
            yield state, read(self._model, state, self._now)

    def _keep(self, step: Step) -> None:
        state = step.state
        self.states[state.lead_id] = state
        if self._wake and step.outcome == "scored" and state.wake_at is not None:
            heappush(self._plans, (state.wake_at, state.lead_id))

    def _woken(self, now: Instant) -> Iterator[Step]:
        while self._plans and self._plans[0][0] <= now:
            at, lead_id = heappop(self._plans)
            state = self.states[lead_id]
            if state.wake_at == at:  # else it was planned anew since
                step = on_wakeup(self._model, state, at)
                self._keep(step)
                yield step
