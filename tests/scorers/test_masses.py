"""A rule's memory: bounded in size, exact in order, honest beyond its bound."""

import math
import random
from typing import Any

import pytest

from schemas.time import DAY, HOUR, MINUTE, Instant
from scorers import masses
from scorers.compiled_rules import CompiledRule
from scorers.masses import MAX_ENTRIES, MAX_RANKS, SETTLED
from scorers.reading import curve_of
from scorers.state import Entry, LeadState, RuleState
from tests.scorers.living import event
from tests.scorers.small_models import CLICK, COMPILED, model_of, rule_of
from tests.strategies import START

HALF = {"half_life": "14d"}


def entry(number: int, at: Instant, amount: float = 1.0, key: int = 0) -> Entry:
    """Return a match with an id of its own."""
    return (at, number + 1, amount, key)


def filled(
    rule: CompiledRule, entries: list[Entry], now: Instant | None = None
) -> RuleState:
    """Return a memory that took in these matches in the order given."""
    state: RuleState | None = None
    latest = 0
    for item in entries:
        latest = max(latest, item[0])
        state = masses.add(rule, state, item, latest if now is None else now)
    assert state is not None
    return state


def hourly(count: int) -> list[Entry]:
    """Return a match an hour."""
    return [entry(number, START + number * HOUR) for number in range(count)]


def mass_now(rule: CompiledRule, entries: list[Entry], at: Instant) -> float:
    """Return the sum of what is left of all matches at an instant."""
    return math.fsum(
        amount * rule.decay.kept(at - when) for when, _, amount, _ in entries
    )


# ── ids and keys ────────────────────────────────────────────────────────────────


def test_hash() -> None:
    """An id's hash is the same on every machine, also of a broken text."""
    assert masses.hash64("e1") == 0x1B5D5E51F54F0F04
    assert masses.hash64("\ud800") != masses.hash64("\ud801")


@pytest.mark.parametrize("value", [None, ""])
def test_no_key(value: object) -> None:
    """What is absent or empty is no key."""
    assert masses.key_of(value) == 0


def test_keys_differ() -> None:
    """A number and its text are one key; yes is another, and so is a mapping."""
    keys = [masses.key_of(value) for value in (1, "1", True, {"a": 1})]

    assert keys[0] == keys[1]
    assert len(set(keys)) == 3
    assert 0 not in keys


@pytest.mark.skipif(COMPILED, reason="what is compiled cannot be patched")
def test_a_key_is_never_no_key(monkeypatch: pytest.MonkeyPatch) -> None:
    """A text whose hash is nought still is a key."""
    monkeypatch.setattr(masses, "hash64", lambda _text: 0)

    assert masses.key_of("x") == 1


def test_entry_of_plain_points_is_one() -> None:
    """Plain points are kept as one, so that a new version's points apply."""
    rule = rule_of(points=7.0, limit={"by": "properties.key"})
    found = masses.entry_of(rule, event(1, key="x"), START, 5)

    assert found == (START, 5, 1.0, masses.key_of("x"))


def test_entry_of_an_amount_is_its_points() -> None:
    """Points that are read off an event are kept as they are."""
    source = {"of": "properties.amount", "per": 2.0, "points": 3.0, "max": 9.0}
    found = masses.entry_of(rule_of(points=source), event(1, amount=4), START, 5)

    assert found == (START, 5, 6.0, 0)


# ── order ───────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("decay", [HALF, "none"], ids=["half-life", "none"])
@pytest.mark.parametrize("limit", [None, {"per": "1d", "count": 3}], ids=["", "limit"])
def test_any_order_gives_the_same_bits(decay: Any, limit: Any) -> None:
    """Up to the bound, however matches arrive, the mass is the same to the bit."""
    rule = rule_of(decay=decay, limit=limit)
    entries = hourly(MAX_ENTRIES)
    shuffled = random.Random(7).sample(entries, len(entries))

    assert filled(rule, shuffled) == filled(rule, entries)


