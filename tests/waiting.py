"""Waiting on a condition with a deadline: what tests use in place of sleeping."""

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

_POLL_SECONDS = 0.02
PATIENCE = 4.0
"""Deadlines are said for an idle machine; only a failure takes longer for it."""


def wait_until(condition: Callable[[], T], within: float = 10.0, what: str = "") -> T:
    """Return the first true answer of `condition`; fail after `within` seconds.

    It is given four times as long: the machine may have other work to do. `what`
    completes "waited … s for", and the failure says the last answer too.
    """
    within *= PATIENCE
    deadline = time.monotonic() + within
    while not (answer := condition()):
        if time.monotonic() > deadline:
            wanted = what or getattr(condition, "__name__", "a condition")
            message = f"waited {within:g} s for {wanted}; last answer: {answer!r}"
            raise AssertionError(message)
        time.sleep(_POLL_SECONDS)
    return answer
