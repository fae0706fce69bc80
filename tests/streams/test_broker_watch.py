"""The broker seen from outside: who is behind, for how long, and what is missing."""

import threading

import pytest
from confluent_kafka import Consumer, TopicPartition
from prometheus_client import REGISTRY

from schemas.topics import WEB_EVENTS
from streams.broker_watch import (
    BrokerSilentError,
    LagClock,
    Sight,
    Watcher,
    tell_metrics,
    watch_broker,
)
from streams.settings import Settings
from tests.waiting import wait_until
from tests.worker_harness import put_raw

WEB = WEB_EVENTS.name


def commit(settings: Settings, group: str, partition: int, offset: int) -> None:
    consumer = Consumer(
        {
            "bootstrap.servers": settings.bootstrap,
            "group.id": f"{settings.app_id}.{group}",
        }
    )
    place = TopicPartition(settings.topic(WEB), partition, offset)
    consumer.commit(offsets=[place], asynchronous=False)
    consumer.close()


def test_lag_is_what_a_group_has_not_done(topics: Settings) -> None:
    """Of each topic a group has committed on, the records beyond are counted."""
    for _ in range(3):
        put_raw(topics, WEB_EVENTS, b"{}", partition=1)
    commit(topics, "scoring", 1, 1)

    sight = Watcher(topics).look()

    assert sight.brokers == 1
    assert sight.ends[WEB, 1] == 3
    assert sight.lag("scoring") == {WEB: 2}
    assert sight.lag("view") == {}
    assert (sight.leaderless, sight.underreplicated) == ([], [])


def test_a_silent_broker_is_told() -> None:
    """What cannot be asked is an error of its own, in one line."""
    settings = Settings(bootstrap="127.0.0.1:1")

    with pytest.raises(BrokerSilentError, match="does not tell"):
        Watcher(settings, within=0.5).look()


def sight(*, end: int, done: int) -> Sight:
    place = (WEB, 0)
    return Sight(1, {place: end}, {"scoring": {place: done}})


def test_waiting_is_measured_from_the_oldest_record_that_is_not_done() -> None:
    """Progress on older records shortens the wait, new records do not lengthen it."""
    clock, seen = LagClock(), []
    for now, end, done in (
        (100.0, 5, 5),  # nothing waits
        (110.0, 8, 5),  # three came, now at the latest
        (120.0, 9, 6),  # one more; the first three are not all done
        (130.0, 9, 8),  # only the last one is left, ten seconds old
        (140.0, 9, 9),
    ):
        clock.note(sight(end=end, done=done), now)
        seen.append(clock.seconds(sight(end=end, done=done), "scoring", now)[WEB])

    assert seen == [0.0, 0.0, 10.0, 10.0, 0.0]


def test_the_metrics_say_what_was_seen(topics: Settings) -> None:
    """A thread looks again and again, and the gauges follow."""
    labels = {"group": "scoring", "topic": WEB}
    commit(topics, "scoring", 0, 0)
    put_raw(topics, WEB_EVENTS, b"{}", partition=0)
    stop = threading.Event()
    thread = watch_broker(topics, stop, every=0.05)

    wait_until(lambda: REGISTRY.get_sample_value("leadpulse_lag_records", labels) == 1)
    commit(topics, "scoring", 0, 1)
    wait_until(lambda: REGISTRY.get_sample_value("leadpulse_lag_records", labels) == 0)
    stop.set()
    thread.join(10)

    assert not thread.is_alive()
    assert REGISTRY.get_sample_value("leadpulse_brokers") == 1


def test_partitions_without_leader_or_replica_are_counted() -> None:
    """They are two different troubles, and two metrics."""
    place = (WEB, 0)
    seen = Sight(2, {}, {}, leaderless=[place], underreplicated=[place, (WEB, 1)])

    tell_metrics(seen, LagClock(), 0.0)

    assert REGISTRY.get_sample_value("leadpulse_partitions_leaderless") == 1
    assert REGISTRY.get_sample_value("leadpulse_partitions_underreplicated") == 2
