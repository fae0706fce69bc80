import threading
import time
from collections.abc import Iterator
from email.utils import formatdate

import pytest
from prometheus_client import REGISTRY

from streams.sending_policy import (
    GaveUp,
    Outcome,
    Refuse,
    Retry,
    Sender,
    SendingPolicy,
    Sent,
    Stopped,
    outcome_of_status,
    retry_after,
)
from tests.waiting import wait_until

QUICK = SendingPolicy(
    first_wait_seconds=0.001,
    longest_wait_seconds=0.002,
    give_up_seconds=60,
    failures_to_open=100,
    open_seconds=0.05,
)


class Target:
    """Answers what it is told to, and remembers when it was asked."""

    def __init__(self, *answers: Outcome) -> None:
        self.asked: list[float] = []
        self._answers: Iterator[Outcome] = iter(answers)

    def __call__(self) -> Outcome:
        self.asked.append(time.monotonic())
        return next(self._answers)


def _count(target: str, result: str) -> float:
    labels = {"target": target, "result": result}
    return REGISTRY.get_sample_value("leadpulse_delivery_total", labels) or 0.0


def test_a_message_is_tried_again_until_it_is_sent() -> None:
    """What may go well later is tried again; every answer is counted."""
    target = Target(
        Retry("server-error"), Retry("timeout"), Retry("credentials"), Sent("7")
    )

    result = Sender("again", QUICK, threading.Event()).send(target)

    assert result == Sent("7")
    assert len(target.asked) == 4
    assert [_count("again", each) for each in ("server-error", "timeout", "sent")] == [
        1,
        1,
        1,
    ]


def test_what_a_target_will_never_take_is_not_sent_twice() -> None:
    """A refusal is final at once."""
    target = Target(Refuse("invalid", "HTTP 400"))

    assert Sender("no", QUICK, threading.Event()).send(target) == Refuse(
        "invalid", "HTTP 400"
    )
    assert len(target.asked) == 1


def test_nobody_asks_again_before_the_target_said() -> None:
    """Retry-After holds for every thread that sends to the target."""
    sender = Sender("later", QUICK, threading.Event())
    first = Target(Retry("rate-limited", after=0.2), Sent())
    other = Target(Sent())

    thread = threading.Thread(target=sender.send, args=(first,))
    thread.start()
    wait_until(lambda: first.asked and sender._closed_until, 10, "the first to wait")
    sender.send(other)
    thread.join()

    assert first.asked[1] - first.asked[0] >= 0.2
    assert other.asked[0] - first.asked[0] >= 0.2


def test_a_target_that_fails_is_left_alone_for_a_while() -> None:
    """An open circuit makes no attempts; afterwards one success closes it."""
    policy = SendingPolicy(
        first_wait_seconds=0.001,
        longest_wait_seconds=0.002,
        failures_to_open=3,
        open_seconds=0.3,
    )
    target = Target(*[Retry("unreachable")] * 3, Sent())

    result = Sender("open", policy, threading.Event()).send(target)

    assert isinstance(result, Sent)
    assert target.asked[3] - target.asked[2] >= 0.3


def test_being_told_to_slow_down_opens_no_circuit() -> None:
    """A target that limits us is healthy."""
    policy = SendingPolicy(
        first_wait_seconds=0.001,
        longest_wait_seconds=0.002,
        failures_to_open=2,
        open_seconds=3_600,
    )
    target = Target(*[Retry("rate-limited")] * 5, Sent())

    assert isinstance(Sender("slow", policy, threading.Event()).send(target), Sent)


def test_trying_ends_after_its_time() -> None:
    """What cannot be sent for too long is given up, with the last reason."""
    policy = SendingPolicy(
        first_wait_seconds=0.01,
        longest_wait_seconds=0.01,
        give_up_seconds=0.05,
        failures_to_open=1_000,
    )
    sender = Sender("never", policy, threading.Event())

    result = sender.send(lambda: Retry("timeout", detail="no answer"))

    assert isinstance(result, GaveUp)
    assert result.last == Retry("timeout", detail="no answer")
    assert result.attempts > 1
    assert _count("never", "gave-up") == 1


def test_a_stop_ends_waiting_at_once() -> None:
    """Whoever waits to try again returns when the process is to end."""
    stop = threading.Event()
    sender = Sender("stop", SendingPolicy(), stop)

    def attempt() -> Outcome:
        stop.set()
        return Retry("rate-limited", after=3_000)

    assert isinstance(sender.send(attempt), Stopped)
    assert isinstance(sender.send(attempt), Stopped)


def test_a_rate_is_kept() -> None:
    """No more attempts are made within a second than the policy allows."""
    sender = Sender("rate", SendingPolicy(rate="4/second"), threading.Event())
    target = Target(*[Sent()] * 5)

    for _ in range(5):
        sender.send(target)

    assert target.asked[4] - target.asked[0] >= 0.9


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (201, Sent()),
        (401, Retry("credentials", None, "HTTP 401")),
        (408, Retry("timeout", None, "HTTP 408")),
        (413, Refuse("too-large", "HTTP 413")),
        (422, Refuse("invalid", "HTTP 422")),
        (503, Retry("server-error", None, "HTTP 503")),
        (302, Refuse("invalid", "HTTP 302")),
    ],
)
def test_every_http_status_has_one_meaning(status: int, expected: Outcome) -> None:
    """A status says whether trying again can help."""
    assert outcome_of_status(status, {}) == expected


def test_retry_after_may_be_a_date() -> None:
    """Both forms of the header are read; nonsense is no wait."""
    at = formatdate(time.time() + 100, usegmt=True)

    assert 90 < (retry_after({"Retry-After": at}) or 0) <= 100
    assert retry_after({"retry-after": "12"}) == 12
    assert retry_after({"retry-after": "soon"}) is None
