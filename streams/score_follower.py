"""Following the published scores: how many leads there are of each.

The topic is compacted, so whoever begins at its start soon knows every lead's latest
score. Nothing is joined and nothing committed.
"""

import asyncio
import threading
from typing import TYPE_CHECKING, Final

import msgspec
import structlog

from schemas.topics import SCORE_UPDATES
from schemas.workspace import DEFAULT_WORKSPACE, workspace_of
from scorers.capacity import HIGHEST, Scores
from scorers.masses import hash64
from streams.kafka_access import client_config

if TYPE_CHECKING:
    from confluent_kafka import Message

    from streams.settings import Settings

_BATCH: Final = 2_000
_POLL_SECONDS: Final = 0.05

_log = structlog.get_logger(__name__)


class _Published(msgspec.Struct):
    """What is read of an update."""

    lead_id: str
    sequence: int
    score: float
    merged_into: str | None = None


_decode: Final = msgspec.json.Decoder(_Published).decode


class LeadScores:
    """The latest score of every lead, counted."""

    def __init__(self, scale: int) -> None:
        """Begin with no lead; scores are published in steps of 1 / `scale`."""
        self.counted = Scores(scale)
        self._levels = HIGHEST * scale + 1
        self._known: dict[int, int] = {}
        """By a lead's hash: sequence · levels + level. One number for a million."""

    def take(self, key: bytes | None, value: bytes | None) -> None:
        """Count what an update says; without a value the lead is gone.

        A stale or repeated update changes nothing. What is no update is passed over.
        """
        if key is None:
            return
        lead = hash64(key.decode(errors="replace"))
        known = self._known.get(lead)
        before = None if known is None else known % self._levels
        if value is None:
            self._forget(lead, before)
            return
        try:
            update = _decode(value)
        except msgspec.DecodeError as error:
            _log.warning("score_update_unreadable", error=str(error))
            return
        if known is not None and update.sequence <= known // self._levels:
            return
        if update.merged_into is not None:
            self._forget(lead, before)
            return
        level = self.counted.level(update.score)
        self._known[lead] = update.sequence * self._levels + level
        self.counted.move(
            None if before is None else before / self.counted.scale, update.score
        )

    def _forget(self, lead: int, before: int | None) -> None:
        if before is not None:
            del self._known[lead]
            self.counted.move(before / self.counted.scale, None)


class ScoreFollower:
    """Reads the topic of updates from its start on, and stays at its end."""

    def __init__(
        self,
        settings: "Settings",
        partitions: int,
        scale: int,
        workspace: str = DEFAULT_WORKSPACE,
    ) -> None:
        """Begin to read; nothing waits for the broker here.

        Only the leads of `workspace` are counted.
        """
        self._workspace = workspace
        from confluent_kafka import (  # noqa: PLC0415 - loads librdkafka
            OFFSET_BEGINNING,
            Consumer,
            TopicPartition,
        )

        self.scores = LeadScores(scale)
        self._unread = set(range(partitions))
        self._consumer: Consumer = Consumer(
            {
                **client_config(settings),
                # Required by the client; nothing is joined or committed.
                "group.id": f"{settings.app_id}.capacity",
                "enable.auto.commit": False,
                "enable.partition.eof": True,
                "allow.auto.create.topics": False,
                # What waits in memory to be counted, per partition.
                "queued.max.messages.kbytes": 4096,
                "log_level": 0,
            }
        )
        topic = settings.topic(SCORE_UPDATES.name)
        start = OFFSET_BEGINNING
        self._consumer.assign(
            [TopicPartition(topic, each, start) for each in range(partitions)]
        )
        self._using = threading.Lock()
        """Held while the consumer is asked: it must not be closed meanwhile."""
        self._closed = False

    @property
    def complete(self) -> bool:
        """Whether every partition has been read to what was its end."""
        return not self._unread

    async def read(self) -> None:
        """Take in what has been published since, a batch after the other."""
        while True:
            messages = await asyncio.to_thread(self._consume)
            for message in messages:
                self._take(message)
            if len(messages) < _BATCH:
                return

    async def close(self) -> None:
        """Leave the broker."""
        await asyncio.to_thread(self._close)

    def _close(self) -> None:
        with self._using:
            self._closed = True
            self._consumer.close()

    def _consume(self) -> "list[Message]":
        with self._using:
            if self._closed:
                return []
            return self._consumer.consume(_BATCH, _POLL_SECONDS)

    def _take(self, message: "Message") -> None:
        from confluent_kafka import KafkaError  # noqa: PLC0415 - see above

        error = message.error()
        if error is None:
            key = message.key()
            lead_id = "" if key is None else key.decode(errors="replace")
            if workspace_of(lead_id) == self._workspace:
                self.scores.take(key, message.value())
        elif error.code() == KafkaError._PARTITION_EOF:  # noqa: SLF001
            self._unread.discard(message.partition() or 0)
        elif not error.retriable():
            _log.warning("score_updates_unread", error=error.str())
