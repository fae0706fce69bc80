"""Hearing of the suppression list beside the events: for collector and delivery.

Workers read it with everything else; here a thread follows one partition of it, for
the same records are on each.
"""

import threading
from typing import TYPE_CHECKING, Final

import structlog

from schemas.topics import SUPPRESSIONS
from streams.kafka_access import client_config
from streams.suppressions import PrivacyKeyError, Suppressions
from streams.topic_reader import read_topic

if TYPE_CHECKING:
    from streams.settings import Settings

_POLL_SECONDS: Final = 0.5
_PARTITION: Final = 0

_log = structlog.get_logger(__name__)


def load_suppressions(settings: "Settings") -> Suppressions:
    """Return the list as it is now.

    Raises
    ------
    UnreadableTopicError
        When the topic is missing or no broker answers.
    PrivacyKeyError
        When it was made with a key that is not set here.
    """
    known = Suppressions(settings)
    topic = settings.topic(SUPPRESSIONS.name)
    for record in read_topic(settings, topic, only={_PARTITION}):
        if value := record.value():
            known.read(value)
    return known


def follow_suppressions(
    settings: "Settings", known: Suppressions, stop: threading.Event
) -> threading.Thread:
    """Return a thread that keeps `known` up to date until `stop` is set."""
    thread = threading.Thread(
        target=_follow, args=(settings, known, stop), name="suppressions", daemon=True
    )
    thread.start()
    return thread


def _follow(settings: "Settings", known: Suppressions, stop: threading.Event) -> None:
    from confluent_kafka import (  # noqa: PLC0415 - loads librdkafka
        OFFSET_BEGINNING,
        Consumer,
        TopicPartition,
    )

    consumer = Consumer(
        {
            **client_config(settings),
            # Required by the client; nothing is joined or committed.
            "group.id": f"{settings.app_id}.suppressions",
            "enable.auto.commit": False,
            "allow.auto.create.topics": False,
            "fetch.wait.max.ms": 100,
            "log_level": 0,
        }
    )
    topic = settings.topic(SUPPRESSIONS.name)
    try:
        consumer.assign([TopicPartition(topic, _PARTITION, OFFSET_BEGINNING)])
        while not stop.is_set():
            message = consumer.poll(_POLL_SECONDS)
            if message is None or message.error() is not None:
                continue  # the client tries again by itself
            if value := message.value():
                known.read(value)
    except PrivacyKeyError as error:
        # Workers do not start like this, so nothing of an erased person is scored.
        _log.error("suppressions_unknown", why=str(error))
    finally:
        consumer.close()
