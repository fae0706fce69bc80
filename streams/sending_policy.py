"""How anything is sent to a system of others: one policy for notifiers and sinks.

A target answers *sent*, *retry* or *refuse*; that is all it decides. When to try
again, how often, and when to leave a target alone is decided here, once, by kept
libraries: tenacity (backoff with jitter), purgatory (circuit breaker) and limits
(rate). A sender is for one target and may be used by several threads.
"""

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final, Literal, assert_never

import structlog
from limits import parse
from limits.storage import MemoryStorage
from limits.strategies import MovingWindowRateLimiter
from purgatory.domain.model import Context, OpenedState
from tenacity import (
    RetryCallState,
    Retrying,
    retry_if_result,
    sleep_using_event,
    stop_after_delay,
    stop_any,
    stop_when_event_set,
    wait_exponential_jitter,
)
from urllib3 import Retry as RetryAfter
from urllib3.exceptions import InvalidHeader

from streams import metrics

_log = structlog.get_logger(__name__)

RetryReason = Literal[
    "rate-limited",
    "server-error",
    "timeout",
    "unreachable",
    "credentials",
    "misconfigured",
    "circuit-open",
]
"""Why it may go well later. Wrong credentials are no fault of the message, nor is a
field that the target does not have yet."""

RefuseReason = Literal[
    "invalid", "too-large", "unknown-recipient", "expired", "forbidden"
]
"""Why the same message can never be taken."""

LONGEST_WAIT: Final = 3_600.0
"""Seconds that a target may ask us to stay away at once."""
_LONGEST_DETAIL: Final = 200
_GRACE: Final = 0.05


@dataclass(frozen=True, slots=True)
class Sent:
    """The target has it; `handle` is the target's own name for it, if it gave one."""

    handle: str = ""


@dataclass(frozen=True, slots=True)
class Retry:
    """It may go well later: not before `after` seconds, if the target said so."""

    reason: RetryReason
    after: float | None = None
    detail: str = ""
    """For the log and the dead letter: never a secret, never personal."""


@dataclass(frozen=True, slots=True)
class Refuse:
    """The target will never take this message."""

    reason: RefuseReason
    detail: str = ""


@dataclass(frozen=True, slots=True)
class GaveUp:
    """The time for trying is over; `last` is how the last attempt ended."""

    last: Retry
    attempts: int


@dataclass(frozen=True, slots=True)
class Stopped:
    """The process is to end: nothing is known of the message, send it again."""


Outcome = Sent | Retry | Refuse
Result = Sent | Refuse | GaveUp | Stopped


@dataclass(frozen=True, slots=True, kw_only=True)
class SendingPolicy:
    """What a target is spared, and for how long it is asked again."""

    rate: str = ""
    """At most so many attempts, as ``5/second`` or ``100/minute``; any if empty."""
    first_wait_seconds: float = 0.5
    longest_wait_seconds: float = 60.0
    give_up_seconds: float = 3_600.0
    """Since the first attempt at a message."""
    failures_to_open: int = 5
    """Failures in a row after which the target is left alone."""
    open_seconds: float = 30.0


