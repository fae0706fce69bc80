"""Quix Streams: its keyed state in RocksDB with a changelog topic, as it comes."""

from typing import Any

from quixstreams import Application, State

from bench.peers.toy import COMMIT_SECONDS, HALF_LIFE_MS, given_job


def _score(event: dict[str, Any], state: State) -> dict[str, Any]:
    before = state.get("score")
    score, count = event["points"], 1
    if before is not None:
        decay = 2.0 ** ((before["at"] - event["at"]) / HALF_LIFE_MS)
        score += before["score"] * decay
        count += before["count"]
    after = {
        "lead": event["lead"],
        "score": score,
        "at": event["at"],
        "count": count,
    }
    state.set("score", after)
    return after


def main() -> None:
    """Score until killed."""
    job = given_job()
    app = Application(
        broker_address=job.bootstrap,
        consumer_group=job.group,
        auto_offset_reset="earliest",
        commit_interval=COMMIT_SECONDS,
        state_dir=job.directory,
        loglevel="WARNING",
        # Others' partitions must be these, too.
        producer_extra_config={"partitioner": "murmur2_random"},
    )
    given = app.topic(job.input, key_deserializer="str", value_deserializer="json")
    output = app.topic(job.output, key_serializer="str", value_serializer="json")
    app.dataframe(given).apply(_score, stateful=True).to_topic(output)
    app.run()


if __name__ == "__main__":
    main()
