"""The web app on a real socket, fed by a real view from a real broker."""

import threading
import uuid
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field

import httpx
import msgspec
import pytest
from confluent_kafka import Producer

from schemas.score import Identifiers, ScoreUpdate
from schemas.time import Instant
from schemas.topics import NOTIFICATIONS, SCORE_UPDATES
from scorers.identity import lead_id_of
from streams.clock import SystemClock
from streams.settings import Settings
from streams.topics_admin import create_topics
from streams.view import View, connect_view
from streams.view_feed import ViewFeed
from streams.web.server import bind, create_server
from streams.web.sources import Sources
from tests.streams.view.records import T0, change, update
from tests.waiting import wait_until

TOKENS = {
    "viewer": "viewer-token-0123456789",
    "sales": "sales-token-0123456789",
    "admin": "admin-token-0123456789",
}


@contextmanager
def serving(settings: Settings, view: View) -> Iterator[str]:
    """Run the app in a thread; gives its URL."""
    listener = bind(settings)
    server = create_server(Sources(settings, view, settings.clock()))
    thread = threading.Thread(target=server.run, args=([listener],), daemon=True)
    thread.start()
    wait_until(lambda: server.started, what="the web app to listen")
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join(30)
        assert not thread.is_alive()


@dataclass
class Web:
    """A running web app with what feeds it."""

    url: str
    settings: Settings
    view: View
    clients: list[httpx.Client] = field(default_factory=list)
    shared: dict[str, httpx.Client] = field(default_factory=dict)

    def of(self, role: str | None) -> httpx.Client:
        """Return a client with a token of this role; None for nobody's."""
        headers = {} if role is None else {"Authorization": f"Bearer {TOKENS[role]}"}
        client = httpx.Client(base_url=self.url, headers=headers, timeout=30)
        self.clients.append(client)
        return client

    def known(self, role: str) -> httpx.Client:
        """Return the same client with a token of this role every time."""
        if role not in self.shared:
            self.shared[role] = self.of(role)
        return self.shared[role]

    def signed_in(self, role: str) -> httpx.Client:
        """Return the same browser, whose user has signed in, every time."""
        name = f"{role}'s browser"
        if name not in self.shared:
            self.shared[name] = self._signed_in(role)
        return self.shared[name]

    def _signed_in(self, role: str) -> httpx.Client:
        client = self.of(None)
        client.headers["Sec-Fetch-Site"] = "same-origin"
        answer = client.post("/sign-in", data={"token": TOKENS[role]})
        assert answer.status_code == 303, answer.text
        return client

    def put(self, *updates: ScoreUpdate) -> None:
        """Write updates straight into the view."""
        self.view.write(self.view.build(), map(change, updates), {})

    def publish(self, value: object, topic: str = SCORE_UPDATES.name) -> None:
        """Put a record on a topic, for the feed to bring."""
        producer = Producer({"bootstrap.servers": self.settings.bootstrap})
        key = getattr(value, "lead_id", "").encode()
        raw = msgspec.json.encode(value)
        producer.produce(self.settings.topic(topic), key=key, value=raw)
        assert producer.flush(10) == 0


@pytest.fixture(scope="module")
def web_settings(
    broker: str, redis_url: str, tmp_path_factory: pytest.TempPathFactory
) -> Settings:
    unique = f"w{uuid.uuid4().hex[:8]}"
    settings = Settings.model_validate(
        {
            "bootstrap": broker,
            "redis_url": redis_url,
            "partitions": 1,
            "topic_prefix": f"{unique}.",
            "app_id": unique,
            "metrics_port": 0,
            "web_port": 0,
            "web_rate_limit": "",
            "data_dir": tmp_path_factory.mktemp("web"),
            "access_tokens": ",".join(
                f"{role}=" + f"{role}:{token}" for role, token in TOKENS.items()
            ),
            "privacy_key": "a long secret of the tests",
        }
    )
    create_topics(settings)
    return settings


@pytest.fixture(scope="module")
def web(web_settings: Settings) -> Iterator[Web]:
    """A running web app, one for a module; each test has its own leads."""
    settings = web_settings
    url = settings.redis_url.get_secret_value()
    with (
        closing(connect_view(url, prefix=settings.topic_prefix)) as view,
        feeding(settings, view),
        serving(settings, view) as base,
    ):
        running = Web(base, settings, view)
        yield running
        for client in running.clients:
            client.close()


@contextmanager
def feeding(settings: Settings, view: View) -> Iterator[None]:
    """Keep the view fed from the topics."""
    stop, feed = threading.Event(), ViewFeed(settings, view, SystemClock())
    thread = threading.Thread(target=feed.run, args=(stop,), daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(20)


MakeLead = Callable[..., ScoreUpdate]


def lead(
    name: str, score: float = 10.0, *, sequence: int = 1, **given: object
) -> ScoreUpdate:
    """Return the update of a lead known by the address `name`@example.com."""
    email = f"{name}@example.com"
    values: dict[str, object] = {"tier": "bronze", "at": T0, **given}
    at = values.pop("at")
    assert isinstance(at, Instant)
    return update(
        lead_id=lead_id_of("email", email),
        sequence=sequence,
        score=score,
        identifiers=Identifiers(email=(email,)),
        at=at,
        **values,  # type: ignore[arg-type] # a test's own
    )


__all__ = ["NOTIFICATIONS", "TOKENS", "Web", "lead", "serving"]
