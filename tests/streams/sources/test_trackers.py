"""Unchanged clients of other analytics products, and what becomes of their calls."""

import base64
import gzip
import json
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, quote, urlsplit

import httpx
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.event import Event
from schemas.topics import DEAD_LETTERS, EVENT_TOPICS
from streams.collector.adapters.provider import Envelope, Incoming, Provider, Taken
from streams.collector.adapters.registry import TRACKERS
from streams.collector.verdict import RefusedError
from streams.settings import Settings
from tests.conftest import MakeTopics
from tests.streams.collector.conftest import running
from tests.streams.sources.requests import as_lines, recorded
from tests.worker_harness import read_all

GOLDEN = Path(__file__).parents[2] / "golden" / "trackers"
NOW = 1_795_301_200_000  # a minute after the recordings
ENVELOPE = Envelope(source="app", received_at=NOW)
KEYS = (
    "acme/segment=test_write_key,acme/amplitude=amp_key,acme/mixpanel=mp_token,"
    "acme/posthog=phc_test,acme/snowplow=AF003"
)
CLIENTS = {
    # client: events, and dead letters: the sixteen calls whose user is called "userId".
    # Pings of an open page and profiles of groups are neither.
    "segment_python": (65, 16),
    "segment_python_gzip": (65, 16),
    "segment_node": (65, 16),
    "segment_browser": (80, 0),
    "snowplow_python_post": (138, 0),
    "snowplow_python_get": (138, 0),
    "snowplow_browser_post": (78, 0),
    "posthog_python": (58, 16),
    "mixpanel_python": (75, 16),
    "amplitude_python": (55, 16),
}
ROUTES = {path: provider for provider in TRACKERS for path in provider.routes}


def taken(
    path: str, body: bytes = b"", *, query: str = "", received_at: int = NOW
) -> Taken:
    """Return what the provider of `path` makes of a request."""
    incoming = Incoming(
        method="POST" if body else "GET",
        url=f"http://localhost{path}?{query}",
        headers={},
        query=dict(parse_qsl(query)),
        body=body,
    )
    envelope = Envelope(source="app", received_at=received_at)
    return ROUTES[path].adapt(incoming, envelope)


def only(path: str, payload: Any, **given: Any) -> Event:
    """Return the one event that a payload becomes."""
    found = taken(path, json.dumps(payload).encode(), **given)
    assert not found.refused, found.refused
    (event,) = found.events
    return event


@pytest.fixture
def http(make_topics: MakeTopics) -> Iterator[tuple[httpx.Client, Settings]]:
    """A running collector with the keys of the recordings, and its settings."""
    settings = make_topics(write_keys=KEYS, collector_port=0)
    with running(settings) as (client, _):
        yield client, settings


@pytest.mark.parametrize("client", CLIENTS)
def test_recorded_clients_are_answered_as_they_expect(
    client: str, http: tuple[httpx.Client, Settings]
) -> None:
    """Every recorded request gets a 2xx, and all its events are on the topics."""
    requests = recorded(client)
    collector, settings = http
    for request in requests:
        answer = request.send(collector)
        assert answer.is_success, (request.target, answer.text)
        if request.method == "OPTIONS":
            asked = request.headers["Access-Control-Request-Headers"]
            assert asked in answer.headers["access-control-allow-headers"]
        elif "snowplow" in client:
            kind = "image/gif" if request.method == "GET" else "text/plain"
            assert answer.headers["content-type"].startswith(kind)
        elif "mixpanel" in client:
            assert answer.json() == {"status": 1, "error": None}
        elif "posthog" in client:
            assert answer.json() == {"status": 1}
        elif "amplitude" in client:
            assert answer.json()["code"] == 200

    events = [
        msgspec.json.decode(record.value() or b"", type=Event)
        for topic in EVENT_TOPICS
        for record in read_all(settings, topic)
    ]
    assert (len(events), len(read_all(settings, DEAD_LETTERS))) == CLIENTS[client]
    assert {event.workspace for event in events} == {"acme"}
    assert {event.source for event in events} == {client.partition("_")[0]}


