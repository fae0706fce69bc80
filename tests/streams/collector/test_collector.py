"""The collector over real HTTP, in front of a real broker."""

import gzip
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import msgspec
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from prometheus_client import REGISTRY

from schemas.event import Event
from scorers.identity import derive_lead_id, lead_id_of
from streams.collector import intake as intake_module
from streams.collector.app import ROUTES
from streams.settings import Settings
from tests.streams.collector.conftest import Read, running

WEB, EMAIL, SOCIAL, CRM = (
    f"{channel}.events.v1" for channel in ("web", "email", "social", "crm")
)
DEAD = "dead-letters.v1"
AUTH = ("wk-1", "")
TRACK = {"event": "Email Opened", "userId": "u-1", "messageId": "m-1"}


def test_an_accepted_event_is_on_its_topic(client: httpx.Client, read: Read) -> None:
    """An event answered with 200 is on its topic, keyed by its lead, with headers."""
    trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    before = datetime.now(UTC) - timedelta(milliseconds=1)
    answer = client.post(
        "/v1/track", json=TRACK, auth=AUTH, headers={"traceparent": trace}
    )

    assert answer.status_code == 200
    assert answer.json() == {"success": True, "accepted": 1, "rejected": []}
    (record,) = read(1, WEB, EMAIL, SOCIAL, CRM, DEAD)
    event = msgspec.json.decode(record.value, type=Event)
    headers = dict(record.headers)
    assert record.topic.endswith(EMAIL)
    assert record.key.decode() == derive_lead_id(event) == lead_id_of("user_id", "u-1")
    assert (event.id, event.source, event.name) == ("m-1", "website", "Email Opened")
    assert event.received_at is not None
    assert before <= event.received_at <= datetime.now(UTC)
    assert event.occurred_at == event.received_at
    assert headers["ce_id"] == b"m-1"
    assert headers["ce_type"] == b"leadpulse.event.v1"
    assert headers["traceparent"] == trace.encode()


def test_every_route(client: httpx.Client, read: Read) -> None:
    """Every call of Segment's API has its path, and the browser's short one."""
    for number, (path, call) in enumerate(ROUTES.items()):
        message = {"event": "x", "userId": f"u-{number}", "type": "page"}
        body = {"batch": [message]} if call is None else message
        assert client.post(path, json=body, auth=AUTH).json()["accepted"] == 1, path

    events = [msgspec.json.decode(one.value, type=Event) for one in read(14, WEB, CRM)]
    kinds = sorted(event.type for event in events)
    assert kinds == sorted(
        ["track", "identify", "page", "page", "group", "alias", "page"] * 2
    )


@pytest.mark.parametrize(
    "request_",
    [
        {"auth": AUTH},
        {"headers": {"Authorization": "Bearer wk-2"}},
        {"json": {**TRACK, "writeKey": "wk-1"}},
    ],
    ids=["basic", "bearer", "body"],
)
def test_write_keys(client: httpx.Client, request_: dict[str, Any]) -> None:
    """A known key is taken by basic auth, as a bearer token and in the body."""
    assert client.post("/v1/track", **{"json": TRACK, **request_}).status_code == 200


@pytest.mark.parametrize(
    ("request_", "reason"),
    [
        ({"auth": ("wk-3", "")}, "unknown-write-key"),
        ({}, "missing-write-key"),
        ({"json": {**TRACK, "writeKey": "wk-3"}}, "unknown-write-key"),
        # A wrong key is not saved by a right one elsewhere.
        (
            {"auth": ("x", ""), "json": {**TRACK, "writeKey": "wk-1"}},
            "unknown-write-key",
        ),
        ({"headers": {"Authorization": "Digest x"}}, "malformed-authorization"),
    ],
)
def test_unknown_keys(
    client: httpx.Client, read: Read, request_: dict[str, Any], reason: str
) -> None:
    """Without a known key the answer is 401 and nothing is stored."""
    answer = client.post(
        "/v1/t", **{"json": TRACK, **request_}, extensions={"timeout": {"read": 5}}
    )

    assert answer.status_code == 401
    assert answer.json()["error"]["reason"] == reason
    read(0, WEB, EMAIL, SOCIAL, CRM, DEAD)


