"""Whatever stands where an identifier should: it is taken, or a reason is given."""

import json
from typing import Any

import httpx
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.event import Event
from scorers.identity import derive_lead_id, lead_id_of
from streams.collector.adapters.segment import Envelope, adapt
from streams.settings import Settings
from tests.conftest import MakeTopics
from tests.streams.collector.conftest import KEYS, read_records, running

AUTH = ("wk-1", "")
NASTY = (
    "'; DROP TABLE leads; --",
    "../../etc/passwd",
    "\x00\x01\x02\x7f",
    "\u202eevil\u2066",
    "a\r\nSet-Cookie: x",
    "lp:rank",
    "x" * 513,
    "ﷺ" * 512,
    "😀" * 100,
    "ada@xn--\x00.example",
    "ada@xn--99999999999.example",
    "a@b@c@example.com",
    "İ@STRASSE.example",
)
identifiers = st.one_of(
    st.none(),
    st.sampled_from(NASTY),
    st.text(max_size=40),
    st.text(alphabet="aA@.+-\x00\u200b\u200cxn", max_size=20),
    st.integers(),
    st.booleans(),
    st.lists(st.text(max_size=3), max_size=2),
)
ENVELOPE = Envelope(source="website", received_at=1_795_255_200_000, call="identify")


@given(identifiers, identifiers, identifiers)
def test_any_identifiers_have_a_verdict(user: Any, cookie: Any, email: Any) -> None:
    """They name a lead that every reader of the topic derives alike, or nobody."""
    body = {"userId": user, "anonymousId": cookie, "traits": {"email": email}}
    verdict = adapt(json.dumps(body).encode(), ENVELOPE)

    if isinstance(verdict, Event):
        again = msgspec.json.decode(msgspec.json.encode(verdict), type=Event)
        assert derive_lead_id(again) == derive_lead_id(verdict) is not None
    else:
        assert verdict.reason in {"invalid-event", "unroutable"}


@pytest.fixture
def settings(make_topics: MakeTopics) -> Settings:
    return make_topics(write_keys=KEYS, collector_port=0, ignore_plus_tags=True)


def test_over_http(settings: Settings) -> None:
    """A batch of the worst is answered, one by one, and the good one gets through.

    A megabyte is refused before it is read; half of it becomes a dead letter.

    Where tags are ignored the topic has the address without one.
    """
    worst = [
        {"type": "identify", "userId": name, "messageId": f"m-{number}"}
        for number, name in enumerate((*NASTY, "x" * 400_000))
    ]
    good = {
        "type": "identify",
        "messageId": "good",
        "traits": {"email": "Ada+News@Example.com"},
    }
    with running(settings) as (client, _):
        body = {"batch": [*worst, good]}
        answer: httpx.Response = client.post("/v1/batch", json=body, auth=AUTH)
        verdicts = answer.json()
        huge = {"userId": "x" * 1_000_000}
        assert client.post("/v1/identify", json=huge, auth=AUTH).status_code == 413

    assert answer.status_code == 200
    assert verdicts["accepted"] + len(verdicts["rejected"]) == len(worst) + 1
    rejected = {each["index"]: each["reason"] for each in verdicts["rejected"]}
    assert (rejected[6], rejected[len(NASTY)]) == ("invalid-event", "too-large")
    records = read_records(settings, verdicts["accepted"], "crm.events.v1")
    ada = lead_id_of("email", "ada@example.com").encode()
    (record,) = [each for each in records if each.key == ada]
    assert msgspec.json.decode(record.value, type=Event).email == "ada@example.com"
