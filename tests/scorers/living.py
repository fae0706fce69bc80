"""Letting a lead live through inputs in the core, woken in time, late or never."""

from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

import msgspec
from msgspec.structs import replace

from schemas.alert import Alert
from schemas.event import Event
from schemas.score import ScoreUpdate
from schemas.time import Instant, to_datetime, to_instant
from scorers.compiled import CompiledModel
from scorers.scorer import on_event, on_retract, on_wakeup
from scorers.state import LeadState
from scorers.step import Step
from tests.strategies import START, Input, Retraction

Wake = Callable[[LeadState, Instant], Iterator[Instant]]
"""The instants before another at which somebody looks at a lead."""

_NEVER_DECIDED = to_datetime(0)


class Life(NamedTuple):
    """What became of a lead, and what was said on the way."""

    state: LeadState
    updates: tuple[ScoreUpdate, ...]
    alerts: tuple[Alert, ...]

    @property
    def tiers(self) -> list[tuple[Instant, str]]:
        """When each tier was entered."""
        return [
            (to_instant(update.as_of), update.tier)
            for update in self.updates
            if update.tier != update.previous_tier
        ]

    @property
    def facts(self) -> list[tuple[Instant, str, int, str]]:
        """The alerts as the oracle knows them."""
        return [
            (to_instant(alert.occurred_at), alert.alert, alert.episode, alert.reason)
            for alert in self.alerts
        ]

    @property
    def told(self) -> list[Alert]:
        """The alerts without when they were decided, which hangs on the wake-ups."""
        return [replace(alert, decided_at=_NEVER_DECIDED) for alert in self.alerts]


def never(_state: LeadState, _until: Instant) -> Iterator[Instant]:
    """Look at nobody."""
    return iter(())


def prompt(state: LeadState, until: Instant) -> Iterator[Instant]:
    """Look as soon as something was planned."""
    if state.wake_at is not None and state.wake_at < until:
        yield state.wake_at


def at_instants(instants: Iterable[Instant]) -> Wake:
    """Look at these instants, planned or not."""
    left = sorted(instants)

    def wake(_state: LeadState, until: Instant) -> Iterator[Instant]:
        while left and left[0] < until:
            yield left.pop(0)

    return wake


def late_by(delay: int) -> Wake:
    """Look some time after something was planned."""

    def wake(state: LeadState, until: Instant) -> Iterator[Instant]:
        if state.wake_at is not None and state.wake_at + delay < until:
            yield state.wake_at + delay

    return wake


def live(
    model: CompiledModel,
    inputs: Iterable[Input],
    end: Instant,
    wake: Wake = never,
    state: LeadState | None = None,
) -> Life:
    """Return a life until `end`; somebody looks when `wake` says, and at the end."""
    steps: list[Step] = []

    def look_until(until: Instant) -> None:
        nonlocal state
        looked = True
        while looked and state is not None:
            looked = False
            for instant in wake(state, until):
                steps.append(on_wakeup(model, state, instant))
                state, looked = steps[-1].state, True

    for item in inputs:
        look_until(item.now)
        steps.append(take(model, state, item))
        state = steps[-1].state
    look_until(end)
    if state is None:
        msg = "a life needs an input"
        raise ValueError(msg)
    steps.append(on_wakeup(model, state, end))
    return Life(
        steps[-1].state,
        tuple(update for step in steps for update in step.updates),
        tuple(alert for step in steps for alert in step.alerts),
    )


def take(model: CompiledModel, state: LeadState | None, item: Input) -> Step:
    """Return what follows from one input."""
    if isinstance(item, Retraction):
        if state is None:
            msg = "nothing can be withdrawn from nobody"
            raise ValueError(msg)
        return on_retract(model, state, item.ids, item.now)
    return on_event(model, state, item, item.now)


def event(
    number: int | str,
    at: Instant = 0,
    *,
    name: str = "Offer Clicked",
    channel: str = "web",
    received: Instant | None = None,
    **properties: object,
) -> Event:
    """Return an event of one lead, `at` milliseconds after the start."""
    return msgspec.convert(
        {
            "id": str(number),
            "type": "track" if name else "page",
            "name": name,
            "channel": channel,
            "occurred_at": to_datetime(START + at),
            "received_at": to_datetime(START + (at if received is None else received)),
            "user_id": "ada",
            "properties": properties,
        },
        Event,
    )