@pytest.mark.parametrize(
    "client", [client for client in CLIENTS if "segment" not in client]
)
def test_recorded_calls_become_the_right_events(client: str) -> None:
    """What each call becomes is as in its golden file, in short.

    WRITE_GOLDEN=1 writes the files anew: review the difference.
    """
    events: list[Event] = []
    for request in recorded(client):
        if request.method != "OPTIONS":
            target = urlsplit(request.target)
            events += taken(target.path, request.body, query=target.query).events
    golden = GOLDEN / f"{client}.ndjson"
    if os.environ.get("WRITE_GOLDEN"):
        golden.parent.mkdir(exist_ok=True)
        golden.write_text(as_lines(events), "utf-8")

    assert as_lines(events) == golden.read_text("utf-8")


def test_an_unknown_key_is_refused_as_the_client_expects(
    http: tuple[httpx.Client, Settings],
) -> None:
    """A wrong key is no success for any client, and nothing of it is stored."""
    collector, settings = http
    event = {"event": "Signed Up", "distinct_id": "u1"}
    posthog = collector.post("/batch/", json={"api_key": "no", "batch": [event]})
    amplitude = collector.post("/2/httpapi", json={"api_key": "no", "events": []})
    token = {"token": "no", "distinct_id": "u"}
    mixpanel = collector.post("/track", json=[{"event": "A", "properties": token}])
    snowplow = collector.get("/i?e=pv&aid=no&duid=d")
    keyless = collector.post("/com.snowplowanalytics.snowplow/tp2", json={"data": []})

    assert (posthog.status_code, posthog.json()["type"]) == (
        401,
        "authentication_error",
    )
    assert (amplitude.status_code, amplitude.json()["code"]) == (400, 400)
    assert amplitude.json()["error"] == "Invalid API key"
    assert (mixpanel.status_code, mixpanel.json()["status"]) == (401, 0)
    assert snowplow.status_code == keyless.status_code == 401
    assert not [each for topic in EVENT_TOPICS for each in read_all(settings, topic)]


@pytest.mark.parametrize("path", ["/decide/?v=3", "/flags/?v=2"])
def test_posthogs_clients_are_told_that_there_are_no_flags(
    path: str, http: tuple[httpx.Client, Settings]
) -> None:
    """A client that asks at its start is answered, and goes on to send."""
    answer = http[0].post(path, json={"api_key": "phc_test", "distinct_id": "u1"})

    assert answer.status_code == 200
    assert answer.json()["featureFlags"] == {}


def test_browsers_may_send_with_credentials(
    http: tuple[httpx.Client, Settings],
) -> None:
    """A tracker that sends cookies is told its own origin, as browsers demand."""
    headers = {"Origin": "https://shop.example", "Content-Type": "text/plain"}
    data = [{"e": "pv", "aid": "AF003", "duid": "d1", "url": "https://shop.example/"}]
    path = "/com.snowplowanalytics.snowplow/tp2"
    answer = http[0].post(path, content=json.dumps({"data": data}), headers=headers)

    assert answer.status_code == 200
    assert answer.headers["access-control-allow-origin"] == "https://shop.example"
    assert answer.headers["access-control-allow-credentials"] == "true"


def test_rudderstacks_traits_stand_in_the_context(
    http: tuple[httpx.Client, Settings],
) -> None:
    """An identify whose traits are in its context, as RudderStack's are, keeps them."""
    collector, settings = http
    message = {
        "type": "identify",
        "userId": "u1",
        "channel": "server",
        "originalTimestamp": "2026-11-21T10:00:00Z",
        "context": {"traits": {"email": "ada@example.com", "companySize": 12}},
    }
    answer = collector.post(
        "/v1/batch", json={"batch": [message]}, auth=("test_write_key", "")
    )

    assert answer.status_code == 200
    (record,) = [each for topic in EVENT_TOPICS for each in read_all(settings, topic)]
    event = msgspec.json.decode(record.value() or b"", type=Event)
    assert event.email == "ada@example.com"
    assert event.traits == {"email": "ada@example.com", "company_size": 12}


