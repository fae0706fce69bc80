"""Which model is in force when, and how a lead passes from one to the next.

What is in force is a matter of instants, not of arrival: a lead that is touched at
`now` first passes through every version that came into force since it was settled
last, each at its own instant. So it does not matter whether somebody looked in
between, and a replay that knows the same versions publishes the same.
"""

import math
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterator
from functools import cached_property
from typing import Any

from msgspec.structs import replace

from schemas.score import NO_TIER
from schemas.time import EARLIEST, Instant
from scorers.compiled import CompiledModel
from scorers.memory import adopted
from scorers.scorer import on_model_change
from scorers.state import LeadState
from scorers.step import Step

Act = Callable[[CompiledModel, Any], Step]
"""What an input does to a lead's state, None for a new lead, by a model."""


class InForce:
    """A model and the instant from which on it is in force; made when first needed."""

    def __init__(
        self, at: Instant, load: Callable[[], CompiledModel], *, name: str = ""
    ) -> None:
        """Be in force from `at` on; `name` decides between those of one instant."""
        self.at = at
        self.name = name
        self._load = load

    def __lt__(self, other: "InForce") -> bool:
        """Order by instant, then by name."""
        return (self.at, self.name) < (other.at, other.name)

    @cached_property
    def model(self) -> CompiledModel:
        """The model itself."""
        return self._load()


class Versions:
    """The versions of one slot in the order in which they come into force."""

    def __init__(self, first: InForce) -> None:
        """Begin with `first`, which also holds for all that was before."""
        self._items = [first]

    @classmethod
    def only(cls, model: CompiledModel) -> "Versions":
        """Return what is so where there never was another model."""
        return cls(InForce(EARLIEST, lambda: model))

    def __iter__(self) -> Iterator[InForce]:
        """Yield the versions in the order in which they come into force."""
        return iter(self._items)

    def __len__(self) -> int:
        """Return how many versions are known."""
        return len(self._items)

    def add(self, version: InForce) -> bool:
        """Take one more version in; say whether it was news."""
        place = bisect_left(self._items, version)
        if place < len(self._items) and not version < self._items[place]:
            return False
        self._items.insert(place, version)
        return True

    @property
    def first(self) -> InForce:
        """The version that everything began with."""
        return self._items[0]

    @property
    def last(self) -> InForce:
        """The version that comes into force last, by what is known now."""
        return self._items[-1]

    def at(self, now: Instant) -> InForce:
        """Return what is in force at `now`."""
        return self._items[self._place(now)]

    def known(self, digest: str) -> CompiledModel | None:
        """Return the model of this digest, None if no version has it."""
        for version in reversed(self._items):
            if version.model.digest == digest:
                return version.model
        return None

    def unmoved_below(self, digest: str) -> float:
        """Return the score below which the last version is no news for a lead.

        It is for a lead that was scored by the model `digest` last: where only
        thresholds have moved since, those that never came up to one need not hear.
        """
        lowest = math.inf
        last = self._items[-1].model
        for version in reversed(self._items):
            model = version.model
            if model.base.digest != last.base.digest:
                return 0.0
            lowest = min([lowest, *(a.leave for a in model.alerts if a.kind == "hot")])
            if model.digest == digest:
                return lowest
        return 0.0

    def moved_at(self, alert: str, now: Instant) -> Instant | None:
        """Return when the threshold of `alert` moved last; None if never in this text.

        A new text begins with thresholds of its own: that is no move.
        """
        since: Instant | None = None
        known: CompiledModel | None = None
        for version in reversed(self._items[: self._place(now) + 1]):
            model = version.model
            if known is not None:
                if model.base.digest != known.base.digest:
                    return None
                there = model.ref.thresholds.get(alert)
                if there != known.ref.thresholds.get(alert):
                    return since
            known, since = model, version.at
        return None

    def wake_at(self, state: LeadState) -> Instant | None:
        """Return when a lead is to be looked at: by its own plan or for a new model."""
        last = self._items[-1]
        if state.now >= last.at and state.model == last.model.digest:
            return state.wake_at
        for at, _ in self._ahead(state.now, state.model, last.at):
            return at if state.wake_at is None else min(at, state.wake_at)
        return state.wake_at

    def apply(self, state: LeadState | None, now: Instant, act: Act) -> Step:
        """Return what `act` leads to at `now`, after the changes of model till then."""
        if state is None or not state.model:
            return act(self.at(now).model, state)
        last = self._items[-1]
        if state.now >= last.at and state.model == last.model.digest:
            return act(last.model, state)
        reached = max(now, state.now)
        passed: Step | None = None
        for at, model in self._ahead(state.now, state.model, reached):
            before = state if passed is None else passed.state
            # A model that nobody knows any more has planned nothing we could settle.
            old = self.known(before.model) or model
            step = on_model_change(old, model, before, at)
            passed = step if passed is None else step.following(passed)
        after = act(self.at(reached).model, state if passed is None else passed.state)
        if passed is None or after.outcome == "duplicate":
            # A repetition changes nothing, not even the model: the next input will.
            return after if passed is None else _unchanged(state)
        return after.following(passed)

    def _place(self, now: Instant) -> int:
        return max(bisect_right(self._items, now, key=lambda item: item.at) - 1, 0)

    def _ahead(
        self, since: Instant, digest: str, until: Instant
    ) -> Iterator[tuple[Instant, CompiledModel]]:
        """Yield the changes of model after `since` until `until`, and their instants.

        A version that was heard of too late comes into force at `since`.
        """
        start, end = self._place(since), self._place(until)
        for version in self._items[start : end + 1]:
            if version.model.digest != digest:
                digest = version.model.digest
                yield max(version.at, since), version.model


def started(versions: Versions, state: LeadState) -> Step:
    """Return how a lead that another slot knows begins in this one.

    Everything that is remembered of it counts from the start. What was published of
    it, and what alerts made of it, stays with the other slot.
    """
    begun = replace(
        state,
        sequence=0,
        score=0.0,
        tier=NO_TIER,
        grade="",
        wake_at=None,
        alerts={},
        member_sequence=0,
        taught={},
    )
    model = versions.at(state.now).model
    return on_model_change(model, model, adopted(model, begun), state.now)


def _unchanged(state: LeadState) -> Step:
    return Step(state=state, outcome="duplicate")
