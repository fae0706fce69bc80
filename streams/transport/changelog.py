"""Reading changelog partitions in bulk, from their beginning to our own claim.

The end of a log is not asked for: brokers under-report it, compaction empties it,
transactions put markers there, and recovery that waits for an offset can hang (Faust
issues 176, 597, 651). Instead the new owner writes its claim and reads until it finds
it: everything before the claim has then been read, on any broker.
"""

import logging
import threading
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

import structlog

from streams.kafka_access import client_config
from streams.metrics import RECOVERED_RECORDS, RECOVERY_LEFT

if TYPE_CHECKING:
    from confluent_kafka import Consumer

    from streams.settings import Settings
    from streams.tables import Rebuilt

_BATCH: Final = 5_000
_POLL_SECONDS: Final = 0.2
_STUCK_SECONDS: Final = 30.0

_log = structlog.get_logger(__name__)


def read_changelog(
    settings: "Settings",
    topic: str,
    partitions: Mapping[int, "Rebuilt"],
    stop: threading.Event,
) -> None:
    """Return when every partition is complete, or `stop` is set. Blocks its thread.

    Raises
    ------
    ChangelogError
        When a record cannot be read.
    """
    from confluent_kafka import (  # noqa: PLC0415 - loads librdkafka
        OFFSET_BEGINNING,
        Consumer,
        KafkaException,
        TopicPartition,
    )

    consumer = Consumer(
        {
            **client_config(settings),
            "client.id": f"{settings.app_id}-recovery",
            # It is never joined: partitions are assigned by hand.
            "group.id": f"{settings.app_id}-recovery",
            "enable.auto.commit": False,
            "auto.offset.reset": "earliest",
            "fetch.wait.max.ms": 20,
            "allow.auto.create.topics": False,
        },
        logger=logging.getLogger("kafka"),
    )
    try:
        consumer.assign(
            [TopicPartition(topic, p, OFFSET_BEGINNING) for p in partitions]
        )
        moved_at = time.monotonic()
        while not stop.is_set():
            # `consume` would wait for a full batch: take what is there instead.
            first = consumer.poll(_POLL_SECONDS)
            messages = [] if first is None else [first, *consumer.consume(_BATCH, 0)]
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
