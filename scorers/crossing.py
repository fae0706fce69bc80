"""The exact instant at which the published score leaves a band.

Two ways, both exact to the millisecond. Where one half-life moves everything (the
usual case) the score is piecewise linear in ``u = 2^(−x / half_life)`` and the instant
is closed-form. Otherwise the walk takes strides so short that the score cannot leave
within them; they end near the instant as Newton's method would. Either way it is the
published score itself that has the last word.
"""

import math
from collections.abc import Callable
from math import pow as power
from typing import Final, NamedTuple

from schemas.time import Instant, Millis
from scorers.curve import HALF, NEVER, Curve, DormantPiece, Part, Piece
from scorers.decay import LN2

_MOST_STRIDES: Final = 20_000
"""Strides before a score that grazes an edge is looked at again later instead."""

LAST: Final[Instant] = 253_402_300_799_999
"""The last instant that can be written down: the end of the year 9999."""

_FAR: Final = float(1 << 60)


class Exit(NamedTuple):
    """When a score leaves a band, and the curve that it was on when it was sought."""

    at: Instant | None
    """None when the score stays inside until the end, or for ever."""
    curve: Curve
    """The curve at that instant, or at the end: it may start earlier."""


def first_exit(
    curve: Curve,
    band: tuple[int, int],
    onward: Callable[[Curve], Curve],
    end: Instant = NEVER,
) -> Exit:
    """Return the first instant after the curve's start with the level outside `band`.

    `band` is [low, high) in published scores times the scale; the level at the start
    must lie inside. `onward` gives the curve that follows where one ends. Nothing
    after `end` is looked at.
    """
    low, high = band
    end = min(end, LAST)
    while True:
        last = min(curve.until, end + 1)
        elapsed = _exit_within(curve, low, high, last - curve.start)
        if elapsed is not None:
            return Exit(curve.start + elapsed, curve)
        if last > end:
            return Exit(None, curve)
        curve = onward(curve)
        if not low <= curve.level() < high:
            return Exit(last, curve)


def _exit_within(curve: Curve, low: int, high: int, span: Millis) -> Millis | None:
    """Return the first elapsed time in (0, span) with the level outside."""
    half_lives: set[Millis] = set()
    sloped, falling = False, True
    for piece in curve.pieces:
        for part in piece.parts:
            amp, slope = part.amp, part.slope
            if amp:
                half_lives.add(part.half_life)
                falling = falling and amp > 0.0
            if slope:
                sloped = True
                falling = falling and slope < 0.0
    if not half_lives and not sloped:
        return None
    if falling and curve.level(span - 1) >= low:
        return None  # what only falls, and not so far by the end, never leaves
    if len(half_lives) == 1 and not sloped:
        return _exit_of_one_rate(curve, low, high, span, half_lives.pop())
    return _exit_by_strides(curve, low, high, span)


def _edges(curve: Curve, low: int, high: int) -> tuple[float, float]:
    """Return the exact scores at the band's ends; infinite where out of reach."""
    low_edge = (low - HALF) / curve.scale if low > 0 else -math.inf
    high_edge = (high - HALF) / curve.scale
    return low_edge, math.inf if high_edge > curve.ceiling else high_edge


# ── one half-life: piecewise linear in u = 2^(−x / half_life) ───────────────────


class _Lines:
    """The score as a function of u: what is straight, and the groups that bend.

    A rule is const + amp · u within its bound. A group in which nothing can meet a
    bound on the way is straight, and its rules are one.
    """

    __slots__ = ("amp", "bent", "const")

    def __init__(self, curve: Curve) -> None:
        self.const = self.amp = 0.0
        self.bent: list[_Bent] = []
        start = curve.start
        for piece in curve.pieces:
            const = amp = most = least = 0.0
            parts: list[tuple[float, float, float]] = []
            bends = False
            for part in piece.parts:
                near = end = part.const
                fade, bound = 0.0, part.bound
                if part.amp:
                    fade = part.amp * power(2.0, (part.since - start) / part.half_life)
                    near += fade
                if near < end:
                    near, end = end, near
                # Now near is the most that it can be, and end the least.
                bends = bends or near > bound or end < -bound
                const += part.const
                amp += fade
                most += near
                least += end
                parts.append((part.const, fade, bound))
            share = piece.share if isinstance(piece, DormantPiece) else 1.0
            if share != 1.0:
                bends = bends or least < 0.0
                const *= share
                amp *= share
            if bends or most > piece.cap or least < piece.floor:
                self.bent.append(_Bent(piece, parts, share))
            else:
                self.const += const
                self.amp += amp

    def at(self, u: float) -> float:
        total = self.const + self.amp * u
        for group in self.bent:
            total += group.at(u)
        return total


