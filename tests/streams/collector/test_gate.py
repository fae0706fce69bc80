"""The gate: bodies are opened and sorted; one bad message spoils nothing."""

import json
from datetime import datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.time import to_instant
from streams.collector.gate import Limits, Sorted, open_batch, open_single, sort
from streams.collector.verdict import RefusedError

NOW = to_instant(datetime.fromisoformat("2026-11-21T10:00:00Z"))
LIMITS = Limits(event_bytes=1_000, batch_events=5)
GOOD = {"type": "track", "event": "x", "userId": "u-1"}


def taken(*messages: Any, limits: Limits = LIMITS, **envelope: Any) -> Sorted:
    body = json.dumps({"batch": messages, **envelope}).encode()
    return sort(open_batch(body), call=None, source="s", limits=limits, now=NOW)


def reasons(result: Sorted) -> list[tuple[int, str]]:
    return [(one.index, one.rejection.reason) for one in result.refused]


def test_good_and_bad_are_told_apart() -> None:
    """A batch gives every good event and the place and reason of every bad one."""
    result = taken(GOOD, 5, {"type": "page"}, GOOD, {**GOOD, "timestamp": "1999"})

    assert len(result.events) == 2
    assert reasons(result) == [
        (1, "invalid-event"),
        (2, "unroutable"),
        (4, "invalid-timestamp"),
    ]
    assert json.loads(result.refused[1].raw) == {"type": "page"}


def test_limits_are_per_event() -> None:
    """An event that is too large or one too many is refused, its fellows are not."""
    large = {**GOOD, "properties": {"text": "x" * 1_000}}

    assert reasons(taken(GOOD, large, GOOD)) == [(1, "too-large")]
    assert reasons(taken(*[GOOD] * 7)) == [(5, "too-large"), (6, "too-large")]


def test_half_an_emoji_costs_nothing() -> None:
    """A title cut in the middle of a surrogate pair spoils nothing."""
    cut = {**GOOD, "properties": {"title": "cut \ud83d", "path": r"C:\ud83d"}}
    result = taken(GOOD, cut)

    assert not result.refused
    assert result.events[1].properties == {"title": "cut \ufffd", "path": r"C:\ud83d"}


def test_a_batch_speaks_for_its_messages() -> None:
    """Time of sending and context of the batch hold for each message of it."""
    result = taken(
        {**GOOD, "timestamp": "2026-11-22T09:59:00Z", "context": {"ip": "8.8.8.8"}},
        sentAt="2026-11-22T10:00:00Z",
        context={"ip": "1.1.1.1", "device": {"type": "phone"}},
    )

    assert result.events[0].time == NOW - 60_000
    assert result.events[0].context == {"ip": "8.8.8.8", "device": {"type": "phone"}}


@pytest.mark.parametrize(
    ("batch", "key"),
    [
        ({"batch": [GOOD], "writeKey": "k"}, "k"),
        ({"batch": [{**GOOD, "writeKey": "k"}] * 2}, "k"),
        ({"batch": [{**GOOD, "writeKey": "k"}, GOOD]}, None),
        ({"batch": [{**GOOD, "writeKey": "k"}, {**GOOD, "writeKey": "l"}]}, None),
        ({"batch": [{**GOOD, "writeKey": ["k"]}]}, None),
        ({"batch": []}, None),
    ],
)
def test_write_key_of_a_batch(batch: dict[str, Any], key: str | None) -> None:
    """A batch's write key is its own or the one that all its messages agree on."""
    assert open_batch(json.dumps(batch).encode()).write_key == key


@pytest.mark.parametrize(
    ("body", "reason", "position"),
    [
        (b'{"batch": [{},]}', "invalid-json", 14),
        (b'{"batch": [', "invalid-json", 11),
        (b"", "invalid-json", 0),
        (b'{"batch": ' + b"[" * 5_000, "invalid-json", None),
        (b'{"batch": 7}', "invalid-event", None),
        (b"[]", "invalid-event", None),
        (b"{}", "invalid-event", None),
    ],
)
def test_not_a_batch(body: bytes, reason: str, position: int | None) -> None:
    """A body that is no batch is refused as a whole, with the place of the mistake."""
    with pytest.raises(RefusedError) as refused:
        open_batch(body)

    assert refused.value.status == 400
    assert refused.value.reason == reason
    assert refused.value.position == position


@given(st.binary(max_size=200) | st.text(max_size=200).map(str.encode))
def test_any_body_has_an_answer(body: bytes) -> None:
    """No body whatever raises anything but a refusal of the whole."""
    for open_body in (open_batch, open_single):
        try:
            parcel = open_body(body)
        except RefusedError as refused:
            assert refused.status == 400  # noqa: PT017 - not raising is fine too
        else:
            sort(parcel, call="track", source="s", limits=LIMITS, now=NOW)


@given(
    st.binary(max_size=60).map(lambda noise: b'{"batch":[' + noise + b"]}")
    | st.lists(st.binary(max_size=20)).map(
        lambda parts: b'{"batch":[' + b",".join(b"{%s}" % p for p in parts) + b"]}"
    )
)
def test_any_batch_has_an_answer(body: bytes) -> None:
    """Noise inside a batch ends in verdicts or in a refusal, never in an error."""
    try:
        parcel = open_batch(body)
    except RefusedError:
        return
    result = sort(parcel, call=None, source="s", limits=LIMITS, now=NOW)
    assert len(result.events) + len(result.refused) == len(parcel.messages)
