"""The instant of leaving a band: where curves graze, saturate, oppose and end."""

import math
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.time import DAY, HOUR, Instant, to_datetime
from scorers import crossing
from scorers.crossing import LAST, first_exit
from scorers.curve import NEVER, Curve, DormantPiece, Part, Piece
from tests.scorers.small_models import COMPILED

H = 14 * DAY


def part(**given: Any) -> Part:
    """Return a rule's value, unbounded unless told otherwise."""
    return Part("rule", **{"bound": 100.0, **given})


def group(
    *parts: Part, cap: float = 100.0, floor: float = -100.0, share: float = 1.0
) -> Piece:
    """Return a group of rules, dormant where only a share of it is left."""
    if share < 1.0:
        return DormantPiece("group", cap, floor, list(parts), share, "dormancy")
    return Piece("group", cap, floor, list(parts))


def curve(*pieces: Piece, until: Instant = NEVER, ceiling: float = 100.0) -> Curve:
    """Return a curve that starts at 0 and is published with one decimal."""
    return Curve(0, until, ceiling, 10, list(pieces))


def exit_of(
    wave: Curve, band: tuple[int, int] | None = None, end: Instant = NEVER
) -> Instant | None:
    """Return when a curve of one piece leaves its level, or the band."""

    def later(last: Curve) -> Curve:
        return Curve(last.until, NEVER, 100.0, 10, [])

    level = wave.level()
    return first_exit(wave, band or (level, level + 1), later, end).at


def brute(wave: Curve, band: tuple[int, int], last: int) -> Instant | None:
    """Return the same, millisecond by millisecond."""
    low, high = band
    return next((x for x in range(1, last) if not low <= wave.level(x) < high), None)


def edge(score: float) -> float:
    """Return the exact score below which the published one is less."""
    return score - 0.05 - 1e-10


def test_half_life_has_a_closed_form() -> None:
    """Ten points fall below 9.95 after H · log2(10 / 9.95)."""
    found = exit_of(curve(group(part(amp=10.0, half_life=H))))

    assert found == math.ceil(H * math.log2(10.0 / edge(10.0)))


def test_age_counts_from_the_last_match() -> None:
    """Points that are a half-life old are half, and go on halving."""
    young = exit_of(curve(group(part(amp=5.0, half_life=H))))

    assert exit_of(curve(group(part(amp=10.0, half_life=H, since=-H)))) == young


def test_negative_points_fade_upwards() -> None:
    """What a lead was docked comes back as it fades."""
    wave = curve(group(part(const=20.0), part(amp=-10.0, half_life=H)))
    found = exit_of(wave)

    assert found == math.ceil(H * math.log2(10.0 / (20.0 - edge(10.1))))


def test_nothing_moves() -> None:
    """A score without decay never changes by itself."""
    assert exit_of(curve(group(part(const=12.0)))) is None


def test_end_is_included() -> None:
    """An exit at the end is found, one after it is not."""
    wave = curve(group(part(amp=10.0, half_life=H)))
    found = exit_of(wave)
    assert found is not None

    assert exit_of(wave, end=found) == found
    assert exit_of(wave, end=found - 1) is None


def test_break_comes_first() -> None:
    """Where a step comes before the exit, the level at the step decides."""

    def stepped(last: Curve) -> Curve:
        return Curve(last.until, NEVER, 100.0, 10, [group(part(const=4.0))])

    wave = curve(group(part(const=8.0)), until=DAY)

    assert first_exit(wave, (80, 81), stepped).at == DAY
    assert first_exit(wave, (40, 81), stepped).at is None
    assert first_exit(wave, (80, 81), stepped, DAY - 1).at is None
    assert first_exit(wave, (80, 81), stepped, DAY).at == DAY


def test_the_curve_at_the_exit_is_told() -> None:
    """Whoever asks need not read the score again: here is the curve that holds then."""
    wave = curve(group(part(const=8.0)), until=DAY)
    last = curve(group(part(const=4.0)))

    assert first_exit(wave, (80, 81), lambda _: last).curve is last
    assert first_exit(wave, (80, 81), lambda _: last, DAY - 1).curve is wave