PH = {"event": "Signed Up", "distinct_id": "u1", "properties": {"token": "phc_test"}}
PH_BODIES = {
    "json": json.dumps(PH).encode(),
    "gzip": gzip.compress(json.dumps(PH).encode()),
    "base64": base64.b64encode(json.dumps(PH).encode()),
    "form": b"data=" + quote(base64.b64encode(json.dumps(PH).encode())).encode(),
    "form of json": b"data=" + quote(json.dumps([PH])).encode(),
    "form of gzip": b"data="
    + quote(base64.b64encode(gzip.compress(json.dumps(PH).encode()))).encode(),
}


@pytest.mark.parametrize("form", PH_BODIES)
def test_posthogs_bodies_in_all_their_forms(form: str) -> None:
    """JSON, gzip, base64 and forms of them say the same."""
    (event,) = taken("/e/", PH_BODIES[form]).events

    assert (event.name, event.user_id) == ("Signed Up", "u1")


def test_posthogs_lz64_is_refused_with_what_to_do() -> None:
    """A compression that is not read is told, not guessed."""
    with pytest.raises(RefusedError, match="lz64 is not read here"):
        taken("/e/", b"data=xyz", query="compression=lz64")


def test_posthogs_browser_knows_who_is_anonymous() -> None:
    """Before somebody is identified, the distinct id is a device's."""
    properties = {"distinct_id": "d1", "$device_id": "d1", "$is_identified": False}
    properties |= {"$current_url": "https://x.example/pricing", "$pathname": "/pricing"}
    before = only("/e/", {"event": "$pageview", "properties": properties})
    identify = {"distinct_id": "u1", "$anon_distinct_id": "d1", "$device_id": "d1"}
    event = {"event": "$identify", "properties": identify}
    event["$set"] = {"email": "ada@example.com"}  # type: ignore[assignment]
    known = only("/e/", event)

    assert (before.type, before.user_id, before.anonymous_id) == ("page", None, "d1")
    assert before.properties["path"] == "/pricing"
    assert (known.type, known.user_id, known.anonymous_id) == ("identify", "u1", "d1")
    assert known.traits == {"email": "ada@example.com"}


def test_posthogs_offset_is_the_time_before_receipt() -> None:
    """A browser's event says how many milliseconds ago it happened."""
    event = only("/e/", {**PH, "offset": 5_000})

    assert event.now - event.time == 5_000


def test_what_nobody_did_is_passed_over() -> None:
    """Flags that were called and profiles of groups are counted, not stored."""
    batch = [
        {"event": name, "distinct_id": "u"} for name in ("$groupidentify", "$flag")
    ]
    found = taken("/batch/", json.dumps({"batch": batch}).encode())

    assert (found.events, found.refused) == ([], [])
    assert found.ignored == ["$groupidentify", "$flag"]


@pytest.mark.parametrize(
    "body",
    [
        b"data=" + quote('[{"event":"A","properties":{"distinct_id":"u"}}]').encode(),
        b"data=" + base64.b64encode(b'{"event":"A","properties":{"distinct_id":"u"}}'),
        b'[{"event":"A","properties":{"distinct_id":"u"}}]',
        b'{"event":"A","properties":{"distinct_id":"u"}}\n{"event":"B"}',
    ],
    ids=["form", "form in base64", "json", "lines"],
)
def test_mixpanels_bodies_in_all_their_forms(body: bytes) -> None:
    """Forms, base64, JSON and lines of JSON are read."""
    events = taken("/import" if b"\n" in body else "/track", body).events

    assert events[0].name == "A"
    assert len(events) == 1


