"""The real work: a worker as it is shipped, on the demo's people and some rubbish."""

import os
import sys
import time
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from bench.deployment_proof import proved
from bench.peers.broker import Topics
from bench.peers.measuring import Figure, watch
from bench.people import prepared
from schemas.topics import (
    DEAD_LETTERS,
    EVENT_TOPICS,
    LEAD_STATE,
    SCORE_UPDATES,
    WEB_EVENTS,
)
from streams.processes import Child
from streams.settings import Settings, load_settings
from streams.topics_admin import create_topics

_RUBBISH = 500
"""One record in so many cannot be read, and becomes a dead letter."""


class Real:
    """The worker on one broker, each time in a deployment of its own."""

    def __init__(self, topics: Topics, folder: Path, events: int) -> None:
        """Make the events up."""
        self._topics = topics
        self._folder = folder
        self._events = list(islice(prepared(), events))
        self._number = 0

    def run(self, warm: float) -> Figure:
        """Return a figure; the share `warm` of the events comes before.

        Raises
        ------
        WrongResultError
            When the topics do not prove that every score is what a replay gives.
        TimeoutError
            When it does not finish.
        """
        self._number += 1
        name = f"real-{time.time():.0f}-{self._number}"
        folder = self._folder / name
        settings = load_settings(
            {},
            bootstrap=self._topics.bootstrap,
            app_id=name,
            topic_prefix=f"{name}.",
            partitions=self._topics.partitions,
            data_dir=folder,
            metrics_port=0,
        )
        create_topics(settings)
        self._topics.put(self._records(settings))
        names = [settings.topic(topic.name) for topic in EVENT_TOPICS]
        total = self._topics.length(*names)
        written = [
            settings.topic(topic.name)
            for topic in (LEAD_STATE, SCORE_UPDATES, DEAD_LETTERS)
        ]
        child = Child(
            name="worker",
            argv=[sys.executable, "-m", "streams.cli.main", "worker"],
            directory=folder,
            environ={**os.environ, **settings.environ()},
        )

        def look() -> tuple[int, int]:
            done = self._topics.committed(f"{name}.scoring", names)
            return done, self._topics.length(*written)

        child.start()
        try:
            figure = watch(
                child, look, warm=int(total * warm), events=total, events_only=True
            )
        finally:
            child.stop()
        proved(settings, total)
        self._topics.delete(self._topics.named(settings.topic_prefix))
        return figure

    def _records(self, settings: Settings) -> Iterator[tuple[str, bytes, bytes]]:
        for number, event in enumerate(self._events):
            now = time.time_ns() // 1_000_000
            yield settings.topic(event.topic), event.key, event.received(now)
            if number % _RUBBISH == 0:
                yield settings.topic(WEB_EVENTS.name), event.key, b"{rubbish"