class _Bent:
    """One group as a function of u: its parts are const + amp · u, all bounded."""

    __slots__ = ("cap", "edges", "floor", "parts", "share")

    def __init__(
        self, piece: Piece, parts: list[tuple[float, float, float]], share: float
    ) -> None:
        self.cap, self.floor, self.parts = piece.cap, piece.floor, parts
        self.share = share
        self.edges: tuple[float, ...] = (self.cap, self.floor)
        if share != 1.0:
            self.edges = (self.cap, 0.0, self.floor)

    def raw(self, u: float) -> float:
        total = 0.0
        for const, amp, bound in self.parts:
            value = const + amp * u
            total += bound if value > bound else -bound if value < -bound else value
        return total

    def at(self, u: float) -> float:
        value, cap, floor = self.raw(u), self.cap, self.floor
        value = cap if value > cap else floor if value < floor else value
        return value * self.share if value > 0.0 else value

    def kinks(self) -> set[float]:
        """Return every u in (0, 1) at which a rule or the group meets its bound.

        Also where a dormant group is worth nothing: a share is left of what is more.
        """
        kinks: set[float] = set()
        for const, amp, bound in self.parts:
            if amp:
                for edge in (bound, -bound):
                    u = (edge - const) / amp
                    if 0.0 < u < 1.0:
                        kinks.add(u)
        nodes = [1.0, *sorted(kinks, reverse=True), 0.0]
        values = [self.raw(node) for node in nodes]
        for index in range(len(nodes) - 1):
            near, far = values[index], values[index + 1]
            for edge in self.edges:
                if min(near, far) < edge < max(near, far):
                    share = (edge - near) / (far - near)
                    kinks.add(nodes[index] + share * (nodes[index + 1] - nodes[index]))
        return kinks


def _exit_of_one_rate(
    curve: Curve, low: int, high: int, span: Millis, half_life: Millis
) -> Millis | None:
    low_edge, high_edge = _edges(curve, low, high)
    lines = _Lines(curve)
    farthest = power(2.0, -span / half_life)
    kinks = {farthest}
    for group in lines.bent:
        kinks |= group.kinks()
    u_near, value_near = 1.0, lines.at(1.0)
    inside: Millis = 0
    for u_far in sorted(kinks, reverse=True):
        if u_far < farthest:
            break
        value_far = lines.at(u_far)
        if value_far < low_edge or value_far >= high_edge:
            edge = low_edge if value_far < low_edge else high_edge
            share = (edge - value_near) / ((value_far - value_near) or 1.0)
            u = u_near + min(max(share, 0.0), 1.0) * (u_far - u_near)
            guess, bound = (
                _elapsed(u, half_life, span),
                _elapsed(u_far, half_life, span),
            )
            found = _first_outside(curve, (low, high), inside, guess, bound)
            if found is not None:
                return found
            inside = max(inside, bound)
        u_near, value_near = u_far, value_far
    return None


def _elapsed(u: float, half_life: Millis, span: Millis) -> Millis:
    """Return the first whole time at or after u, within (0, span)."""
    if u <= 0.0:
        return span - 1
    return min(max(math.ceil(-math.log2(u) * half_life), 1), span - 1)


def _first_outside(
    curve: Curve, band: tuple[int, int], inside: Millis, guess: Millis, bound: Millis
) -> Millis | None:
    """Return the first elapsed time in (inside, bound] with the level outside.

    The level moves one way only between `inside`, where it is inside, and `bound`;
    the guess is off by rounding at the most, so the search starts next to it.
    """
    low, high = band
    if inside >= bound:
        return None
    probe = min(max(guess, inside + 1), bound)
    outside = bound + 1
    step = 1
    while inside < probe < outside:
        if low <= curve.level(probe) < high:
            inside = probe
            probe = min(probe + step, bound)
        else:
            outside = probe
            probe -= step
        step *= 2
    if outside > bound:
        return None
    while outside - inside > 1:
        middle = (inside + outside) // 2
        if low <= curve.level(middle) < high:
            inside = middle
        else:
            outside = middle
    return outside


# ── several half-lives or slopes: strides within which nothing can be missed ────