def test_saturated_group_waits_until_it_falls_below_its_cap() -> None:
    """Forty points under a cap of twenty stay twenty for one half-life."""
    wave = curve(group(part(amp=40.0, half_life=H), cap=20.0))
    found = exit_of(wave)

    assert found == math.ceil(H * math.log2(40.0 / edge(20.0)))


def test_saturated_rule_waits_until_it_falls_below_its_bound() -> None:
    """Likewise a rule whose points exceed its maximum."""
    wave = curve(group(part(amp=40.0, half_life=H, bound=20.0)))

    assert exit_of(wave) == math.ceil(H * math.log2(40.0 / edge(20.0)))


def test_group_at_its_floor_waits_until_it_rises() -> None:
    """A group that is held up by its floor rises only when it is above it."""
    wave = curve(
        group(part(const=30.0)),
        group(part(amp=-40.0, half_life=H), floor=-20.0),
    )

    assert exit_of(wave) == math.ceil(H * math.log2(40.0 / (30.0 - edge(10.1))))


@pytest.mark.parametrize("two_rates", [False, True])
def test_dormant_group_leaves_zero_at_its_own_speed(*, two_rates: bool) -> None:
    """Below zero a dormant group rises in full, above zero by its share."""
    debt = [part(const=4.0), part(amp=-8.0, half_life=H)]
    if two_rates:
        debt.append(part(amp=1e-15, half_life=DAY))
    wave = curve(group(part(const=10.0)), group(*debt, share=0.5))

    values = [wave.exact(), wave.exact(H), wave.exact(100 * H)]
    assert values == pytest.approx([6.0, 10.0, 12.0])
    assert exit_of(wave, (0, 90)) == math.ceil(H * math.log2(8.0 / (14.0 - edge(9.0))))
    assert exit_of(wave, (0, 110)) == math.ceil(
        H * math.log2(8.0 / (4.0 - 2.0 * (edge(11.0) - 10.0)))
    )
    assert exit_of(wave, (0, 121)) is None


def test_score_held_at_zero() -> None:
    """A score below zero is zero until the sum is above it again."""
    wave = curve(group(part(const=5.0), part(amp=-40.0, half_life=H)))

    assert wave.level() == 0
    assert exit_of(wave) == math.ceil(H * math.log2(40.0 / (5.0 - edge(0.1))))


def test_score_held_at_its_ceiling() -> None:
    """A sum above the ceiling is the ceiling until it falls below."""
    wave = curve(
        group(part(amp=40.0, half_life=H)),
        group(part(amp=40.0, half_life=H)),
        ceiling=60.0,
    )

    assert exit_of(wave) == math.ceil(H * math.log2(80.0 / edge(60.0)))
    assert exit_of(wave, (0, 700)) is None


def test_never_above_the_ceiling() -> None:
    """A band that ends above the ceiling is not left upwards."""
    wave = curve(group(part(const=70.0), part(amp=-40.0, half_life=H)), ceiling=60.0)

    assert exit_of(wave, (0, 600)) is not None
    assert exit_of(wave, (0, 601)) is None


def test_rules_on_opposite_bounds() -> None:
    """Where one rule leaves its bound upwards as another falls, both are seen."""
    wave = curve(
        group(
            part(amp=12.0, half_life=H, bound=10.0),
            part(amp=-11.0, half_life=H, bound=10.0),
            part(const=20.0),
        )
    )
    band = (200, 201)
    found = exit_of(wave, band)

    # The negative one leaves its bound first, so the sum rises.
    assert found == math.ceil(H * math.log2(11.0 / (30.0 - edge(20.1))))


