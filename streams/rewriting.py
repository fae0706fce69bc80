"""Taking a person's records out of a topic from which Kafka deletes by age only.

Kafka cannot delete single records. So what is not the person's is written again at the
end of its partition, and then everything up to where that began is deleted. A crash
in between leaves records twice, and none is lost; it is simply done again.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from streams.errors import UserError
from streams.kafka_access import client_config
from streams.topic_reader import read_topic
from streams.topics_admin import connect

if TYPE_CHECKING:
    from confluent_kafka import KafkaError, Message

    from streams.settings import Settings

_SECONDS: Final = 30.0


class RewriteError(UserError):
    """The broker did not take out what it should; the text says what is left."""


def take_out(
    settings: "Settings", topic: str, is_theirs: "Callable[[Message], bool]"
) -> int:
    """Return how many records of `topic` (its full name) were taken out.

    Raises
    ------
    RewriteError
        When the broker does not take records again, or does not delete any.
    UnreadableTopicError
        When the topic is missing or no broker answers.
    """
    theirs: dict[int, int] = {}
    for message in read_topic(settings, topic):
        if is_theirs(message):
            partition = message.partition() or 0
            theirs[partition] = theirs.get(partition, 0) + 1
    if not theirs:
        return 0
    # Asked for nothing, it tells whether it can: else others' records would double.
    _delete_before(settings, topic, dict.fromkeys(theirs, 0))
    ends: dict[int, int] = {}
    others: list[Message] = []
    for message in read_topic(settings, topic, only=set(theirs)):
        ends[message.partition() or 0] = (message.offset() or 0) + 1
        if not is_theirs(message):
            others.append(message)
    _write_again(settings, topic, others)
    _delete_before(settings, topic, ends)
    return sum(theirs.values())


def _write_again(settings: "Settings", topic: str, records: "list[Message]") -> None:
    from confluent_kafka import Producer  # noqa: PLC0415 - loads librdkafka

    failures: list[KafkaError] = []
    producer = Producer(
        {
            **client_config(settings),
            "acks": "all",
            "enable.idempotence": True,
            "log_level": 0,
        }
    )

    def note(error: "KafkaError | None", _: "Message") -> None:
        if error is not None:
            failures.append(error)

    for each in records:
        producer.produce(
            topic,
            each.value(),
            each.key(),
            each.partition() or 0,
            # As old as it was: its own retention goes on.
            timestamp=each.timestamp()[1],
            headers=each.headers() or [],
            on_delivery=note,
        )
        producer.poll(0)
    if producer.flush(_SECONDS) or failures:
        why = failures[0].str() if failures else "it does not answer"
        msg = f"{topic} was left as it is: the broker did not take its records ({why})"
        raise RewriteError(msg)


def _delete_before(settings: "Settings", topic: str, ends: dict[int, int]) -> None:
    from confluent_kafka import KafkaException, TopicPartition  # noqa: PLC0415

    admin = connect(settings)
    futures = admin.delete_records(
        [TopicPartition(topic, partition, end) for partition, end in ends.items()],
        request_timeout=_SECONDS,
        operation_timeout=_SECONDS,
    )
    try:
        for future in futures.values():
            future.result()
    except KafkaException as error:
        why = error.args[0].str()
        msg = f"this broker does not delete records of {topic}: {why}"
        raise RewriteError(msg) from None
