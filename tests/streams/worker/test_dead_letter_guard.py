"""One bad record is a dead letter; mostly bad records stop the line."""

import pytest

from streams.dead_letters import DeadLetterGuard, TooManyDeadLettersError


def test_few_records_prove_nothing() -> None:
    """The first records may all be bad without stopping the worker."""
    guard = DeadLetterGuard(0.5)
    for _ in range(99):
        guard.note(1, 1, "web[0]@1")


def test_mostly_dead_stops() -> None:
    """A share above the limit stops, and says what to do."""
    guard = DeadLetterGuard(0.5)

    with pytest.raises(TooManyDeadLettersError, match="LEADPULSE_DEAD_LETTER_RATIO=1"):
        guard.note(100, 51, "web[0]@1: invalid-json")


def test_the_limit_itself_is_tolerated() -> None:
    """Exactly the limit goes on."""
    DeadLetterGuard(0.5).note(100, 50, "")


def test_the_past_is_forgotten() -> None:
    """Only the latest records count, however good the ones before were."""
    guard = DeadLetterGuard(0.5)
    guard.note(100_000, 0, "")
    guard.note(100, 50, "")

    with pytest.raises(TooManyDeadLettersError):
        guard.note(150, 150, "")


def test_a_limit_of_one_never_stops() -> None:
    """An operator can let everything pass."""
    DeadLetterGuard(1.0).note(1000, 1000, "")
