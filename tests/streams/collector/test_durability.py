"""A 2xx means that Kafka or the disk has it; anything else means send it again."""

import json
import socket
import threading

import httpx
import pytest

from streams.broker import EmbeddedBroker
from streams.settings import Settings
from streams.topics_admin import create_topics
from tests.conftest import MakeTopics
from tests.freezing import frozen
from tests.streams.collector.conftest import KEYS, Read, read_records, running
from tests.waiting import wait_until

AUTH = ("wk-1", "")


@pytest.fixture
def frail(own_broker: EmbeddedBroker, make_topics: MakeTopics) -> Settings:
    """Settings of a collector on that broker, impatient and without a spool."""
    return make_topics(
        bootstrap=own_broker.bootstrap,
        write_keys=KEYS,
        collector_port=0,
        produce_timeout_seconds=2,
        spool_max_bytes=0,
    )


def track(client: httpx.Client, event_id: str) -> int:
    body = {"event": "x", "userId": "u", "messageId": event_id}
    return client.post("/v1/track", json=body, auth=AUTH).status_code


def test_a_dead_broker(own_broker: EmbeddedBroker, frail: Settings) -> None:
    """While the broker is away nothing is accepted; when it is back, everything is."""
    with running(frail) as (client, _):
        assert track(client, "before") == 200
        own_broker.kill()
        answer = client.post("/v1/track", json={"event": "x", "userId": 1}, auth=AUTH)
        assert answer.status_code == 503
        assert answer.headers["retry-after"]
        assert answer.json()["success"] is False
        assert client.get("/readyz").status_code == 503
        assert client.get("/healthz").status_code == 200
        own_broker.start()
        create_topics(frail)
        wait_until(lambda: track(client, "after") == 200, within=20)
        assert client.get("/readyz").status_code == 200

    ids = {
        json.loads(one.value)["id"]
        for one in read_records(frail, None, "web.events.v1")
    }
    assert "after" in ids


def test_a_frozen_broker(own_broker: EmbeddedBroker, frail: Settings) -> None:
    """A broker that hangs gives 503 in time; the client's repeat has the same id."""
    assert own_broker.child is not None
    pid = own_broker.child.pid
    assert pid is not None
    with running(frail) as (client, _):
        assert track(client, "before") == 200
        with frozen(pid):
            assert track(client, "repeated") == 503
        wait_until(lambda: track(client, "repeated") == 200, within=20)

    ids = {
        json.loads(one.value)["id"]
        for one in read_records(frail, None, "web.events.v1")
    }
    assert ids == {"before", "repeated"}


def test_a_stop_finishes_what_is_under_way(settings: Settings, read: Read) -> None:
    """A request in flight when the collector stops is still answered and stored."""
    body = json.dumps({"event": "x", "userId": "u", "messageId": "m"}).encode()
    head = (
        b"POST /v1/track HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer wk-1\r\n"
        b"Content-Length: %d\r\n\r\n" % len(body)
    )
    before = set(threading.enumerate())
    with running(settings) as (client, server):
        port = client.base_url.port
        assert port is not None
        with socket.create_connection(("127.0.0.1", port), timeout=10) as peer:
            peer.sendall(head + body[:10])
            wait_until(lambda: server.server_state.tasks, what="the request to start")
            server.should_exit = True
            wait_until(lambda: refuses(port), what="the listener to close")
            peer.sendall(body[10:])
            assert peer.recv(10_000).startswith(b"HTTP/1.1 200 ")

    wait_until(
        lambda: (
            not any(
                thread.name == "event-log"
                for thread in set(threading.enumerate()) - before
            )
        ),
        what="the collector's producer to end",
    )
    assert json.loads(read(1, "web.events.v1")[0].value)["id"] == "m"


def refuses(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return True
    return False


def test_many_clients(settings: Settings, read: Read) -> None:
    """Every event that any of many clients was told is stored, is stored once."""
    told: list[str] = []

    def send(client: httpx.Client, number: int) -> None:
        for index in range(25):
            event_id = f"{number}-{index}"
            if track(client, event_id) == 200:
                told.append(event_id)

    with running(settings) as (client, _):
        threads = [
            threading.Thread(target=send, args=(client, number)) for number in range(8)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    assert len(told) == 200
    ids = [json.loads(one.value)["id"] for one in read(200, "web.events.v1")]
    assert sorted(ids) == sorted(told)
