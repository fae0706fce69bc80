"""Erasure in the worker: what goes, what is told, what a crash or a zombie may do."""

from typing import Any

import msgspec
import pytest

from schemas.account import MemberUpdate
from schemas.command import Command, Erase
from schemas.event import Event
from schemas.privacy import AuditRecord, Suppression
from schemas.time import MINUTE, to_datetime
from schemas.topics import (
    ACCOUNT_MEMBERS,
    AUDIT,
    COMMANDS,
    DEAD_LETTERS,
    LEAD_STATE,
    SCORE_UPDATES,
    SUPPRESSIONS,
    TRAINING,
)
from scorers.identity import lead_id_of
from streams.event_log import NotDurableError
from streams.partitioner import partition_of
from streams.suppressions import PrivacyKeyError, Suppressions
from tests.worker_bench import (
    NOW,
    PARTITIONS,
    SETTINGS,
    Bench,
    Raw,
    batch,
    event,
    lead_of,
    partition_of_lead,
    raw,
)

ADA = event(user="ada", email="ada@corp.example", anonymous_id="cookie")
LEAD = lead_of(ADA)
ADDRESS = lead_id_of("email", "ada@corp.example")
COOKIE = lead_id_of("anonymous_id", "cookie")


def erasing(lead_id: str = LEAD, **given: Any) -> Erase:
    return Erase(lead_id=lead_id, at=to_datetime(NOW), by="dpo", **given)


async def obey(bench: Bench, command: Command, offset: int = 0) -> list[str]:
    lead_id = command.lead_id
    given = Raw(offset, lead_id.encode(), msgspec.json.encode(command))
    return await bench.process(batch(given, topic=COMMANDS.name))


async def known() -> Bench:
    bench = Bench()
    await bench.process(batch(raw(0, ADA)))
    return bench


def told(bench: Bench) -> list[Command]:
    return [
        msgspec.json.decode(record.value or b"", type=Command)
        for record in bench.log.on(COMMANDS.name)
    ]


def erasures(bench: Bench) -> dict[str, tuple[str, ...]]:
    return {
        each.lead_id: each.person for each in told(bench) if isinstance(each, Erase)
    }


def again(**given: Any) -> Event:
    at = to_datetime(NOW + MINUTE)
    return msgspec.structs.replace(
        ADA, **{"id": "e2", "received_at": at, "occurred_at": at, **given}
    )


async def test_nothing_of_the_lead_is_left_with_its_worker() -> None:
    """The state goes, by tombstones on its changelog and on the score updates."""
    bench = await known()
    effects = await obey(bench, erasing())

    assert bench.table.get(LEAD) is None
    for topic in (LEAD_STATE.name, SCORE_UPDATES.name, TRAINING.name):
        last = bench.log.on(topic)[-1]
        assert (last.key, last.value) == (LEAD.encode(), None)
    assert effects.index("confirm") < effects.index(LEAD_STATE.name)
    assert bench.crashed().table.get(LEAD) is None


async def test_the_other_identities_and_the_account_are_told() -> None:
    """Every identifier of the person is erased, and the account loses a member."""
    bench = await known()
    await obey(bench, erasing())

    assert erasures(bench) == dict.fromkeys((ADDRESS, COOKIE), (LEAD, ADDRESS, COOKIE))
    words = [
        msgspec.json.decode(record.value or b"", type=MemberUpdate)
        for record in bench.log.on(ACCOUNT_MEMBERS.name)
    ]
    assert [(word.lead_id, word.left, word.erased) for word in words] == [
        (LEAD, False, False),
        (LEAD, True, True),
        (ADDRESS, True, True),
        (COOKIE, True, True),
    ]


async def test_the_account_forgets_the_member() -> None:
    """An account remembers nothing of who was erased, not even that they left."""
    bench = await known()
    await obey(bench, erasing())
    for offset, record in enumerate(bench.log.on(ACCOUNT_MEMBERS.name)):
        given = Raw(offset, record.key, record.value)
        await bench.process(batch(given, topic=ACCOUNT_MEMBERS.name))

    (account,) = [kept.state for _, kept in bench.companies.held(range(PARTITIONS))]
    assert account.published.members == 0
    assert LEAD not in msgspec.json.encode(account).decode()


async def test_the_audit_says_what_and_not_who() -> None:
    """The record has counts and a keyed hash, no identifier and no lead id."""
    bench = await known()
    await obey(bench, erasing())

    (record,) = bench.log.on(AUDIT.name)
    audit = msgspec.json.decode(record.value or b"", type=AuditRecord)
    assert (audit.kind, audit.by) == ("erasure", "dpo")
    assert audit.removed["identifiers"] == 2
    assert audit.removed["events"] == 1
    written = repr(record)
    for name in ("ada", "cookie", LEAD, ADDRESS, COOKIE):
        assert name not in written


@pytest.mark.parametrize(
    "late",
    [
        again(),
        again(user_id=None),
        again(user_id=None, email=None),
        again(user_id="crm-77"),
        again(user_id="ada", email="new@other.example", anonymous_id="new"),
    ],
    ids=["all", "address", "cookie", "new-id", "new-address"],
)
async def test_late_events_bring_nobody_back(late: Event) -> None:
    """Whatever shows an erased user id or address, or only their device, is dropped."""
    bench = await known()
    await obey(bench, erasing())
    await obey(bench, erasing(ADDRESS, person=(LEAD,)), offset=1)
    await obey(bench, erasing(COOKIE, person=(LEAD,)), offset=2)
    before = len(bench.log.records)
    await bench.process(batch(raw(9, late)))

    assert len(bench.log.records) == before
    assert bench.table.get(lead_of(late)) is None


