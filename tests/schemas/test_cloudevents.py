"""CloudEvents headers on Kafka records."""

from datetime import UTC, datetime, timedelta, timezone

from schemas.cloudevents import ALERT, CONTENT_TYPE, HEADERS, headers
from schemas.topics import (
    ACCOUNT_STATE,
    DEAD_LETTERS,
    LEAD_STATE,
    SIDE_STATE,
    TOPICS,
)


def test_every_attribute_is_a_header_in_its_place() -> None:
    """A record carries the four required attributes, its time and its media type."""
    made = headers(
        type=ALERT,
        source="/scoring/default",
        id="al_1",
        time=datetime(2026, 11, 21, 10, 9, 0, 412_999, tzinfo=UTC),
    )

    assert tuple(name for name, _ in made) == HEADERS
    assert dict(made) == {
        "ce_specversion": b"1.0",
        "ce_id": b"al_1",
        "ce_source": b"/scoring/default",
        "ce_type": b"leadpulse.alert.v1",
        "ce_time": b"2026-11-21T10:09:00.412Z",
        "content-type": CONTENT_TYPE.encode(),
    }


def test_time_is_told_in_utc() -> None:
    """A time in another zone is the same instant in UTC."""
    tehran = timezone(timedelta(hours=3, minutes=30))

    made = headers(
        type=ALERT, source="/", id="1", time=datetime(2026, 1, 1, 3, 30, tzinfo=tehran)
    )

    assert dict(made)["ce_time"] == b"2026-01-01T00:00:00.000Z"


def test_identifiers_of_any_script_survive() -> None:
    """An id in any script is carried as UTF-8."""
    made = headers(
        type=ALERT, source="/منبع", id="شناسه", time=datetime(2026, 1, 1, tzinfo=UTC)
    )

    assert dict(made)["ce_id"].decode() == "شناسه"
    assert dict(made)["ce_source"].decode() == "/منبع"


def test_only_untouched_bytes_go_without_a_type() -> None:
    """Every topic names its CloudEvents type, but those that hold foreign bytes."""
    bare = {topic.name for topic in TOPICS if topic.ce_type is None}

    assert bare == {
        ACCOUNT_STATE.name,
        DEAD_LETTERS.name,
        LEAD_STATE.name,
        SIDE_STATE.name,
    }