def test_mixpanels_answers(http: tuple[httpx.Client, Settings]) -> None:
    """Without `verbose` the answer is 1; an import is told how many were taken."""
    collector, _ = http
    event = {"event": "A", "properties": {"token": "mp_token", "distinct_id": "u"}}
    nobody = {"event": "A", "properties": {"token": "mp_token"}}
    plain = collector.post("/track", data={"data": json.dumps(event)})
    verbose = collector.post("/track?verbose=1", json=[nobody])  # a dead letter
    imported = collector.post("/import?strict=1", json=[event], auth=("mp_token", ""))
    failed = collector.post("/import?strict=1", json=[event, nobody])

    assert (plain.text, plain.headers["content-type"]) == (
        "1",
        "text/plain; charset=utf-8",
    )
    assert verbose.json() == {"status": 1, "error": None}
    assert imported.json() == {"code": 200, "num_records_imported": 1, "status": "OK"}
    assert failed.status_code == 400
    assert [one["index"] for one in failed.json()["failed_records"]] == [1]


def test_mixpanels_devices_are_anonymous() -> None:
    """`$device:` ids are devices; `$identify` shows who they are."""
    properties: dict[str, Any] = {"distinct_id": "$device:d1", "$device_id": "d1"}
    before = only("/track", {"event": "A", "properties": properties})
    identify = {"distinct_id": "u1", "$identified_id": "u1", "$anon_id": "d1"}
    known = only("/track", {"event": "$identify", "properties": identify})

    assert (before.user_id, before.anonymous_id) == (None, "d1")
    assert (known.type, known.user_id, known.anonymous_id) == ("identify", "u1", "d1")


def test_amplitudes_pages_and_companies() -> None:
    """A page view of the browser SDK is a page; the group is the account."""
    event = {
        "event_type": "[Amplitude] Page Viewed",
        "device_id": "d1",
        "time": NOW - 1000,
        "groups": {"company": "acme"},
        "event_properties": {
            "[Amplitude] Page URL": "https://x.example/pricing?a=1",
            "[Amplitude] Page Title": "Pricing",
        },
    }
    page = only("/2/httpapi", {"api_key": "amp_key", "events": [event]})

    assert (page.type, page.name, page.anonymous_id) == ("page", "Pricing", "d1")
    assert page.properties["path"] == "/pricing"
    assert page.traits == {"account_id": "acme"}
    assert page.now - page.time == 1000


def test_one_batch_path_serves_two_products() -> None:
    """`/batch` is Amplitude's or PostHog's: the body tells."""
    amplitude = {"events": [{"event_type": "A", "user_id": "u"}]}
    posthog = {"batch": [PH]}

    assert only("/batch", amplitude).name == "A"
    assert only("/batch", posthog).name == "Signed Up"


def sp(**fields: str) -> Event:
    return only("/com.snowplowanalytics.snowplow/tp2", {"data": [fields]})


def test_snowplows_self_describing_events_in_base64() -> None:
    """What is described in base64 is read, its name in words, contexts beside it."""

    def coded(schema: str, data: Any) -> str:
        outer = {"schema": "iglu:x/y/jsonschema/1-0-0", "data": data}
        if schema:
            outer["data"] = {"schema": schema, "data": data}
        return base64.urlsafe_b64encode(json.dumps(outer).encode()).decode().rstrip("=")

    vendor = "iglu:com.snowplowanalytics.snowplow"
    session = {"userId": "d9", "sessionId": "s1"}
    event = sp(
        e="ue",
        ue_px=coded(f"{vendor}/link_click/jsonschema/1-0-1", {"targetUrl": "/x"}),
        cx=coded("", [{"schema": f"{vendor}/client_session/jsonschema/1-0-2",
                       "data": session}]),
    )  # fmt: skip

    assert (event.name, event.anonymous_id) == ("Link Clicked", "d9")
    assert event.properties["target_url"] == "/x"
    assert event.context["client_session"] == session


