"""Telling the story: every message at its time, some twice, some broken."""

import random
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from schemas.time import DAY, Instant, to_iso
from streams.clock import Clock
from streams.demo.personas import Message, Persona, broken_messages
from streams.sending import CollectorTarget

_AT_ONCE: Final = 200
"""Messages in one request, at most."""
_TICK_SECONDS: Final = 0.02
_REPEATED: Final = 0.03
"""The share of messages that are sent a second time."""

POISON: Final = b'{"id": "poison", "type": "page", '
"""A record that is no JSON, put straight on a topic: past the collector's gate."""


class Line(NamedTuple):
    """One message of the story and when it is due."""

    at: Instant
    message: Message


def write_story(
    people: Sequence[Persona], seed: int, *, begin: Instant, pace: float
) -> list[Line]:
    """Return all messages in order: lives, repetitions and broken ones."""
    chance = random.Random(seed)  # noqa: S311 - a story, no secret
    moments = [moment for person in people for moment in person.life]
    lines = [
        Line(at, {**moment.message, "timestamp": to_iso(at)})
        for moment in (*moments, *broken_messages(seed))
        for at in (begin + int(moment.at * pace),)
    ]
    lines += _repeated(lines[: len(moments)], chance, pace)
    return sorted(lines, key=lambda line: line.at)


def _repeated(
    lines: Sequence[Line], chance: random.Random, pace: float
) -> Iterator[Line]:
    """Yield some lines again, word for word: a client that missed the answer."""
    for line in lines:
        if chance.random() < _REPEATED:
            later = line.at + int(chance.uniform(0, DAY / 4) * pace)
            yield line._replace(at=later)


@dataclass(slots=True)
class Told:
    """How far the story has been told."""

    messages: int = 0
    refused: int = 0
    requests: int = 0


class Teller(threading.Thread):
    """Sends each message when its time has come, through the collector."""

    def __init__(
        self, lines: Sequence[Line], collector: CollectorTarget, clock: Clock
    ) -> None:
        """Send `lines`, in their order; begin with `start`."""
        super().__init__(name="story", daemon=True)
        self.told = Told()
        self.total = len(lines)
        self.problem: Exception | None = None
        self._lines = lines
        self._collector = collector
        self._clock = clock
        self._stop_asked = threading.Event()

    def run(self) -> None:
        """Tell the whole story, or until asked to stop."""
        try:
            while self.told.messages < self.total:
                due = self._due()
                if due:
                    refused = self._collector.post([line.message for line in due])
                    self.told.refused += len(refused)
                    self.told.messages += len(due)
                    self.told.requests += 1
                elif self._stop_asked.wait(_TICK_SECONDS):
                    return
        except Exception as problem:  # noqa: BLE001 - raised again by whoever waits
            self.problem = problem

    def stop(self) -> None:
        """Stop telling; returns when nothing more is sent."""
        self._stop_asked.set()
        self.join()

    def _due(self) -> Sequence[Line]:
        now, begin = self._clock.now(), self.told.messages
        end = begin
        limit = min(self.total, begin + _AT_ONCE)
        while end < limit and self._lines[end].at <= now:
            end += 1
        return self._lines[begin:end]
