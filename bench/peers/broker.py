"""The broker of a measurement: topics, positions, and what is on them."""

import time
from collections.abc import Iterable, Iterator

from confluent_kafka import (
    Consumer,
    ConsumerGroupTopicPartitions,
    KafkaException,
    Producer,
    TopicPartition,
)
from confluent_kafka.admin import AdminClient, NewTopic

from bench.peers.toy import Event, encode
from streams.partitioner import partition_of

_ANSWER_SECONDS = 10.0


class Topics:
    """What the bench asks a broker for, itself."""

    def __init__(self, bootstrap: str, partitions: int) -> None:
        """Connect."""
        self.bootstrap = bootstrap
        self.partitions = partitions
        self._admin = AdminClient({"bootstrap.servers": bootstrap, "log_level": 0})
        self._consumer = Consumer(
            {"bootstrap.servers": bootstrap, "group.id": "bench", "log_level": 0}
        )

    def create(self, *names: str, compacted: bool = False) -> None:
        """Make topics, with the partitions that all of them have."""
        config = {"cleanup.policy": "compact"} if compacted else {}
        wanted = [NewTopic(name, self.partitions, 1, config=config) for name in names]
        for future in self._admin.create_topics(wanted).values():
            future.result()

    def named(self, part: str) -> list[str]:
        """Return the topics whose names contain `part`."""
        return sorted(
            name for name in self._admin.list_topics(timeout=10).topics if part in name
        )

    def delete(self, names: Iterable[str]) -> None:
        """Drop topics."""
        if doomed := list(names):
            for future in self._admin.delete_topics(doomed).values():
                future.result()

    def length(self, *names: str) -> int:
        """Return how many records were ever put on topics."""
        return sum(
            self._end(TopicPartition(name, number))
            for name in names
            for number in range(self.partitions)
        )

    def _end(self, partition: TopicPartition) -> int:
        try:
            found = self._consumer.get_watermark_offsets(partition, _ANSWER_SECONDS)
        except KafkaException:
            return 0  # just made: the client has not heard of it
        return found[1] if found else 0

    def committed(self, group: str, names: Iterable[str]) -> int:
        """Return how many records of some topics a group has acknowledged."""
        wanted = set(names)
        asked = self._admin.list_consumer_group_offsets(
            [ConsumerGroupTopicPartitions(group)], request_timeout=_ANSWER_SECONDS
        )
        found = next(iter(asked.values())).result().topic_partitions
        return sum(max(0, each.offset) for each in found if each.topic in wanted)

    def write(self, topic: str, events: Iterable[Event]) -> None:
        """Put events on a topic, each on the partition of its lead."""
        self.put((topic, event.lead.encode(), encode(event)) for event in events)

    def put(self, records: Iterable[tuple[str, bytes, bytes]]) -> None:
        """Put topic, key and value on the broker, each on its key's partition."""
        producer = Producer(
            {
                "bootstrap.servers": self.bootstrap,
                "linger.ms": 20,
                "log_level": 0,
                "queue.buffering.max.messages": 2_000_000,
            }
        )
        for topic, key, value in records:
            place = partition_of(key, self.partitions)
            try:
                producer.produce(topic, value, key, place)
            except BufferError:  # a gigabyte waits: let it go first
                producer.flush()
                producer.produce(topic, value, key, place)
        producer.flush()

    def read(self, topic: str) -> Iterator[tuple[bytes, bytes | None]]:
        """Yield key and value of every record there is, in order of a partition."""
        consumer = Consumer(
            {
                "bootstrap.servers": self.bootstrap,
                "group.id": "bench-read",
                "enable.auto.commit": False,
                "enable.partition.eof": True,
            }
        )
        consumer.assign([TopicPartition(topic, n, 0) for n in range(self.partitions)])
        unread, deadline = self.partitions, time.monotonic() + 120
        try:
            while unread:
                if time.monotonic() > deadline:
                    msg = f"{topic} was not read within two minutes"
                    raise TimeoutError(msg)
                for message in consumer.consume(5_000, 0.2):
                    if message.error() is not None:
                        unread -= 1
                    else:
                        yield message.key() or b"", message.value()
        finally:
            consumer.close()
