"""Fixtures that every suite shares: real brokers, a real Redis, fresh topics."""

import os
import secrets
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from streams import processes
from streams.broker import ApacheBroker, EmbeddedBroker
from streams.broker.apache import missing_requirement
from streams.redis_server import RedisServer
from streams.settings import Settings
from streams.topics_admin import create_topics

# Random models are large: that they take long to make says nothing about the core.
_LAWS = settings(deadline=None, suppress_health_check=list(HealthCheck))
settings.register_profile("quick", _LAWS, max_examples=30, derandomize=True)
settings.register_profile("thorough", _LAWS, max_examples=1_000)
settings.register_profile("gate", _LAWS, max_examples=200, derandomize=True)
_PROFILE = os.environ.get("HYPOTHESIS_PROFILE") or "quick"
settings.load_profile(_PROFILE)
if _PROFILE == "thorough":
    # New random models each time, the same ones again for whoever names the seed.
    os.environ.setdefault("LEADPULSE_LAWS_SEED", secrets.token_hex(4))

LIVES_COMPARED = "lives compared"
"""The property of a test that says how many lives it held against the oracle."""


def pytest_configure() -> None:
    """Let no two processes of a run draw the same port at the same time."""
    number = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    ports = processes._FREE_PORTS
    size = len(ports) // int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    share = ports[number * size : (number + 1) * size]
    processes._FREE_PORTS = share  # type: ignore[misc] # Final for all but tests


def pytest_report_header() -> str:
    """Say how the laws can be run again on the same models."""
    seed = os.environ.get("LEADPULSE_LAWS_SEED", "0")
    return f"laws: profile {_PROFILE}, random models from LEADPULSE_LAWS_SEED={seed}"


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say how many random lives were held against the oracle."""
    compared = sum(
        value
        for report in terminalreporter.getreports("passed")
        for name, value in report.user_properties
        if name == LIVES_COMPARED and isinstance(value, int)
    )
    if compared:
        terminalreporter.write_line(f"{compared:,} random lives agree with the oracle")


@pytest.fixture(scope="session")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Bootstrap address of an embedded broker, one for the whole run."""
    with EmbeddedBroker(tmp_path_factory.mktemp("broker")) as embedded:
        yield embedded.bootstrap


@pytest.fixture(scope="session")
def kafka(
    apache_kafka_possible: None,  # noqa: ARG001 - skips or fails first
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[str]:
    """Bootstrap address of Apache Kafka, one node for the whole run."""
    with ApacheBroker(tmp_path_factory.mktemp("kafka")) as apache:
        yield apache.bootstrap


@pytest.fixture(scope="session")
def apache_kafka_possible() -> None:
    """Skip with the reason where Java or Maven is missing; in CI, fail with it."""
    missing = missing_requirement()
    if missing is None:
        return
    required = (
        os.environ.get("CI") == "true"
        or os.environ.get("LEADPULSE_REQUIRE_KAFKA") == "1"
    )
    reason = f"APACHE KAFKA IS NOT TESTED HERE: {missing}"
    if required:
        pytest.fail(reason)
    pytest.skip(reason)


@pytest.fixture(scope="session")
def redis_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """URL of an embedded Redis, one for the whole run; use your own key prefix."""
    with RedisServer(tmp_path_factory.mktemp("redis"), keep=False) as server:
        yield server.url


MakeTopics = Callable[..., Settings]


@pytest.fixture
def make_topics(broker: str, tmp_path: Path) -> MakeTopics:
    """Make all topics under a fresh prefix; returns the settings that name them.

    Call it as ``make_topics(bootstrap=…, partitions=4, **settings)``; without a
    bootstrap it uses the embedded broker.
    """

    def make(
        *, bootstrap: str = broker, partitions: int = 4, **given: object
    ) -> Settings:
        unique = f"t{uuid.uuid4().hex[:8]}"
        settings = Settings.model_validate(
            {
                "bootstrap": bootstrap,
                "partitions": partitions,
                "topic_prefix": f"{unique}.",
                "app_id": unique,
                "metrics_port": 0,
                "data_dir": tmp_path / "data" / unique,
                **given,
            }
        )
        create_topics(settings)
        return settings

    return make


@pytest.fixture
def topics(make_topics: MakeTopics, tmp_path: Path) -> Settings:
    """Settings of a deployment of its own on the embedded broker, 4 partitions."""
    return make_topics(data_dir=tmp_path / "data")
