"""Stock Faust: an agent, a table with its changelog, an output topic."""

import sys
from typing import Any

import faust

from bench.peers.toy import COMMIT_SECONDS, HALF_LIFE_MS, Job, given_job


def create_app(job: Job) -> faust.App:
    """Return the app."""
    app = faust.App(
        job.group,
        broker=f"kafka://{job.bootstrap}",
        store="memory://",
        datadir=job.directory,
        topic_partitions=job.partitions,
        topic_disable_leader=True,
        broker_commit_interval=COMMIT_SECONDS,
        producer_partitioner=None,  # murmur2, as Java's
        web_enabled=False,
    )
    given = app.topic(job.input, key_type=str, key_serializer="raw")
    output = app.topic(
        job.output, key_type=str, key_serializer="raw", partitions=job.partitions
    )
    table = app.Table("scores", partitions=job.partitions)

    @app.agent(given)
    async def score(events: Any) -> None:
        async for event in events:
            lead = event["lead"]
            before = table.get(lead)
            score, count = event["points"], 1
            if before is not None:
                decay = 2.0 ** ((before["at"] - event["at"]) / HALF_LIFE_MS)
                score += before["score"] * decay
                count += before["count"]
            after = {"lead": lead, "score": score, "at": event["at"], "count": count}
            table[lead] = after
            await output.send(key=lead, value=after)

    return app


if __name__ == "__main__":
    application = create_app(given_job())
    sys.argv[1:] = ["worker", "-l", "warn", "--without-web"]
    application.main()
