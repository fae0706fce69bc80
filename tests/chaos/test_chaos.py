"""Every fault once on Apache Kafka, planted bugs that must be found, a cluster."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from streams.redis_server import RedisServer
from tests.chaos.faults import (
    EVERY,
    Fault,
    kill,
    kill_and_leave,
    zombie,
)
from tests.chaos.run import play
from tests.chaos.stage import ProxiedBroker, brokers

pytestmark = pytest.mark.integration

PLANTED = str(Path(__file__).with_name("planted.py"))
ENOUGH = 1_000_000
"""More events than a short form has time for: they come as long as there are faults."""


@pytest.fixture(scope="module")
def servers(
    apache_kafka_possible: None,  # noqa: ARG001 - skips or fails first
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[tuple[ProxiedBroker, RedisServer]]:
    with brokers(tmp_path_factory.mktemp("chaos")) as both:
        yield both


def test_every_fault(
    servers: tuple[ProxiedBroker, RedisServer], tmp_path: Path
) -> None:
    """Nothing is lost, counted twice or told in two ways, whatever fails meanwhile."""
    broker, redis = servers
    outcome = play(
        broker,
        redis,
        tmp_path,
        seed=7,
        leads=800,
        events=ENOUGH,
        rate=200,
        standbys=1,
        faults=EVERY,
    )

    assert not outcome.findings, "\n".join(outcome.lines())
    assert outcome.accepted.events > 5_000


@pytest.mark.parametrize(
    ("bug", "faults"),
    [
        ("no-positions", (kill, kill_and_leave)),
        ("commit-before-flush", (kill, kill)),
        ("no-fencing", (zombie, kill_and_leave)),
    ],
)
def test_planted_bugs_are_found(
    servers: tuple[ProxiedBroker, RedisServer],
    tmp_path: Path,
    bug: str,
    faults: tuple[Fault, ...],
) -> None:
    """A worker without one of the things that the guarantee stands on is found out.

    Whether a fault meets the moment that the bug needs is chance: it has three tries.
    """
    broker, redis = servers
    outcomes = (
        play(
            broker,
            redis,
            tmp_path / str(seed),
            seed=seed,
            leads=800,
            events=ENOUGH,
            rate=200,
            faults=faults,
            command=(PLANTED, bug),
        )
        for seed in (7, 8, 9)
    )

    assert any(outcome.findings for outcome in outcomes)
