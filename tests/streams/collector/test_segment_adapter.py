"""Segment's messages become canonical events: quirks, goldens and laws."""

import json
import os
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from schemas.event import Event
from schemas.time import HOUR, Instant, to_instant
from scorers.identity import derive_lead_id
from streams.collector.adapters.segment import CALLS, EARLIEST, Call, Envelope, adapt
from streams.collector.gate import Limits, open_batch, open_single, sort
from streams.collector.verdict import Rejection

GOLDEN = Path(__file__).parents[2] / "golden" / "segment"
NOW: Instant = to_instant(datetime.fromisoformat("2026-11-21T10:00:00Z"))
LIMITS = Limits(event_bytes=32_768, batch_events=1_000)


def message(call: Call | None = None, **fields: Any) -> Event | Rejection:
    """Adapt one message of the user `u-1`, unless `fields` say otherwise."""
    body = {"userId": "u-1", "messageId": "m-1", **fields}
    envelope = Envelope(source="website", received_at=NOW, call=call)
    return adapt(json.dumps(body).encode(), envelope)


def event(call: Call | None = None, **fields: Any) -> Event:
    adapted = message(call, **fields)
    assert isinstance(adapted, Event), adapted
    return adapted


def rejection(call: Call | None = None, **fields: Any) -> Rejection:
    adapted = message(call, **fields)
    assert isinstance(adapted, Rejection), adapted
    return adapted


@pytest.mark.parametrize(
    "path", sorted(GOLDEN.glob("*.json")), ids=lambda path: path.stem
)
def test_segments_own_examples(path: Path) -> None:
    """An example of Segment's own documentation becomes the events in its file."""
    golden = json.loads(path.read_text(encoding="utf-8"))
    body = json.dumps(golden["payload"]).encode()
    parcel = open_batch(body) if "batch" in golden["payload"] else open_single(body)
    taken = sort(parcel, call=None, source="website", limits=LIMITS, now=NOW)
    events = [json.loads(msgspec.json.encode(event)) for event in taken.events]

    if os.environ.get("WRITE_GOLDEN"):
        golden["events"] = events
        path.write_text(json.dumps(golden, indent=2) + "\n", encoding="utf-8")

    assert not taken.refused
    assert golden["events"] == events


@pytest.mark.parametrize(
    ("spelt", "name", "channel"),
    [
        ("Email Opened", "Email Opened", "email"),
        ("email_opened", "Email Opened", "email"),
        ("EMAIL MARKED AS SPAM", "Email Marked as Spam", "email"),
        ("Post Liked", "Post Liked", "social"),
        ("content downloaded", "Content Downloaded", "content"),
        ("Webinar Attended", "Webinar Attended", "content"),
        ("Stage Changed", "Stage Changed", "crm"),
        ("Deal Won", "Deal Won", "crm"),
        ("Demo Requested", "Demo Requested", "web"),
        ("Lamp Rubbed", "Lamp Rubbed", "web"),
    ],
)
def test_names_and_channels(spelt: str, name: str, channel: str) -> None:
    """A track's name is spelt as in the vocabulary and decides the channel."""
    tracked = event("track", event=spelt)

    assert (name, channel) == (tracked.name, tracked.channel)


@pytest.mark.parametrize(
    ("properties", "channel"),
    [({}, "email"), ({"emailId": "e"}, "email"), ({"network": "linkedin"}, "social")],
)
def test_a_name_of_two_channels(properties: dict[str, str], channel: str) -> None:
    """An offer downloaded belongs to the channel whose properties it carries."""
    assert (
        channel
        == event("track", event="Offer Downloaded", properties=properties).channel
    )


@pytest.mark.parametrize(
    ("fields", "occurred_at"),
    [
        # Without a time it happened when it was received.
        ({}, NOW),
        # A plain time is taken as it is.
        ({"timestamp": "2026-11-21T09:00:00Z"}, NOW - HOUR),
        # Another zone is the same instant.
        ({"timestamp": "2026-11-21T12:30:00+03:30"}, NOW - HOUR),
        # No zone means UTC.
        ({"timestamp": "2026-11-21T09:00:00"}, NOW - HOUR),
        # A clock a day ahead is put right by the time of sending.
        (
            {"timestamp": "2026-11-22T09:00:00Z", "sentAt": "2026-11-22T10:00:00Z"},
            NOW - HOUR,
        ),
        # A clock five years behind likewise.
        (
            {"timestamp": "2021-11-21T09:00:00Z", "sentAt": "2021-11-21T10:00:00Z"},
            NOW - HOUR,
        ),
        # The time on the device beats the one somebody corrected before us.
        (
            {
                "timestamp": "2026-11-21T08:00:00Z",
                "originalTimestamp": "2026-11-22T09:00:00Z",
                "sentAt": "2026-11-22T10:00:00Z",
            },
            NOW - HOUR,
        ),
        # A time of sending that cannot be read corrects nothing.
        ({"timestamp": "2026-11-21T09:00:00Z", "sentAt": "soon"}, NOW - HOUR),
        # The future is now.
        ({"timestamp": "2030-01-01T00:00:00Z"}, NOW),
        # Segment's own example of a batch leaves out a zero.
        (
            {"timestamp": "2015-2-02T00:30:08.276Z"},
            to_instant(datetime.fromisoformat("2015-02-02T00:30:08.276Z")),
        ),
    ],
)
def test_time(fields: dict[str, str], occurred_at: Instant) -> None:
    """An event's time is by our clock, corrected for the client's."""
    assert occurred_at == event("track", event="x", **fields).time


