"""Alert policy, rule by rule: each row is named after the rule it proves."""

from typing import Any, NamedTuple

import pytest

from schemas.time import DAY, HOUR, MINUTE, Instant
from scorers.alert_rules import CompiledAlert
from scorers.alerting import (
    Verdict,
    decide,
    decide_unworked,
    decide_withdrawn,
    inhibited,
    next_deadline,
)
from scorers.compiled import compile_model
from scorers.model import Model
from scorers.quiet import Quiet
from scorers.state import AlertState
from tests.strategies import START


def policy(**given: Any) -> CompiledAlert:
    """Return a policy: hot from 60, over below 51, unless told otherwise."""
    alert = {"name": "hot", "kind": "hot", "enter": 60.0, **given}
    model = Model.model_validate(
        {
            "model": "m",
            "version": "1",
            "groups": {"web": {"cap": 100.0}},
            "alerts": [alert],
        }
    )
    return compile_model(model).alerts[0]


class Look(NamedTuple):
    """A look at a score, and what it must lead to."""

    at: Instant
    score: float
    reason: str
    tell: bool = False
    ended: bool = False


SECOND_NIGHT = 20 * HOUR
ROWS: dict[str, tuple[dict[str, Any], list[Look]]] = {
    "a score below enter is not hot": ({}, [Look(0, 59.9, "not-hot")]),
    "a score at enter is told at once": (
        {},
        [Look(0, 60.0, "crossed-threshold", tell=True)],
    ),
    "a told lead is told once": (
        {},
        [
            Look(0, 60.0, "crossed-threshold", tell=True),
            Look(1, 99.0, "still-hot"),
            Look(2, 60.0, "still-hot"),
        ],
    ),
    "between leave and enter a told lead stays told": (
        {},
        [
            Look(0, 60.0, "crossed-threshold", tell=True),
            Look(1, 51.0, "inside-hysteresis"),
            Look(2, 60.0, "still-hot"),
        ],
    ),
    "below 0.85 of enter it has cooled": (
        {},
        [
            Look(0, 60.0, "crossed-threshold", tell=True),
            Look(1, 50.9, "fell-below", ended=True),
        ],
    ),
    "a leave of its own decides": (
        {"leave": 40.0},
        [
            Look(0, 60.0, "crossed-threshold", tell=True),
            Look(1, 40.0, "inside-hysteresis"),
            Look(2, 39.9, "fell-below", ended=True),
        ],
    ),
    "between leave and enter a lead that was never told is not hot": (
        {},
        [Look(0, 55.0, "not-hot")],
    ),
    "between leave and enter a lead that had cooled is inside the hysteresis": (
        {"cooldown": "0s"},
        [
            Look(0, 60.0, "crossed-threshold", tell=True),
            Look(1, 50.0, "fell-below", ended=True),
            Look(2, 55.0, "inside-hysteresis"),
            Look(3, 50.0, "not-hot"),
        ],
    ),
    "without a cooldown it is told again": (
        {"cooldown": "0s"},
        [
            Look(0, 60.0, "crossed-threshold", tell=True),
            Look(1, 50.0, "fell-below", ended=True),
            Look(2, 60.0, "crossed-threshold", tell=True),
        ],
    ),
    "a dwell is waited out": (
        {"dwell": "10m"},
        [
            Look(0, 60.0, "dwell"),
            Look(10 * MINUTE - 1, 60.0, "dwell"),
            Look(10 * MINUTE, 60.0, "crossed-threshold", tell=True),
        ],
    ),
    "falling below enter ends a dwell, which begins anew": (
        {"dwell": "10m"},
        [
            Look(0, 60.0, "dwell"),
            Look(5 * MINUTE, 59.9, "not-hot"),
            Look(6 * MINUTE, 60.0, "dwell"),
            Look(10 * MINUTE, 60.0, "dwell"),
            Look(16 * MINUTE, 60.0, "crossed-threshold", tell=True),
        ],
    ),
    "a leave dwell is waited out": (
        {"leave_dwell": "15m"},
        [
            Look(0, 60.0, "crossed-threshold", tell=True),
            Look(MINUTE, 50.0, "dwell"),
            Look(16 * MINUTE - 1, 50.0, "dwell"),
            Look(16 * MINUTE, 50.0, "fell-below", ended=True),
        ],
    ),
    "coming back to leave ends a leave dwell, which begins anew": (
        {"leave_dwell": "15m"},
        [
            Look(0, 60.0, "crossed-threshold", tell=True),
            Look(MINUTE, 50.0, "dwell"),
            Look(10 * MINUTE, 51.0, "inside-hysteresis"),
            Look(11 * MINUTE, 50.0, "dwell"),
            Look(16 * MINUTE, 50.0, "dwell"),
            Look(26 * MINUTE, 50.0, "fell-below", ended=True),
        ],
    ),
    "in the cooldown nobody is told, after it they are": (
        {},
        [
            Look(0, 60.0, "crossed-threshold", tell=True),
            Look(1, 50.0, "fell-below", ended=True),
            Look(2, 60.0, "cooldown"),
            Look(DAY - 1, 60.0, "cooldown"),
            Look(DAY, 60.0, "cooldown-over", tell=True),
        ],
    ),
    "a rise of a fifth since the telling ends the cooldown": (
        {},
        [
            Look(0, 60.0, "crossed-threshold", tell=True),
            Look(1, 50.0, "fell-below", ended=True),
            Look(2, 71.9, "cooldown"),
            Look(3, 72.0, "re-rose", tell=True),
        ],
    ),
    "a rise of a fifth at the crossing does not wait at all": (
        {},
        [
            Look(0, 60.0, "crossed-threshold", tell=True),
            Look(1, 50.0, "fell-below", ended=True),
            Look(2, 72.0, "re-rose", tell=True),
        ],
    ),
    "a re-rise of its own decides": (
        {"re_rise": 0.5},
        [
            Look(0, 60.0, "crossed-threshold", tell=True),
            Look(1, 50.0, "fell-below", ended=True),
            Look(2, 89.9, "cooldown"),
            Look(3, 90.0, "re-rose", tell=True),
        ],
    ),
    "a cooldown is waited out down to leave": (
        {},
        [
            Look(0, 60.0, "crossed-threshold", tell=True),
            Look(1, 50.0, "fell-below", ended=True),
            Look(2, 60.0, "cooldown"),
            Look(3, 51.0, "cooldown"),
            Look(DAY, 59.0, "inside-hysteresis"),
            Look(DAY + 1, 60.0, "cooldown-over", tell=True),
        ],
    ),
    "falling below leave forgets what the cooldown held back": (
        {},
        [
            Look(0, 60.0, "crossed-threshold", tell=True),
            Look(1, 50.0, "fell-below", ended=True),
            Look(2, 60.0, "cooldown"),
            Look(3, 50.9, "not-hot"),
            Look(DAY, 60.0, "crossed-threshold", tell=True),
        ],
    ),
    "after a dwell the cooldown still holds": (
        {"dwell": "10m"},
        [
            Look(0, 60.0, "dwell"),
            Look(10 * MINUTE, 60.0, "crossed-threshold", tell=True),
            Look(20 * MINUTE, 50.0, "fell-below", ended=True),
            Look(30 * MINUTE, 60.0, "dwell"),
            Look(40 * MINUTE, 60.0, "cooldown"),
            Look(DAY + 10 * MINUTE, 60.0, "cooldown-over", tell=True),
        ],
    ),
    "in quiet hours nobody is told, after them they are": (
        {"quiet_hours": {"from": "20:00", "to": "08:00"}},
        [
            Look(SECOND_NIGHT, 60.0, "quiet-hours"),
            Look(SECOND_NIGHT + HOUR, 55.0, "quiet-hours"),
            Look(32 * HOUR, 55.0, "crossed-threshold", tell=True),
        ],
    ),
    "what cools in quiet hours is never told": (
        {"quiet_hours": {"from": "20:00", "to": "08:00"}},
        [
            Look(SECOND_NIGHT, 60.0, "quiet-hours"),
            Look(SECOND_NIGHT + HOUR, 50.9, "not-hot"),
            Look(32 * HOUR, 50.9, "not-hot"),
        ],
    ),
    "a cooldown that ends in quiet hours waits for the morning": (
        {"quiet_hours": {"from": "00:00", "to": "08:00"}, "cooldown": "16h"},
        [
            Look(10 * HOUR, 60.0, "crossed-threshold", tell=True),
            Look(11 * HOUR, 50.0, "fell-below", ended=True),
            Look(12 * HOUR, 60.0, "cooldown"),
            Look(26 * HOUR, 60.0, "quiet-hours"),
            Look(32 * HOUR, 60.0, "crossed-threshold", tell=True),
        ],
    ),
}