@pytest.mark.parametrize("limit", [None, {"per": "1d", "count": 3}], ids=["", "limit"])
def test_folding_changes_no_bit(limit: Any) -> None:
    """Beyond the bound the mass is still that of a sorted history, to the bit."""
    rule = rule_of(decay=HALF, limit=limit)
    entries = hourly(500)
    state = filled(rule, entries)
    whole = masses.refold(rule, RuleState(entries=tuple(entries)))

    assert len(state.entries) <= MAX_ENTRIES
    assert state.base_count + len(state.entries) == len(entries)
    assert (state.mass, state.mass_at) == (whole.mass, whole.mass_at)


def test_match_older_than_the_base() -> None:
    """A match that is older than everything kept still counts what is left of it."""
    rule = rule_of(decay=HALF)
    entries = hourly(300)
    late = entry(1000, START + 30 * MINUTE)
    state = filled(rule, [*entries, late])
    at = entries[-1][0]

    assert state.base_count == filled(rule, entries).base_count + 1
    assert math.isclose(state.mass, mass_now(rule, [*entries, late], at), rel_tol=1e-12)


def test_match_as_old_as_the_base() -> None:
    """A match in the very instant of the base is kept one by one."""
    rule = rule_of(decay="none")
    state = filled(rule, hourly(129))
    again = masses.add(rule, state, entry(0, state.base_at), START)

    assert len(again.entries) == len(state.entries) + 1
    assert again.mass == 130.0


# ── limits beyond the bound ─────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("limit", "wanted"),
    [
        ({"per": "1d", "count": 20}, 20),
        ({"per": "1d", "count": 400}, 400),
        ({"per": "1d", "count": 1_000}, 600),
        ({"per": "1d", "count": 5, "after": 200}, 5),
        ({"per": "1d", "count": 5, "after": 600}, 0),
    ],
)
@pytest.mark.parametrize("decay", ["none", {"expires": "30d"}], ids=["none", "expires"])
def test_limit_holds_beyond_the_bound(
    limit: dict[str, Any], wanted: int, decay: Any
) -> None:
    """Six hundred matches in a day count as often as the limit lets them."""
    model = model_of(
        {"name": "rule", "when": CLICK, "points": 0.05, "limit": limit}, decay=decay
    )
    rule = model.rules[0]
    minutely = [entry(number, START + number * MINUTE) for number in range(600)]
    state = LeadState(lead_id="x", rules={"rule": filled(rule, minutely)})
    score = curve_of(model, state, START + DAY).exact()

    assert math.isclose(score, 0.05 * wanted, abs_tol=1e-9)


@pytest.mark.parametrize("decay", ["none", {"linear": "300d"}], ids=["none", "linear"])
def test_limit_by_key_holds_beyond_the_bound(decay: Any) -> None:
    """A key that was folded long ago does not count again."""
    rule = rule_of(limit={"by": "properties.key"}, decay=decay)
    entries = [
        entry(number, START + number * MINUTE, key=number % 200 + 1)
        for number in range(1_000)
    ]
    state = filled(rule, entries)

    counted = masses.counted(rule, state)
    amount = state.mass if rule.folds else sum(item[2] for item in counted)
    assert amount == 200.0
    assert len(state.entries) <= 2 * MAX_ENTRIES


def test_late_match_beyond_the_bound_meets_its_limit() -> None:
    """A match older than the base counts only as far as its window has room."""
    rule = rule_of(limit={"per": "1d", "count": 30}, decay="none")
    state = filled(rule, hourly(24 * 9))
    full = masses.add(rule, state, entry(5000, START + 90), START)
    roomy = full
    for number in range(10):
        roomy = masses.add(rule, roomy, entry(6000 + number, START + 91), START)

    # The first day had 24 of its 30 matches; the eleventh late one is too many.
    assert [state.mass, full.mass, roomy.mass] == [216.0, 217.0, 222.0]


def test_match_without_its_key_counts_by_itself() -> None:
    """Where the key is missing there is nothing to count together."""
    rule = rule_of(limit={"by": "properties.key"}, decay="none")
    skipping = rule_of(limit={"by": "properties.key", "after": 1}, decay="none")

    assert filled(rule, hourly(200)).mass == 200.0
    assert filled(skipping, hourly(20)).mass == 0.0
    shuffled = hourly(20)[::-1]
    assert filled(rule, shuffled).mass == 20.0
    assert filled(skipping, shuffled).mass == 0.0


