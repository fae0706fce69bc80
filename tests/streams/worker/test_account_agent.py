"""The accounts' agent: what leads tell is added up once, whatever happens between."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from confluent_kafka import Message
from msgspec.structs import replace

from schemas.account import AccountCommand, AccountScore, AccountWakeup, MemberUpdate
from schemas.alert import Alert
from schemas.event import Event
from schemas.time import to_datetime
from schemas.topics import (
    ACCOUNT_MEMBERS,
    ACCOUNT_SCORES,
    ACCOUNT_STATE,
    DEAD_LETTERS,
    NOTIFICATIONS,
    WEB_EVENTS,
)
from scorers.account_state import AccountState
from scorers.belonging import account_id_of
from scorers.compiled import CompiledModel
from streams.event_log import NotDurableError
from streams.model_files import read_model, read_text, shipped_model
from streams.partitioner import partition_of
from streams.rebuilding import Rebuilt
from streams.settings import Settings
from streams.tables import Account
from streams.transport.progress import Batch
from tests.waiting import wait_until
from tests.worker_bench import PARTITIONS, Bench, Raw, batch, event, raw
from tests.worker_harness import (
    WorkerProcess,
    check_updates,
    committed,
    make_events,
    produce,
    read_all,
    stored_states,
)

ACCOUNTS = """
accounts:
  score: {kind: top_mean, people: 3}
  active: {at_least: 2, of_tier: bronze, within: 7d}
  alerts:
    - {name: buying-group, kind: account-surge, people: 3, within: 1h, cooldown: 1h}
"""
EXAMPLE = account_id_of("domain", "example.com")
PLACE = partition_of(EXAMPLE.encode(), PARTITIONS)

MakeTopics = Callable[..., Settings]


@pytest.fixture(scope="module")
def model_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The shipped model with accounts that ring."""
    path = tmp_path_factory.mktemp("models") / "accounts.yaml"
    shipped = read_text(shipped_model()).partition("\naccounts:")[0]
    path.write_text(shipped + ACCOUNTS, "utf-8")
    return path


@pytest.fixture(scope="module")
def model(model_file: Path) -> CompiledModel:
    return read_model(model_file)


@pytest.fixture
def bench(model: CompiledModel) -> Bench:
    return Bench(model=model)


def person(number: int, name: str = "Demo Requested", **given: Any) -> Event:
    """Return what one of the people of example.com does."""
    user = f"u{number}"
    email = f"{user}@example.com"
    return event(name, user, **{"id": f"{user}-{name}", "email": email, **given})


def told(bench: Bench) -> list[MemberUpdate]:
    """Return what leads told their accounts, in the order of telling."""
    found = [
        msgspec.json.decode(each.value or b"", type=AccountCommand)
        for each in bench.log.on(ACCOUNT_MEMBERS.name)
    ]
    return [each for each in found if isinstance(each, MemberUpdate)]


def members(bench: Bench, *, account: str = EXAMPLE) -> Batch:
    """Return the account's partition of the topic, as the broker would keep it."""
    records = [
        each
        for each in bench.log.on(ACCOUNT_MEMBERS.name)
        if each.partition == partition_of(account.encode(), PARTITIONS)
    ]
    return batch(
        *(
            Raw(offset, each.key, each.value, tuple(each.headers))
            for offset, each in enumerate(records)
        ),
        topic=ACCOUNT_MEMBERS.name,
    )


def scores(bench: Bench) -> list[AccountScore]:
    return [
        msgspec.json.decode(each.value or b"", type=AccountScore)
        for each in bench.log.on(ACCOUNT_SCORES.name)
    ]


def alerts(bench: Bench) -> list[Alert]:
    found = [
        msgspec.json.decode(each.value or b"", type=Alert)
        for each in bench.log.on(NOTIFICATIONS.name)
    ]
    return [each for each in found if each.kind == "account-surge"]


async def three_people(bench: Bench) -> None:
    for number in range(3):
        await bench.process(batch(raw(0, person(number))))


# ── what leads tell ─────────────────────────────────────────────────────────────