class Sender:
    """Sends to one target, as its policy says."""

    def __init__(
        self, target: str, policy: SendingPolicy, stop: threading.Event
    ) -> None:
        """Send to `target`, a name out of the configuration, until `stop` is set."""
        self._target = target
        self._policy = policy
        self._stop = stop
        self._lock = threading.Lock()
        self._closed_until = 0.0
        self._rate = parse(policy.rate) if policy.rate else None
        self._limiter = MovingWindowRateLimiter(MemoryStorage())
        self._circuit = Context(target, policy.failures_to_open, policy.open_seconds)
        self._backoff = wait_exponential_jitter(
            multiplier=policy.first_wait_seconds,
            max=policy.longest_wait_seconds,
            jitter=policy.first_wait_seconds,
        )

    def send(self, attempt: Callable[[], Outcome]) -> Result:
        """Return what became of a message that `attempt` tries to send once.

        `attempt` may be called many times and must carry the same idempotency key
        each time. It answers, it does not raise.
        """
        retrying = Retrying(
            retry=retry_if_result(lambda outcome: isinstance(outcome, Retry)),
            wait=self._wait,
            stop=stop_any(
                stop_after_delay(self._policy.give_up_seconds),
                stop_when_event_set(self._stop),
            ),
            sleep=sleep_using_event(self._stop),
            retry_error_callback=self._ended,
        )
        outcome: Outcome | GaveUp | Stopped = retrying(self._try, attempt)
        assert not isinstance(outcome, Retry)  # noqa: S101 - those are tried again
        match outcome:
            case GaveUp():
                self._count("gave-up")
            case Sent() | Refuse() | Stopped():
                pass
            case _:
                assert_never(outcome)
        return outcome

    def _try(self, attempt: Callable[[], Outcome]) -> Outcome | Stopped:
        if not self._may_try():
            return Stopped()
        if (open_for := self._open_for()) > 0:
            return Retry("circuit-open", after=open_for)
        began = time.monotonic()
        outcome = attempt()
        metrics.DELIVERY_SECONDS.labels(target=self._target).observe(
            time.monotonic() - began
        )
        self._note(outcome)
        return outcome

    def _may_try(self) -> bool:
        """Wait for the target's leave and for the rate; false if stopped meanwhile."""
        while not self._stop.is_set():
            wait = self._closed_until - time.monotonic()
            if wait <= 0:
                if self._rate is None or self._limiter.hit(self._rate):
                    return True
                reset, _ = self._limiter.get_window_stats(self._rate)
                wait = max(reset - time.time(), 0) + _GRACE
            self._stop.wait(wait)
        return False

    def _open_for(self) -> float:
        """Return for how many seconds the circuit stays open; 0 if one may try."""
        with self._lock:
            try:
                self._circuit.handle_new_request()
            except OpenedState as opened:
                closes_at = opened.opened_at + self._policy.open_seconds
                return max(closes_at - time.time(), 0.0) + _GRACE
        return 0.0

    def _note(self, outcome: Outcome) -> None:
        """Tell the circuit breaker, the metrics and the other threads of an answer."""
        with self._lock:
            before = self._circuit.state
            if isinstance(outcome, Retry) and outcome.reason != "rate-limited":
                self._circuit.handle_exception(ConnectionError())
            else:
                self._circuit.handle_end_request()
            # The library's own bus would store these; we keep the state ourselves.
            self._circuit.messages.clear()
            after = self._circuit.state
            if isinstance(outcome, Retry) and outcome.after:
                until = time.monotonic() + min(outcome.after, LONGEST_WAIT)
                self._closed_until = max(self._closed_until, until)
        metrics.DELIVERY_CIRCUIT_OPEN.labels(target=self._target).set(after == "opened")
        if before != after:
            _log.warning("circuit", target=self._target, state=after)
        match outcome:
            case Sent():
                self._count("sent")
            case Refuse():
                self._count("refused")
            case Retry(reason, wait, detail):
                self._count(reason)
                _log.info(
                    "send_again_later",
                    target=self._target,
                    reason=reason,
                    after=wait,
                    detail=detail[:_LONGEST_DETAIL],
                )
            case _:
                assert_never(outcome)

    def _wait(self, state: RetryCallState) -> float:
        """Return the backoff of an attempt; never less than the target asked for."""
        assert state.outcome is not None  # noqa: S101 - there was an attempt
        outcome = state.outcome.result()
        if outcome.reason == "circuit-open":
            # No attempt was made; those of one target are not let in all at once.
            return float(outcome.after)
        backoff = self._backoff(state)
        return max(backoff, min(outcome.after or 0.0, LONGEST_WAIT))

    def _ended(self, state: RetryCallState) -> GaveUp | Stopped:
        if self._stop.is_set():
            return Stopped()
        assert state.outcome is not None  # noqa: S101 - there was an attempt
        return GaveUp(state.outcome.result(), state.attempt_number)

    def _count(self, result: str) -> None:
        metrics.DELIVERIES.labels(target=self._target, result=result).inc()


_RETRYABLE: Final[Mapping[int, RetryReason]] = {
    HTTPStatus.UNAUTHORIZED: "credentials",
    HTTPStatus.FORBIDDEN: "credentials",
    HTTPStatus.REQUEST_TIMEOUT: "timeout",
    HTTPStatus.TOO_EARLY: "rate-limited",
    HTTPStatus.TOO_MANY_REQUESTS: "rate-limited",
}


def outcome_of_status(
    status: int, headers: Mapping[str, str], *, handle: str = ""
) -> Outcome:
    """Return what an HTTP answer means; `Retry-After` is honoured in both forms.

    >>> outcome_of_status(200, {})
    Sent(handle='')
    >>> outcome_of_status(429, {"retry-after": "7"})
    Retry(reason='rate-limited', after=7.0, detail='HTTP 429')
    >>> outcome_of_status(400, {})
    Refuse(reason='invalid', detail='HTTP 400')
    """
    detail = f"HTTP {status}"
    if HTTPStatus.OK <= status < HTTPStatus.MULTIPLE_CHOICES:
        return Sent(handle)
    if status == HTTPStatus.REQUEST_ENTITY_TOO_LARGE:
        return Refuse("too-large", detail)
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return Retry("server-error", retry_after(headers), detail)
    reason = _RETRYABLE.get(status)
    if reason is not None:
        return Retry(reason, retry_after(headers), detail)
    return Refuse("invalid", detail)


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Return the seconds that `Retry-After` asks for; None if it says nothing.

    It may be a number or a date (RFC 9110, 10.2.3).
    """
    given = next(
        (value for name, value in headers.items() if name.lower() == "retry-after"),
        None,
    )
    if given is None:
        return None
    try:
        return float(RetryAfter().parse_retry_after(given))
    except InvalidHeader:
        return None