async def test_a_shared_device_leaves_others_alone() -> None:
    """Who uses the erased person's device is scored, without the device's id."""
    bench = await known()
    await obey(bench, erasing())
    await obey(bench, erasing(COOKIE, person=(LEAD,)), offset=1)
    bob = again(user_id="bob", email=None)
    await bench.process(batch(raw(9, bob)))

    kept = bench.table.get(lead_of(bob))
    assert kept is not None
    assert kept.state.anonymous_ids == ()


async def test_an_identifier_of_somebody_else_by_now_is_theirs() -> None:
    """A device that changed hands forgets whose it was, and stays the other's."""
    bench = Bench()
    owners = ((NOW - MINUTE, LEAD), (NOW, lead_id_of("user_id", "bob")))
    for offset, (since, to) in enumerate(owners):
        link = {
            "kind": "link",
            "lead_id": COOKIE,
            "to": to,
            "since": to_datetime(since).isoformat(),
            "at": to_datetime(NOW).isoformat(),
        }
        given = Raw(offset, COOKIE.encode(), msgspec.json.encode(link))
        await bench.process(batch(given, topic=COMMANDS.name))
    await obey(bench, erasing(COOKIE, person=(LEAD,)), offset=5)

    kept = bench.table.get(COOKIE)
    assert kept is not None
    assert [to for _, to in kept.state.claims] == [owners[1][1]]
    assert not bench.log.on(SUPPRESSIONS.name)


async def test_a_redirect_is_followed() -> None:
    """Erasing a person by a device erases the lead that it is part of."""
    bench = Bench()
    link = {
        "kind": "link",
        "lead_id": COOKIE,
        "to": LEAD,
        "since": to_datetime(NOW).isoformat(),
        "at": to_datetime(NOW).isoformat(),
    }
    given = Raw(0, COOKIE.encode(), msgspec.json.encode(link))
    await bench.process(batch(given, topic=COMMANDS.name))
    await obey(bench, erasing(COOKIE), offset=1)

    assert erasures(bench) == {LEAD: ()}
    assert bench.table.get(COOKIE) is None


@pytest.mark.parametrize("topic", [SUPPRESSIONS.name, SCORE_UPDATES.name])
async def test_a_crash_anywhere_is_made_good(topic: str) -> None:
    """Whatever write fails, the command that comes again does all of it."""
    bench = await known()
    bench.log.fail_at = topic
    with pytest.raises(NotDurableError):
        await obey(bench, erasing())
    recovered = bench.crashed()
    recovered.log.records = bench.log.records
    await obey(recovered, erasing())

    assert recovered.crashed().table.get(LEAD) is None
    assert erasures(recovered).keys() == {ADDRESS, COOKIE}
    assert len(recovered.log.on(AUDIT.name)) >= 1
    left = [
        msgspec.json.decode(record.value or b"", type=MemberUpdate)
        for record in recovered.log.on(ACCOUNT_MEMBERS.name)
    ]
    assert any(word.erased for word in left)


async def test_a_second_command_changes_nothing() -> None:
    """Erasing who is erased writes no second audit and tells nobody."""
    bench = await known()
    await obey(bench, erasing())
    audits, commands = len(bench.log.on(AUDIT.name)), len(told(bench))
    await obey(bench, erasing(), offset=1)

    assert len(bench.log.on(AUDIT.name)) == audits
    assert len(told(bench)) == commands


async def test_without_a_key_nobody_is_erased() -> None:
    """A worker that could not recognise the person again sets the command aside."""
    bench = await known()
    bench.suppressions.key = None
    await obey(bench, erasing())

    assert bench.table.get(LEAD) is not None
    (letter,) = bench.log.on(DEAD_LETTERS.name)
    assert letter.key == LEAD.encode()


def test_another_key_is_noticed() -> None:
    """Whoever has another key than the list was made with must not go on."""
    entry = Suppressions(SETTINGS).entry(LEAD, to_datetime(NOW))
    other = Suppressions(
        SETTINGS.model_validate({**SETTINGS.model_dump(), "privacy_key": "another"})
    )

    with pytest.raises(PrivacyKeyError, match="this one is another"):
        other.take(entry)


async def test_lifting_lets_new_events_count_and_no_old_ones() -> None:
    """After the lift what is received counts; what was received before never does."""
    bench = await known()
    await obey(bench, erasing())
    entry = bench.suppressions.entry(LEAD, to_datetime(NOW))
    lifted = msgspec.structs.replace(entry, lifted_at=to_datetime(NOW + MINUTE))
    old, new = again(id="e3", received_at=ADA.received_at), again(id="e4")
    given = Raw(0, lifted.subject.encode(), msgspec.json.encode(lifted))
    await bench.process(
        batch(given, topic=SUPPRESSIONS.name, partition=partition_of_lead(LEAD))
    )
    for offset, each in enumerate((old, new)):
        one = msgspec.structs.replace(each, email=None, anonymous_id=None)
        await bench.process(batch(raw(10 + offset, one)))

    kept = bench.table.get(LEAD)
    assert kept is not None
    assert len(kept.state.ids) == 1


def test_every_partition_hears_of_a_suppression() -> None:
    """The list is the same wherever a worker reads it."""
    from streams.suppressions import suppression_records

    entry = Suppressions(SETTINGS).entry(LEAD, to_datetime(NOW))
    records = suppression_records(SETTINGS, [entry], PARTITIONS)

    assert [record.partition for record in records] == list(range(PARTITIONS))
    assert {
        msgspec.json.decode(record.value or b"", type=Suppression) for record in records
    } == {entry}
    assert partition_of(LEAD.encode(), PARTITIONS) in range(PARTITIONS)
