"""The broker as the deployment needs it: its partitions, and who is behind on them.

Seen from outside the roles, so that a worker that is gone or stuck is seen, too: the
doctor looks once, the view's role every few seconds for the metrics.
"""

import re
import threading
import time
from bisect import bisect_right
from collections import Counter, deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Literal

import structlog

from schemas.topics import TOPICS
from streams import metrics
from streams.errors import UserError
from streams.group_offsets import outsider, read_committed
from streams.kafka_access import client_config

if TYPE_CHECKING:
    from confluent_kafka import Consumer, KafkaException

    from streams.settings import Settings

_OURS: Final = re.compile(r"(scoring|view|delivery\..+|sink\..+)")
"""The consumer groups of a deployment that somebody waits for, without its prefix."""
_ALWAYS: Final = ("scoring", "view")
"""Asked for by name, should a broker not list its groups."""

LOOK_SECONDS: Final = 10.0
_ANSWER_SECONDS: Final = 8.0
_REMEMBERED: Final = 720
"""Looks of which the ends of partitions are kept: two hours."""

_log = structlog.get_logger(__name__)

Place = tuple[str, int]
"""A partition, by the topic's base name."""


class BrokerSilentError(UserError):
    """The broker did not tell what was asked."""


def _silent(error: "KafkaException") -> BrokerSilentError:
    msg = f"the broker does not tell how it is: {error.args[0].str()}"
    return BrokerSilentError(msg)


@dataclass(frozen=True, slots=True)
class Sight:
    """The broker at one time."""

    brokers: int
    ends: dict[Place, int]
    """The offset after the last record of each partition."""
    committed: dict[str, dict[Place, int]]
    """How far each group is, by its name without the deployment's prefix; what a group
    never committed is not in it."""
    leaderless: list[Place] = field(default_factory=list)
    underreplicated: list[Place] = field(default_factory=list)

    def lag(self, group: str) -> Counter[str]:
        """Return how many records each topic has that `group` has not done."""
        behind: Counter[str] = Counter()
        for place, offset in self.committed.get(group, {}).items():
            behind[place[0]] += max(0, self.ends.get(place, 0) - offset)
        return behind


class Watcher:
    """Looks at the broker over one connection."""

    def __init__(
        self, settings: "Settings", *, within: float = _ANSWER_SECONDS
    ) -> None:
        """Watch the broker that `settings` name, which has `within` s to answer."""
        from confluent_kafka.admin import AdminClient  # noqa: PLC0415 - loads librdkafka

        self._settings = settings
        self._within = within
        self._outsiders: dict[str, Consumer] = {}
        self._names = {settings.topic(topic.name): topic.name for topic in TOPICS}
        self._admin: AdminClient = AdminClient(
            {**client_config(settings), "log_level": 0}
        )

    def look(self) -> Sight:
        """Return how it is now.

        Raises
        ------
        BrokerSilentError
            When the broker does not answer.
        """
        from confluent_kafka import KafkaException  # noqa: PLC0415 - see `__init__`

        try:
            return self._look()
        except KafkaException as error:
            raise _silent(error) from None

    def _look(self) -> Sight:
        found = self._admin.list_topics(timeout=self._within)
        leaderless, underreplicated, places = [], [], []
        for full, name in self._names.items():
            if (topic := found.topics.get(full)) is None:
                continue
            for number, partition in topic.partitions.items():
                place = (name, number)
                if partition.leader < 0:
                    leaderless.append(place)
                else:
                    places.append(place)
                if len(partition.isrs) < len(partition.replicas):
                    underreplicated.append(place)
        return Sight(
            brokers=len(found.brokers),
            ends=self._offsets(places, "latest"),
            committed={
                group: self._committed(group, [*places, *leaderless])
                for group in self._groups()
            },
            leaderless=leaderless,
            underreplicated=underreplicated,
        )

    def begins(self, places: Iterable[Place]) -> dict[Place, int]:
        """Return the offset of the first record that each partition still has.

        Raises
        ------
        BrokerSilentError
            When the broker does not answer.
        """
        from confluent_kafka import KafkaException  # noqa: PLC0415 - see `__init__`

        try:
            return self._offsets(places, "earliest")
        except KafkaException as error:
            raise _silent(error) from None

    def _offsets(
        self, places: Iterable[Place], which: Literal["earliest", "latest"]
    ) -> dict[Place, int]:
        from confluent_kafka import TopicPartition  # noqa: PLC0415 - see `__init__`
        from confluent_kafka.admin import (  # type: ignore[attr-defined]  # noqa: PLC0415
            OffsetSpec,  # public, though its types do not say so
        )

        spec = getattr(OffsetSpec, which)()
        asked = {
            TopicPartition(self._settings.topic(topic), number): spec
            for topic, number in places
        }
        if not asked:
            return {}
        futures = self._admin.list_offsets(asked, request_timeout=self._within)
        return {
            (self._names[each.topic], each.partition): future.result().offset
            for each, future in futures.items()
        }

    def _groups(self) -> list[str]:
        """Return the groups there are; targets and sinks have one each."""
        prefix = f"{self._settings.app_id}."
        listed = self._admin.list_consumer_groups(request_timeout=self._within).result()
        found = {
            name
            for each in listed.valid
            if each.group_id.startswith(prefix)
            and _OURS.fullmatch(name := each.group_id.removeprefix(prefix))
        }
        return sorted(found.union(_ALWAYS))

    def _committed(self, group: str, places: Iterable[Place]) -> dict[Place, int]:
        """Return how far a group is, asked as one who could be in it and never joins.

        The administrator's own question for it ends the process where a broker goes
        meanwhile (librdkafka frees twice what waits for the answer).
        """
        from confluent_kafka import TopicPartition  # noqa: PLC0415 - see `__init__`

        if group not in self._outsiders:
            self._outsiders[group] = outsider(self._settings, group)
        asked = [
            TopicPartition(self._settings.topic(topic), number)
            for topic, number in places
        ]
        found = read_committed(self._outsiders[group], asked, within=self._within)
        return {
            (self._names[each.topic], each.partition): each.offset
            for each in found
            if each.error is None and each.offset >= 0
        }


