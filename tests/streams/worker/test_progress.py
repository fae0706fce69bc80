"""Positions move when everything is durable, in order, and never past a hole."""

from dataclasses import dataclass

import pytest

from streams.transport.progress import (
    LogWentBackError,
    Partition,
    Progress,
    SkippedRecordsError,
)

P = Partition("web.events.v1", 0)
Q = Partition("web.events.v1", 1)


@dataclass(frozen=True)
class Stub:
    offset: int
    timestamp: int = 0
    key: bytes | None = None
    value: bytes | None = b""
    headers: tuple[tuple[str, bytes], ...] = ()


def records(*offsets: int) -> list[Stub]:
    return [Stub(offset) for offset in offsets]


def begun(**positions: int) -> Progress:
    progress = Progress()
    progress.begin({{"p": P, "q": Q}[name]: at for name, at in positions.items()})
    return progress


def test_commits_what_is_durable() -> None:
    """A position is committed after its batch was completed, and once."""
    progress = begun(p=5)
    batch = progress.hand_out(P, records(5, 6, 7))
    assert batch is not None
    assert progress.to_commit() == {}

    progress.complete(batch)
    assert progress.to_commit() == {P: 8}
    progress.committed({P: 8})
    assert progress.to_commit() == {}


def test_gaps_do_not_hold_up_commits() -> None:
    """Offsets that compaction or a transaction left out are passed over."""
    progress = begun(p=0)
    for offsets in ((0, 1, 2), (4, 5, 6), (8, 9, 10), (40,)):
        batch = progress.hand_out(P, records(*offsets))
        assert batch is not None
        progress.complete(batch)

    assert progress.to_commit() == {P: 41}


def test_nothing_is_completed_past_a_hole() -> None:
    """A batch whose predecessor was dropped on the way cannot be acknowledged."""
    progress = begun(p=0)
    progress.hand_out(P, records(0, 1))
    second = progress.hand_out(P, records(2, 3))
    assert second is not None

    with pytest.raises(SkippedRecordsError):
        progress.complete(second)
    assert progress.to_commit() == {}


def test_a_log_that_goes_back_is_an_error() -> None:
    """A topic that was made anew is noticed, not taken for a repetition."""
    progress = begun(p=100)

    with pytest.raises(LogWentBackError, match=r"offset 0, before 100"):
        progress.hand_out(P, records(0, 1))


def test_reading_again_begins_where_it_is_told() -> None:
    """After a seek only what is read from there on can be completed."""
    progress = begun(p=0)
    progress.hand_out(P, records(0, 1))
    progress.begin({P: 0})
    again = progress.hand_out(P, records(0, 1, 2))
    assert again is not None

    progress.complete(again)
    assert progress.to_commit() == {P: 3}


def test_revoked_partitions_are_nobodys() -> None:
    """What belongs to another worker is neither handed out nor committed."""
    progress = begun(p=0, q=0)
    batch = progress.hand_out(P, records(0))
    assert batch is not None
    progress.forget([P])
    progress.complete(batch)

    assert progress.hand_out(P, records(1)) is None
    assert progress.to_commit() == {}
    assert progress.durable(P) is None
    assert progress.durable(Q) == 0
