"""Capacity: the score from which on leads are hot, so that people can deal with them.

The quantile is exact. Published scores have few decimals between 0 and 100, so there
are at most some hundred thousand different ones: a count of each is all there is to
know about how scores are distributed. It changes in constant time when a lead's score
does, two of them add up to one, and what the people can deal with is read off its end.
"""

import math
from collections.abc import Iterator
from typing import Final, Literal

import msgspec

from schemas.time import Instant, Millis
from scorers.policy import Capacity
from scorers.quiet import OnShift

HIGHEST: Final = 100
_NOISE: Final = 1e-6

MoveReason = Literal[
    "over-capacity",
    "room",
    "within-capacity",
    "inside-hysteresis",
    "at-highest",
    "too-soon",
]
"""Why a threshold moves, or stays where it is."""


class Scores:
    """How many leads there are of each published score."""

    def __init__(self, scale: int) -> None:
        """Begin with no lead; `scale` is 10 for scores with one decimal."""
        self.scale = scale
        self._counts = [0] * (HIGHEST * scale + 1)
        self._leads = 0

    def __len__(self) -> int:
        """Return how many leads are counted."""
        return self._leads

    def level(self, score: float) -> int:
        """Return a published score as a whole number."""
        return min(max(round(score * self.scale), 0), HIGHEST * self.scale)

    def move(self, before: float | None, after: float | None) -> None:
        """Count a lead at `after` that was counted at `before`; None for nowhere."""
        if before is not None:
            self._counts[self.level(before)] -= 1
            self._leads -= 1
        if after is not None:
            self._counts[self.level(after)] += 1
            self._leads += 1

    def add(self, other: "Scores") -> None:
        """Count the leads of `other`, which are none of these, as well."""
        for level, leads in other.counted():
            self._counts[level] += leads
            self._leads += leads

    def counted(self) -> Iterator[tuple[int, int]]:
        """Yield the scores that leads have, as whole numbers, and how many have."""
        for level, leads in enumerate(self._counts):
            if leads:
                yield level, leads

    def at_least(self, score: float) -> int:
        """Return how many leads have this published score or a higher one."""
        return sum(self._counts[math.ceil(score * self.scale - _NOISE) :])

    def reached_by(self, most: int) -> float:
        """Return the least score that at most so many leads reach.

        Where all leads of the highest score are more than that, it is above it.
        """
        level, leads = len(self._counts), 0
        while level > 0 and leads + self._counts[level - 1] <= most:
            level -= 1
            leads += self._counts[level]
        return level / self.scale


class CompiledCapacity:
    """A capacity made ready: its bounds as scores, its shifts in their zones."""

    def __init__(self, capacity: Capacity, enter: float, ceiling: float) -> None:
        """Prepare `capacity` of an alert that begins at `enter` by the model."""
        self.usual = capacity.leads
        self.shifts = tuple(map(OnShift, capacity.shifts))
        self.lowest = enter if capacity.lowest is None else capacity.lowest
        self.highest = ceiling if capacity.highest is None else capacity.highest
        self.hysteresis = capacity.hysteresis
        self.every: Millis = capacity.every

    def leads_at(self, now: Instant) -> int:
        """Return how many leads people can deal with at `now`."""
        return next(
            (shift.leads for shift in self.shifts if shift.holds(now)), self.usual
        )


class Move(msgspec.Struct, frozen=True):
    """What was decided of a threshold."""

    reason: MoveReason
    threshold: float
    """Where it is from now on."""
    above: int
    """How many leads have come up to where it was."""
    leads: int
    """How many people can deal with."""

    @property
    def moves(self) -> bool:
        """Whether it is somewhere else now."""
        return self.reason in {"over-capacity", "room"}


def decide(
    capacity: CompiledCapacity,
    scores: Scores,
    present: float,
    moved_at: Instant | None,
    now: Instant,
) -> Move:
    """Return where the threshold that is `present` belongs at `now`, and why.

    It rises to where no more leads reach it than people can deal with, as soon as
    more do. It falls only when a share of the people's time is free even there, and
    then as far as leaves that share free: so what just moved it up does not move it
    down again. Nothing moves twice within `every`.
    """
    leads = capacity.leads_at(now)
    above = scores.at_least(present)

    def target(most: int) -> float:
        return min(max(scores.reached_by(most), capacity.lowest), capacity.highest)

    def stays(reason: MoveReason) -> Move:
        return Move(reason, present, above, leads)

    reason: MoveReason
    if above > leads:
        aim, reason = target(leads), "over-capacity"
        if aim <= present:
            return stays("at-highest")
    else:
        aim, reason = target(int(leads * (1.0 - capacity.hysteresis))), "room"
        if aim >= present:
            possible = target(leads) < present
            return stays("inside-hysteresis" if possible else "within-capacity")
    if moved_at is not None and now < moved_at + capacity.every:
        return stays("too-soon")
    return Move(reason, aim, above, leads)