class LagClock:
    """Tells for how long a group has been behind, from the ends it saw before."""

    def __init__(self) -> None:
        """Begin with no memory."""
        self._seen: dict[Place, deque[tuple[int, float]]] = {}

    def note(self, sight: Sight, now: float) -> None:
        """Remember where the partitions end at `now`, by any one clock."""
        for place, end in sight.ends.items():
            seen = self._seen.setdefault(place, deque(maxlen=_REMEMBERED))
            if not seen or seen[-1][0] != end:
                seen.append((end, now))

    def seconds(self, sight: Sight, group: str, now: float) -> dict[str, float]:
        """Return, by topic, how long the oldest record that is not done waits.

        It is a look too little at the most, and never more than is remembered.
        """
        waits: dict[str, float] = {}
        for place, offset in sight.committed.get(group, {}).items():
            seen = self._seen.get(place, ())
            # The first end beyond what is committed: its records came since the last.
            at = bisect_right(seen, offset, key=lambda each: each[0])
            waited = now - seen[at][1] if at < len(seen) else 0.0
            waits[place[0]] = max(waits.get(place[0], 0.0), waited)
        return waits


def tell_metrics(sight: Sight, clock: LagClock, now: float) -> None:
    """Let the metrics say what was seen at `now`."""
    clock.note(sight, now)
    metrics.BROKERS.set(sight.brokers)
    metrics.LEADERLESS.set(len(sight.leaderless))
    metrics.UNDERREPLICATED.set(len(sight.underreplicated))
    ends: Counter[str] = Counter()
    for (topic, _), end in sight.ends.items():
        ends[topic] += end
    for topic, end in ends.items():
        metrics.TOPIC_END.labels(topic).set(end)
    for group in sight.committed:
        for topic, records in sight.lag(group).items():
            metrics.LAG_RECORDS.labels(group, topic).set(records)
        for topic, seconds in clock.seconds(sight, group, now).items():
            metrics.LAG_SECONDS.labels(group, topic).set(seconds)
    metrics.BROKER_SEEN.set_to_current_time()


def watch_broker(
    settings: "Settings", stop: threading.Event, *, every: float = LOOK_SECONDS
) -> threading.Thread:
    """Keep the broker's metrics up to date in a thread, until `stop` is set."""

    def watch() -> None:
        watcher, clock, silent = Watcher(settings), LagClock(), False
        while not stop.is_set():
            try:
                tell_metrics(watcher.look(), clock, time.monotonic())
                silent = False
            except BrokerSilentError as error:
                if not silent:
                    _log.warning("broker_silent", error=str(error))
                silent = True
            stop.wait(every)

    metrics.BROKER_SEEN.set_to_current_time()
    thread = threading.Thread(target=watch, name="broker-watch", daemon=True)
    thread.start()
    return thread