def test_snowplows_clock_is_corrected() -> None:
    """The time between `dtm` and `stm` counts, not what the device's clock shows."""
    event = sp(
        e="pv",
        duid="d1",
        url="https://x.example/",
        dtm="1500000001000",
        stm="1500000004000",
    )

    assert event.now - event.time == 3000


def test_the_pixel_is_the_same_event() -> None:
    """The pixel's query says what the body of a POST would."""
    query = "e=se&se_ca=c&se_ac=Signed+Up&se_va=2&uid=u1&eid=e1&aid=AF003"
    (event,) = taken("/i", query=query).events

    assert (event.id, event.name, event.user_id) == ("e1", "Signed Up", "u1")
    assert event.properties == {"category": "c", "value": 2.0}


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text(max_size=8), inner, max_size=3)
    ),
    max_leaves=8,
)
KEYS_SEEN = st.sampled_from(
    re.findall(
        r"\S+",
        """event event_type properties event_properties user_properties distinct_id e
        user_id device_id time timestamp uuid insert_id $insert_id $set $set_once $unset
        $token $distinct_id $time $device_id $user_id $anon_distinct_id uid duid dtm stm
        ttm ue_pr ue_px co cx url page se_ca se_ac se_va groups offset sent_at alias
        token eid $group_key $identified_id $groups data schema""",
    )
)
NAMES = st.sampled_from(
    re.findall(
        r"\S+",
        """$identify $pageview $create_alias $set $screen pv se ue tr -1 1e999
        2026-11-21 $mp_web_page_view session_start Signed""",
    )
) | st.just("[Amplitude] Page Viewed")
EVENTS = st.dictionaries(
    KEYS_SEEN,
    NAMES | JSON | st.dictionaries(KEYS_SEEN, NAMES | JSON, max_size=8),
    max_size=10,
)
PAYLOADS = EVENTS | st.lists(EVENTS, max_size=3) | st.builds(
    lambda name, events: {name: events},
    st.sampled_from(["batch", "events", "data"]),
    st.lists(EVENTS | JSON, max_size=3) | JSON,
) | JSON  # fmt: skip


def hold(provider: Provider, body: bytes, query: dict[str, str]) -> None:
    """Let a provider meet a request; it may refuse it and do nothing else."""
    incoming = Incoming(method="POST", url="/", headers={}, query=query, body=body)
    try:
        if provider.keys_in_body is not None:
            provider.keys_in_body(incoming)
        found = provider.adapt(incoming, ENVELOPE)
    except RefusedError as refused:
        assert 400 <= refused.status < 500  # noqa: PT017 - all that may be raised
        return
    for event in found.events:
        msgspec.json.decode(msgspec.json.encode(event), type=Event)


@given(
    provider=st.sampled_from(TRACKERS),
    payload=PAYLOADS,
    shape=st.sampled_from(["json", "gzip", "base64", "form", "cut"]),
)
def test_no_payload_can_break_a_tracker(
    provider: Provider, payload: Any, shape: str
) -> None:
    """Whatever is sent becomes events and rejections, or is refused with 4xx."""
    body = json.dumps(payload).encode()
    match shape:
        case "gzip":
            body = gzip.compress(body)
        case "base64":
            body = base64.b64encode(body)
        case "form":
            body = b"data=" + quote(body).encode()
        case "cut":
            body = body[: len(body) // 2]
    hold(provider, body, {})


@given(
    provider=st.sampled_from(TRACKERS),
    body=st.binary(max_size=300),
    query=st.dictionaries(KEYS_SEEN, NAMES | st.text(max_size=30), max_size=8),
)
def test_no_bytes_can_break_a_tracker(
    provider: Provider, body: bytes, query: dict[str, str]
) -> None:
    """Bytes of any kind, and queries, are no exception either."""
    hold(provider, body, query)