async def test_a_lead_tells_its_account_after_its_state_is_durable(
    bench: Bench,
) -> None:
    """The word goes with the updates, under the account's key, with the trace."""
    trace = ("traceparent", b"00-abc")
    effects = await bench.process(batch(raw(0, person(1), trace)))

    assert effects == [
        "confirm",
        "lead.states.v1",
        "confirm",
        "lead.score-updates.v1",
        "account.members.v1",
        "lead.commands.v1",  # her address is hers: its lead is to become this one
    ]
    (record,) = bench.log.on(ACCOUNT_MEMBERS.name)
    assert (record.key, record.partition) == (EXAMPLE.encode(), PLACE)
    assert dict(record.headers)["traceparent"] == b"00-abc"
    assert dict(record.headers)["ce_type"] == b"leadpulse.account-command.v1"


async def test_a_word_that_was_not_sent_is_sent_after_the_crash(bench: Bench) -> None:
    """What a lead had to tell is kept with its state, word for word."""
    bench.log.fail_at = ACCOUNT_MEMBERS.name
    with pytest.raises(NotDurableError):
        await bench.process(batch(raw(0, person(1))))

    again = bench.crashed()
    await again.process(batch(raw(0, person(1))))

    (word,) = told(again)
    assert (word.account_id, word.sequence) == (EXAMPLE, 1)
    (record,) = again.log.on(ACCOUNT_MEMBERS.name)
    assert record.partition == PLACE


async def test_a_lead_that_moves_tells_both_accounts(bench: Bench) -> None:
    """The account that is left hears of it in the same step."""
    await bench.process(batch(raw(0, person(1))))
    moves = person(1, "", type="group", traits={"account_id": "crm-1"}, id="moves")
    await bench.process(batch(raw(1, moves)))

    there = account_id_of("account", "crm-1")
    assert [(each.account_id, each.left) for each in told(bench)] == [
        (EXAMPLE, False),
        (EXAMPLE, True),
        (there, False),
    ]
    await bench.process(members(bench))
    await bench.process(members(bench, account=there))

    last = {each.account_id: each.members for each in scores(bench)}
    assert last == {EXAMPLE: 0, there: 1}


# ── what accounts make of it ────────────────────────────────────────────────────


async def test_accounts_are_added_up_and_ring(bench: Bench) -> None:
    """State first, then score and alert, each after ownership was confirmed."""
    await three_people(bench)

    effects = await bench.process(members(bench))

    assert effects == [
        "confirm",
        "account.states.v1",
        "confirm",
        *["account.scores.v1"] * 3,
        "notifications.v1",
    ]
    assert [each.sequence for each in scores(bench)] == [1, 2, 3]
    assert scores(bench)[-1].members == 3
    (alert,) = alerts(bench)
    assert (alert.account_id, alert.alert) == (EXAMPLE, "buying-group")
    (record,) = bench.log.on(NOTIFICATIONS.name)
    assert (record.key, record.partition) == (EXAMPLE.encode(), PLACE)


@pytest.mark.parametrize("fail_at", [None, ACCOUNT_SCORES.name])
async def test_leads_and_accounts_of_a_fetch_wait_for_the_broker_twice(
    bench: Bench, fail_at: str | None
) -> None:
    """All states first, then all that follows; neither is known before both are."""
    await three_people(bench)
    bench.log.fail_at = fail_at
    again = batch(raw(1, person(1, id="again")))
    if fail_at:
        with pytest.raises(NotDurableError):
            await bench.process(again, members(bench))
        assert bench.companies.get(EXAMPLE) is None
        lead = bench.table.get(again.records[0].key.decode())  # type: ignore[union-attr]
        assert lead is not None
        assert lead.positions == {WEB_EVENTS.name: 0}
        return

    effects = await bench.process(again, members(bench))

    assert effects[:4] == ["confirm", "lead.states.v1", "account.states.v1", "confirm"]
    assert {"account.members.v1", "account.scores.v1"} <= set(effects[4:])
    assert "confirm" not in effects[4:]


async def test_words_that_come_again_change_nothing(bench: Bench) -> None:
    """Neither a replayed record nor a repeated word is counted twice."""
    await three_people(bench)
    await bench.process(members(bench))
    again = members(bench)
    assert await bench.process(again) == ["confirm", "confirm"]

    repeated = [Raw(each.offset + 3, each.key, each.value) for each in again.records]
    effects = await bench.process(batch(*repeated, topic=ACCOUNT_MEMBERS.name))

    assert effects == ["confirm", "confirm"]


