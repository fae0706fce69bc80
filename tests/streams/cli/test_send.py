"""`leadpulse send`: real input into a running system."""

import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import msgspec
import pytest

from schemas.event import Event
from schemas.time import to_datetime, to_iso
from schemas.topics import EVENT_TOPICS
from scorers.identity import derive_lead_id
from streams.collector.adapters.segment import Envelope, adapt
from streams.demo.personas import cast
from streams.processes import free_port
from streams.sending import CollectorTarget, SendError, to_segment
from streams.settings import Settings
from tests.conftest import MakeTopics
from tests.streams.collector.conftest import running
from tests.worker_harness import read_all

T0 = 1_767_225_600_000  # 2026-01-01T00:00:00Z
GOLDEN = Path(__file__).parents[2] / "golden" / "replay" / "two_leads.ndjson"


def canonical() -> list[Event]:
    """What the demo's people do, as the collector understands it."""
    events = []
    for person in cast(3, 14):
        for moment in person.life:
            at = T0 + moment.at
            raw = json.dumps({**moment.message, "timestamp": to_iso(at)}).encode()
            event = adapt(raw, Envelope(source="demo", received_at=at + 500))
            assert isinstance(event, Event)
            events.append(event)
    return events


def received_anew(event: Event, like: Event) -> Event:
    """Return `event` with the receipt of `like`."""
    return msgspec.structs.replace(
        event, received_at=like.received_at, source=like.source
    )


def stored(settings: Settings) -> list[tuple[bytes | None, bytes]]:
    return [
        (record.key(), record.value() or b"")
        for topic in EVENT_TOPICS
        for record in read_all(settings, topic)
    ]


@pytest.mark.parametrize("source", ["people", "golden"])
def test_an_event_survives_the_way_through_segments_api(source: str) -> None:
    """What is sent as a Segment message becomes the very same event again."""
    lines = GOLDEN.read_bytes().splitlines()
    golden = [msgspec.json.decode(line, type=Event) for line in lines]
    for event in canonical() if source == "people" else golden:
        raw = msgspec.json.encode(to_segment(event))
        again = adapt(raw, Envelope(source=event.source, received_at=event.now))

        assert isinstance(again, Event), again
        context = {**again.context}
        if event.email is not None and "traits" not in event.context:
            context.pop("traits", None)  # carries the e-mail address
        again = msgspec.structs.replace(again, context=context)
        assert again == received_anew(event, again)


def test_to_a_collector(
    leadpulse: Callable, make_topics: MakeTopics, tmp_path: Path
) -> None:
    """Sent to a URL, every event is on its topic under its lead, received anew."""
    settings = make_topics(write_keys="shop=wk-1", collector_port=0)
    events = canonical()
    path = tmp_path / "events.ndjson"
    path.write_bytes(b"\n".join(map(msgspec.json.encode, events)))
    with running(settings) as (http, _):
        ran = leadpulse("send", path, "--to", http.base_url, "--write-key", "wk-1")

    assert ran.code == 0, ran.err
    assert f"{len(events):,} accepted, 0 refused" in ran.out
    found = {}
    for key, value in stored(settings):
        event = msgspec.json.decode(value, type=Event)
        assert key == (derive_lead_id(event) or "").encode()
        assert event.source == "shop"
        found[event.id] = event
    for event in events:
        assert found[event.id].occurred_at == event.occurred_at
        assert found[event.id].properties == event.properties
        assert found[event.id].traits == event.traits
    assert len(found) == len(events)


