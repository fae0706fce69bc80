"""The demo from its start to its verdict: the real product, three weeks in a minute."""

import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import urllib3
from confluent_kafka import Producer
from prometheus_client.parser import text_string_to_metric_families

from schemas.time import SECOND, Instant
from schemas.topics import WEB_EVENTS
from streams.clock import ScaledClock
from streams.demo.board import TIERS, TOP, Board, Picture
from streams.demo.observer import Observer, Seen, percentile
from streams.demo.personas import STORY, Persona, cast
from streams.demo.story import POISON, Teller, write_story
from streams.demo.verdict import Check, Counts, judge
from streams.errors import UserError
from streams.kafka_access import client_config
from streams.model_files import read_model
from streams.sending import CollectorTarget
from streams.supervisor import Stack
from streams.verify import verify
from streams.view import View, ViewAwayError, connect_view

SETUP_SECONDS: Final = 8.0
"""What a start usually takes; the story is stretched by the difference."""

_SLOWEST: Final = 0.7
_FASTEST: Final = 1.15
"""The least and the most of the three weeks that the start of the stack may leave."""
_REFRESH_SECONDS: Final = 0.25
_RATE_PICTURES: Final = 12
_QUIET_SECONDS: Final = 1.5
_SETTLE_SECONDS: Final = 45.0


class DemoError(UserError):
    """The demo could not be shown; the text says why."""


