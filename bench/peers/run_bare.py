"""The limit: confluent-kafka alone, state in a dict, nothing recovered.

It acknowledges what it read once a second after flushing what it wrote.
"""

import time

from confluent_kafka import Consumer, Producer

from bench.peers.toy import (
    COMMIT_SECONDS,
    Score,
    decode_event,
    encode,
    given_job,
    scored,
)


def main() -> None:
    """Score until killed."""
    job = given_job()
    consumer = Consumer(
        {
            "bootstrap.servers": job.bootstrap,
            "group.id": job.group,
            "auto.offset.reset": "earliest",
            "enable.auto.commit": False,
        }
    )
    producer = Producer(
        {
            "bootstrap.servers": job.bootstrap,
            "acks": "all",
            "enable.idempotence": True,
            "linger.ms": 5,
            "partitioner": "murmur2_random",
            "queue.buffering.max.messages": 1_000_000,
        }
    )
    consumer.subscribe([job.input])
    states: dict[str, Score] = {}
    committed_at = time.monotonic()
    moved = False
    while True:
        for message in consumer.consume(2_000, 0.1):
            moved = True
            event = decode_event(message.value())
            lead = event.lead
            states[lead] = state = scored(
                lead, states.get(lead), event.at, event.points
            )
            key, value = lead.encode(), encode(state)
            producer.produce(job.changelog, value, key)
            producer.produce(job.output, value, key)
        producer.poll(0)
        if time.monotonic() - committed_at > COMMIT_SECONDS and moved:
            producer.flush()
            consumer.commit(asynchronous=False)
            committed_at, moved = time.monotonic(), False


if __name__ == "__main__":
    main()
