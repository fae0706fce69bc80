"""Apache Kafka is killed under load, comes back, and the collector dies meanwhile."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from streams.broker import ApacheBroker
from tests.conftest import MakeTopics
from tests.outage_harness import CollectorProcess, drive_outage

pytestmark = pytest.mark.integration


@pytest.fixture
def own_kafka(
    apache_kafka_possible: None,  # noqa: ARG001 - skips or fails first
    tmp_path: Path,
) -> Iterator[ApacheBroker]:
    """A broker of this test's own, to be killed."""
    with ApacheBroker(tmp_path / "kafka") as broker:
        yield broker


def test_nothing_acknowledged_is_lost(
    own_kafka: ApacheBroker, make_topics: MakeTopics, tmp_path: Path
) -> None:
    """Ids in are ids out, in order, though Kafka and the collector are killed."""
    settings = make_topics(
        bootstrap=own_kafka.bootstrap,
        write_keys="website=wk-1",
        spool_after_seconds=1,
        log_format="json",
    )
    collector = CollectorProcess(settings, tmp_path / "collector")
    try:
        twice = drive_outage(
            collector,
            settings,
            go_away=own_kafka.kill,
            come_back=lambda: own_kafka.start() and None,
            during=30_000,
            drained=10_000,
            people=8,
        )
    finally:
        collector.close()
    # At most what was under way twice: a thousand from the spool, and each request.
    assert twice < 10_000