def test_asymptote_on_an_edge_is_never_left() -> None:
    """A score that sinks towards a half for ever is rounded up for ever."""
    one_rate = curve(group(part(const=10.05), part(amp=0.01, half_life=DAY)))
    two_rates = curve(
        group(
            part(const=10.05),
            part(amp=0.01, half_life=DAY),
            part(amp=0.01, half_life=HOUR),
        )
    )

    assert exit_of(one_rate) is None
    assert exit_of(two_rates) is None


def test_grazing_from_below() -> None:
    """Opposing half-lives that only just reach an edge do reach it."""
    # 16·(u − u²), where u falls from 1, has its greatest value 4 at u = ½.
    fast, slow = part(amp=-16.0, half_life=DAY), part(amp=16.0, half_life=2 * DAY)
    wave = curve(group(slow, fast, part(const=10.0)))
    touching = (140, 150)
    assert first_exit(wave, (0, 140), lambda last: last).at is not None

    assert exit_of(wave, (0, 140)) == brute_from(wave, (0, 140))
    assert exit_of(wave, (100, 141)) is None
    assert touching[0] <= wave.level(2 * DAY) < touching[1]


def brute_from(wave: Curve, band: tuple[int, int]) -> Instant:
    """Return the exit of a curve that rises until two days, by halving."""
    inside, outside = 0, 2 * DAY
    while outside - inside > 1:
        middle = (inside + outside) // 2
        if band[0] <= wave.level(middle) < band[1]:
            inside = middle
        else:
            outside = middle
    return outside


def test_line_from_its_bound() -> None:
    """A straight fall that starts exactly at the rule's bound is seen at once."""
    wave = curve(group(part(const=10.0, slope=-10.0 / DAY, bound=10.0)), until=DAY)

    assert exit_of(wave) == math.ceil((10.0 - edge(10.0)) / 10.0 * DAY)


def test_line_above_its_bound() -> None:
    """A straight fall from above the bound waits until it is below."""
    wave = curve(group(part(const=20.0, slope=-20.0 / DAY, bound=10.0)), until=DAY)

    assert exit_of(wave) == math.ceil((20.0 - edge(10.0)) / 20.0 * DAY)


def test_negative_line_below_its_bound() -> None:
    """Likewise one that rises from below minus the bound."""
    wave = curve(
        group(part(const=-20.0, slope=20.0 / DAY, bound=10.0), part(const=15.0)),
        until=DAY,
    )

    assert exit_of(wave) == math.ceil((20.0 - 15.0 + edge(5.1)) / 20.0 * DAY)


def test_line_and_half_life_together() -> None:
    """A line and a half-life are walked together, to the millisecond."""
    wave = curve(
        group(part(const=10.0, slope=-10.0 / HOUR)),
        group(part(amp=10.0, half_life=HOUR)),
        until=HOUR,
    )
    found = exit_of(wave, (180, 300))

    assert found == brute(wave, (180, 300), HOUR)


def test_cap_and_floor_of_nothing() -> None:
    """A group that may give nothing at all moves nothing."""
    wave = curve(
        group(
            part(amp=8.0, half_life=HOUR),
            part(amp=-4.0, half_life=DAY),
            cap=0.0,
            floor=0.0,
        ),
        group(part(const=3.0)),
    )

    assert exit_of(wave) is None


def test_band_that_ends_with_the_calendar() -> None:
    """Nothing is planned after the year 9999, which cannot be written down."""
    slow = curve(group(part(amp=10.0, half_life=36_525 * DAY * 100)))

    assert to_datetime(LAST).year == 9999
    assert exit_of(slow, (1, 101)) == exit_of(slow, (1, 101), LAST)
    assert exit_of(curve(group(part(amp=10.0, half_life=10**15))), (1, 200)) is None