@pytest.mark.parametrize("fail_at", [ACCOUNT_STATE.name, ACCOUNT_SCORES.name])
async def test_a_crash_repeats_an_accounts_bytes(bench: Bench, fail_at: str) -> None:
    """After a crash the same scores and the same alert are sent, once in order."""
    await three_people(bench)
    input_ = members(bench)
    bench.log.fail_at = fail_at
    with pytest.raises(NotDurableError):
        await bench.process(input_)
    assert bench.companies.get(EXAMPLE) is None

    again = bench.crashed()
    await again.process(input_)

    assert [each.sequence for each in scores(again)] == [1, 2, 3]
    (alert,) = alerts(again)
    assert alert.episode == 1
    states = [*bench.log.on(ACCOUNT_STATE.name), *again.log.on(ACCOUNT_STATE.name)]
    assert len(states) == 1, "decided once"


async def test_accounts_are_woken(bench: Bench) -> None:
    """A planned look goes to the account's own partition and is acted on there."""
    await three_people(bench)
    await bench.process(members(bench))
    (planned,) = {
        at
        for _, key, at in bench.companies.wakeups(frozenset(range(8)))
        if key == EXAMPLE
    }
    bench.clock.at = planned
    bench.log.records.clear()
    await bench.wakeups.tick(lambda _: True)

    (record,) = bench.log.on(ACCOUNT_MEMBERS.name)
    wakeup = msgspec.json.decode(record.value or b"", type=AccountCommand)
    assert wakeup == AccountWakeup(account_id=EXAMPLE, at=to_datetime(planned))
    assert (record.key, record.partition) == (EXAMPLE.encode(), PLACE)
    woken = Raw(9, record.key, record.value)
    effects = await bench.process(batch(woken, topic=ACCOUNT_MEMBERS.name))
    assert effects == ["confirm", "account.states.v1", "confirm"]
    kept = bench.companies.get(EXAMPLE)
    assert kept is not None
    assert kept.state.alerts["buying-group"].phase == "out"

    early = Raw(10, record.key, record.value)
    assert await bench.process(batch(early, topic=ACCOUNT_MEMBERS.name)) == [
        "confirm",
        "confirm",
    ]


async def test_a_poisoned_word_is_set_aside(bench: Bench) -> None:
    """What cannot be read becomes a dead letter of this stage; the rest goes on."""
    await three_people(bench)
    input_ = members(bench)
    poison = Raw(0, EXAMPLE.encode(), b'{"kind":"member"}')
    rest = [Raw(each.offset + 1, each.key, each.value) for each in input_.records]
    await bench.process(batch(poison, *rest, topic=ACCOUNT_MEMBERS.name))

    (letter,) = bench.log.on(DEAD_LETTERS.name)
    assert dict(letter.headers)["dl_stage"] == b"accounts"
    assert scores(bench)[-1].members == 3


async def test_without_accounts_in_the_model_words_are_passed_over(
    bench: Bench,
) -> None:
    """A model that adds nothing up leaves the accounts as they are."""
    await three_people(bench)
    input_ = members(bench)
    plain = Bench(model=read_model(shipped_model().with_name("ecommerce.yaml")))

    assert await plain.process(input_) == ["confirm", "confirm"]


# ── on a broker ─────────────────────────────────────────────────────────────────


@pytest.fixture
def settings(make_topics: MakeTopics, tmp_path: Path, model_file: Path) -> Settings:
    return make_topics(
        partitions=3, session_seconds=1.0, data_dir=tmp_path, model_path=model_file
    )


@pytest.fixture
def worker(settings: Settings, tmp_path: Path) -> Iterator[WorkerProcess]:
    worker = WorkerProcess(settings, tmp_path / "worker.log")
    yield worker
    worker.end()


def at_companies(events: Iterable[Event], companies: int) -> list[Event]:
    """Give everybody an address at one of the companies."""
    placed = []
    for each in events:
        assert each.user_id is not None
        number = int(each.user_id.rpartition("-")[2]) % companies
        email = f"{each.user_id}@company-{number}.example"
        placed.append(replace(each, email=email))
    return placed


