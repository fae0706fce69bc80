"""The view is fed from a real broker into a real Redis, and heals."""

import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import msgspec
import pytest
from confluent_kafka import Producer, TopicPartition
from prometheus_client import REGISTRY

from schemas.topics import ACCOUNT_SCORES, NOTIFICATIONS, SCORE_UPDATES, WEB_EVENTS
from streams.clock import SystemClock
from streams.redis_server import RedisServer
from streams.settings import Settings
from streams.view import View, connect_view
from streams.view_feed import ViewFeed
from tests.streams.view.records import ACME, ADA, account, alert, event, update
from tests.waiting import wait_until


@pytest.fixture
def redis_server(tmp_path: Path) -> Iterator[RedisServer]:
    with RedisServer(tmp_path / "redis", keep=False) as server:
        yield server


@pytest.fixture
def view(redis_server: RedisServer) -> Iterator[View]:
    with closing(connect_view(redis_server.url)) as view:
        yield view


@pytest.fixture
def feed(topics: Settings, view: View) -> Iterator[ViewFeed]:
    """A running feed, stopped in good order at the end."""
    stop, feed = threading.Event(), ViewFeed(topics, view, SystemClock())
    thread = threading.Thread(target=feed.run, args=(stop,))
    thread.start()
    yield feed
    stop.set()
    thread.join(10)
    assert not thread.is_alive()


@pytest.fixture
def put(topics: Settings) -> Callable[..., None]:
    """Put a value on a topic under the test lead's key, durably."""
    producer = Producer({"bootstrap.servers": topics.bootstrap, "linger.ms": 0})

    def put(topic: str, value: object) -> None:
        raw = value if value is None or isinstance(value, bytes) else encode(value)
        producer.produce(topics.topic(topic), key=ADA.encode(), value=raw)
        assert producer.flush(10) == 0

    return put


encode = msgspec.json.encode


def score(view: View) -> float | None:
    card = view.lead(ADA)
    return None if card is None else card.update.score


def account_score(view: View) -> float | None:
    card = view.accounts.show(ACME)
    return None if card is None else card.update.score


@pytest.mark.usefixtures("feed")
def test_the_view_follows_the_topics(
    topics: Settings, view: View, put: Callable[..., None]
) -> None:
    """Scores, alerts and events appear; what cannot be read is passed over."""
    skipped = {"topic": topics.topic(SCORE_UPDATES.name)}
    put(SCORE_UPDATES.name, update(score=10))
    put(SCORE_UPDATES.name, b"{not json")
    put(SCORE_UPDATES.name, update(sequence=2, score=62, tier="gold"))
    put(NOTIFICATIONS.name, alert())
    put(WEB_EVENTS.name, event())
    put(ACCOUNT_SCORES.name, account(score=33))

    card = wait_until(
        lambda: (
            (card := view.lead(ADA))
            and (card.update.score, len(card.alerts), len(card.events)) == (62, 1, 1)
            and card
        ),
        within=20,
    )
    assert [at.score for at in card.history] == [10, 62]
    assert REGISTRY.get_sample_value("leadpulse_view_skipped_total", skipped) == 1

    wait_until(lambda: account_score(view) == 33, what="the account's score")
    put(SCORE_UPDATES.name, None)
    wait_until(lambda: view.lead(ADA) is None, what="the tombstone to erase the lead")


def test_the_view_heals(
    feed: ViewFeed, view: View, redis_server: RedisServer, put: Callable[..., None]
) -> None:
    """A dropped view fills again; a Redis that lost all is waited for and filled."""
    put(SCORE_UPDATES.name, update(score=10, account_id=ACME))
    put(ACCOUNT_SCORES.name, account(score=33))
    wait_until(lambda: score(view) == 10 and account_score(view) == 33, within=20)

    view.drop()
    put(WEB_EVENTS.name, event())  # any write notices
    wait_until(lambda: score(view) == 10, what="the dropped view to be filled again")
    wait_until(lambda: account_score(view) == 33, what="the accounts, too")
    card = view.accounts.show(ACME)
    assert card is not None
    assert [person.update.lead_id for person in card.people] == [ADA]

    failures = "leadpulse_view_failures_total"
    before = REGISTRY.get_sample_value(failures) or 0
    redis_server.stop()
    put(SCORE_UPDATES.name, update(sequence=2, score=20))
    wait_until(lambda: (REGISTRY.get_sample_value(failures) or 0) > before + 1)
    assert "Redis" in (feed.not_ready() or "")
    assert feed.stuck() is None
    put(SCORE_UPDATES.name, update(sequence=3, score=30))
    redis_server.start()  # empty: this one keeps nothing on disk

    def history() -> list[float]:
        card = view.lead(ADA)
        return [] if card is None else [at.score for at in card.history]

    wait_until(
        lambda: history() == [10, 20, 30],
        within=20,
        what="the view to be filled after Redis came back empty",
    )
    assert score(view) == 30
    assert feed.not_ready() is None
    wait_until(lambda: (card := view.lead(ADA)) and card.events)


def test_what_was_paused_and_lost_flows_when_it_comes_again(
    topics: Settings, view: View, put: Callable[..., None]
) -> None:
    """Redis and the group go at once: librdkafka would keep the partitions paused.

    Who resumes what is assigned has nothing to resume by then.
    """
    put(SCORE_UPDATES.name, update(score=10))
    partitions = [
        TopicPartition(topics.topic(SCORE_UPDATES.name), each)
        for each in range(topics.partitions)
    ]
    feed = ViewFeed(topics, view, SystemClock())
    consumer = feed._consumer
    try:
        feed._assigned(consumer, partitions)
        wait_until(lambda: feed._take(0.2), what="the update")
        feed._wait(0.0)
        consumer.unassign()
        consumer.resume(consumer.assignment())
        feed._assigned(consumer, partitions)
        wait_until(lambda: feed._take(0.2), what="the update once more")
    finally:
        consumer.close()
