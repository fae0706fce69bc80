"""An erasure on Apache Kafka, where compaction and retention can be waited for."""

from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from confluent_kafka.admin import (  # type: ignore[attr-defined] # both are public
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    ResourceType,
)

from schemas.topics import AUDIT, DEAD_LETTERS, SUPPRESSIONS, TOPICS
from streams.broker import ApacheBroker
from streams.settings import Settings
from streams.suppressions import PrivacyKey
from tests.conftest import MakeTopics
from tests.erasure_harness import (
    BOB,
    LEADS,
    MAIL,
    fed,
    in_files,
    in_redis,
    in_topics,
    is_kept_by_rule,
    leave_letters,
    lives,
    tombstones,
    wait_for_people,
    wait_until_gone,
)
from tests.streams.cli.conftest import Run, leadpulse  # noqa: F401 - a fixture
from tests.waiting import wait_until
from tests.worker_harness import (
    WorkerProcess,
    committed,
    produce,
    put_raw,
    read_all,
    stored_with_redirects,
)

pytestmark = pytest.mark.integration

_HASTE = {
    "log.retention.check.interval.ms": "500",
    "log.cleaner.backoff.ms": "500",
    "log.segment.delete.delay.ms": "100",
}


@pytest.fixture
def settings(
    apache_kafka_possible: None,  # noqa: ARG001 - skips or fails first
    make_topics: MakeTopics,
    redis_url: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Settings]:
    with ApacheBroker(tmp_path / "data" / "kafka", properties=_HASTE) as apache:
        settings = make_topics(
            bootstrap=apache.bootstrap,
            partitions=2,
            session_seconds=6.0,
            data_dir=tmp_path / "data",
            redis_url=redis_url,
            privacy_key="a long secret",
        )
        for name, value in settings.environ().items():
            monkeypatch.setenv(name, value)
        yield settings


def hasten(settings: Settings) -> None:
    """Let compaction run at once, and what ages be old at once."""
    admin = AdminClient({"bootstrap.servers": settings.bootstrap})
    resources = []
    for topic in TOPICS:
        config = {"segment.ms": "100"}
        if topic.cleanup_policy == "compact":
            config |= {
                "min.compaction.lag.ms": "0",
                "max.compaction.lag.ms": "100",
                "min.cleanable.dirty.ratio": "0.001",
                "delete.retention.ms": "100",
            }
        elif topic is not AUDIT:
            config["retention.ms"] = "100"
        resources.append(
            ConfigResource(
                ResourceType.TOPIC,
                settings.topic(topic.name),
                incremental_configs=[
                    ConfigEntry(key, value, incremental_operation=AlterConfigOpType.SET)
                    for key, value in config.items()
                ],
            )
        )
    for future in admin.incremental_alter_configs(resources).values():
        future.result(20)


def test_nothing_is_left_in_any_file(
    settings: Settings,
    leadpulse: Run,  # noqa: F811 - the fixture
    tmp_path: Path,
) -> None:
    """After compaction and retention no topic and no file knows the person.

    Until then a replay of the events, by a worker that starts from nothing and into a
    view that does, knows them neither; what is left of them is the audit record.
    """
    worker = WorkerProcess(settings, tmp_path / "data" / "worker.log").start()
    try:
        worker.wait_ready()
        leave_letters(settings)
        produce(settings, lives())
        with fed(settings) as view:
            wait_for_people(view)
            assert in_files(tmp_path / "data")  # the search finds what is there
            done = leadpulse("erase", MAIL, "--yes", "--by", "dpo")
            assert done.code == 0, done.err
            assert "dead letters 1 taken out" in done.out
            wait_until(
                lambda: tombstones(settings) >= {lead.encode() for lead in LEADS},
                30,
                "every identity to be erased",
            )
            wait_until_gone(lambda: in_redis(settings), 20, "left in Redis")
        assert len(read_all(settings, DEAD_LETTERS)) == 1

        # A deployment that starts from nothing reads all of it again.
        worker.stop(20)
        fresh = settings.model_copy(update={"app_id": f"{settings.app_id}-again"})
        again = WorkerProcess(fresh, tmp_path / "data" / "again.log").start()
        try:
            events = lives(first=100)
            produce(settings, events)
            again.wait_ready(60)
            wait_until(
                lambda: committed(fresh) >= 2 * len(events), 60, "all to be read again"
            )
        finally:
            again.end()
        with fed(settings) as view:
            view.drop()
            wait_until(lambda: view.lead(BOB) is not None, 40, "a new view")
            assert in_redis(settings) == []
        assert set(stored_with_redirects(settings)) == {BOB}
        assert in_topics(settings, only=is_kept_by_rule) == []
        hasten(settings)

        def left() -> list[str]:
            # Whatever comes next closes the segments that were written last.
            for topic in TOPICS:
                for partition in range(settings.partitions):
                    put_raw(settings, topic, b"x", key=b"next", partition=partition)
            return in_files(tmp_path / "data")

        wait_until_gone(left, 120, "left in files")
        assert in_topics(settings, only=lambda _: True) == []
        assert in_redis(settings) == []
        keyed = PrivacyKey("a long secret")
        told = [each.value() or b"" for each in read_all(settings, AUDIT)]
        erased = [each for each in told if b'"kind":"erasure"' in each]
        subjects = {msgspec.json.decode(each)["subject"] for each in erased}
        assert subjects >= set(map(keyed.subject, LEADS))
        assert read_all(settings, SUPPRESSIONS)
    finally:
        worker.end()