def test_ranks_are_bounded() -> None:
    """Of the windows that were folded only the latest are remembered."""
    rule = rule_of(limit={"per": "1h"}, decay=HALF)
    state = filled(rule, hourly(2_000))

    assert len(state.ranks) == MAX_RANKS
    assert max(window for _, window, _ in state.ranks) == state.base_at // HOUR


# ── finite ages ─────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "decay",
    [
        {"expires": "20d"},
        {"linear": "20d"},
        {"steps": [{"until": "5d", "keep": 0.8}, {"until": "20d", "keep": 0.3}]},
        {
            "steps": [{"until": "5d", "keep": 0.8}, {"until": "20d", "keep": 0.3}],
            "rest": 0.1,
        },
    ],
    ids=["expires", "linear", "steps", "rest"],
)
def test_many_matches_that_fade_over_a_finite_age(decay: Any) -> None:
    """A match an hour for a hundred days: bounded in size, and off by little."""
    model = model_of(
        {"name": "rule", "when": CLICK, "points": 0.01, "max": 100.0}, decay=decay
    )
    rule = model.rules[0]
    entries = hourly(2_400)
    state: RuleState | None = None
    worst = 0.0
    for number, item in enumerate(entries):
        state = masses.add(rule, state, item, item[0])
        if number % 37 == 0:
            lead = LeadState(lead_id="x", rules={"rule": state})
            found = curve_of(model, lead, item[0]).exact()
            wanted = 0.01 * mass_now(rule, entries[: number + 1], item[0])
            worst = max(worst, abs(found - wanted) / max(wanted, 0.01))
            assert len(state.entries) <= 2 * MAX_ENTRIES

    # A stretch is a 64th of the age.
    assert worst < 1 / 64


def test_spent_matches_go() -> None:
    """A match that can give nothing any more is not kept."""
    rule = rule_of(decay={"expires": "1d"})
    state = filled(rule, hourly(100))

    assert state.entries == tuple(hourly(100)[-25:])


def test_spent_matches_keep_their_place_in_a_window() -> None:
    """In a week's limit a match of a day's life holds its place all week."""
    rule = rule_of(decay={"expires": "1d"}, limit={"per": "7d"})
    entries = hourly(24 * 12)
    state = filled(rule, entries)

    assert state.entries[0] == entries[-1 - 24 * 8]
    wanted = masses.counted(rule, RuleState(entries=tuple(entries)))
    live = [item for item in wanted if item[0] > entries[-1][0] - DAY]
    found = masses.counted(rule, state)
    assert [item for item in found if item[0] > entries[-1][0] - DAY] == live


def test_matches_of_a_limit_without_end_stay() -> None:
    """Once for ever means ever, also when the points have long expired."""
    rule = rule_of(decay={"expires": "1d"}, limit={"by": "properties.key"})
    again = [entry(1, START, key=7), entry(2, START + 90 * DAY, key=7)]
    state = filled(rule, again)

    assert [item[1] for item in masses.counted(rule, state)] == [2]


def test_points_of_either_sign_in_one_stretch() -> None:
    """What is gained and lost in a stretch of time is kept as its sum."""
    rule = rule_of(
        points={
            "of": "properties.amount",
            "per": 1.0,
            "points": 1.0,
            "min": -5,
            "max": 5,
        },
        decay={"linear": "300d"},
    )
    entries = [
        entry(number, START + number * MINUTE, amount=-1.0 if number % 3 else 2.5)
        for number in range(400)
    ]
    state = filled(rule, entries)

    assert len(state.entries) < len(entries)
    total = sum(item[2] for item in entries)
    assert math.isclose(sum(item[2] for item in state.entries), total)


# ── absence ─────────────────────────────────────────────────────────────────────


def absence_rule(decay: Any, within: str = "30m") -> Any:
    """Return a rule on content that was clicked and not downloaded."""
    return rule_of(
        absence={
            "after": CLICK,
            "unless": {"event": "Content Downloaded"},
            "within": within,
            "same": "properties.key",
        },
        decay=decay,
    )