def _exit_by_strides(curve: Curve, low: int, high: int, span: Millis) -> Millis | None:
    edges = _edges(curve, low, high)
    elapsed = 0
    for _ in range(_MOST_STRIDES):
        elapsed += max(1, math.floor(_stride(curve, elapsed, edges)))
        if elapsed >= span:
            return None
        if not low <= curve.level(elapsed) < high:
            return elapsed
    return elapsed


class _Motion:
    """Where a value is, how fast it moves, and how much its speed may change.

    By Taylor's theorem a sum of exponentials moves by at most
    ``speed · x + bend · x² / 2`` where `bend` bounds its second derivative, which
    only shrinks with time.
    """

    __slots__ = ("bend", "speed", "value")

    def __init__(self) -> None:
        self.value = self.speed = self.bend = 0.0

    def up(self, edge: float) -> float:
        """Return a span in which it cannot rise to `edge`."""
        return _reach(self.speed, self.bend, edge - self.value)

    def down(self, edge: float) -> float:
        """Return a span in which it cannot fall to `edge`."""
        return _reach(-self.speed, self.bend, self.value - edge)


def _stride(curve: Curve, elapsed: Millis, edges: tuple[float, float]) -> float:
    """Return a span in which the score cannot leave the band.

    It also ends where a rule or a group may meet its bound, or leave it.
    """
    total = _Motion()
    stride = _FAR
    at = curve.start + elapsed
    for piece in curve.pieces:
        group = _Motion()
        for part in piece.parts:
            stride = min(stride, _add_part(group, part, at))
        cap, floor = piece.cap, piece.floor
        share = 1.0
        if isinstance(piece, DormantPiece):
            share, ahead = _share_left(piece, group)
            stride = min(stride, ahead)
        # On its bound exactly and moving inwards, a group is inside.
        if group.value > cap or (group.value == cap and group.speed >= 0):
            total.value += cap * share
            stride = min(stride, group.down(cap))
        elif group.value < floor or (group.value == floor and group.speed <= 0):
            total.value += floor
            stride = min(stride, group.up(floor))
        else:
            total.value += group.value * share
            total.speed += group.speed * share
            total.bend += group.bend * share
            stride = min(stride, group.up(cap), group.down(floor))
    low_edge, high_edge = edges
    return min(stride, total.down(low_edge), total.up(high_edge))


def _share_left(piece: DormantPiece, group: _Motion) -> tuple[float, float]:
    """Return what is left of a dormant group, and a span in which that stays so."""
    if group.value > 0.0 or (group.value == 0.0 and group.speed >= 0.0):
        return piece.share, group.down(0.0)
    return 1.0, group.up(0.0)


def _add_part(group: _Motion, part: Part, at: Instant) -> float:
    """Add a rule's motion to its group's; return when it next meets its bound."""
    value, speed, bend = part.const, part.slope, 0.0
    age = at - part.since
    if part.amp:
        rate = LN2 / part.half_life
        present = part.amp * power(2.0, -age / part.half_life)
        value += present
        speed -= present * rate
        bend = abs(present) * rate * rate
    value += part.slope * age
    bound = part.bound
    # Here as well, on its bound exactly and moving inwards it is inside.
    outside = value if speed * value >= 0 else 0.0
    if abs(value) > bound or abs(outside) >= bound:
        group.value += math.copysign(bound, value)
    else:
        group.value += value
        group.speed += speed
        group.bend += bend
    return _to_bound(part, value, speed, age)


def _to_bound(part: Part, value: float, speed: float, age: Millis) -> float:
    """Return when the rule next meets ± its bound; far if never."""
    nearest = _FAR
    for bound in (part.bound, -part.bound):
        if (bound - value) * speed <= 0:
            continue  # it moves away from there
        if part.slope:
            ahead = (bound - value) / part.slope
        else:
            u = (bound - part.const) / part.amp
            if u <= 0.0:
                continue
            ahead = -math.log2(u) * part.half_life - age
        nearest = min(nearest, max(ahead, 0.0))
    return nearest


def _reach(speed: float, bend: float, gap: float) -> float:
    """Return the least x ≥ 0 with speed · x + bend · x² / 2 ≥ gap; far if never."""
    if gap == math.inf:
        return _FAR
    gap = max(gap, 0.0)
    if not bend:
        return gap / speed if speed > 0 else _FAR
    root = math.sqrt(speed * speed + 2.0 * bend * gap)
    return 2.0 * gap / (speed + root) if speed > 0 else (root - speed) / bend