@pytest.mark.parametrize(
    "fields",
    [
        {"timestamp": "yesterday"},
        {"timestamp": 1795301128604},
        {"timestamp": "1999-12-31T23:59:59Z"},
        {"timestamp": "0001-01-01T00:00:00+14:00"},
        {"timestamp": "2026-11-21T09:00:00Z", "sentAt": "9999-12-31T23:59:59Z"},
        {"timestamp": {"$date": 1}},
    ],
)
def test_impossible_times(fields: dict[str, Any]) -> None:
    """A time that cannot be read or is ancient is refused, never guessed."""
    assert "invalid-timestamp" == rejection("track", event="x", **fields).reason


@pytest.mark.parametrize(
    ("fields", "path"),
    [
        ({"userId": ["u"]}, "$.userId"),
        ({"userId": True}, "$.userId"),
        ({"userId": "u" * 513}, "$.userId"),
        ({"properties": "path=/pricing"}, "$.properties"),
        ({"context": []}, "$.context"),
        ({"traits": 1}, "$.traits"),
        ({"event": {"name": "x"}}, "$.event"),
        ({"event": "x" * 257}, "$.event"),
        ({"event": ""}, "$.event"),
        ({"messageId": "m" * 257}, "$.messageId"),
    ],
)
def test_wrong_types(fields: dict[str, Any], path: str) -> None:
    """A field of the wrong type is refused with its path."""
    refused = rejection("track", **{"event": "x", **fields})

    assert "invalid-event" == refused.reason
    assert path in refused.detail


def test_a_refusal_names_the_message() -> None:
    """A verdict on a message repeats its id, also when the rest cannot be read."""
    assert "m-7" == rejection("track", messageId="m-7", userId=[]).message_id


def test_unknown_call() -> None:
    """A message of a batch must say which call it is."""
    assert "$.type" in rejection(type="delete").detail
    assert "$.type" in rejection().detail


@pytest.mark.parametrize(
    "identifier", ["", " ", "null", "undefined", "[object Object]", "anonymous", "0"]
)
def test_illegal_identifiers(identifier: str) -> None:
    """What broken trackers send as an identifier names nobody."""
    nobody = rejection("track", event="x", userId=identifier, anonymousId=None)
    known = event("track", event="x", userId=identifier, anonymousId="a-1")

    assert "unroutable" == nobody.reason
    assert (None, "a-1") == (known.user_id, known.anonymous_id)


def test_numbers_as_identifiers() -> None:
    """A user id that is a number is the same as its digits."""
    assert "17" == event("track", event="x", userId=17).user_id


@pytest.mark.parametrize(
    "fields",
    [
        {"traits": {"email": "Ada@Example.com"}},
        {"context": {"traits": {"email": "Ada@Example.com"}}},
        {"properties": {"email": "Ada@Example.com"}},
    ],
)
def test_email(fields: dict[str, Any]) -> None:
    """An e-mail address is found wherever Segment's callers put it, and kept as is."""
    assert "Ada@Example.com" == event("track", event="x", **fields).email


@pytest.mark.parametrize("email", ["n/a", "", None, 7, {"x": 1}, "a@" + "b" * 600])
def test_no_email(email: Any) -> None:
    """What is no address identifies nobody."""
    assert event("identify", traits={"email": email}).email is None


def test_a_companys_address_is_nobodys() -> None:
    """The address among a group's traits does not become its member's."""
    assert (
        event("group", groupId="g", traits={"email": "info@initech.com"}).email is None
    )


@pytest.mark.parametrize(
    ("fields", "account_id"),
    [
        ({"groupId": "g-1"}, "g-1"),
        ({"groupId": 7}, "7"),
        ({"groupId": "g-1", "traits": {"account_id": "crm-9"}}, "crm-9"),
        ({"groupId": "null"}, None),
        ({}, None),
    ],
)
def test_a_group_is_the_account(fields: dict[str, Any], account_id: str | None) -> None:
    """The group of a call is its person's account, unless the traits say another."""
    assert account_id == event("group", **fields).traits.get("account_id")


def test_the_group_in_the_context_is_the_account() -> None:
    """A track or page that names its group in the context tells the account, too."""
    tracked = event("track", event="Signed In", context={"groupId": "g-1"})

    assert "g-1" == tracked.traits["account_id"]


