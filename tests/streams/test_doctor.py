"""The doctor finds what is wrong and says what to do, each thing for itself."""

import asyncio
from pathlib import Path

import pytest
from confluent_kafka import Consumer, Producer, TopicPartition
from typer.testing import CliRunner

from schemas.topics import DEAD_LETTERS, WEB_EVENTS
from streams.cli.doctor import app
from streams.doctor import Finding, _skew, _spool, examine
from streams.event_log import Record
from streams.settings import Settings, load_settings
from streams.spool import Spool
from tests.worker_harness import put_raw

NOWHERE = "127.0.0.1:1"


def found(settings: Settings) -> dict[str, Finding]:
    """Return the findings by subject; of two on one subject the later."""
    return {finding.subject: finding for finding in examine(settings)}


@pytest.fixture
def healthy(topics: Settings, redis_url: str) -> Settings:
    """A deployment in which nothing is wrong."""
    environ = {**topics.environ(), "LEADPULSE_WRITE_KEYS": "web=k"}
    return load_settings(environ, redis_url=redis_url)


def test_a_healthy_deployment_is_all_ok(healthy: Settings) -> None:
    """Every check is made, and none of them has anything to say."""
    findings = found(healthy)

    assert set(findings) == {
        "versions",
        "model",
        "write keys",
        "broker",
        "topics",
        "partitions",
        "privacy",
        "dead letters",
        "redis",
        "clocks",
    }
    assert {finding.verdict for finding in findings.values()} == {"ok"}


def test_every_check_stands_for_itself() -> None:
    """With nothing there each failure is told, with what to do, not only the first."""
    settings = load_settings(
        {}, bootstrap=NOWHERE, redis_url=f"redis://{NOWHERE}/0", model_path="/no/m.yaml"
    )

    findings = found(settings)

    assert findings["versions"].verdict == "ok"
    for subject, advice in (
        ("model", "/no/m.yaml"),
        ("broker", "LEADPULSE_BOOTSTRAP"),
        ("redis", "LEADPULSE_REDIS_URL"),
    ):
        assert findings[subject].verdict == "fail"
        assert advice in findings[subject].text
    assert findings["write keys"].verdict == "warn"


def test_an_invalid_model_fails(healthy: Settings, tmp_path: Path) -> None:
    """A model that would not load is found before a worker stumbles over it."""
    path = tmp_path / "broken.yaml"
    path.write_text("rules: [", encoding="utf-8")

    finding = found(healthy.model_copy(update={"model_path": path}))["model"]

    assert finding.verdict == "fail"
    assert str(path) in finding.text


def test_what_waits_on_a_spool_is_told(tmp_path: Path) -> None:
    """Events on disk are counted, and whether a collector is there to send them."""
    settings = load_settings({}, data_dir=tmp_path)
    assert list(_spool(settings)) == []

    async def fill() -> Finding:
        spool = Spool(tmp_path, limit=1_000_000)
        await spool.put([Record("t", None, b"{}", [])], at=1)
        (running,) = _spool(settings)
        await spool.close()
        return running

    running = asyncio.run(fill())
    (left,) = _spool(settings)

    assert running.verdict == left.verdict == "warn"
    assert "1 events" in running.text
    assert "when Kafka answers" in running.text
    assert "start a collector" in left.text


def test_missing_topics_fail(healthy: Settings) -> None:
    """The command that makes them is named."""
    finding = found(healthy.model_copy(update={"topic_prefix": "not-made."}))["topics"]

    assert finding.verdict == "fail"
    assert "leadpulse topics create" in finding.text


def test_dead_letters_are_a_warning(healthy: Settings) -> None:
    """They are not a failure of the deployment, but somebody should look."""
    producer = Producer({"bootstrap.servers": healthy.bootstrap})
    for number in range(3):
        # One by one: the embedded broker's end offset lags a batch behind.
        producer.produce(
            healthy.topic(DEAD_LETTERS.name), b"{", str(number), partition=0
        )
        assert producer.flush(10) == 0

    finding = found(healthy)["dead letters"]

    assert finding.verdict == "warn"
    assert "leadpulse dead-letters list" in finding.text


def test_events_that_nobody_takes_are_a_failure(healthy: Settings) -> None:
    """A worker that is gone or stuck is seen by what it leaves, and what to do said."""
    topic = healthy.topic(WEB_EVENTS.name)
    put_raw(healthy, WEB_EVENTS, b"{}", partition=0)
    group = Consumer(
        {
            "bootstrap.servers": healthy.bootstrap,
            "group.id": f"{healthy.app_id}.scoring",
        }
    )
    group.commit(offsets=[TopicPartition(topic, 0, 0)], asynchronous=False)
    group.close()

    finding = found(healthy)["group scoring"]

    assert finding.verdict == "fail"
    assert "1 of web.events.v1" in finding.text
    assert "/readyz" in finding.text


def test_too_many_replicas_are_a_warning(healthy: Settings) -> None:
    """Three replicas on one broker cannot be."""
    wanting = healthy.model_copy(update={"replication_factor": 3})

    (finding,) = [one for one in examine(wanting) if one.verdict == "warn"]

    assert "LEADPULSE_REPLICATION_FACTOR" in finding.text


@pytest.mark.parametrize(
    ("seconds", "verdict"), [(0.2, "ok"), (5.0, "warn"), (299.0, "warn"), (300, "fail")]
)
def test_clocks_apart_are_judged(seconds: float, verdict: str) -> None:
    """Seconds are a warning, minutes a failure: decay would be wrong by as much."""
    assert _skew(seconds).verdict == verdict


def test_no_password_is_shown(healthy: Settings) -> None:
    """A Redis that does not answer is not named with its password."""
    settings = load_settings(
        healthy.environ(), redis_url=f"redis://:pa55word@{NOWHERE}/0"
    )

    assert all("pa55word" not in finding.text for finding in examine(settings))


def test_the_exit_code_tells_a_script(healthy: Settings) -> None:
    """Zero when nothing fails, one when something does."""
    well = CliRunner().invoke(app, env=healthy.environ())
    ill = CliRunner().invoke(
        app, env={**healthy.environ(), "LEADPULSE_BOOTSTRAP": NOWHERE}
    )

    assert (well.exit_code, ill.exit_code) == (0, 1)
    assert "fail  broker: " in ill.output
    assert "fail" not in well.output