def test_to_a_broker(
    leadpulse: Callable,
    topics: Settings,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    """Sent to a broker, every line is on its topic as it stood, unknown fields too."""
    monkeypatch.setenv("LEADPULSE_TOPIC_PREFIX", topics.topic_prefix)
    lines = GOLDEN.read_bytes().splitlines()
    lines[1] = b'{"shoe_size":44,' + lines[1][1:]
    path = tmp_path / "events.ndjson"
    path.write_bytes(b"\n".join(lines))

    ran = leadpulse("send", path, "--to", topics.bootstrap, "--rate", "200")

    assert ran.code == 0, ran.err
    assert "9 events sent" in ran.out
    assert sorted(value for _, value in stored(topics)) == sorted(lines)
    for key, value in stored(topics):
        event = msgspec.json.decode(value, type=Event)
        assert key == (derive_lead_id(event) or "").encode()


def test_a_refused_event_is_told(
    leadpulse: Callable, make_topics: MakeTopics, tmp_path: Path
) -> None:
    """What the collector refuses is told with its reason, and the exit code is 1."""
    settings = make_topics(
        write_keys="shop=wk-1", collector_port=0, max_event_bytes=1000
    )
    large = Event(
        id="large",
        type="page",
        channel="web",
        user_id="u",
        properties={"path": "/" + "x" * 2000},
        occurred_at=to_datetime(T0),
    )
    path = tmp_path / "events.ndjson"
    path.write_bytes(GOLDEN.read_bytes() + msgspec.json.encode(large))
    with running(settings) as (http, _):
        ran = leadpulse("send", path, "--to", http.base_url, "--write-key", "wk-1")

    assert ran.code == 1
    assert "refused large: too-large" in ran.err
    assert "9 accepted, 1 refused" in ran.out


class _Busy(BaseHTTPRequestHandler):
    """Answers 503 as often as its server says, then takes everything."""

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        server = self.server
        assert isinstance(server, _BusyServer)
        server.asked += 1
        busy = server.asked <= server.busy
        body = b'{"success":false}' if busy else b'{"success":true,"rejected":[]}'
        self.send_response(503 if busy else 200)
        self.send_header("Retry-After", "0")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


class _BusyServer(ThreadingHTTPServer):
    asked = 0
    busy = 0


@pytest.fixture
def busy() -> Iterator[_BusyServer]:
    with _BusyServer(("127.0.0.1", 0), _Busy) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def test_a_busy_collector_is_asked_again(
    leadpulse: Callable, busy: _BusyServer
) -> None:
    """A 503 is repeated, with the same ids, until it is taken."""
    busy.busy = 2
    url = f"http://127.0.0.1:{busy.server_port}"
    ran = leadpulse("send", GOLDEN, "--to", url, "--write-key", "k")

    assert (ran.code, busy.asked) == (0, 3), ran.err
    assert "9 accepted" in ran.out


def test_a_collector_that_stays_busy_is_given_up(busy: _BusyServer) -> None:
    """After its last repetition the request fails, with the collector's answer."""
    busy.busy = 99
    url = f"http://127.0.0.1:{busy.server_port}"
    with pytest.raises(SendError, match="answers 503"):
        CollectorTarget(url, "k", retries=1).post([{"type": "page"}])

    assert busy.asked == 2


def test_mistakes_are_one_clear_line(
    leadpulse: Callable,
    make_topics: MakeTopics,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    """A wrong key, a wrong port, no key and bad lines are each told in one line."""
    monkeypatch.chdir(tmp_path)
    settings = make_topics(write_keys="shop=wk-1", collector_port=0)
    with running(settings) as (http, _):
        wrong = leadpulse("send", GOLDEN, "--to", http.base_url, "--write-key", "no")
        (tmp_path / "bad").write_text("{\n")
        bad = leadpulse("send", "bad", "--to", http.base_url, "--write-key", "wk-1")
    keyless = leadpulse("send", GOLDEN, "--to", "http://127.0.0.1:1")
    url = f"http://127.0.0.1:{free_port()}"
    nobody = leadpulse("send", GOLDEN, "--to", url, "--write-key", "k")

    assert (wrong.code, bad.code, keyless.code, nobody.code) == (1, 1, 1, 1)
    assert "answers 401" in wrong.err
    assert "line 1: " in bad.err
    assert "--write-key" in keyless.err
    assert f"no collector answers at {url}" in nobody.err
    for ran in (wrong, bad, keyless, nobody):
        assert "Traceback" not in ran.err