def test_verdicts(client: httpx.Client, read: Read) -> None:
    """A batch with bad events is answered 200 with a verdict on each bad one."""
    bad = [
        {**TRACK, "type": "track", "userId": ["u"], "messageId": "m-2"},
        {"type": "?"},
    ]
    batch = [{**TRACK, "type": "track"}, *bad]
    answer = client.post("/v1/batch", json={"batch": batch}, auth=AUTH)

    assert answer.status_code == 200
    assert answer.json()["accepted"] == 1
    assert [(one["index"], one["messageId"]) for one in answer.json()["rejected"]] == [
        (1, "m-2"),
        (2, None),
    ]
    assert "$.userId" in answer.json()["rejected"][0]["detail"]
    read(1, WEB, EMAIL, SOCIAL, CRM)
    letters = read(2, DEAD)
    assert {one.value for one in letters} == {
        json.dumps(one, separators=(",", ":")).encode() for one in bad
    }
    assert [dict(one.headers)["dl_reason"] for one in letters] == [b"invalid-event"] * 2
    assert {dict(one.headers)["dl_stage"] for one in letters} == {b"collector"}


def test_nothing_good_in_it(client: httpx.Client, read: Read) -> None:
    """A request of which no event could be taken is 400; the events are set aside."""
    answer = client.post("/v1/page", json={"name": "Home"}, auth=AUTH)

    assert answer.status_code == 400
    assert answer.json()["success"] is False
    assert answer.json()["rejected"][0]["reason"] == "unroutable"
    assert json.loads(read(1, DEAD)[0].value) == {"name": "Home"}


def test_an_empty_batch(client: httpx.Client) -> None:
    """A batch of nothing is fine."""
    assert client.post("/v1/batch", json={"batch": []}, auth=AUTH).status_code == 200


@pytest.mark.parametrize(
    ("body", "headers", "status", "reason"),
    [
        (b'{"userId": "u",}', {}, 400, "invalid-json"),
        (b"", {}, 400, "invalid-json"),
        (b"[1]", {}, 400, "invalid-event"),
        (b"{}", {"Content-Encoding": "br"}, 415, "unknown-encoding"),
        (b"{}", {"Content-Encoding": "gzip"}, 400, "invalid-encoding"),
        (b" " * 2_000_000, {}, 413, "too-large"),
        (
            gzip.compress(b" " * 50_000_000),
            {"Content-Encoding": "gzip"},
            413,
            "too-large",
        ),
    ],
)
def test_bad_requests(
    client: httpx.Client,
    read: Read,
    *,
    body: bytes,
    headers: dict[str, str],
    status: int,
    reason: str,
) -> None:
    """A request that is wholly invalid is told why; nothing of it is stored."""
    answer = client.post("/v1/track", content=body, headers=headers, auth=AUTH)

    assert answer.status_code == status
    assert answer.json()["error"]["reason"] == reason
    assert answer.json()["request_id"] == answer.headers["x-request-id"]
    read(0, WEB, EMAIL, SOCIAL, CRM, DEAD)
    # The collector goes on.
    assert client.post("/v1/track", json=TRACK, auth=AUTH).status_code == 200


def test_position_of_the_mistake(client: httpx.Client) -> None:
    """Invalid JSON is answered with the byte at which it went wrong."""
    answer = client.post("/v1/track", content=b'{"userId": "u",}', auth=AUTH)

    assert answer.json()["error"]["position"] == 15


