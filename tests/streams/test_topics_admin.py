"""Topics are made as defined, and what differs is found and named."""

from concurrent.futures import Future
from typing import Any

import pytest
from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import AdminClient, NewTopic  # type: ignore[attr-defined]
from typer.testing import CliRunner

from schemas.topics import LEAD_STATE, SCORE_UPDATES, TOPICS, WEB_EVENTS
from streams import topics_admin
from streams.cli.topics import app
from streams.settings import Settings
from streams.topics_admin import (
    BrokerUnreachableError,
    UnfitTopicsError,
    check_topics,
    create_topics,
    shared_partitions,
)
from tests.conftest import MakeTopics


def remake(settings: Settings, name: str, partitions: int, **config: str) -> None:
    """Replace a topic by one that is made differently."""
    admin = AdminClient({"bootstrap.servers": settings.bootstrap})
    topic = settings.topic(name)
    admin.delete_topics([topic])[topic].result(10)
    dotted = {key.replace("_", "."): value for key, value in config.items()}
    new = NewTopic(topic, partitions, 1, config=dotted)
    admin.create_topics([new])[topic].result(10)


def problems(settings: Settings) -> dict[str, str]:
    """Return what is wrong by topic, without its prefix."""
    return {
        report.topic.name: "; ".join(report.problems)
        for report in check_topics(settings)
        if report.problems
    }


def run(settings: Settings, command: str) -> tuple[int, str]:
    """Return exit code and output of `leadpulse topics <command>`."""
    environ = {**settings.environ(), "COLUMNS": "200"}
    result = CliRunner().invoke(app, [command], env=environ)
    return result.exit_code, result.output


def test_created_topics_are_fit(topics: Settings) -> None:
    """After creation all topics are ok and share their number of partitions."""
    reports = check_topics(topics)

    assert {report.state for report in reports} == {"ok"}
    assert shared_partitions(reports) == topics.partitions


def test_creation_reports_what_it_made(broker: str) -> None:
    """The first run makes all, the second none, a third only what went missing."""
    settings = Settings(bootstrap=broker, topic_prefix="made.", partitions=2)
    web = settings.topic(WEB_EVENTS.name)

    first = [report.state for report in create_topics(settings)]
    second = [report.state for report in create_topics(settings)]
    admin = AdminClient({"bootstrap.servers": broker})
    admin.delete_topics([web])[web].result(10)
    third = {report.name: report.state for report in create_topics(settings)}

    assert set(first) == {"created"}
    assert set(second) == {"ok"}
    assert third.pop(web) == "created"
    assert set(third.values()) == {"ok"}


def test_a_missing_topic_is_found(broker: str) -> None:
    """Nothing is made by looking: every topic is missing before and after."""
    settings = Settings(bootstrap=broker, topic_prefix="never-made.")

    for _ in range(2):
        reports = check_topics(settings)
        assert {report.state for report in reports} == {"missing"}
    with pytest.raises(UnfitTopicsError, match="leadpulse topics create"):
        shared_partitions(reports)


def test_unequal_partitions_are_found(topics: Settings) -> None:
    """One topic with another number of partitions would split leads: it is named."""
    remake(topics, WEB_EVENTS.name, 3)

    (found,) = problems(topics).items()

    assert found[0] == WEB_EVENTS.name
    assert "has 3 partitions where its fellows have 4" in found[1]


def test_dead_letters_may_have_their_own_partitions(topics: Settings) -> None:
    """Only topics that a lead's state depends on must agree."""
    remake(topics, "dead-letters.v1", 1)

    assert problems(topics) == {}


def test_a_wrong_policy_is_found(topics: Settings) -> None:
    """A changelog that deletes would forget leads; a short lag loses updates."""
    remake(topics, LEAD_STATE.name, 4, cleanup_policy="delete")
    remake(
        topics,
        SCORE_UPDATES.name,
        4,
        cleanup_policy="compact",
        min_compaction_lag_ms="1000",
    )

    found = problems(topics)

    assert "cleanup.policy is delete, must be compact" in found[LEAD_STATE.name]
    assert "min.compaction.lag.ms is 1000" in found[SCORE_UPDATES.name]


def test_what_a_broker_does_not_tell_is_unknown(topics: Settings) -> None:
    """A silent broker is neither fit nor unfit: it is said that nothing is known."""
    remake(topics, WEB_EVENTS.name, 4)

    code, output = run(topics, "check")

    assert code == 0
    assert "unknown: this broker does not report cleanup.policy" in output


def test_no_broker_is_one_line() -> None:
    """Without a broker the error names the address and what to do."""
    settings = Settings(bootstrap="127.0.0.1:1")

    with pytest.raises(BrokerUnreachableError, match=r"127\.0\.0\.1:1.*LEADPULSE_"):
        check_topics(settings)


def test_check_leaves_with_one_for_findings(
    topics: Settings, make_topics: MakeTopics
) -> None:
    """A script can tell fit topics from unfit ones."""
    assert run(topics, "check")[0] == 0
    other = make_topics()
    remake(other, WEB_EVENTS.name, 3)

    code, output = run(other, "check")

    assert code == 1
    assert f"{other.topic(WEB_EVENTS.name)}: has 3 partitions" in output


def test_create_prints_every_topic(broker: str) -> None:
    """The table has a line per topic."""
    settings = Settings(bootstrap=broker, topic_prefix="printed.", partitions=1)

    code, output = run(settings, "create")

    assert code == 0
    for topic in TOPICS:
        assert settings.topic(topic.name) in output


def test_a_broker_that_does_not_know_a_new_topic_yet(
    make_topics: MakeTopics, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of several brokers one may hear of a topic late: it is asked again."""
    settings = make_topics()
    described = topics_admin._described
    asked = []

    def late(admin: Any, names: list[str]) -> Any:
        asked.append(names)
        futures = described(admin, names)
        if len(asked) == 1:
            unknown: Future[Any] = Future()
            error = KafkaError(KafkaError.UNKNOWN_TOPIC_OR_PART)
            unknown.set_exception(KafkaException(error))
            futures[names[0]] = unknown
        return futures

    monkeypatch.setattr(topics_admin, "_described", late)

    assert not any(report.problems for report in check_topics(settings))
    assert asked[1] == asked[0][:1]
