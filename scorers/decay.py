"""How points fade with age: five kinds, each exact at every instant."""

import math
from typing import Protocol

import msgspec

from schemas.time import Millis
from scorers import model as language

LN2 = math.log(2.0)


class Decay(Protocol):
    """What is left of one point at an age."""

    def kept(self, age: Millis) -> float:
        """Return the share that is left at `age` (milliseconds, ≥ 0): 1 to 0."""
        ...

    @property
    def support(self) -> Millis | None:
        """The age from which nothing is left; None for never."""
        ...


class NoDecay(msgspec.Struct, frozen=True):
    """Points stay."""

    def kept(self, age: Millis) -> float:
        """Return 1 at every age."""
        del age
        return 1.0

    @property
    def support(self) -> Millis | None:
        """Never."""
        return None


class HalfLife(msgspec.Struct, frozen=True):
    """Points halve every `half_life` milliseconds: 2^(−age / half_life).

    >>> HalfLife(1000).kept(2000)
    0.25
    """

    half_life: Millis

    def kept(self, age: Millis) -> float:
        """Return 2^(−age / half_life)."""
        return math.pow(2.0, -age / self.half_life)

    @property
    def support(self) -> Millis | None:
        """Never; it only becomes very small."""
        return None


class Linear(msgspec.Struct, frozen=True):
    """Points fall in a straight line to zero at the age `span`.

    >>> Linear(1000).kept(250)
    0.75
    """

    span: Millis

    def kept(self, age: Millis) -> float:
        """Return max(0, 1 − age / span)."""
        return max(0.0, 1.0 - age / self.span)

    @property
    def support(self) -> Millis | None:
        """The span."""
        return self.span

    @property
    def reach(self) -> Millis:
        """The age from which it changes no more."""
        return self.span


class Stepped(msgspec.Struct, frozen=True):
    """Points fall in steps: `kept[i]` below the age `until[i]`, then `rest`.

    >>> Stepped((7, 14), (1.0, 0.5), 0.0).kept(7)
    0.5
    """

    until: tuple[Millis, ...]
    shares: tuple[float, ...]
    rest: float

    def kept(self, age: Millis) -> float:
        """Return the share of the first step whose end is beyond `age`."""
        for until, share in zip(self.until, self.shares, strict=True):
            if age < until:
                return share
        return self.rest

    def next_step(self, age: Millis) -> Millis | None:
        """Return the age of the next step after `age`; None after the last."""
        return next((until for until in self.until if until > age), None)

    @property
    def support(self) -> Millis | None:
        """The last step's end where nothing rests, else never."""
        return None if self.rest else self.until[-1]

    @property
    def reach(self) -> Millis:
        """The age from which it changes no more."""
        return self.until[-1]


AnyDecay = NoDecay | HalfLife | Linear | Stepped


def compile_decay(decay: language.Decay) -> AnyDecay:
    """Return the decay that a model's text describes."""
    match decay:
        case language.HalfLife():
            return HalfLife(decay.half_life)
        case language.Linear():
            return Linear(decay.linear)
        case language.Steps():
            return Stepped(
                tuple(step.until for step in decay.steps),
                tuple(step.keep for step in decay.steps),
                decay.rest,
            )
        case language.Expires():
            return Stepped((decay.expires,), (1.0,), 0.0)
        case _:
            return NoDecay()
