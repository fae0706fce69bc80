"""What a new owner makes of a changelog: the last word of the latest owner."""

import pytest

from scorers.state import LeadState, encode_state
from streams.outgoing import Output
from streams.rebuilding import Rebuilt
from streams.state_records import (
    OWNER_KEY,
    VERSION,
    ChangelogError,
    Epoch,
    Ownership,
    Stored,
    encode_ownership,
    encode_stored,
)
from streams.state_records import _encode as encode
from streams.tables import Lead, LeadTable

OUTPUT = Output("lead.score-updates.v1", b"{}", (("ce_id", b"1"),))


def stored(
    term: int,
    owner: int,
    *,
    at: int = 0,
    sequence: int = 0,
    outbox: tuple[Output, ...] = (),
) -> bytes:
    state = encode_state(LeadState(lead_id="ld_a", sequence=sequence))
    positions = {"web.events.v1": at}
    return encode(Stored(1, term, owner, positions, state, None, outbox))


def claim(name: str, term: int) -> bytes:
    return encode_ownership(Ownership(1, term, name, "w"))


def rebuild(term: int, *log: tuple[bytes, bytes | None]) -> Rebuilt:
    """Read `log` as the owner who claims it last, under `term`."""
    rebuilt = Rebuilt(0, term, "mine")
    for offset, (key, value) in enumerate((*log, (OWNER_KEY, claim("mine", term)))):
        rebuilt.apply(key, value, offset)
    assert rebuilt.complete
    return rebuilt


def sequence(rebuilt: Rebuilt) -> int:
    return rebuilt.kept(Lead)["ld_a"].state.sequence


def test_the_last_record_of_an_owner_counts() -> None:
    """Of one owner's records the later one is the state."""
    rebuilt = rebuild(
        3, (b"ld_a", stored(2, 0, sequence=1)), (b"ld_a", stored(2, 0, sequence=2))
    )

    assert sequence(rebuilt) == 2
    assert list(rebuilt.repairs()) == []


def test_a_zombie_never_wins() -> None:
    """What a former owner writes late is ignored, and undone before compaction."""
    mine = stored(3, 7, sequence=5)
    late = stored(2, 0, sequence=6, at=99)
    rebuilt = rebuild(4, (b"ld_a", mine), (b"ld_a", late))

    assert sequence(rebuilt) == 5
    assert list(rebuilt.repairs()) == [("ld_a", mine)]


def test_a_repaired_lead_needs_no_repair() -> None:
    """A winner that was written again after the late record is the end of it."""
    mine, late = stored(3, 7, sequence=5), stored(2, 0, sequence=6)
    rebuilt = rebuild(4, (b"ld_a", mine), (b"ld_a", late), (b"ld_a", mine))

    assert sequence(rebuilt) == 5
    assert list(rebuilt.repairs()) == []


def test_same_term_later_claim_wins() -> None:
    """With static membership a term has several owners: the later claim counts."""
    rebuilt = rebuild(
        3, (b"ld_a", stored(3, 8, sequence=2)), (b"ld_a", stored(3, 1, sequence=9))
    )

    assert sequence(rebuilt) == 2


def test_a_group_made_anew_still_wins() -> None:
    """A group that counts from one again signs with the highest term there was."""
    rebuilt = rebuild(
        1, (b"ld_a", stored(57, 0)), (OWNER_KEY, claim("other", 60)), (b"ld_a", None)
    )

    assert rebuilt.epoch == Epoch(60, 3)


def test_a_tombstone_removes() -> None:
    """A record without a value takes the lead away."""
    rebuilt = rebuild(2, (b"ld_a", stored(1, 0)), (b"ld_a", None))

    assert rebuilt.kept(Lead) == {}


def test_an_empty_changelog_is_complete() -> None:
    """Our own claim is all that is needed: compaction may have left nothing."""
    assert rebuild(1).kept(Lead) == {}


def test_what_follows_the_claim_is_not_read() -> None:
    """A record after our claim is a zombie's: it was not there when we took over."""
    rebuilt = rebuild(3, (b"ld_a", stored(2, 0, sequence=1)))
    rebuilt.apply(b"ld_a", stored(2, 0, sequence=2), 2)

    assert sequence(rebuilt) == 1