class SlowStartError(DemoError):
    """The stack took so long to start that too little of the story is left."""

    def __init__(self, seconds: float) -> None:
        """Tell how long the start took."""
        super().__init__(
            f"the start took {seconds:.0f} s, too much of so short a demo; "
            "give it more time with --seconds"
        )
        self.seconds = seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What the demo came to."""

    people: list[Persona]
    seen: Seen
    counts: Counts
    checks: list[Check]
    setup_seconds: float
    seconds: float
    recorded: Path
    """The stream of events, ready for `leadpulse replay`."""

    @property
    def succeeded(self) -> bool:
        """Whether every promise was kept."""
        return not any(check.against for check in self.checks)


def plan_clock(seconds: float, setup_seconds: float) -> dict[str, object]:
    """Return the settings of a clock that shows the story in `seconds`.

    It runs from now on, is three weeks back when the stack is expected to be ready,
    after `setup_seconds`, and has caught up with the present at the story's end.
    """
    speed = STORY / (seconds * SECOND)
    started = time.time_ns() // 1_000_000
    until_end = (setup_seconds + seconds) * SECOND
    return {
        "clock_origin": started - int(until_end * (speed - 1)),
        "clock_started": started,
        "clock_speed": speed,
    }


class Demo:
    """One showing, on a stack that runs by a scaled clock."""

    def __init__(self, stack: Stack, *, seed: int, leads: int) -> None:
        """Plan a showing with `leads` people; `stack` is started by `show`."""
        self._stack = stack
        self._seed = seed
        self._people = cast(seed, leads)

    def show(
        self, board: Board, *, started: Callable[[str], None] = lambda _url: None
    ) -> Result:
        """Return the result after the whole story has been shown on `board`.

        The stack runs on: whoever gave it stops it. `started` hears the web app's URL
        once it is there.

        Raises
        ------
        SlowStartError
            When the start left too little of the three weeks.
        UserError
            When the stack does not start or the showing breaks off.
        """
        began_at = time.monotonic()
        self._stack.start()
        started(self._stack.web_url)
        setup_seconds = time.monotonic() - began_at
        settings = self._stack.settings
        clock = settings.clock()
        if not isinstance(clock, ScaledClock) or clock.catches_up_at is None:
            msg = "the demo needs a scaled clock that starts in the past"
            raise DemoError(msg)
        end = clock.catches_up_at
        pace = min(_FASTEST, (end - clock.now()) / STORY)
        if pace < _SLOWEST:
            raise SlowStartError(setup_seconds)
        # A start quicker than planned leaves time: then the story waits for its day.
        begin = max(clock.now(), end - int(STORY * pace))
        collector = CollectorTarget(self._stack.collector_url, self._stack.write_key)
        story = write_story(self._people, self._seed, begin=begin, pace=pace * 0.99)
        showing = _Showing(
            stack=self._stack,
            clock=clock,
            view=connect_view(self._stack.redis_url, prefix=settings.topic_prefix),
            teller=Teller(story, collector, clock),
            observer=Observer(settings, clock),
            span=(begin, end),
        )
        counts = showing.run(board)
        seen = showing.observer.seen
        recorded = settings.data_dir / "events.ndjson"
        good = (raw for raw in seen.recorded if raw != POISON)
        recorded.write_bytes(b"".join(raw + b"\n" for raw in good))
        model = read_model(settings.model_path)
        checks = judge(self._people, seen, counts, model)
        checks.append(Check("the view shows what was published", showing.view_faults()))
        proof = verify(settings, model)
        checks.append(
            Check(
                "the topics prove it: ledgers, sequences, states, every event, replay",
                [str(finding) for finding in proof.findings],
            )
        )
        return Result(
            people=self._people,
            seen=seen,
            counts=counts,
            checks=checks,
            setup_seconds=setup_seconds,
            seconds=time.monotonic() - began_at,
            recorded=recorded,
        )


@dataclass(slots=True, kw_only=True)
class _Showing:
    """The parts of a showing while it runs."""

    stack: Stack
    clock: ScaledClock
    view: View
    teller: Teller
    observer: Observer
    span: tuple[Instant, Instant]
    lately: deque[tuple[float, int]] = field(
        default_factory=lambda: deque(maxlen=_RATE_PICTURES)
    )
    """When lately how much was told, for the rate."""

    def run(self, board: Board) -> Counts:
        """Tell the story, wait until all is settled, and count."""
        self.observer.start()
        self.teller.start()
        try:
            self._poison()
            self._until(board, lambda: self.clock.now() >= self.span[1])
            self._until(board, self._settled, within=_SETTLE_SECONDS)
        finally:
            self.teller.stop()
            self.observer.stop()
        return self._counts()

    def view_faults(self) -> list[str]:
        """Return the leads that the view does not show as last published."""
        latest = self.observer.seen.latest
        cards = self.view.top(limit=len(latest) + 1)
        shown = {card.update.lead_id: card.update for card in cards}
        return [
            f"the view shows {lead_id} otherwise"
            for lead_id in latest.keys() | shown.keys()
            if latest.get(lead_id) != shown.get(lead_id)
        ]

    def _until(
        self,
        board: Board,
        done: Callable[[], bool],
        *,
        within: float | None = None,
    ) -> None:
        """Show how it goes until it is `done`; a part that fails ends it."""
        deadline = None if within is None else time.monotonic() + within
        while not done():
            if deadline is not None and time.monotonic() > deadline:
                return  # the verdict will say what is missing
            for part in (self.teller, self.observer):
                if part.problem is not None:
                    raise part.problem
            self.stack.check()
            board(self._picture())
            time.sleep(_REFRESH_SECONDS)

    def _settled(self) -> bool:
        """Say whether all was told, has arrived, and nothing moves any more."""
        seen, told = self.observer.seen, self.teller.told
        arrived = len(seen.recorded) + seen.dead_letters.total()
        # The poison is on an event topic and, for it, in the dead letters.
        return (
            told.messages == self.teller.total
            and arrived >= told.messages + 2
            and self.observer.quiet_seconds >= _QUIET_SECONDS
        )

    def _poison(self) -> None:
        """Put what is no JSON on a topic, past the collector."""
        producer = Producer(client_config(self.stack.settings))
        topic = self.stack.settings.topic(WEB_EVENTS.name)
        producer.produce(topic, POISON, b"poison")
        if producer.flush(10):
            msg = "the broker takes no records"
            raise DemoError(msg)

    def _counts(self) -> Counts:
        results: dict[str, int] = {}
        for role in self.stack.roles:
            if role.name.startswith("worker"):
                for result, count in _event_results(role.metrics_url).items():
                    results[result] = results.get(result, 0) + count
        return Counts(
            sent=self.teller.told.messages + 1,
            scored=results.get("scored", 0),
            duplicates=results.get("duplicate", 0),
            dead_letters=self.observer.seen.dead_letters.total(),
        )

    def _picture(self) -> Picture:
        seen, told = self.observer.seen, self.teller.told
        self.lately.append((time.monotonic(), told.messages))
        (then, sent_then), (at, sent) = self.lately[0], self.lately[-1]
        with self.observer.lock:
            latencies = {
                "score": _p50_p99(seen.score_seconds),
                "alert": _p50_p99(seen.alert_seconds),
            }
            newest = tuple(seen.newest_alerts)
        try:
            top = self.view.top(limit=TOP)
            tiers = self.view.tiers(TIERS)
        except ViewAwayError:
            top, tiers = (), dict.fromkeys(TIERS, 0)
        return Picture(
            now=self.clock.now(),
            began=self.span[0],
            ends=self.span[1],
            sent=told.messages,
            per_second=(sent - sent_then) / max(at - then, _REFRESH_SECONDS),
            updates=seen.updates,
            dead_letters=seen.dead_letters.total(),
            tiers=tiers,
            top=top,
            alerts=newest,
            told=len(seen.alerts),
            latencies=latencies,
        )


def _p50_p99(seconds: list[float]) -> tuple[float | None, float | None]:
    return percentile(seconds, 0.50), percentile(seconds, 0.99)


def _event_results(metrics_url: str) -> dict[str, int]:
    """Return a worker's count of events by result."""
    text = urllib3.request("GET", metrics_url, timeout=5.0).data.decode()
    results: dict[str, int] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            if sample.name == "leadpulse_events_total":
                result = sample.labels["result"]
                results[result] = results.get(result, 0) + int(sample.value)
    return results
