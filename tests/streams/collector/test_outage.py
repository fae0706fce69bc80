"""Kafka goes away under load and comes back; the collector dies while it drains."""

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from streams.broker import EmbeddedBroker
from tests.conftest import MakeTopics
from tests.freezing import frozen
from tests.outage_harness import CollectorProcess, drive_outage


@pytest.fixture
def own_broker(tmp_path: Path) -> Iterator[EmbeddedBroker]:
    """A broker of this test's own, to be frozen."""
    with EmbeddedBroker(tmp_path / "broker") as broker:
        yield broker
        broker.kill()


def test_nothing_acknowledged_is_lost(
    own_broker: EmbeddedBroker, make_topics: MakeTopics, tmp_path: Path
) -> None:
    """Ids in are ids out, in order, though Kafka hangs and the collector is killed.

    The embedded broker forgets everything when it is killed, so it is frozen.
    """
    settings = make_topics(
        bootstrap=own_broker.bootstrap,
        partitions=2,
        write_keys="website=wk-1",
        produce_timeout_seconds=3,
        spool_after_seconds=0.5,
        log_format="json",
    )
    assert own_broker.child is not None
    pid = own_broker.child.pid
    assert pid is not None
    collector = CollectorProcess(settings, tmp_path / "collector")
    outage = ExitStack()
    try:
        drive_outage(
            collector,
            settings,
            go_away=lambda: outage.enter_context(frozen(pid)),
            come_back=outage.close,
            during=5_000,
        )
    finally:
        outage.close()
        collector.close()
