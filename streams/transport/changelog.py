"""Reading changelog partitions in bulk, from their beginning to our own claim.

The end of a log is not asked for: brokers under-report it, compaction empties it,
transactions put markers there, and recovery that waits for an offset can hang (Faust
issues 176, 597, 651). Instead the new owner writes its claim and reads until it finds
it: everything before the claim has then been read, on any broker.
"""

import hashlib
import logging
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Final

import msgspec
import structlog

from streams.kafka_access import THROUGH, client_config
from streams.metrics import RECOVERED_RECORDS, RECOVERY_LEFT
from streams.state_records import OWNER_KEY, decode_epoch, decode_ownership

if TYPE_CHECKING:
    from confluent_kafka import Consumer, Message

    from streams.rebuilding import Rebuilt
    from streams.settings import Settings
    from streams.state_records import Claim

_BATCH: Final = 5_000
_POLL_SECONDS: Final = 0.2
_STUCK_SECONDS: Final = 30.0
_ANSWER_SECONDS: Final = 10.0

_log = structlog.get_logger(__name__)


def read_changelog(
    settings: "Settings",
    topic: str,
    partitions: Mapping[int, "Rebuilt"],
    stop: threading.Event,
    starts: Mapping[int, int],
) -> None:
    """Return when every partition is complete, or `stop` is set. Blocks its thread.

    A partition is read from the offset that `starts` gives, else from its beginning.

    Raises
    ------
    ChangelogError
        When a record cannot be read.
    """
    from confluent_kafka import (  # noqa: PLC0415 - loads librdkafka
        OFFSET_BEGINNING,
        KafkaException,
        TopicPartition,
    )

    consumer = open_reader(settings)
    try:
        _meet(consumer, topic)
        consumer.assign(
            [
                TopicPartition(topic, each, starts.get(each, OFFSET_BEGINNING))
                for each in partitions
            ]
        )
        moved_at = time.monotonic()
        while not stop.is_set():
            messages = at_hand(consumer)
            for message in messages:
                error = message.error()
                if error is None:
                    # A record without an error has a partition and an offset.
                    partition, offset = message.partition() or 0, message.offset() or 0
                    partitions[partition].apply(message.key(), message.value(), offset)
                elif error.fatal():
                    raise KafkaException(error)
                else:
                    _log.warning("recovery_trouble", error=error.str())
            if messages:
                moved_at = time.monotonic()
                RECOVERED_RECORDS.inc(len(messages))
                RECOVERY_LEFT.set(_left(consumer, topic, partitions))
                if all(each.complete for each in partitions.values()):
                    return
            elif time.monotonic() - moved_at > _STUCK_SECONDS:
                moved_at = time.monotonic()
                _log.error(
                    "recovery_stuck",
                    topic=topic,
                    partitions=[
                        p for p, each in partitions.items() if not each.complete
                    ],
                    advice="no changelog record came for 30 s; is the broker healthy?",
                )
    finally:
        consumer.close()


def _meet(consumer: "Consumer", topic: str) -> None:
    """Let a new client know where a topic is before it is to begin at its beginning.

    It asks for where that is before it knows whom, and then rests for half a second.
    """
    from confluent_kafka import KafkaException  # noqa: PLC0415 - loads librdkafka

    # Without an answer it goes on asking by itself, as long as it takes.
    with suppress(KafkaException):
        consumer.list_topics(topic, _ANSWER_SECONDS)


def _left(consumer: "Consumer", topic: str, partitions: Mapping[int, "Rebuilt"]) -> int:
    """Return how many records are still to come; the broker may tell too few."""
    from confluent_kafka import TopicPartition  # noqa: PLC0415 - see above

    waiting = [
        TopicPartition(topic, p) for p, each in partitions.items() if not each.complete
    ]
    left = 0
    for at in consumer.position(waiting) if waiting else ():
        # What the last answer to a fetch said: nothing is asked of the broker.
        low, high = consumer.get_watermark_offsets(at, cached=True)
        left += max(0, high - max(low, at.offset))
    return left