@pytest.mark.parametrize(("given", "looks"), ROWS.values(), ids=ROWS)
def test_rule(given: dict[str, Any], looks: list[Look]) -> None:
    """Each look at a score has the outcome that the rule says."""
    hot, memory, told = policy(**given), AlertState(), 0
    for look in looks:
        verdict = decide(hot, memory, look.score, START + look.at)
        memory = verdict.state
        told += look.tell

        found = (verdict.reason, verdict.tell, verdict.ended)
        assert found == (look.reason, look.tell, look.ended), look
        assert memory.episode == told
        if look.tell:
            assert (memory.told_at, memory.told_score) == (START + look.at, look.score)
            assert (memory.phase, memory.deadline) == ("in", None)


def test_deadlines_are_planned() -> None:
    """What is waited for is planned: dwell, end of the cooldown, leave dwell."""
    hot = policy(dwell="10m", leave_dwell="15m")
    waiting = decide(hot, AlertState(), 60.0, 0).state
    told = decide(hot, waiting, 60.0, 10 * MINUTE).state
    leaving = decide(hot, told, 50.0, HOUR).state
    out = decide(hot, leaving, 50.0, HOUR + 15 * MINUTE).state
    again = decide(hot, out, 60.0, 2 * HOUR).state
    cooling = decide(hot, again, 60.0, 2 * HOUR + 10 * MINUTE).state

    states = (waiting, told, leaving, out, again, cooling)
    assert [state.deadline for state in states] == [
        10 * MINUTE,
        None,
        HOUR + 15 * MINUTE,
        None,
        2 * HOUR + 10 * MINUTE,
        DAY + 10 * MINUTE,
    ]


