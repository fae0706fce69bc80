"""Identifiers as people and machines write them: one spelling for each, none breaks."""

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.event import Event
from schemas.time import to_datetime
from scorers.identity import (
    KINDS,
    derive_lead_id,
    is_lead_id,
    is_legal,
    lead_id_of,
    normalise,
    untagged,
    weaker_lead_ids,
    without_tag,
)
from scorers.mailbox import on_message
from scorers.state import decode_state, encode_state
from tests.scorers.small_models import CLICK, model_of
from tests.strategies import START

MODEL = model_of({"name": "clicks", "points": 1.0, "when": CLICK})
NASTY = (
    "'; DROP TABLE leads; --",
    "../../etc/passwd",
    "C:\\Windows\\system32",
    "{{7*7}}",
    "<script>alert(1)</script>",
    "\x00\x01\x02",
    "\ud800",
    "\u202eevil\u2066",
    "a\nb\rc",
    "lp:rank",
    "ld_0123456789abcdef0123456789abcdef/web.events.v1",
    "#owner",
    "😀" * 100,
    "ﷺ" * 512,
    "@",
    "a@",
    "@b",
    "a@b@c",
    "a@xn--",
    "a@xn--\x00",
    "a@xn--99999999999",
    "a@.",
    "+@b",
    "İ@İ.com",
    "ß@straße.de",
    "a@" + "x." * 200,
)
texts = st.one_of(
    st.text(max_size=40),
    st.sampled_from(NASTY),
    st.text(alphabet="aA@.+-\x00\u200b\u200c\ud800xn-é", max_size=30),
)


def shown(**who: Any) -> Event:
    return Event(
        id="e1",
        type="track",
        channel="web",
        name="Offer Clicked",
        occurred_at=to_datetime(START),
        **who,
    )


@pytest.mark.parametrize(
    ("kind", "written", "known"),
    [
        ("email", "Ada@Example.COM ", "ada@example.com"),
        ("email", "ada@example.com\u200b", "ada@example.com"),
        ("email", "ADA@ＥＸＡＭＰＬＥ.com", "ada@example.com"),
        ("email", "josé@example.com", "josé@example.com"),
        ("email", "jose\u0301@example.com", "josé@example.com"),
        ("email", "ada@xn--bcher-kva.example", "ada@bücher.example"),
        ("email", "ada@XN--BCHER-KVA.Example", "ada@bücher.example"),
        ("email", "ada@BÜCHER.example", "ada@bücher.example"),
        ("email", "ada@xn--kaputt-\u00fc.example", "ada@xn--kaputt-ü.example"),
        ("user_id", " U-17\n", "U-17"),
        ("user_id", "jose\u0301", "josé"),
        ("user_id", "می\u200cخواهم", "می\u200cخواهم"),
        ("anonymous_id", "\u200b17\x00\u200d", "17"),
    ],
)
def test_one_spelling_for_each(kind: Any, written: str, known: str) -> None:
    """However it is written, an identifier is one and the same."""
    assert normalise(kind, written) == known
    assert normalise(kind, known) == known


@pytest.mark.parametrize(
    "broken", ["", "  ", "\x00", "\u200b", "NULL", "null\x00", " undefined\u200b", "0"]
)
def test_what_names_nobody(broken: str) -> None:
    """What is nothing once it is cleaned names nobody."""
    assert not is_legal(broken)


@given(texts)
def test_cleaning_once_is_enough(text: str) -> None:
    """A normalised identifier stays as it is, so every role derives the same id."""
    for kind in KINDS:
        known = normalise(kind, text)
        assert normalise(kind, known) == known
        assert is_lead_id(lead_id_of(kind, known))
    assert without_tag(without_tag(text)) == without_tag(text)


@given(texts, texts, texts)
def test_nothing_breaks_the_core(user_id: str, email: str, anonymous_id: str) -> None:
    """Whatever identifiers hold, an event is a lead's or nobody's, and is kept."""
    event = untagged(shown(user_id=user_id, email=email, anonymous_id=anonymous_id))
    lead_id = derive_lead_id(event)
    weaker = weaker_lead_ids(event)
    assert lead_id not in weaker
    if lead_id is None:
        assert weaker == ()
        return
    step = on_message(MODEL, None, event, START, lead_id=lead_id)
    assert step.state.lead_id == lead_id
    assert {command.lead_id for command in step.commands} == set(weaker)
    try:
        f"{user_id}{email}{anonymous_id}".encode()
    except UnicodeEncodeError:
        return  # JSON cannot hold half a character: no event has it
    assert decode_state(encode_state(step.state)) == step.state


def test_a_megabyte_is_no_identifier() -> None:
    """What is too long is refused where bytes become an event."""
    raw = {
        "id": "e1",
        "type": "page",
        "channel": "web",
        "occurred_at": "2026-01-01T00:00:00Z",
        "user_id": "x" * 1_000_000,
    }
    with pytest.raises(msgspec.ValidationError, match="512"):
        msgspec.json.decode(msgspec.json.encode(raw), type=Event)


def test_tags_count_unless_they_are_ignored() -> None:
    """ada+news is somebody else than ada, unless a deployment says otherwise."""
    tagged, plain = shown(email="Ada+News@Example.com"), shown(email="ada@example.com")

    assert derive_lead_id(tagged) != derive_lead_id(plain)
    assert derive_lead_id(untagged(tagged)) == derive_lead_id(plain)
    assert untagged(plain) is plain
