"""Standbys: a recovery that begins before it is needed.

Which partitions a worker stands by for is Faust's assignor's word, and it gives them to
their standby first when their owner goes. Until then a thread reads their changelogs
as recovery would; taking over, the worker writes its claim and reads on from there.
"""

import threading
import time
from collections.abc import Iterable, Mapping
from contextlib import closing
from typing import TYPE_CHECKING, Final, NamedTuple

import structlog

from streams import metrics
from streams.rebuilding import Rebuilt
from streams.state_records import ChangelogError
from streams.transport.changelog import at_hand, open_reader, record_mark

if TYPE_CHECKING:
    from confluent_kafka import Consumer, Message

    from streams.settings import Settings

MAX_SILENCE_SECONDS: Final = 12 * 3600.0
"""Kafka keeps a tombstone for a day after compaction: who missed one knows the gone."""
_ANSWER_MS: Final = 200
_TOLD_SECONDS: Final = 1.0
_PAUSE_SECONDS: Final = 1.0
_NOBODY: Final = ""
"""The claim of who has not claimed anything yet."""

_log = structlog.get_logger(__name__)

Place = tuple[str, int]
"""A changelog's full name and a partition."""


class Ahead(NamedTuple):
    """What a standby has of a partition, taken out of its hands."""

    rebuilt: Rebuilt
    read_on: int
    """The offset behind the last record in it."""
    mark: bytes
    """Of that record: another log has another one there."""


class _Copy:
    """A partition that is followed."""

    __slots__ = ("heard_at", "last", "read_on", "rebuilt")

    def __init__(self, partition: int) -> None:
        self.rebuilt = Rebuilt(partition, -1, _NOBODY)
        self.read_on: int | None = None
        self.last: Message | None = None
        self.heard_at = time.monotonic()


class Standby:
    """Follows the changelogs of partitions that other workers own."""

    def __init__(self, settings: "Settings") -> None:
        """Follow nothing yet."""
        self._settings = settings
        self._guard = threading.Lock()
        """Held while the copies change."""
        self._copies: dict[Place, _Copy] = {}
        self._changed = threading.Event()
        self._closing = threading.Event()
        self._thread: threading.Thread | None = None

    def follow(self, places: Iterable[Place]) -> None:
        """Follow these and no others; what was followed already goes on."""
        with self._guard:
            self._copies = {
                each: self._copies.get(each) or _Copy(each[1]) for each in places
            }
            self._changed.set()
            metrics.STANDBY_PARTITIONS.set(len({each[1] for each in self._copies}))
        if self._copies and self._thread is None:
            self._thread = threading.Thread(
                target=self._run, name="standby", daemon=True
            )
            self._thread.start()

    def take(self, place: Place) -> Ahead | None:
        """Return what there is of a partition and follow it no more; None if nothing.

        To be called before the partition is claimed: a claim is only known to who
        waits for it.
        """
        with self._guard:
            copy = self._copies.pop(place, None)
            self._changed.set()
        if copy is None or copy.last is None or copy.read_on is None:
            return None
        if time.monotonic() - copy.heard_at > MAX_SILENCE_SECONDS:
            return None
        return Ahead(copy.rebuilt, copy.read_on, record_mark(copy.last))

    def close(self) -> None:
        """Follow nothing any more."""
        self._closing.set()
        self._changed.set()
        if self._thread is not None:
            self._thread.join()

    def _run(self) -> None:
        from confluent_kafka import KafkaException  # noqa: PLC0415 - loads librdkafka

        while not self._closing.is_set():
            self._changed.clear()
            with self._guard:
                starts = {each: copy.read_on for each, copy in self._copies.items()}
            if not starts:
                metrics.STANDBY_LAG.set(0)
                self._changed.wait()
                continue
            try:
                # A new one each time: nothing of what it read before can come.
                with closing(
                    open_reader(
                        self._settings,
                        **{
                            "fetch.wait.max.ms": _ANSWER_MS,
                            "enable.partition.eof": True,
                        },
                    )
                ) as reader:
                    self._read(reader, starts)
            except KafkaException as error:
                _log.warning("standby_waits", error=str(error))
                self._changed.wait(_PAUSE_SECONDS)

    def _read(self, reader: "Consumer", starts: Mapping[Place, int | None]) -> None:
        """Keep the copies as the changelogs are, until others are wanted."""
        from confluent_kafka import (  # noqa: PLC0415 - see above
            OFFSET_BEGINNING,
            TopicPartition,
        )

        reader.assign(
            [
                TopicPartition(*place, OFFSET_BEGINNING if at is None else at)
                for place, at in starts.items()
            ]
        )
        told_at = 0.0
        while not self._changed.is_set():
            messages = at_hand(reader)
            with self._guard:
                for message in messages:
                    self._apply(message)
            if time.monotonic() - told_at > _TOLD_SECONDS:
                told_at = time.monotonic()
                metrics.STANDBY_LAG.set(self._behind(reader))

    def _apply(self, message: "Message") -> None:
        place = message.topic() or "", message.partition() or 0
        copy = self._copies.get(place)
        if copy is None:
            return
        error = message.error()
        if error is not None:
            if error.name() == "_PARTITION_EOF":
                copy.heard_at = time.monotonic()
            else:
                _log.warning("standby_trouble", topic=place[0], error=error.str())
            return
        offset = message.offset() or 0
        if copy.read_on is not None and offset < copy.read_on:
            # The log is another one, and is read from its beginning.
            copy = self._copies[place] = _Copy(place[1])
        try:
            copy.rebuilt.apply(message.key(), message.value(), offset)
        except ChangelogError as unreadable:
            # Whoever takes the partition over will say so, and must not go on.
            _log.warning("standby_gave_up", topic=place[0], error=str(unreadable))
            del self._copies[place]
            return
        copy.last, copy.read_on = message, offset + 1
        copy.heard_at = time.monotonic()

    def _behind(self, reader: "Consumer") -> int:
        """Return how many records are still to be read, by the last answers."""
        from confluent_kafka import TopicPartition  # noqa: PLC0415 - see above

        left = 0
        with self._guard:
            read = {each: copy.read_on for each, copy in self._copies.items()}
        for place, read_on in read.items():
            low, high = reader.get_watermark_offsets(
                TopicPartition(*place), cached=True
            )
            left += max(0, high - max(low, read_on or 0))
        return left
