"""The score as a function of time: values on one smooth piece.

Between two breaks (a step, an expiry, a deadline) every rule's value is
``const + amp · 2^(−age / half_life) + slope · age``, where the age counts from an
instant of the rule's own, not from the instant of reading: so the score at an instant
is the same figure, to the last bit, from wherever one looks ahead to it.
Rules are clamped to their bound, groups to floor and cap, the total to 0 … ceiling.
Of a dormant group's points, where they are positive, a share is left; that share is the
same all along a piece.
`crossing` finds the instant at which such a curve leaves a band.
"""

import math
from math import pow as power
from typing import Final

import msgspec

from schemas.time import Instant, Millis

NEVER: Final[Instant] = 1 << 60
"""Later than whatever can be written down."""

HALF: Final = 0.5 + 1e-9
"""Half up; what is a half but for the noise of floating point counts as one."""


class Part:
    """One rule's value until a break of its own; its age counts from `since`.

    Not to be changed once made, nor are the other classes here: pieces share parts.
    They are plain, for compiled (ADR 0039) their fields are read and written directly.
    """

    __slots__ = (
        "amp",
        "bound",
        "const",
        "half_life",
        "rule",
        "since",
        "slope",
        "until",
    )

    def __init__(
        self,
        rule: str,
        bound: float,
        const: float = 0.0,
        amp: float = 0.0,
        half_life: Millis = 1,
        slope: float = 0.0,
        since: Instant = 0,
        until: Instant = NEVER,
    ) -> None:
        """Be ``const + amp · 2^(−age / half_life) + slope · age``, within ± `bound`."""
        self.rule = rule
        self.bound = bound
        self.const = const
        self.amp = amp
        self.half_life = half_life
        self.slope = slope
        self.since = since
        self.until = until

    def raw(self, at: Instant) -> float:
        """Return the value at `at` before the rule's bound."""
        value = self.const
        if self.amp:
            value += self.amp * power(2.0, (self.since - at) / self.half_life)
        if self.slope:
            value += self.slope * (at - self.since)
        return value

    def at(self, at: Instant) -> float:
        """Return the value at `at` within ± the rule's bound."""
        return self.within(self.raw(at))

    def within(self, value: float) -> float:
        """Return a raw value within ± the rule's bound."""
        bound = self.bound
        return bound if value > bound else -bound if value < -bound else value


class Piece:
    """One group on a piece."""

    __slots__ = ("cap", "floor", "group", "parts")

    def __init__(self, group: str, cap: float, floor: float, parts: list[Part]) -> None:
        """Be the sum of `parts` within `floor` and `cap`."""
        self.group = group
        self.cap = cap
        self.floor = floor
        self.parts = parts

    def raw(self, at: Instant) -> float:
        """Return the sum of the rules at `at`, before the group's bounds."""
        total = 0.0
        for part in self.parts:
            # `Part.at`, written out: this is the innermost loop of everything.
            value, bound = part.const, part.bound
            if part.amp:
                value += part.amp * power(2.0, (part.since - at) / part.half_life)
            if part.slope:
                value += part.slope * (at - part.since)
            total += bound if value > bound else -bound if value < -bound else value
        return total

    def at(self, at: Instant) -> float:
        """Return the group's points at `at` within floor and cap."""
        value, cap, floor = self.raw(at), self.cap, self.floor
        return cap if value > cap else floor if value < floor else value

    def within(self, value: float) -> float:
        """Return the sum of the rules within floor and cap."""
        cap, floor = self.cap, self.floor
        return cap if value > cap else floor if value < floor else value


class DormantPiece(Piece):
    """A group on a piece while the lead is silent: of what it gives a share is left.

    A class of its own, so that reading a group that is not dormant asks nothing.
    """

    __slots__ = ("dormancy", "share")

    def __init__(
        self,
        group: str,
        cap: float,
        floor: float,
        parts: list[Part],
        share: float,
        dormancy: str,
    ) -> None:
        """Let `dormancy` leave a `share` of what the group gives."""
        super().__init__(group, cap, floor, parts)
        self.share = share
        self.dormancy = dormancy

    def at(self, at: Instant) -> float:
        """Return what is left of the group's points; what it takes stays."""
        value = self.within(self.raw(at))
        return value * self.share if value > 0.0 else value

    def lost(self, at: Instant) -> float:
        """Return what the silence takes of the points at `at`, 0 or less."""
        return self.at(at) - self.within(self.raw(at))


class Lull(msgspec.Struct, frozen=True):
    """A dormancy on a piece: since when it is silent, and what that leaves."""

    dormancy: str
    share: float
    """What is left of the groups' points; 1 where it has not begun."""
    since: Instant
    until: Instant = NEVER
    """When the share is another."""


class Curve:
    """The whole score on one piece, from `start` until `until` (exclusive)."""

    __slots__ = ("ceiling", "lulls", "pieces", "points", "scale", "start", "until")

    def __init__(
        self,
        start: Instant,
        until: Instant,
        ceiling: float,
        scale: int,
        pieces: list[Piece],
        lulls: tuple[Lull, ...] = (),
    ) -> None:
        """Read the groups once: whoever makes a curve looks at its start."""
        self.start = start
        self.until = until
        self.ceiling = ceiling
        self.scale = scale
        self.pieces = pieces
        self.lulls = lulls
        self.points: list[float] = [piece.at(start) for piece in pieces]
        """Each group's points at the start."""

    def moved(self, start: Instant) -> "Curve":
        """Return the same curve as it is read from `start`, before `until`, on."""
        if start == self.start:
            return self
        return Curve(
            start, self.until, self.ceiling, self.scale, self.pieces, lulls=self.lulls
        )

    def exact(self, elapsed: Millis = 0) -> float:
        """Return the score before rounding, in 0 … ceiling."""
        value = 0.0
        if elapsed:
            at = self.start + elapsed
            for piece in self.pieces:
                value += piece.at(at)
        else:
            for each in self.points:
                value += each
        ceiling = self.ceiling
        return ceiling if value > ceiling else max(value, 0.0)

    def level(self, elapsed: Millis = 0) -> int:
        """Return the published score times `scale`, a whole number (half up)."""
        return math.floor(self.exact(elapsed) * self.scale + HALF)

    def published(self) -> float:
        """Return the published score at the start of the piece."""
        return self.level() / self.scale