def end_of(reader: "Consumer", topic: str, partition: int) -> int:
    """Return the offset behind the last record of a partition that all replicas have.

    Raises
    ------
    OSError
        When no broker answers.
    """
    from confluent_kafka import KafkaException, TopicPartition  # noqa: PLC0415

    try:
        found = reader.get_watermark_offsets(
            TopicPartition(topic, partition), _ANSWER_SECONDS
        )
    except KafkaException as error:
        msg = f"the end of {topic}[{partition}] is not to be had: {error}"
        raise OSError(msg) from error
    if found is None:
        msg = f"the end of {topic}[{partition}] was not told in time"
        raise OSError(msg)
    return int(found[1])


def has_claim(
    reader: "Consumer", topic: str, partition: int, claim: str, offset: int
) -> bool:
    """Say whether a partition has an owner's claim where the owner wrote it."""
    found = next(_between(reader, topic, partition, range(offset, offset + 1)), None)
    if found is None or found.key() != OWNER_KEY:
        return False
    try:
        return decode_ownership(found.value() or b"").id == claim
    except msgspec.DecodeError:
        return False


def mark_of(reader: "Consumer", topic: str, partition: int, offset: int) -> bytes:
    """Return a digest of the record at `offset`, empty if there is none.

    A log that lost its end, and grew again, has another record there.
    """
    found = next(_between(reader, topic, partition, range(offset, offset + 1)), None)
    if found is None or found.offset() != offset:
        return b""
    return record_mark(found)


def record_mark(found: "Message") -> bytes:
    """Return a digest of a record."""
    digest = hashlib.blake2b(digest_size=16)
    for part in (found.key(), found.value(), str(found.timestamp()).encode()):
        digest.update(b"-" if part is None else b"%d:%b" % (len(part), part))
    return digest.digest()


def late_keys(
    reader: "Consumer",
    topic: str,
    partition: int,
    offsets: range,
    claim: "Claim",
) -> list[str]:
    """Return the keys of records at `offsets` that former owners wrote."""
    late: dict[str, bool] = {}
    for message in _between(reader, topic, partition, offsets):
        key, value = message.key(), message.value()
        if key is None or key == OWNER_KEY or value is None:
            continue
        late[key.decode()] = decode_epoch(value) < (claim.term, claim.offset)
    return [key for key, is_last in late.items() if is_last]


def _between(
    reader: "Consumer", topic: str, partition: int, offsets: range
) -> "Iterator[Message]":
    """Yield the records of a partition that are at `offsets`.

    Raises
    ------
    OSError
        When the broker does not tell them.
    """
    from confluent_kafka import (  # noqa: PLC0415 - loads librdkafka
        KafkaException,
        TopicPartition,
    )

    start, end = offsets.start, offsets.stop
    if start >= end:
        return
    try:
        place = TopicPartition(topic, partition, start)
        reader.assign([place])
        moved_at = time.monotonic()
        # Compaction and transactions leave gaps: the position tells, not a count.
        while reader.position([place])[0].offset < end:
            for message in at_hand(reader):
                moved_at = time.monotonic()
                if message.error() is None and (message.offset() or 0) < end:
                    yield message
            if time.monotonic() - moved_at > _ANSWER_SECONDS:
                msg = f"{topic}[{partition}] cannot be read from {start} to {end}"
                raise OSError(msg)
    except KafkaException as error:
        msg = f"{topic}[{partition}] cannot be read: {error}"
        raise OSError(msg) from error
    finally:
        reader.unassign()


def at_hand(consumer: "Consumer") -> "list[Message]":
    """Return the records that are there; wait a moment for the first only.

    `consume` alone would wait for a full batch.
    """
    first = consumer.poll(_POLL_SECONDS)
    return [] if first is None else [first, *consumer.consume(_BATCH, 0)]


def open_reader(settings: "Settings", **given: object) -> "Consumer":
    """Return a consumer that joins nothing: its partitions are assigned by hand.

    It is for one thread at a time, and to be closed. What is `given` in librdkafka's
    words goes before what recovery asks for.
    """
    from confluent_kafka import Consumer  # noqa: PLC0415 - loads librdkafka

    return Consumer(
        {
            **client_config(settings),
            **THROUGH,
            "client.id": f"{settings.app_id}-recovery",
            "group.id": f"{settings.app_id}-recovery",
            "auto.offset.reset": "earliest",
            "fetch.wait.max.ms": 20,
            **given,
        },
        logger=logging.getLogger("kafka"),
    )