@pytest.mark.skipif(COMPILED, reason="what is compiled cannot be patched")
def test_walk_that_is_too_long_is_looked_at_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A walk that takes too many strides ends early, at an instant to look again."""
    wave = curve(group(part(amp=10.0, half_life=HOUR), part(amp=20.0, half_life=DAY)))
    whole = exit_of(wave, (10, 400))
    monkeypatch.setattr(crossing, "_MOST_STRIDES", 2)
    early = exit_of(wave, (10, 400))

    assert early is not None
    assert whole is not None
    assert 0 < early < whole
    assert 10 <= wave.level(early) < 400


_amps = st.floats(-30, 30).map(lambda amp: round(amp, 3))
_bounds = st.sampled_from([2.0, 5.0, 10.0, 100.0])
_parts = st.builds(
    part,
    const=st.sampled_from([0.0, 0.0, 3.0, -4.5]),
    amp=_amps,
    half_life=st.just(3_000),
    since=st.integers(-6_000, 0),
    bound=_bounds,
)
_groups = st.builds(
    lambda parts, cap, floor, share: group(*parts, cap=cap, floor=floor, share=share),
    st.lists(_parts, min_size=1, max_size=3),
    st.sampled_from([5.0, 20.0, 100.0]),
    st.sampled_from([-100.0, -10.0, 0.0]),
    st.sampled_from([1.0, 1.0, 0.5, 0.0]),
)
_bands = st.tuples(st.integers(0, 40), st.integers(1, 60))


def _banded(wave: Curve, margins: tuple[int, int]) -> tuple[int, int]:
    level = wave.level()
    return max(0, level - margins[0]), level + margins[1]


@given(st.lists(_groups, min_size=1, max_size=3), _bands)
def test_closed_form_and_strides_agree(
    groups: list[Piece], margins: tuple[int, int]
) -> None:
    """With one half-life both ways find what millisecond by millisecond is found."""
    wave = curve(*groups, ceiling=60.0)
    low, high = band = _banded(wave, margins)
    span = 9_000
    wanted = brute(wave, band, span)

    assert crossing._exit_by_strides(wave, low, high, span) == wanted
    assert crossing._exit_of_one_rate(wave, low, high, span, 3_000) == wanted


_mixed = st.builds(
    part,
    const=st.sampled_from([0.0, 2.0, -4.5]),
    amp=_amps,
    half_life=st.sampled_from([500, 1_000, 7_000]),
    since=st.integers(-3_000, 0),
    bound=_bounds,
)
_lines = st.builds(
    lambda points, span, bound: part(const=points, slope=-points / span, bound=bound),
    _amps,
    st.integers(8_000, 20_000),
    _bounds,
)
_mixed_groups = st.builds(
    lambda parts, cap, floor, share: group(*parts, cap=cap, floor=floor, share=share),
    st.lists(st.one_of(_mixed, _lines), min_size=1, max_size=4),
    st.sampled_from([5.0, 20.0, 100.0]),
    st.sampled_from([-100.0, -10.0, 0.0]),
    st.sampled_from([1.0, 1.0, 0.5, 0.0]),
)


@given(st.lists(_mixed_groups, min_size=1, max_size=3), _bands)
def test_strides_miss_nothing(groups: list[Piece], margins: tuple[int, int]) -> None:
    """With any mixture the exit is the one found millisecond by millisecond."""
    wave = curve(*groups, ceiling=60.0)
    low, high = band = _banded(wave, margins)

    assert crossing._exit_by_strides(wave, low, high, 8_000) == brute(wave, band, 8_000)


@pytest.mark.parametrize("guess", [1, 700, 999, 1_000, 1_001, 1_300, 3_998])
def test_a_bad_guess_costs_looks_and_no_exactness(guess: int) -> None:
    """From whatever guess the search starts, it ends at the very first outside."""
    wave = curve(group(part(amp=10.0, half_life=5_000)))
    band = (88, 200)
    wanted = brute(wave, band, 3_999)
    assert wanted is not None

    assert crossing._first_outside(wave, band, 0, guess, 3_999) == wanted
    assert crossing._first_outside(wave, band, wanted - 1, guess, wanted) == wanted
    assert crossing._first_outside(wave, band, 0, guess, wanted - 1) is None
    assert crossing._first_outside(wave, band, wanted, guess, wanted) is None


def _total(wave: Curve, elapsed: int) -> float:
    return sum(piece.at(elapsed) for piece in wave.pieces)


@given(st.lists(_groups, min_size=1, max_size=3), st.integers(0, 30_000))
def test_drawn_over_u_it_is_the_same_score(groups: list[Piece], elapsed: int) -> None:
    """At u = 2^(−x / half-life) the drawing has the score's value at x."""
    wave = curve(*groups)
    drawn = crossing._Lines(wave).at(2.0 ** (-elapsed / 3_000))

    assert math.isclose(drawn, _total(wave, elapsed), abs_tol=1e-9)


