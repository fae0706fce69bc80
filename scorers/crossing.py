"""The exact instant at which the published score leaves a band.

Two ways, both exact to the millisecond. Where one rate moves everything (one
half-life for all, the usual case) the score is piecewise linear in
``u = e^(−rate · x)`` and the instant is closed-form. Otherwise the walk takes
strides so short that the score cannot leave within them; they end near the instant
as Newton's method would.
"""

import math
from collections.abc import Callable
from typing import Final

from schemas.time import Instant, Millis
from scorers.curve import NEVER, Curve, Part, Piece

_MOST_STRIDES: Final = 20_000
"""Strides before a score that grazes an edge is looked at again later instead."""

_FARTHEST: Final[Millis] = 1 << 50
"""No exit is looked for beyond this (35,000 years)."""


def first_exit(
    curve_at: Callable[[Instant], Curve],
    start: Instant,
    low: int,
    high: int,
    end: Instant = NEVER,
    first: Curve | None = None,
) -> Instant | None:
    """Return the first instant in (start, end] with the level outside [low, high).

    `low` and `high` are published scores times the scale; the level at `start`
    must lie inside. None when the score stays inside until `end`, or for ever.
    """
    curve = curve_at(start) if first is None else first
    while True:
        last = min(curve.until, end + 1)
        elapsed = _exit_within(curve, low, high, min(last - curve.start, _FARTHEST))
        if elapsed is not None:
            return curve.start + elapsed
        if last > end or last >= NEVER:
            return None
        curve = curve_at(last)
        if not low <= curve.level() < high:
            return last


def _exit_within(curve: Curve, low: int, high: int, span: Millis) -> Millis | None:
    """Return the first elapsed time in (0, span) with the level outside."""
    rates: set[float] = set()
    sloped = False
    for piece in curve.pieces:
        for part in piece.parts:
            if part.amp:
                rates.add(part.rate)
            sloped = sloped or part.slope != 0
    if not rates and not sloped:
        return None
    if len(rates) == 1 and not sloped:
        return _exit_of_one_rate(curve, low, high, span, rates.pop())
    return _exit_by_strides(curve, low, high, span)


# ── one rate: piecewise linear in u = e^(−rate · x) ─────────────────────────────


def _exit_of_one_rate(
    curve: Curve, low: int, high: int, span: Millis, rate: float
) -> Millis | None:
    low_edge, high_edge = _edges(curve, low, high)
    farthest = math.exp(-rate * span)
    kinks = {1.0, farthest}
    for piece in curve.pieces:
        kinks |= _kinks(piece)
    nodes = sorted((node for node in kinks if farthest <= node <= 1.0), reverse=True)
    u_near, value_near = 1.0, _total_at(curve, 1.0)
    for u_far in nodes[1:]:
        value_far = _total_at(curve, u_far)
        edge = (
            low_edge
            if low_edge is not None and value_far < low_edge
            else high_edge
            if high_edge is not None and value_far >= high_edge
            else None
        )
        if edge is not None:
            move = value_far - value_near
            share = (edge - value_near) / move if move else 0.0
            u = u_near + min(max(share, 0.0), 1.0) * (u_far - u_near)
            guess = span if u <= 0 else math.ceil(-math.log(u) / rate)
            return _nearest_exit(curve, low, high, min(max(guess, 1), span), span)
        u_near, value_near = u_far, value_far
    return None


def _nearest_exit(
    curve: Curve, low: int, high: int, guess: Millis, span: Millis
) -> Millis | None:
    """Return the exit next to `guess`, which rounding may have put slightly off."""
    while guess > 1 and not low <= curve.level(guess - 1) < high:
        guess -= 1
    while guess < span:
        if not low <= curve.level(guess) < high:
            return guess
        guess += 1
    return None


def _edges(curve: Curve, low: int, high: int) -> tuple[float | None, float | None]:
    """Return the exact scores at the band's ends; None where out of reach."""
    low_edge = (low - 0.5) / curve.scale if low > 0 else None
    high_edge: float | None = (high - 0.5) / curve.scale
    if high_edge is not None and high_edge > curve.ceiling:
        high_edge = None
    return low_edge, high_edge


def _part_at(part: Part, u: float) -> float:
    value = part.const + part.amp * u
    bound = part.bound
    return bound if value > bound else -bound if value < -bound else value


def _total_at(curve: Curve, u: float) -> float:
    total = 0.0
    for piece in curve.pieces:
        value = 0.0
        for part in piece.parts:
            value += _part_at(part, u)
        cap, floor = piece.cap, piece.floor
        total += cap if value > cap else floor if value < floor else value
    return total