def test_next_deadline_is_the_first_that_is_left() -> None:
    """A deadline that has passed, or is now, is planned no more."""
    alerts = {
        "a": AlertState(deadline=10),
        "b": AlertState(deadline=30),
        "c": AlertState(deadline=20),
        "d": AlertState(),
    }

    assert [next_deadline(alerts, at) for at in (9, 10, 20, 30)] == [10, 20, 30, None]


# ── withdrawal and muting ───────────────────────────────────────────────────────


def test_withdrawal_recalls_at_once() -> None:
    """An alert that no longer stands is recalled without any dwell."""
    hot = policy(leave_dwell="15m")
    told = decide(hot, AlertState(), 60.0, 0).state
    leaving = decide(hot, told, 50.0, 1).state
    verdict = decide_withdrawn(hot, leaving, 50.9, 2)

    assert verdict == Verdict(
        AlertState(phase="out", episode=1, told_at=0, told_score=60.0),
        "recalled",
        ended=True,
        recalled=True,
    )


@pytest.mark.parametrize(
    ("score", "reason"), [(51.0, "inside-hysteresis"), (60.0, "still-hot")]
)
def test_withdrawal_leaves_what_still_stands(score: float, reason: str) -> None:
    """An alert whose score stays at leave or above is not recalled."""
    hot = policy()
    told = decide(hot, AlertState(), 60.0, 0).state
    verdict = decide_withdrawn(hot, told, score, 1)

    assert (verdict.reason, verdict.recalled) == (reason, False)


def test_withdrawal_before_anybody_was_told() -> None:
    """Where nobody was told there is nothing to recall."""
    verdict = decide_withdrawn(policy(), AlertState(), 10.0, 1)

    assert (verdict.reason, verdict.recalled) == ("not-hot", False)


def test_inhibited_episode_passes_in_silence() -> None:
    """Of a muted alert nobody hears, neither its begin nor its end nor a recall."""
    hot = policy()
    muted = inhibited(AlertState(phase="waiting", waiting_for="dwell", deadline=5))

    assert (muted.reason, muted.tell) == ("inhibited", False)
    assert muted.state == AlertState(phase="in", muted=True)
    over = decide(hot, muted.state, 10.0, 1)
    assert (over.reason, over.ended, over.state.muted) == ("fell-below", False, False)
    withdrawn = decide_withdrawn(hot, muted.state, 10.0, 1)
    assert (withdrawn.reason, withdrawn.ended) == ("recalled", False)
    assert not withdrawn.recalled
    assert not withdrawn.state.muted


