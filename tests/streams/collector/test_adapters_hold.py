"""Whatever comes in: no adapter and no guard breaks on it."""

import asyncio
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scorers.identity import derive_lead_id
from streams.collector.adapters.provider import (
    Envelope,
    Incoming,
    Provider,
    Taken,
    Trust,
)
from streams.collector.adapters.registry import PROVIDERS
from streams.collector.fetching import Fetching
from streams.collector.verdict import RefusedError
from streams.event_log import event_record

NOW = 1_795_348_800_000
_WORDS = """
    event type item verb field value from id time timestamp email data msys event-data
    signature recipient object page entry changes messaging feed like add comment
    leadgen user_id for_user_id tweet_create_events user id_str Message mail destination
    bounce bouncedRecipients emailAddress eventType Bounce Click click open delivered
    relay_message track_event notifications action LIKE generatedActivity events
    RecordType Open email.clicked to activity.clicked msg headers ts Headers message
    sg_message_id url subject tags content commonHeaders Type TopicArn SigningCertURL
    ada@example.com 1461095250
"""
WORDS = st.sampled_from(_WORDS.split())
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.integers(-(10**30), 10**30)
    | st.floats()
    | st.text(max_size=20)
)
JSON = st.recursive(
    SCALARS | WORDS,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(WORDS | st.text(max_size=8), inner, max_size=6)
    ),
    max_leaves=25,
)
CONTENT_TYPES = (
    "application/json",
    "application/x-www-form-urlencoded",
    "multipart/form-data; boundary=b",
    "multipart/form-data",
)
TYPES = st.sampled_from(CONTENT_TYPES)


async def nowhere(url: str) -> bytes:
    """Fetch nothing."""
    raise OSError(url)


def as_sent(provider: Provider, body: Any, content_type: str) -> Incoming:
    """Return a request with what was drawn where its provider puts it."""
    if not isinstance(body, bytes):
        text = json.dumps(body)
        if provider.name == "mandrill":
            content_type = "application/x-www-form-urlencoded"
            text = f"mandrill_events={text}"
        if provider.name == "amazon_ses":
            text = json.dumps({"Message": text})
        body = text.encode()
    return Incoming(
        method="POST",
        url="https://hooks.example/v1/webhooks/x",
        headers={"content-type": content_type, "signature": "x"},
        query={},
        body=body,
    )


def taken_by(provider: Provider, request: Incoming) -> Taken | int:
    """Return what the adapter makes of a request, or the status it refuses it with."""
    try:
        return provider.adapt(request, Envelope(source="s", received_at=NOW))
    except RefusedError as refusal:
        return refusal.status


async def status_of_guard(provider: Provider, request: Incoming) -> int:
    """Return the status that the guard refuses a request with; 200 if it does not."""
    assert provider.guard is not None
    trust = Trust(secrets=("s",), write_key="wk", now=NOW, fetch=Fetching(nowhere))
    try:
        await provider.guard(request, trust)
    except RefusedError as refusal:
        return refusal.status
    return 200


@pytest.mark.hypothesis
@pytest.mark.parametrize("provider", PROVIDERS, ids=lambda provider: provider.name)
@given(body=st.binary(max_size=200) | JSON, content_type=TYPES)
def test_nothing_breaks_an_adapter(
    provider: Provider, body: object, content_type: str
) -> None:
    """It is events for the log, rejections or a refusal, the same each time."""
    request = as_sent(provider, body, content_type)

    taken = taken_by(provider, request)

    assert taken == taken_by(provider, request)
    if not isinstance(taken, Taken):
        assert 400 <= taken < 500
        return
    for event in taken.events:
        lead_id = derive_lead_id(event)
        assert lead_id is not None
        assert event_record(event, lead_id).value
    if provider.guard is not None:
        assert asyncio.run(status_of_guard(provider, request)) < 500


@pytest.mark.parametrize(
    ("name", "body"),
    [("amazon_ses", b'{"Message": 4567}'), ("amazon_ses", b'{"Message": "\\ud8ff"}')],
)
def test_what_broke_an_adapter_once(name: str, body: bytes) -> None:
    """Inputs that `make fuzz` found are taken in like any other."""
    provider = next(each for each in PROVIDERS if each.name == name)
    request = Incoming(method="POST", url="https://x", headers={}, query={}, body=body)

    assert isinstance(taken_by(provider, request), Taken)
