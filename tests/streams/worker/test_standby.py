"""Copies of other workers' partitions: taken over at once, and never mistaken."""

import asyncio
from collections.abc import Callable, Iterator

import msgspec
import pytest

from schemas.topics import LEAD_STATE, TOPICS
from streams.event_log import KafkaEventLog, Record
from streams.rebuilding import Rebuilt
from streams.settings import Settings
from streams.state_records import (
    OWNER_KEY,
    VERSION,
    Ownership,
    Stored,
    encode_ownership,
    encode_stored,
)
from streams.transport import standby as module
from streams.transport.changelog import open_reader
from streams.transport.recovery import take_over
from streams.transport.standby import Ahead, Standby
from tests.waiting import wait_until

MakeTopics = Callable[..., Settings]
PARTITION = 1


@pytest.fixture
def settings(make_topics: MakeTopics) -> Settings:
    return make_topics(partitions=2)


@pytest.fixture
def standby(settings: Settings) -> Iterator[Standby]:
    standby = Standby(settings)
    yield standby
    standby.close()


def place(settings: Settings) -> tuple[str, int]:
    return settings.topic(LEAD_STATE.name), PARTITION


def state(term: int, text: bytes) -> bytes:
    return encode_stored(Stored(VERSION, term, 0, {}, text, None))


def write(settings: Settings, *records: tuple[bytes, bytes | None]) -> None:
    """Put these on the changelog, for good."""

    async def append() -> None:
        log = KafkaEventLog(settings, name="test", topics=TOPICS)
        topic, partition = place(settings)
        for key, value in records:
            await log.append([Record(topic, key, value, [], partition)])
        await log.close()

    asyncio.run(append())


def followed(standby: Standby, settings: Settings, records: int) -> None:
    """Return when a copy has so many records."""

    def is_there() -> bool:
        copy = standby._copies.get(place(settings))
        return copy is not None and copy.rebuilt.records >= records

    wait_until(is_there, 20, f"{records} records to be followed")


def stood_by(standby: Standby, settings: Settings, *keys: bytes) -> Ahead:
    """Return the copy of a changelog on which these keys were written in term 3."""
    write(settings, *((key, state(3, b"one")) for key in keys))
    standby.follow([place(settings)])
    followed(standby, settings, len(keys))
    ahead = standby.take(place(settings))
    assert ahead is not None
    return ahead


def states_of(ahead: Ahead | None) -> dict[str, bytes]:
    assert ahead is not None
    return {
        key: msgspec.msgpack.decode(value, type=Stored).state
        for key, value in ahead.rebuilt.winners()
    }


def test_a_copy_is_what_the_changelog_says(
    settings: Settings, standby: Standby
) -> None:
    """The last word on each key, also while others are followed; it is given once."""
    write(settings, (b"ada", state(1, b"old")), (b"bob", state(1, b"gone")))
    standby.follow([place(settings)])
    followed(standby, settings, 2)
    write(settings, (b"ada", state(2, b"new")), (b"bob", None))
    other = settings.topic(LEAD_STATE.name), 0
    standby.follow([other, place(settings)])
    followed(standby, settings, 4)
    ahead = standby.take(place(settings))

    assert states_of(ahead) == {"ada": b"new"}
    assert ahead is not None
    assert ahead.read_on == 4
    assert standby.take(place(settings)) is None
    assert standby.take(other) is None, "there is nothing in it"


def test_who_takes_over_reads_on_until_its_claim(
    settings: Settings, standby: Standby
) -> None:
    """What was written since counts, late writes of former owners do not."""
    ahead = stood_by(standby, settings, b"ada", b"bob")
    rebuilt = {PARTITION: Rebuilt(PARTITION, 2, "mine")}
    reader = open_reader(settings)
    try:
        starts = take_over(reader, place(settings)[0], rebuilt, {PARTITION: ahead})
    finally:
        reader.close()
    assert starts == {PARTITION: 2}

    taken = rebuilt[PARTITION]
    taken.apply(b"ada", state(4, b"two"), 2)
    taken.apply(b"bob", state(2, b"late"), 3)
    claim = encode_ownership(Ownership(VERSION, 2, "mine", "b"))
    taken.apply(OWNER_KEY, claim, 4)

    assert taken.complete
    assert taken.epoch == (4, 4), "a group that was made anew must still win"
    assert states_of(ahead) == {"ada": b"two", "bob": b"one"}
    assert [key for key, _ in taken.repairs()] == ["bob"]


def test_the_copy_of_another_log_is_refused(
    settings: Settings, standby: Standby
) -> None:
    """Where another record is now than the copy's last, everything is read."""
    ahead = stood_by(standby, settings, b"ada")
    own = Rebuilt(PARTITION, 2, "mine")
    rebuilt = {PARTITION: own}
    reader = open_reader(settings)
    try:
        other = ahead._replace(mark=b"another")
        assert take_over(reader, place(settings)[0], rebuilt, {PARTITION: other}) == {}
    finally:
        reader.close()
    assert rebuilt[PARTITION] is own


def test_a_log_that_begins_anew_is_read_anew(
    settings: Settings, standby: Standby
) -> None:
    """Offsets from before what was read: nothing of the old log stays."""
    write(settings, (b"ada", state(1, b"one")), (b"bob", state(1, b"one")))
    standby.follow([place(settings)])
    followed(standby, settings, 2)
    copy = standby._copies[place(settings)]
    assert copy.last is not None
    with standby._guard:
        copy.read_on = 50
        standby._apply(copy.last)

    assert states_of(standby.take(place(settings))) == {"bob": b"one"}


def test_who_heard_nothing_for_long_knows_too_little(
    settings: Settings, standby: Standby, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Tombstones that were compacted away would bring back who was removed."""
    write(settings, (b"ada", state(1, b"one")))
    standby.follow([place(settings)])
    followed(standby, settings, 1)
    monkeypatch.setattr(module, "MAX_SILENCE_SECONDS", -1.0)

    assert standby.take(place(settings)) is None


def test_what_cannot_be_read_is_left_to_recovery(
    settings: Settings, standby: Standby
) -> None:
    """The copy is given up; whoever takes the partition over will say so."""
    write(settings, (b"ada", state(1, b"one")))
    standby.follow([place(settings)])
    followed(standby, settings, 1)
    write(settings, (b"ada", b"\xc1"))

    wait_until(lambda: not standby._copies, 20, "the copy to be given up")
    assert standby.take(place(settings)) is None