# ── unworked ────────────────────────────────────────────────────────────────────

TOLD = AlertState(phase="in", episode=2, told_at=100, told_score=60.0)


def unworked() -> CompiledAlert:
    """Return a policy that gives sales a quarter of an hour."""
    model = Model.model_validate(
        {
            "model": "m",
            "version": "1",
            "groups": {"web": {"cap": 100.0}},
            "alerts": [
                {"name": "hot", "kind": "hot", "enter": 60.0},
                {"name": "late", "kind": "unworked", "of": "hot", "after": "15m"},
            ],
        }
    )
    return compile_model(model).alerts[1]


DUE = 100 + 15 * MINUTE


@pytest.mark.parametrize(
    ("watched", "worked_at", "at", "reason", "tell"),
    [
        pytest.param(TOLD, None, 100, "dwell", False, id="sales has its time"),
        pytest.param(TOLD, None, DUE - 1, "dwell", False, id="to the last moment"),
        pytest.param(TOLD, None, DUE, "unacknowledged", True, id="then it is told"),
        pytest.param(
            TOLD, 99, DUE, "unacknowledged", True, id="earlier work counts not"
        ),
        pytest.param(TOLD, 100, DUE, "acknowledged", False, id="work settles it"),
        pytest.param(
            AlertState(phase="out", episode=2, told_at=100),
            None,
            DUE,
            "not-hot",
            False,
            id="a lead that cooled needs nobody",
        ),
        pytest.param(
            AlertState(phase="in", episode=2, told_at=100, muted=True),
            None,
            DUE,
            "not-hot",
            False,
            id="nobody was told of a muted one",
        ),
    ],
)
def test_unworked(
    watched: AlertState, worked_at: int | None, at: int, reason: str, *, tell: bool
) -> None:
    """An alert that nobody works on is told when its time is over."""
    verdict = decide_unworked(unworked(), AlertState(episode=1), watched, worked_at, at)

    assert verdict is not None
    assert (verdict.reason, verdict.tell) == (reason, tell)
    if reason == "dwell":
        assert verdict.state == AlertState(phase="waiting", episode=1, deadline=DUE)
    else:
        assert verdict.state == AlertState(episode=2)


def test_unworked_has_nothing_to_say() -> None:
    """Before any telling, after one is settled and while it waits, nothing is said."""
    late = unworked()
    waiting = AlertState(phase="waiting", deadline=DUE)

    assert decide_unworked(late, AlertState(), AlertState(), None, 1) is None
    assert decide_unworked(late, AlertState(episode=2), TOLD, None, DUE) is None
    assert decide_unworked(late, waiting, TOLD, None, 200) is None


# ── quiet hours ─────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("start", "end", "zone", "hour", "until"),
    [
        pytest.param("20:00", "08:00", "UTC", 19.99, None, id="before the night"),
        pytest.param("20:00", "08:00", "UTC", 20, 32, id="from its first moment"),
        pytest.param("20:00", "08:00", "UTC", 23.5, 32, id="in the evening"),
        pytest.param("20:00", "08:00", "UTC", 25, 32, id="after midnight"),
        pytest.param("20:00", "08:00", "UTC", 32, None, id="not at its end"),
        pytest.param("12:00", "13:00", "UTC", 11.99, None, id="before noon"),
        pytest.param("12:00", "13:00", "UTC", 12, 13, id="at noon"),
        pytest.param("12:00", "13:00", "UTC", 13, None, id="after the break"),
        pytest.param("20:00", "08:00", "Asia/Tehran", 17, 28.5, id="in Tehran"),
        pytest.param("20:00", "08:00", "Asia/Tehran", 5, None, id="Tehran is up"),
    ],
)
def test_quiet_hours(
    start: str, end: str, zone: str, hour: float, until: float | None
) -> None:
    """Quiet hours hold from their begin to their end, where they are meant."""
    hours = policy(quiet_hours={"from": start, "to": end, "zone": zone}).quiet
    assert isinstance(hours, Quiet)
    found = hours.until(START + round(hour * HOUR))

    assert found == (None if until is None else START + round(until * HOUR))
