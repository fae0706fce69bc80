"""What a group has committed is told once its coordinator can be asked."""

import pytest
from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from streams.group_offsets import read_committed

ASKED = [TopicPartition("events", 0)]


class Moving(Consumer):
    """A client whose coordinator answers with an error, so many times."""

    def __init__(self, code: int, times: int) -> None:
        super().__init__({"group.id": "scoring", "log_level": 0})
        self.code, self.left = code, times

    def committed(
        self,
        partitions: list[TopicPartition],
        timeout: float = -1,  # noqa: ARG002 - the client's own signature
    ) -> list[TopicPartition]:
        if self.left:
            self.left -= 1
            raise KafkaException(KafkaError(self.code))
        return [TopicPartition(each.topic, each.partition, 7) for each in partitions]


@pytest.mark.parametrize(
    "code",
    [
        KafkaError.NOT_COORDINATOR,
        KafkaError.COORDINATOR_LOAD_IN_PROGRESS,
        KafkaError.COORDINATOR_NOT_AVAILABLE,
    ],
)
def test_a_coordinator_that_moves_is_waited_for(code: int) -> None:
    """Two refusals, then the answer."""
    (found,) = read_committed(Moving(code, 2), ASKED, within=30)
    assert found.offset == 7


def test_what_is_not_allowed_is_told_at_once() -> None:
    """No second question is asked of a broker that refuses."""
    consumer = Moving(KafkaError.GROUP_AUTHORIZATION_FAILED, 2)
    with pytest.raises(KafkaException):
        read_committed(consumer, ASKED, within=30)
    assert consumer.left == 1


def test_a_coordinator_that_never_comes_is_told() -> None:
    """The deadline ends it."""
    with pytest.raises(KafkaException):
        read_committed(Moving(KafkaError.NOT_COORDINATOR, 10_000), ASKED, within=0.2)
