"""A cluster of three: the node that leads the others is killed, under load."""

import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from streams.broker import ApacheCluster
from streams.settings import Settings
from streams.topics_admin import create_topics
from tests.chaos.count import count, prove, settle
from tests.chaos.faults import eager_model
from tests.chaos.feed import Feed
from tests.chaos.stage import SESSION
from tests.chaos.watch import Watch
from tests.waiting import wait_until
from tests.worker_harness import WorkerProcess

pytestmark = pytest.mark.integration

FAIL_OVERS = 2


@pytest.fixture
def cluster(
    apache_kafka_possible: None,  # noqa: ARG001 - skips or fails first
    tmp_path: Path,
) -> Iterator[ApacheCluster]:
    cluster = ApacheCluster(tmp_path / "cluster")
    try:
        yield cluster.start()
    finally:
        cluster.kill()


def test_the_controller_fails_over(cluster: ApacheCluster, tmp_path: Path) -> None:
    """With three replicas the leading node may die: scores go on, nothing is lost."""
    name = f"t{uuid.uuid4().hex[:8]}"
    settings = Settings(
        bootstrap=cluster.bootstrap,
        replication_factor=3,
        partitions=4,
        topic_prefix=f"{name}.",
        app_id=name,
        session_seconds=SESSION,
        data_dir=tmp_path,
        model_path=eager_model(tmp_path / "model.yaml"),
    )
    create_topics(settings)
    feed = Feed(settings, seed=3, leads=200, rate=100, most=1_000_000)
    watch = Watch(settings, lambda: False)
    worker = WorkerProcess(settings, tmp_path / "worker.log")
    try:
        worker.start().wait_ready(60)
        watch.start().mark()
        feed.start()
        watch.wait_served("at the start")
        for _ in range(FAIL_OVERS):
            leader = wait_until(cluster.active_controller, 30, "a node that leads")
            cluster.nodes[leader].kill()
            watch.mark()
            watch.wait_served("with two nodes")
            assert cluster.active_controller() != leader
            cluster.nodes[leader].start()
            watch.mark()
            watch.wait_served("with three nodes again")
        accepted = feed.finish()
        settle(settings, accepted)
        assert worker.stop(60) == 0, worker.tail()
    finally:
        worker.end()
        watch.stop()

    assert not (count(settings, accepted) + prove(settings))
