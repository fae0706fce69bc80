"""Every HTTP surface of the collector, one by one: who may not is refused and counted.

The table is the application's own list of routes, so a route that is new is tried, too.
What signatures, replays, bombs and slow senders meet in detail is tried beside each.
"""

from collections import Counter
from collections.abc import Iterator
from typing import Final, NamedTuple

import httpx
import pytest
from prometheus_client import REGISTRY
from starlette.applications import Starlette
from starlette.routing import Route

from schemas.topics import DEAD_LETTERS, DELIVERIES, EVENT_TOPICS
from streams.settings import Settings
from tests.conftest import MakeTopics
from tests.streams.collector.conftest import KEYS, running
from tests.worker_harness import read_all

OPEN: Final = {
    "/healthz": "a probe",
    "/readyz": "a probe",
    "/openapi.json": "what anybody may ask for",
    "/lp.js": "the snippet of sites",
}
"""What anybody may read; it says nothing of anybody."""
MOST_BODY = 4_096


class Door(NamedTuple):
    """A method of a route, and its path with what nobody has ever given out."""

    method: str
    route: str

    @property
    def path(self) -> str:
        return self.route.replace("{write_key}", "guessed").replace("{token}", "forged")


class Surface(NamedTuple):
    """A running collector: a client, its settings, its doors."""

    client: httpx.Client
    settings: Settings
    doors: list[Door]

    def written(self) -> int:
        topics = (*EVENT_TOPICS, DEAD_LETTERS, DELIVERIES)
        return sum(len(read_all(self.settings, topic)) for topic in topics)


@pytest.fixture
def surface(make_topics: MakeTopics) -> Iterator[Surface]:
    settings = make_topics(
        partitions=1,
        write_keys=KEYS,
        collector_port=0,
        link_secrets="s" * 32,
        max_body_bytes=MOST_BODY,
        max_event_bytes=MOST_BODY,
    )
    with running(settings) as (client, server):
        app = server.config.app
        assert isinstance(app, Starlette)
        doors = [
            Door(method, route.path)
            for route in app.routes
            if isinstance(route, Route)
            for method in sorted((route.methods or set()) - {"HEAD"})
        ]
        yield Surface(client, settings, doors)


def counted() -> float:
    """Return how many requests the collector has counted as refused."""
    return sum(
        sample.value
        for metric in REGISTRY.collect()
        for sample in metric.samples
        if sample.name == "leadpulse_collector_requests_total"
        and sample.labels["status"].startswith("4")
    )


def refused(surface: Surface, doors: list[Door], **given: object) -> Counter[int]:
    """Return how doors answered; each must refuse, and count it."""
    before, answers = counted(), Counter[int]()
    for door in doors:
        answer = surface.client.request(door.method, door.path, **given)
        answers[answer.status_code] += 1
        assert 400 <= answer.status_code < 500, (door, answer.status_code, answer.text)
        assert "mallory" not in answer.text, door
    assert counted() - before == len(doors)
    return answers


def test_every_door_is_shut_to_strangers(surface: Surface) -> None:
    """Wrong keys, forged tokens, too much: refused and counted, and nothing written.

    Other methods are answered with 405 everywhere.
    """
    closed = [door for door in surface.doors if door.route not in OPEN]
    assert len(closed) > 100
    assert {door.route for door in surface.doors} >= OPEN.keys()
    stranger = {"Authorization": "Bearer guessed", "X-Signature": "forged"}
    gets = [door for door in closed if door.method == "GET"]
    posts = [door for door in closed if door.method == "POST"]
    refused(surface, gets, headers=stranger)
    body = b'{"event": "x", "userId": "mallory"}'
    refused(surface, posts, content=body, headers=stranger)
    # Whoever has a key may not send more than is allowed either, nor without an end.
    keyed = [Door("POST", each.route.replace("{write_key}", "wk-1")) for each in posts]
    much = b"[" + body * (MOST_BODY // len(body) + 1) + b"]"
    answers = refused(surface, keyed, content=much, auth=("wk-1", ""))
    assert answers[413] > len(keyed) // 2, answers
    unmeasured = iter([much])  # sent in chunks, without a length
    track = [door for door in keyed if door.route == "/v1/track"]
    assert refused(surface, track, content=unmeasured, auth=("wk-1", "")) == {413: 1}
    wrong = [Door("DELETE", route) for route in {door.route for door in closed}]
    assert refused(surface, wrong) == {405: len(wrong)}
    assert surface.written() == 0
