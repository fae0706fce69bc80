"""Who is slow, or says too much, does not keep a connection; and where they sit."""

import json
import socket
from collections.abc import Iterator

import httpx
import pytest

from streams import slow_clients
from streams.collector import intake, server
from streams.settings import Settings
from tests.conftest import MakeTopics
from tests.streams.collector.conftest import KEYS, running
from tests.streams.collector.conftest import read_records as read

LINE = b"POST /v1/track HTTP/1.1\r\nHost: x\r\n"
AUTH = b"Authorization: Bearer wk-1\r\n"


@pytest.fixture
def settings(make_topics: MakeTopics) -> Settings:
    """Settings of a collector behind a proxy."""
    return make_topics(write_keys=KEYS, collector_port=0, trusted_proxies="127.0.0.1")


@pytest.fixture
def http(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[httpx.Client]:
    """A client of a collector in a hurry."""
    monkeypatch.setattr(slow_clients, "HEAD_SECONDS", 0.3)
    monkeypatch.setattr(intake, "BODY_SECONDS", 0.3)
    monkeypatch.setattr(server, "_KEEP_ALIVE_SECONDS", 1)
    with running(settings) as (client, _):
        yield client


def connect(http: httpx.Client) -> socket.socket:
    port = http.base_url.port
    assert port is not None
    return socket.create_connection(("127.0.0.1", port), timeout=10)


def answered(peer: socket.socket) -> bytes:
    """Return what comes until the connection is closed."""
    parts = []
    while part := peer.recv(10_000):
        parts.append(part)
    return b"".join(parts)


def test_who_never_ends(http: httpx.Client) -> None:
    """Silence, a head, a second head and a body without an end are all cut off."""
    with (
        connect(http) as silent,
        connect(http) as head,
        connect(http) as second,
        connect(http) as body,
        connect(http) as refused,
    ):
        head.sendall(LINE)
        second.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
        assert second.recv(10_000).startswith(b"HTTP/1.1 200 ")
        second.sendall(LINE)
        body.sendall(LINE + AUTH + b"Content-Length: 10\r\n\r\n{")
        refused.sendall(LINE + b"Authorization: x\r\nContent-Length: 10\r\n\r\n{")
        assert refused.recv(10_000).startswith(b"HTTP/1.1 401 ")
        refused.sendall(b"{")

        assert answered(head).startswith(b"HTTP/1.1 408 ")
        assert b"too-slow" in answered(second)
        told = answered(body)
        assert told.startswith(b"HTTP/1.1 408 ")
        assert b"connection: close" in told.lower()
        assert answered(refused) == b""
        assert answered(silent) == b""
    assert http.get("/healthz").status_code == 200


def test_a_slow_head_that_ends_in_time(http: httpx.Client) -> None:
    """A head in pieces is fine, and so is what follows it on the same connection."""
    request = LINE + AUTH + b"Content-Length: 2\r\n\r\n{}"
    with connect(http) as peer:
        for _ in range(3):
            for start in range(0, len(request), 30):
                peer.sendall(request[start : start + 30])
            assert peer.recv(10_000).startswith(b"HTTP/1.1 400 ")


def test_a_head_without_measure(http: httpx.Client) -> None:
    """A head that grows and grows is cut off, and says why."""
    with connect(http) as peer:
        # Not a byte more than is needed: what is left unread resets the connection.
        header = b"X-%02d: " + b"x" * 1_000 + b"\r\n"
        head = LINE + b"".join(header % number for number in range(70))
        peer.sendall(head[: slow_clients.HEAD_BYTES + 1])
        assert peer.recv(10_000).startswith(b"HTTP/1.1 431 ")


BROWSER = {"Origin": "https://shop.example", "X-Forwarded-For": "8.8.4.4, 9.9.9.9"}


def test_where_a_browser_sits(settings: Settings) -> None:
    """A browser's address is added in short; a server's, or a given one, is not."""
    with running(settings) as (http, _):
        for user, headers, context in (
            ("browser", BROWSER, {}),
            ("given", BROWSER, {"ip": "1.1.1.1"}),
            ("remote", BROWSER, {"ip": "$remote"}),
            ("server", {"X-Forwarded-For": "9.9.9.9"}, {}),
            ("private", {"Origin": "https://shop.example"}, {}),
        ):
            body = {"event": "x", "userId": user, "context": context}
            sent = http.post("/v1/track", json=body, headers=headers, auth=("wk-1", ""))
            assert sent.status_code == 200
    off = settings.model_copy(update={"client_ip": "off"})
    full = settings.model_copy(update={"client_ip": "full"})
    for name, other in (("off", off), ("full", full)):
        with running(other) as (http, _):
            body = {"event": "x", "userId": name}
            http.post("/v1/track", json=body, headers=BROWSER, auth=("wk-1", ""))

    events = [json.loads(one.value) for one in read(settings, 7, "web.events.v1")]
    found = {one["user_id"]: one.get("context", {}).get("ip") for one in events}
    assert found == {
        "browser": "9.9.9.0",
        "given": "1.1.1.1",
        "remote": "9.9.9.0",
        "server": None,
        "private": None,
        "off": None,
        "full": "9.9.9.9",
    }


def test_who_is_believed(make_topics: MakeTopics) -> None:
    """Without a trusted proxy nobody can claim an address."""
    settings = make_topics(write_keys=KEYS, collector_port=0)
    with running(settings) as (http, _):
        body = {"event": "x", "userId": "u"}
        http.post("/v1/track", json=body, headers=BROWSER, auth=("wk-1", ""))
    (event,) = (json.loads(one.value) for one in read(settings, 1, "web.events.v1"))
    assert "ip" not in event.get("context", {})
