"""Replay: the fold that a live worker is, over events in the order of their receipt.

Wake-ups come from the states' own plans instead of a timer, each at its planned
instant, so the updates and alerts are those that a worker publishes. What leads tell
their accounts and each other is heard at once.
"""

from collections import deque
from collections.abc import Callable, Container, Iterable, Iterator, MutableMapping
from functools import partial
from heapq import heappop, heappush

from schemas.command import Absorb, Forward, Link, Release, Retract
from schemas.event import Event
from schemas.time import Instant, to_datetime, to_instant
from schemas.workspace import workspace_of
from scorers.account_state import AccountState
from scorers.accounts import AccountStep, on_account_wakeup, on_member
from scorers.backfill import Lessons, Questions
from scorers.belonging import is_account_id
from scorers.compiled import CompiledModel
from scorers.identity import derive_lead_id
from scorers.linking import present_owner
from scorers.mailbox import Addressed, on_message
from scorers.scorer import Reading, on_backfill, on_wakeup, read
from scorers.state import LeadState
from scorers.step import Step
from scorers.versions import Versions

Told = Step | AccountStep
"""What follows for a lead, or for an account."""


class Replay:
    """Every lead's and every account's state after the events taken so far."""

    def __init__(
        self,
        model: CompiledModel | Versions | Callable[[str], Versions],
        *,
        wake: bool = True,
        unlinked: Container[str] = (),
        states: MutableMapping[str, LeadState] | None = None,
        accounts: MutableMapping[str, AccountState] | None = None,
    ) -> None:
        """Begin with no lead, and with one model or with all that were in force.

        Where workspaces have models of their own, `model` returns theirs by name.

        Without `wake` nobody is woken between events: scores and alerts are the
        same, only the updates in between are left out, and it is much faster.
        Leads in `unlinked` are never made part of another one. With `states` and
        `accounts` it goes on where they are, and keeps them there; without `wake`
        only, for what they had planned is not read.
        """
        self.states = {} if states is None else states
        self.accounts = {} if accounts is None else accounts
        self._models = _by_workspace(model)
        self._lessons: dict[str, Lessons] = {}
        self._wake = wake
        self._unlinked = unlinked
        self._plans: list[tuple[Instant, str]] = []
        self._now: Instant = 0

    def take(self, event: Event, whose: str | None = None) -> Iterator[Told]:
        """Yield what follows until `event` is received, and then from it.

        Where it is known `whose` it became, it goes there at once.

        Events must come in the order of their receipt; an earlier one counts at
        the latest receipt so far, as it would for a worker. The last `Step` that is
        scored or a duplicate is that of the event itself; what it means for accounts
        and for who is who follows it.

        Raises
        ------
        ValueError
            If no identifier of the event is legal.
        """
        lead_id = whose or derive_lead_id(event)
        if lead_id is None:
            msg = "no legal identifier: the event belongs to nobody"
            raise ValueError(msg)
        self._now = max(self._now, event.now)
        yield from self._woken(self._now)
        yield from self._deliver(lead_id, event)

    def retract(
        self, lead_id: str, event_ids: Iterable[str], at: Instant
    ) -> Iterator[Told]:
        """Yield what follows until events of a lead are withdrawn, and then from it."""
        self._now = max(self._now, at)
        yield from self._woken(self._now)
        command = Retract(
            lead_id=lead_id,
            event_ids=tuple(event_ids),
            at=to_datetime(self._now),
            reason="",
        )
        yield from self._deliver(lead_id, command)

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
        """Yield every lead with its score at the instant that was reached.

        One that is part of another by now has none of its own.
        """
        for state in self.states.values():
            if not state.claims:
                yield (
                    state,
                    read(
                        self._versions(state.lead_id).at(self._now).model,
                        state,
                        self._now,
                    ),
                )

    def find(self, lead_id: str) -> LeadState | None:
        """Return the lead that goes by this id today, None if there is none."""
        state = self.states.get(lead_id)
        while state is not None and (owner := present_owner(state)) is not None:
            state = self.states.get(owner)
        return state

    def _deliver(self, lead_id: str, message: Addressed) -> Iterator[Told]:
        """Yield what follows from a message, and from what leads then say."""
        waiting = deque([(lead_id, message)])
        while waiting:
            lead_id, message = waiting.popleft()
            yield from self._taught(lead_id)
            state = self.states.get(lead_id)
            step = self._answer(lead_id, state, message)
            if isinstance(message, Event) and step.outcome == "scored":
                self._lessons_of(lead_id).note(lead_id, message)
            if isinstance(message, Link) and step.state.claims:
                self._lessons_of(lead_id).move(lead_id, message.to)
            for command in step.commands:
                match command:
                    case Forward():
                        waiting.append((command.lead_id, command.event))
                    case Link() if command.lead_id in self._unlinked:
                        pass
                    case Retract() | Link() | Absorb() | Release():
                        waiting.append((command.lead_id, command))
            if state is not None or step.outcome != "duplicate":
                yield from self._keep(step)

    def _answer(
        self, lead_id: str, state: LeadState | None, message: Addressed
    ) -> Step:
        now = self._now
        return self._versions(lead_id).apply(
            state, now, lambda m, s: on_message(m, s, message, now, lead_id=lead_id)
        )

    def _versions(self, key: str) -> Versions:
        """Return the versions of the model of a lead's or an account's workspace."""
        return self._models(workspace_of(key))

    def _lessons_of(self, lead_id: str) -> Lessons:
        workspace = workspace_of(lead_id)
        if workspace not in self._lessons:
            self._lessons[workspace] = Lessons(self._models(workspace))
        return self._lessons[workspace]

    def _keep(self, step: Step) -> Iterator[Told]:
        state = step.state
        self.states[state.lead_id] = state
        if step.outcome in {"scored", "linked"}:
            self._plan(state.lead_id, self._versions(state.lead_id).wake_at(state))
        yield step
        for word in step.members:
            account = self.accounts.get(word.account_id)
            at = to_instant(word.as_of)
            model = self._versions(word.account_id).at(at).model
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
        return self._versions(key).wake_at(self.states[key])

    def _look(self, key: str, at: Instant) -> Iterator[Told]:
        if is_account_id(key):
            model = self._versions(key).at(at).model
            yield self._keep_account(on_account_wakeup(model, self.accounts[key], at))
            return
        yield from self._keep(
            self._versions(key).apply(
                self.states[key], at, lambda m, s: on_wakeup(m, s, at)
            )
        )
        yield from self._taught(key)

    def _taught(self, lead_id: str) -> Iterator[Told]:
        """Let rules that came into force since then learn what a lead did before."""
        for at, event, asked in self._lessons_of(lead_id).due(lead_id, self._now):
            step = self._versions(lead_id).apply(
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


def _by_workspace(
    model: CompiledModel | Versions | Callable[[str], Versions],
) -> Callable[[str], Versions]:
    if isinstance(model, Versions):
        return lambda _: model
    if isinstance(model, CompiledModel):
        versions = Versions.only(model)
        return lambda _: versions
    return model


def _learn(
    model: CompiledModel,
    state: LeadState,
    *,
    event: Event,
    asked: Questions,
    at: Instant,
) -> Step:
    return on_backfill(model, state, event, asked.rules, at, traits=asked.traits)