@given(st.lists(_groups, min_size=1, max_size=3))
def test_between_kinks_it_is_straight(groups: list[Piece]) -> None:
    """Between two neighbouring kinks the middle is the mean of the ends."""
    lines = crossing._Lines(curve(*groups))
    kinks = {0.0, 1.0}.union(*(group.kinks() for group in lines.bent))
    assert all(0.0 <= kink <= 1.0 for kink in kinks)
    for one, other in pairwise(sorted(kinks)):
        mean = (lines.at(one) + lines.at(other)) / 2
        assert math.isclose(lines.at((one + other) / 2), mean, abs_tol=1e-9)


def test_straight_groups_need_no_kinks() -> None:
    """A group bends only where something in it can meet a bound on the way."""
    straight = [
        group(part(amp=10.0, half_life=H, bound=10.0), cap=10.0, floor=0.0),
        group(part(amp=-10.0, half_life=H, bound=10.0), cap=0.0, floor=-10.0),
        group(part(amp=4.0, half_life=H), part(const=6.0), cap=10.0, floor=6.0),
        group(part(const=-3.0, bound=3.0), floor=-3.0),
    ]
    bent = [
        group(part(amp=10.1, half_life=H, bound=10.0)),
        group(part(amp=-10.1, half_life=H, bound=10.0)),
        group(part(amp=4.0, half_life=H), part(const=6.1), cap=10.0),
        group(part(amp=-4.0, half_life=H), floor=-3.9),
        group(part(const=-3.1, bound=3.0)),
    ]

    assert crossing._Lines(curve(*straight)).bent == []
    assert len(crossing._Lines(curve(*bent)).bent) == len(bent)


_slow = st.builds(
    part,
    const=st.sampled_from([0.0, 0.0, 3.0, -4.5]),
    amp=_amps,
    half_life=st.just(H),
    since=st.integers(-30 * DAY, 0),
    bound=_bounds,
)
_slow_groups = st.builds(
    lambda parts, cap, floor, share: group(*parts, cap=cap, floor=floor, share=share),
    st.lists(_slow, min_size=1, max_size=3),
    st.sampled_from([5.0, 20.0, 100.0]),
    st.sampled_from([-100.0, -10.0, 0.0]),
    st.sampled_from([1.0, 1.0, 0.5, 0.0]),
)


@given(
    st.lists(_slow_groups, min_size=1, max_size=3),
    _bands,
    st.sampled_from([DAY, 60 * DAY, 4_000 * DAY]),
)
def test_both_ways_agree_at_scale(
    groups: list[Piece], margins: tuple[int, int], span: int
) -> None:
    """Over weeks and years, too, both ways find the same millisecond, or none."""
    wave = curve(*groups, ceiling=60.0)
    low, high = _banded(wave, margins)
    found = crossing._exit_of_one_rate(wave, low, high, span, H)
    walked = crossing._exit_by_strides(wave, low, high, span)

    if found is None or walked is None:
        assert found is walked is None
    else:
        # Towards an asymptote a millisecond is less than a float can tell.
        assert wave.exact(found) == pytest.approx(wave.exact(walked), abs=1e-12)
        assert not low <= wave.level(found) < high
        assert low <= wave.level(found - 1) < high
