"""Bytewax: its keyed state, every new state on a changelog topic through its sink.

Its own recovery store (SQLite) stays off, which is in its favour.
"""

from datetime import timedelta

from bytewax import operators as op
from bytewax.connectors.kafka import KafkaSink, KafkaSinkMessage, KafkaSource
from bytewax.dataflow import Dataflow
from bytewax.testing import cluster_main

from bench.peers.toy import (
    COMMIT_SECONDS,
    Event,
    Job,
    Score,
    decode_event,
    encode,
    given_job,
    scored,
)

_BATCH = 2_000


def _keyed(message: object) -> tuple[str, Event]:
    event = decode_event(message.value)  # type: ignore[attr-defined]
    return event.lead, event


def _score(state: Score | None, event: Event) -> tuple[Score, Score]:
    after = scored(event.lead, state, event.at, event.points)
    return after, after


def _message(pair: tuple[str, Score]) -> KafkaSinkMessage[bytes, bytes]:
    return KafkaSinkMessage(pair[0].encode(), encode(pair[1]))


def flow(job: Job) -> Dataflow:
    """Return the dataflow."""
    brokers = [job.bootstrap]
    produce = {"partitioner": "murmur2_random", "acks": "all"}
    flow = Dataflow("toy")
    source = KafkaSource(brokers, [job.input], batch_size=_BATCH)
    messages = op.input("input", flow, source)
    keyed = op.map("decode", messages, _keyed)
    scores = op.stateful_map("score", keyed, _score)
    encoded = op.map("encode", scores, _message)
    op.output("changelog", encoded, KafkaSink(brokers, job.changelog, produce))
    op.output("output", encoded, KafkaSink(brokers, job.output, produce))
    return flow


def main() -> None:
    """Score until killed."""
    epoch = timedelta(seconds=COMMIT_SECONDS)
    cluster_main(flow(given_job()), [], 0, epoch_interval=epoch)


if __name__ == "__main__":
    main()