@pytest.mark.parametrize(
    ("key", "value"),
    [
        (b"ld_a", b"\xc1"),
        (b"ld_a", encode([2, 0, 0, {}, b"", None, []])),
        (b"\xff", stored(1, 0)),
        (None, stored(1, 0)),
        (OWNER_KEY, b"{}"),
    ],
    ids=["garbage", "future-format", "key-not-text", "no-key", "bad-claim"],
)
def test_unreadable_records_stop_recovery(key: bytes | None, value: bytes) -> None:
    """No state is built on guesses."""
    with pytest.raises(ChangelogError):
        Rebuilt(0, 1, "mine").apply(key, value, 0)


def test_what_is_written_is_what_is_read() -> None:
    """A lead that was encoded by its owner comes back the same, outbox and all."""
    table = LeadTable({})
    table.adopt(rebuild(4))
    state = LeadState(lead_id="ld_a", sequence=3, wake_at=77)
    signed = table.signed(0, {"web.events.v1": 9}, state, (OUTPUT,))
    value = encode_stored(signed)
    lead = rebuild(5, (b"ld_a", value)).kept(Lead)["ld_a"]

    assert lead.state == state
    assert (lead.wake_at, lead.outbox, lead.positions) == (
        77,
        (OUTPUT,),
        {"web.events.v1": 9},
    )


def test_dropped_partitions_leave_nothing() -> None:
    """Leads of a partition that went to another worker are not kept."""
    table = LeadTable({})
    for partition in (0, 1):
        rebuilt = Rebuilt(partition, 1, "mine")
        rebuilt.apply(f"ld_{partition}".encode(), stored(1, 0), 0)
        rebuilt.apply(OWNER_KEY, claim("mine", 1), 1)
        table.adopt(rebuilt)
    table.drop([0])

    assert table.get("ld_0") is None
    assert table.get("ld_1") is not None
    assert table.partitions == {1}


def test_an_outbox_is_kept_until_its_input_was_acknowledged() -> None:
    """Outputs are forgotten once no record they follow from can come again."""
    table = LeadTable({})
    table.adopt(rebuild(2, (b"ld_a", stored(1, 0, at=9, outbox=(OUTPUT,)))))

    table.forget_sent(frozenset({0}), {("web.events.v1", 0): 9})
    lead = table.get("ld_a")
    assert isinstance(lead, Lead)
    assert lead.outbox == (OUTPUT,)

    table.forget_sent(frozenset({0}), {("web.events.v1", 0): 10})
    assert lead.outbox == ()


def put(table: LeadTable, state: LeadState, partition: int = 0) -> None:
    """Let `table` hold `state` as one that was made durable."""
    stored = Stored(VERSION, 1, 0, {}, encode_state(state), None)
    table.renew(state.lead_id, partition, stored, state)


def test_only_states_in_use_are_unpacked() -> None:
    """What was not used for as many others as may be ready is kept in bytes alone."""
    store: dict[str, Lead] = {}
    table = LeadTable(store, unpacked=2)
    for name in ("ld_a", "ld_b"):
        put(table, LeadState(lead_id=name, score=7.0))
    assert table.get("ld_a") is not None  # now ld_b waits longer
    put(table, LeadState(lead_id="ld_c"))

    assert [name for name, kept in store.items() if kept.is_packed] == ["ld_b"]
    kept = table.get("ld_b")
    assert isinstance(kept, Lead)
    assert kept.score == 7.0
    assert kept.is_packed
    assert kept.state == LeadState(lead_id="ld_b", score=7.0)
    assert [name for name, kept in store.items() if kept.is_packed] == ["ld_a"]


def test_a_forgotten_state_is_not_in_use() -> None:
    """What is dropped with its partition takes no place among those in use."""
    store: dict[str, Lead] = {}
    table = LeadTable(store, unpacked=2)
    for number, name in enumerate(("ld_a", "ld_b", "ld_c")):
        put(table, LeadState(lead_id=name), number)
    table.drop([1, 2])
    put(table, LeadState(lead_id="ld_d"))

    assert not store["ld_d"].is_packed
    assert set(store) == {"ld_a", "ld_d"}