def test_group() -> None:
    """A group's name becomes its member's company, its id stays with the event."""
    grouped = event("group", groupId=7, traits={"name": "Initech", "employees": 329})

    assert {
        "account_id": "7",
        "company": "Initech",
        "employees": 329,
    } == grouped.traits
    assert {"group_id": "7"} == grouped.properties
    assert "crm" == grouped.channel


def test_nested_company_and_country() -> None:
    """Segment's nested company and address fill the flat traits, and win nothing."""
    identified = event(
        "identify",
        traits={
            "firstName": "Ada",
            "industry": "Mathematics",
            "company": {"name": "Initech", "employee_count": 9, "industry": "IT"},
            "address": {"country": "UK", "postalCode": "W1"},
        },
    )

    assert identified.traits == {
        "first_name": "Ada",
        "industry": "Mathematics",
        "company": "Initech",
        "employees": 9,
        "address": {"country": "UK", "postalCode": "W1"},
        "country": "UK",
    }


def test_alias() -> None:
    """An alias shows the old identity beside the new."""
    aliased = event("alias", previousId="old", anonymousId="cookie")

    assert ("u-1", "old") == (aliased.user_id, aliased.anonymous_id)


def test_page_context_fills_what_is_missing() -> None:
    """The page an event happened on completes its properties, and overrides none."""
    page = {"path": "/pricing", "url": "https://x.example/pricing", "title": "Prices"}
    tracked = event(
        "track", event="x", context={"page": page}, properties={"title": "Own"}
    )

    assert tracked.properties == {
        "title": "Own",
        "path": "/pricing",
        "url": "https://x.example/pricing",
    }


@pytest.mark.parametrize(
    ("url", "path"),
    [
        ("https://x.example/pricing?a=b#c", "/pricing"),
        ("https://x.example", "/"),
        ("http://[broken", None),
    ],
)
def test_path_from_url(url: str, path: str | None) -> None:
    """A page that says only its URL has the URL's path."""
    assert path == event("page", properties={"url": url}).properties.get("path")


def test_screen_is_a_page() -> None:
    """A screen of a mobile app is a page."""
    screen = event("screen", name="Home")

    assert ("page", "web", "Home") == (screen.type, screen.channel, screen.name)


def test_a_long_title_is_cut() -> None:
    """A page's title may be any length; the event keeps its beginning."""
    assert "t" * 256 == event("page", name="t" * 1000).name


def test_snake_case_yields_to_what_is_spelt_so() -> None:
    """Two spellings of one key keep the value under the canonical one."""
    traits = event("identify", traits={"first_name": "Ada", "firstName": "A."}).traits

    assert {"first_name": "Ada"} == traits


def test_a_missing_id_is_derived_from_the_bytes() -> None:
    """A message without an id has the same id each time it is sent, and only then."""
    one, again, other = (
        event("track", event=name, messageId=None) for name in ("x", "x", "y")
    )
    elsewhere = event("page", event="x", messageId=None)

    assert one.id == again.id
    assert len({one.id, other.id, elsewhere.id}) == 3


def test_deep_nesting() -> None:
    """Values nested deeper than any reader follows are refused, not recursed into."""
    deep: dict[str, Any] = {}
    for _ in range(70):
        deep = {"a": deep}

    assert "invalid-json" == rejection("track", event="x", properties=deep).reason


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=20)
    | st.datetimes().map(str),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text(max_size=10), inner, max_size=3)
    ),
    max_leaves=8,
)
FIELDS = (
    *("type", "event", "name", "category", "messageId", "userId", "user_id"),
    *("anonymousId", "previousId", "groupId", "properties", "traits", "context"),
    *("timestamp", "originalTimestamp", "sentAt", "action"),
)
MESSAGES = st.dictionaries(st.sampled_from(FIELDS), JSON).map(
    lambda body: json.dumps(body).encode()
)
ENVELOPES = st.builds(
    Envelope,
    source=st.just("website"),
    received_at=st.integers(EARLIEST, 2 * NOW),
    call=st.none() | st.sampled_from(sorted(CALLS)),
    sent_at=st.none() | st.integers(0, 2 * NOW),
    context=st.dictionaries(st.text(max_size=5), JSON, max_size=2),
)
CANONICAL = msgspec.json.Decoder(Event)


@given(MESSAGES | st.binary(max_size=64), ENVELOPES)
@example(b"[" * 100_000, Envelope(source="s", received_at=NOW))
@example(b'{"userId":"\\ud800"}', Envelope(source="s", received_at=NOW, call="track"))
def test_any_bytes_have_a_verdict(raw: bytes, envelope: Envelope) -> None:
    """Whatever arrives becomes an event that its readers accept, or a reason."""
    verdict = adapt(raw, envelope)

    if isinstance(verdict, Event):
        assert CANONICAL.decode(msgspec.json.encode(verdict)) == verdict
        assert derive_lead_id(verdict) is not None
        assert EARLIEST <= to_instant(verdict.occurred_at) <= envelope.received_at
    else:
        assert verdict.detail
        assert adapt(raw, envelope) == verdict