def _kinks(piece: Piece) -> set[float]:
    """Return every u in (0, 1) at which a rule or the group meets its bound."""
    kinks: set[float] = set()
    moving = False
    most = least = 0.0
    for part in piece.parts:
        if part.amp:
            moving = True
            for bound in (part.bound, -part.bound):
                u = (bound - part.const) / part.amp
                if 0.0 < u < 1.0:
                    kinks.add(u)
        most += max(_part_at(part, 1.0), _part_at(part, 0.0))
        least += min(_part_at(part, 1.0), _part_at(part, 0.0))
    if not moving or (most <= piece.cap and least >= piece.floor):
        return kinks
    nodes = [1.0, *sorted(kinks, reverse=True), 0.0]
    values = [sum(_part_at(part, node) for part in piece.parts) for node in nodes]
    for index in range(len(nodes) - 1):
        near, far = values[index], values[index + 1]
        for bound in (piece.cap, piece.floor):
            if (near - bound) * (far - bound) < 0:
                share = (bound - near) / (far - near)
                kinks.add(nodes[index] + share * (nodes[index + 1] - nodes[index]))
    return kinks


# ── several rates or slopes: strides within which nothing can be missed ─────────


def _exit_by_strides(curve: Curve, low: int, high: int, span: Millis) -> Millis | None:
    edges = _edges(curve, low, high)
    elapsed = 0
    for _ in range(_MOST_STRIDES):
        stride = _stride(curve, elapsed, edges)
        if elapsed + stride >= span:
            return None
        elapsed += max(1, math.floor(stride))
        if elapsed >= span:
            return None
        if not low <= curve.level(elapsed) < high:
            return elapsed
    return elapsed


def _stride(
    curve: Curve, elapsed: Millis, edges: tuple[float | None, float | None]
) -> float:
    """Return a span in which the score cannot leave the band.

    By Taylor's theorem a sum of exponentials moves by at most
    ``speed · x + bend · x² / 2`` where `bend` bounds its second derivative, which
    only shrinks. The stride also ends where a rule or a group may meet its bound.
    """
    total = speed = bend = 0.0
    stride = float(_FARTHEST)
    for piece in curve.pieces:
        value = pace = curl = 0.0
        for part in piece.parts:
            raw, bound = part.const, part.bound
            part_pace = part.slope
            if part.amp:
                present = part.amp * math.exp(-part.rate * elapsed)
                raw += present
                part_pace -= present * part.rate
            if part.slope:
                raw += part.slope * elapsed
            if -bound < raw < bound:
                value += raw
                pace += part_pace
                if part.amp:
                    curl += abs(present) * part.rate * part.rate
            else:
                value += bound if raw >= bound else -bound
            if part_pace:
                stride = min(stride, _to_bound(part, raw, elapsed))
        cap, floor = piece.cap, piece.floor
        if floor < value < cap:
            total += value
            speed += pace
            bend += curl
            stride = min(
                stride,
                _reach(pace, curl, cap - value),
                _reach(-pace, curl, value - floor),
            )
        elif value >= cap:
            total += cap
            stride = min(stride, _reach(-pace, curl, value - cap))
        else:
            total += floor
            stride = min(stride, _reach(pace, curl, floor - value))
    low_edge, high_edge = edges
    if low_edge is not None:
        stride = min(stride, _reach(-speed, bend, total - low_edge))
    if high_edge is not None:
        stride = min(stride, _reach(speed, bend, high_edge - total))
    return stride


def _to_bound(part: Part, raw: float, elapsed: Millis) -> float:
    """Return when the rule next meets ± its bound, from `elapsed` on."""
    nearest = float(_FARTHEST)
    for bound in (part.bound, -part.bound):
        if part.slope:
            ahead = (bound - raw) / part.slope
        else:
            u = (bound - part.const) / part.amp
            if u <= 0.0:
                continue
            ahead = -math.log(u) / part.rate - elapsed
        if ahead > 0:
            nearest = min(nearest, ahead)
    return nearest


def _reach(speed: float, bend: float, gap: float) -> float:
    """Return the least x ≥ 0 with speed · x + bend · x² / 2 ≥ gap; far if never."""
    if gap <= 0.0:
        return 0.0 if speed > 0 or bend else float(_FARTHEST)
    if not bend:
        return gap / speed if speed > 0 else float(_FARTHEST)
    root = math.sqrt(speed * speed + 2.0 * bend * gap)
    return 2.0 * gap / (speed + root) if speed > 0 else (root - speed) / bend