@pytest.mark.parametrize("decay", ["none", HALF, {"linear": "400d"}])
def test_absence_is_bounded(decay: Any) -> None:
    """A thousand unmet expectations are a bounded memory, worth what they were."""
    rule = absence_rule(decay)
    state, waits = RuleState(), RuleState()
    entries = hourly(1_000)
    for item in entries:
        state = masses.add(rule, state, item, item[0])
        state, waits = masses.bound_absence(rule, state, waits, item[0])
        assert len(state.entries) <= 2 * MAX_ENTRIES
    model = model_of(
        {
            "name": "rule",
            "points": 0.01,
            "absence": {
                "after": CLICK,
                "unless": {"event": "Content Downloaded"},
                "within": "30m",
            },
        },
        decay=decay,
    )
    at = entries[-1][0] + DAY
    lead = LeadState(lead_id="x", rules={"rule": state})
    found = curve_of(model, lead, at).exact()
    late = [(when + rule.within, id_, amount, 0) for when, id_, amount, _ in entries]

    assert math.isclose(found, 0.01 * mass_now(rule, late, at), rel_tol=1 / 64)


def test_met_expectations_go_first() -> None:
    """What was met is forgotten together with what met it, and gives nothing."""
    rule = absence_rule("none")
    state, waits = RuleState(), RuleState()
    for number in range(400):
        at = START + number * HOUR
        state = masses.add(rule, state, entry(2 * number, at, key=5), at)
        waits = masses.add(rule, waits, entry(2 * number + 1, at + 1, key=5), at)
        state, waits = masses.bound_absence(rule, state, waits, at + 1)

    assert (state.base, state.base_count) == (0.0, 0)
    assert max(len(state.entries), len(waits.entries)) <= MAX_ENTRIES
    assert all(masses.met_in_time(rule, waits)(item) for item in state.entries)


def test_open_expectations_are_bounded() -> None:
    """Of expectations that are all still open the latest are kept."""
    rule = absence_rule("none", within="900d")
    state, waits = RuleState(), RuleState()
    for item in hourly(600):
        state = masses.add(rule, state, item, item[0])
        state, waits = masses.bound_absence(rule, state, waits, item[0])

    assert len(state.entries) <= 2 * MAX_ENTRIES
    assert state.entries[-1] == hourly(600)[-1]
    assert state.base_count == 0


def test_what_is_awaited_is_bounded() -> None:
    """Downloads that nobody waits for are forgotten, the latest last."""
    rule = absence_rule("none")
    state, waits = RuleState(), RuleState()
    for item in hourly(600):
        waits = masses.add(rule, waits, item, item[0])
        state, waits = masses.bound_absence(rule, state, waits, item[0])

    assert len(waits.entries) <= MAX_ENTRIES
    assert waits.entries[-1] == hourly(600)[-1]
    assert state == RuleState()


def test_met_in_time() -> None:
    """In time is from the very instant to the very end, and of the same key."""
    rule = absence_rule("none")
    waits = RuleState(entries=(entry(1, START, key=5),))
    met = masses.met_in_time(rule, waits)
    window = 30 * MINUTE
    ages = (-1, 0, window, window + 1)

    assert [met(entry(2, START - age, key=5)) for age in ages] == [
        False,
        True,
        True,
        False,
    ]
    assert not met(entry(2, START, key=6))
    assert not masses.met_in_time(rule, None)(entry(2, START, key=5))


# ── withdrawal ──────────────────────────────────────────────────────────────────


def test_withdrawal_of_nothing_known() -> None:
    """Withdrawing what never matched leaves the memory as it is."""
    rule = rule_of(decay=HALF)
    state = filled(rule, hourly(5))

    assert masses.withdraw(rule, state, frozenset({99})) is state


def test_withdrawal_of_a_folded_match() -> None:
    """What has been folded can be withdrawn no more; the rest can."""
    rule = rule_of(decay="none")
    state = filled(rule, hourly(200))
    left = masses.withdraw(rule, state, frozenset({1, 200}))

    assert (state.mass, left.mass) == (200.0, 199.0)


def test_settled_matches_stay_settled() -> None:
    """A stretch of matches counts on, whatever its limit says and whoever asks."""
    rule = rule_of(decay={"linear": "300d"}, limit={"per": "1d", "count": 500})
    minutely = [entry(number, START + number * MINUTE) for number in range(700)]
    state = filled(rule, minutely)
    settled = [item for item in state.entries if item[3] == SETTLED]

    assert settled
    assert sum(item[2] for item in masses.counted(rule, state)) == 500.0
    assert not any(item[1] for item in settled)