def test_a_slow_body(client: httpx.Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """A body that does not arrive in time is answered 408."""
    monkeypatch.setattr(intake_module, "BODY_SECONDS", 0.2)
    port = client.base_url.port
    import socket

    with socket.create_connection(("127.0.0.1", port or 0), timeout=10) as peer:
        peer.sendall(
            b"POST /v1/track HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer wk-1\r\n"
            b"Content-Length: 10\r\n\r\n{"
        )
        assert peer.recv(1_000).startswith(b"HTTP/1.1 408 ")


def test_browsers_may_send(client: httpx.Client) -> None:
    """A page of any origin gets leave to send, and to read the answer."""
    preflight = client.options(
        "/v1/t",
        headers={
            "Origin": "https://shop.example",
            "Access-Control-Request-Method": "POST",
            "Access-Control-Request-Headers": "authorization, anonymousid, sentat",
        },
    )
    refused = client.post("/v1/t", json=TRACK, headers={"Origin": "https://a.example"})

    assert preflight.status_code == 200
    # By name: browsers that send credentials do not take `*` for an answer.
    assert preflight.headers["access-control-allow-origin"] == "https://shop.example"
    assert "sentat" in preflight.headers["access-control-allow-headers"]
    assert refused.status_code == 401
    assert refused.headers["access-control-allow-origin"] == "https://a.example"


def test_only_listed_origins(settings: Settings) -> None:
    """With a list of origins, a page of another origin gets no leave."""
    limited = settings.model_copy(update={"cors_origins": ("https://shop.example",)})
    headers = {"Access-Control-Request-Method": "POST"}
    with running(limited) as (client, _):
        ours = client.options(
            "/v1/t", headers={**headers, "Origin": "https://shop.example"}
        )
        other = client.options(
            "/v1/t", headers={**headers, "Origin": "https://x.example"}
        )

    assert ours.headers["access-control-allow-origin"] == "https://shop.example"
    assert "access-control-allow-origin" not in other.headers


def test_a_repeat_repeats_the_id(client: httpx.Client, read: Read) -> None:
    """A client that sends again puts the same id on the topic, given or derived."""
    anonymous = {"event": "x", "userId": "u-9"}
    for body in (TRACK, TRACK, anonymous, anonymous):
        assert client.post("/v1/track", json=body, auth=AUTH).status_code == 200

    ids = [json.loads(one.value)["id"] for one in read(4, WEB, EMAIL)]
    assert len(set(ids)) == 2


def test_health(client: httpx.Client) -> None:
    """A collector whose topics are there is alive and ready."""
    assert client.get("/healthz").status_code == 200
    assert client.get("/readyz").json() == {"status": "ready"}


def test_missing_topics(settings: Settings) -> None:
    """Without its topics the collector says which, stores nothing and makes none."""
    elsewhere = settings.model_copy(update={"topic_prefix": "nowhere."})
    with running(elsewhere) as (client, _):
        ready = client.get("/readyz")
        answer = client.post("/v1/track", json=TRACK, auth=AUTH)
        again = client.get("/readyz")

    assert ready.status_code == again.status_code == 503
    assert "nowhere.web.events.v1" in ready.json()["missing_topics"]
    assert ready.json() == again.json()
    assert answer.status_code == 503
    assert answer.headers["retry-after"] == "1"


def test_unknown_paths(client: httpx.Client) -> None:
    """A path or method that is not there says what is."""
    assert "/v1/track" in client.post("/v2/track").json()["error"]["detail"]
    assert client.get("/v1/track").status_code == 405


def test_a_bug_is_not_shown(
    client: httpx.Client,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    """A bug is answered 500 with a request id to be found in the log, and no more."""

    def broken(_: object) -> str:
        message = "secret inside"
        raise ZeroDivisionError(message)

    monkeypatch.setattr(intake_module, "derive_lead_id", broken)
    answer = client.post("/v1/track", json=TRACK, auth=AUTH)

    assert answer.status_code == 500
    assert "secret" not in answer.text
    assert "ZeroDivisionError" not in answer.text
    out, err = capfd.readouterr()
    assert answer.json()["request_id"] in out + err


def test_log_lines_hold_no_secrets(
    client: httpx.Client, capfd: pytest.CaptureFixture[str]
) -> None:
    """A request is one log line with ids and figures; no key, no address."""
    body = {**TRACK, "properties": {"email": "ada@example.com"}}
    answer = client.post("/v1/track", json=body, auth=AUTH)
    out, err = capfd.readouterr()

    lines = [line for line in (out + err).splitlines() if "/v1/track" in line]
    assert len(lines) == 1
    assert answer.headers["x-request-id"] in lines[0]
    assert "wk-1" not in lines[0]
    assert "ada@" not in lines[0]


def test_metrics(client: httpx.Client) -> None:
    """Requests are counted by route and status, events by source and verdict."""

    def value(name: str, **labels: str) -> float:
        return REGISTRY.get_sample_value(f"leadpulse_{name}", labels) or 0.0

    def figures() -> list[float]:
        return [
            value("collector_requests_total", route="/v1/batch", status="200"),
            value("collector_events_total", source="website", verdict="accepted"),
            value("collector_events_total", source="website", verdict="unroutable"),
            value("dead_letters_total", stage="collector", reason="unroutable"),
            value("collector_request_seconds_count"),
        ]

    before = figures()
    good = {**TRACK, "type": "track"}
    batch = {"batch": [good, good, {"type": "page"}]}
    assert client.post("/v1/batch", json=batch, auth=AUTH).status_code == 200

    assert [b - a for a, b in zip(before, figures(), strict=True)] == [1, 2, 1, 1, 1]


@given(
    path=st.sampled_from(sorted(ROUTES)),
    body=st.binary(max_size=100)
    | st.dictionaries(
        st.sampled_from(["batch", "userId", "type", "event", "timestamp", "context"]),
        st.recursive(
            st.none() | st.text(max_size=8) | st.integers(),
            lambda inner: st.lists(inner, max_size=3),
            max_leaves=4,
        ),
    ).map(lambda value: json.dumps(value).encode()),
)
@hypothesis_settings(
    deadline=None,
    max_examples=60,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
def test_never_a_server_error(client: httpx.Client, path: str, body: bytes) -> None:
    """No body whatever makes the collector fail."""
    assert client.post(path, content=body, auth=AUTH).status_code in {200, 400}
