"""What a consumer group has committed, asked until its coordinator can say."""

from typing import TYPE_CHECKING

from tenacity import (
    Retrying,
    retry_if_exception,
    stop_after_delay,
    wait_exponential_jitter,
)

from streams.kafka_access import client_config

if TYPE_CHECKING:
    from confluent_kafka import Consumer, TopicPartition

    from streams.settings import Settings

_FIRST_WAIT, _LONGEST_WAIT = 0.05, 1.0
"""Seconds between two questions."""


def outsider(settings: "Settings", group: str) -> "Consumer":
    """Return a client that knows of one of our groups and does not join it.

    `group` is its name behind the deployment's, such as ``scoring``.
    """
    from confluent_kafka import Consumer  # noqa: PLC0415 - loads librdkafka

    return Consumer(
        {
            **client_config(settings),
            "group.id": f"{settings.app_id}.{group}",
            "enable.auto.commit": False,
            # A place that is not there is told, not replaced by another one.
            "auto.offset.reset": "error",
            "log_level": 0,
        }
    )


def read_committed(
    consumer: "Consumer", asked: "list[TopicPartition]", *, within: float
) -> "list[TopicPartition]":
    """Return the partitions with what the consumer's group has committed of each.

    A broker that just began, or one that took a dead one's place, says for a moment
    that it does not coordinate the group, or that it still reads what the group left
    behind. That is waited out.

    Parameters
    ----------
    consumer
        A client of the group, a member or not.
    asked
        The partitions; those without an offset come back with `OFFSET_INVALID`.
    within
        Seconds, for all questions together, and for the last one alone.

    Raises
    ------
    confluent_kafka.KafkaException
        When no coordinator answered in time, or the question is not allowed.
    """
    asking = Retrying(
        retry=retry_if_exception(_coordinator_moves),
        wait=wait_exponential_jitter(
            multiplier=_FIRST_WAIT, max=_LONGEST_WAIT, jitter=_FIRST_WAIT
        ),
        stop=stop_after_delay(within),
        reraise=True,
    )
    return asking(consumer.committed, asked, timeout=within)


def _coordinator_moves(error: BaseException) -> bool:
    from confluent_kafka import (  # noqa: PLC0415 - loads librdkafka
        KafkaError,
        KafkaException,
    )

    return isinstance(error, KafkaException) and error.args[0].code() in {
        KafkaError.NOT_COORDINATOR,
        KafkaError.COORDINATOR_LOAD_IN_PROGRESS,
        KafkaError.COORDINATOR_NOT_AVAILABLE,
    }