def stored_accounts(settings: Settings) -> dict[str, AccountState]:
    """Return the accounts that the changelog holds, as a new owner would read them."""
    rebuilt = {each: Rebuilt(each, 0, "") for each in range(settings.partitions)}
    for message in read_all(settings, ACCOUNT_STATE):
        partition, offset = message.partition(), message.offset()
        assert partition is not None
        assert offset is not None
        rebuilt[partition].apply(message.key(), message.value(), offset)
    found: dict[str, AccountState] = {}
    for each in rebuilt.values():
        for account_id, kept in each.kept(Account).items():
            place = partition_of(account_id.encode(), settings.partitions)
            assert place == each.partition
            found[account_id] = kept.state
    return found


def is_settled(settings: Settings) -> bool:
    """Say whether every account has heard the last word of each of its leads."""
    accounts = stored_accounts(settings)
    return all(
        (account := accounts.get(lead.account_id or "")) is not None
        and (member := account.members.get(lead_id)) is not None
        and member.sequence == lead.member_sequence
        for lead_id, lead in stored_states(settings).items()
    )


def check_accounts(settings: Settings) -> None:
    """Assert that accounts know exactly their leads, and told everything once.

    Scores are numbered without gaps; a repeated one, and a repeated alert, is the
    same to the byte.
    """
    leads, accounts = stored_states(settings), stored_accounts(settings)
    check_updates(settings, leads)
    people: dict[str, set[str]] = defaultdict(set)
    for lead_id, lead in leads.items():
        assert lead.account_id is not None
        people[lead.account_id].add(lead_id)
        member = accounts[lead.account_id].members[lead_id]
        assert (member.sequence, member.score) == (lead.member_sequence, lead.score)
    assert {key: set(account.members) for key, account in accounts.items()} == people
    by_account = _once(
        read_all(settings, ACCOUNT_SCORES),
        AccountScore,
        lambda each: (each.account_id, each.sequence),
    )
    for account_id, account in accounts.items():
        numbers = sorted(n for key, n in by_account if key == account_id)
        assert numbers == [*range(1, account.sequence + 1)]
        last = by_account[account_id, account.sequence]
        assert last.score == account.published.score
        assert last.members == len(account.members)
    rung = _once(
        [each for each in read_all(settings, NOTIFICATIONS) if _of_account(each)],
        Alert,
        lambda each: (each.account_id, each.alert, each.episode),
    )
    for account_id, account in accounts.items():
        episodes = {episode for key, _, episode in rung if key == account_id}
        known = account.alerts.get("buying-group")
        assert episodes == set(range(1, (0 if known is None else known.episode) + 1))
    assert read_all(settings, DEAD_LETTERS) == []


def _of_account(message: Message) -> bool:
    return (message.key() or b"").startswith(b"ac_")


def _once(
    messages: Iterable[Message], kind: type[Any], key_of: Callable[[Any], Any]
) -> dict[Any, Any]:
    """Return messages by key; of those that are repeated all must be the same."""
    found: dict[Any, Any] = {}
    for message in messages:
        each = msgspec.json.decode(message.value() or b"", type=kind)
        assert message.key() == each.account_id.encode()
        assert found.setdefault(key_of(each), each) == each, "told otherwise"
    return found


def test_accounts_survive_kills(settings: Settings, worker: WorkerProcess) -> None:
    """A worker killed again and again ends in accounts that know each lead once."""
    events = at_companies(make_events(600, 60), 7)
    worker.start().wait_ready()
    done = 0
    for end in (200, 400):
        before = committed(settings)
        produce(settings, events[done:end], rate=2000)
        done = end
        wait_until(lambda: committed(settings) > before, 20, "a commit")  # noqa: B023
        worker.kill()
        worker.start().wait_ready()
    produce(settings, events[done:])
    wait_until(lambda: committed(settings) == len(events), 40, "all events")
    wait_until(lambda: is_settled(settings), 20, "the accounts")
    assert worker.stop() == 0

    check_accounts(settings)
    assert len(stored_accounts(settings)) == 7
    assert any(_of_account(each) for each in read_all(settings, NOTIFICATIONS))
