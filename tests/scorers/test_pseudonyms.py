"""Pseudonyms: no address is left, and everything derived from one stays the same."""

import hashlib
from typing import Any

import msgspec
import pytest

from schemas.event import Event
from schemas.examples import EVENT
from scorers.belonging import belonging_of
from scorers.identity import derive_lead_id, weaker_lead_ids
from scorers.pseudonyms import pseudonym, pseudonymous
from scorers.scorer import on_event
from streams.model_files import read_model

DEFAULT = read_model(None)


def keyed(text: str) -> str:
    return hashlib.blake2b(text.encode(), key=b"k", digest_size=16).hexdigest()


def event(**given: Any) -> Event:
    nobody = {"user_id": None, "anonymous_id": None, "email": None}
    return msgspec.structs.replace(EVENT, **{**nobody, **given})


def test_no_address_is_left_anywhere() -> None:
    """Fields, traits, properties, keys and links: none holds the address any more."""
    hidden = pseudonymous(
        event(
            email="Ada@Corp.Example",
            user_id="ada@corp.example",
            traits={"email": "ada@corp.example", "to": ["x ada@corp.example y"]},
            properties={
                "url": "https://example.com/?e=ada%40corp.example&x=1",
                "by": {"ada@corp.example": {"deep": "mailto:ada@corp.example"}},
            },
            context={"traits": {"email": "ADA@corp.example"}},
        ),
        keyed,
    )
    written = msgspec.json.encode(hidden).decode().lower()

    assert "ada@" not in written
    assert "ada%40" not in written
    assert written.count(keyed("ada@corp.example")) == 8


@pytest.mark.parametrize("spelling", ["ada@corp.example", " ADA@Corp.Example "])
def test_one_person_has_one_pseudonym(spelling: str) -> None:
    """However an address is spelt, and however often it is hidden, it is one lead."""
    once = pseudonymous(event(email=spelling), keyed)
    twice = pseudonymous(once, keyed)

    assert once == twice
    plain = pseudonymous(event(email="ada@corp.example"), keyed)
    assert derive_lead_id(once) == derive_lead_id(plain)


def test_links_and_accounts_work_as_before() -> None:
    """The domain stays for rules; an address is linked by its pseudonym."""
    known = pseudonymous(event(user_id="u1", email="ada@corp.example"), keyed)
    alone = pseudonymous(event(email="ada@corp.example"), keyed)
    state = on_event(DEFAULT, None, known, known.now).state

    assert weaker_lead_ids(known) == (derive_lead_id(alone),)
    assert state.traits["email_domain"].value == "corp.example"
    belongs = belonging_of(state)
    assert belongs is not None
    assert belongs.domain == "corp.example"


def test_what_is_no_address_of_a_person_stays() -> None:
    """Functions' mailboxes and texts with an at sign are as they were."""
    assert pseudonym("info@corp.example", keyed) == "info@corp.example"
    given = event(user_id="@ada", properties={"text": "meet @ noon", "n": 1})
    assert pseudonymous(given, keyed) == given
