"""Leads that become one in the worker: who is told what, and what a crash may do."""

from collections.abc import Sequence
from random import Random
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

from schemas.command import Absorb, Command, Forward, Link, Retract
from schemas.event import Event
from schemas.score import ScoreUpdate
from schemas.time import MINUTE, to_datetime
from schemas.topics import COMMANDS, SCORE_UPDATES, WEB_EVENTS
from scorers.identity import derive_lead_id, lead_id_of, weaker_lead_ids
from scorers.linking import present_owner
from scorers.masses import hash64
from scorers.replay import Replay
from scorers.scorer import read
from scorers.state import MAX_IDS, LeadState
from streams.event_log import NotDurableError, Record
from streams.hand_overs import HandOvers
from streams.partitioner import partition_of
from tests.worker_bench import (
    NOW,
    PARTITIONS,
    SETTINGS,
    Bench,
    Raw,
    batch,
    event,
)
from tests.worker_harness import MODEL

ADA, BOB = lead_id_of("user_id", "ada"), lead_id_of("user_id", "bob")
COOKIE = lead_id_of("anonymous_id", "cookie")
ADDRESS = lead_id_of("email", "ada@example.com")


def seen(
    number: int | str, *, name: str = "Offer Clicked", minute: int = 0, **who: str
) -> Event:
    at = to_datetime(NOW - (30 - minute) * MINUTE)
    nobody: dict[str, Any] = {"user_id": None, "email": None, "anonymous_id": None}
    return event(
        name, id=str(number), occurred_at=at, received_at=at, **{**nobody, **who}
    )


class Cluster:
    """A worker whose commands come back to it, and that may crash at any write."""

    def __init__(self, chance: Random | None = None) -> None:
        self.bench = Bench()
        self.chance = chance or Random(1)
        self.crashes = 0
        self._offsets: dict[tuple[str, int], int] = {}
        self._heard = 0
        self._queue: list[tuple[str, int, Raw]] = []

    def put(self, given: Event) -> None:
        """Put an event on its topic."""
        key = (derive_lead_id(given) or "").encode()
        self._put(WEB_EVENTS.name, key, msgspec.json.encode(given))

    def _put(self, topic: str, key: bytes, value: bytes) -> None:
        partition = partition_of(key, PARTITIONS)
        offset = self._offsets.get((topic, partition), 0)
        self._offsets[topic, partition] = offset + 1
        self._queue.append((topic, partition, Raw(offset, key, value)))

    async def run(self, *, crash: float = 0.0) -> None:
        """Let the worker take everything, also what it tells itself."""
        while self._queue:
            topic, partition, _ = self.chance.choice(self._queue)
            # Of one partition records come in order.
            taken = [r for t, p, r in self._queue if (t, p) == (topic, partition)]
            taken = taken[: self.chance.randrange(1, 4)]
            if self.chance.random() < crash:
                self.bench.log.fail_at = self.chance.choice(
                    ["lead.states.v1", COMMANDS.name, SCORE_UPDATES.name, "late"]
                )
            try:
                await self.bench.process(
                    batch(*taken, topic=topic, partition=partition)
                )
                if self.bench.log.fail_at == "late":
                    raise NotDurableError
            except NotDurableError:
                self._listen()
                self.crashes += 1
                written = list(self.records)
                self.bench = self.bench.crashed()
                self.bench.log.records = written
                self._heard = len(self.bench.log.records)
                continue
            self._listen()
            gone = {id(each) for each in taken}
            self._queue = [each for each in self._queue if id(each[2]) not in gone]
            self.bench.log.fail_at = None

    @property
    def records(self) -> Sequence[Record]:
        """Everything that was ever written."""
        return self.bench.log.records

    def _listen(self) -> None:
        for record in self.records[self._heard :]:
            if record.topic == SETTINGS.topic(COMMANDS.name):
                assert record.key is not None
                self._put(COMMANDS.name, record.key, record.value or b"")
        self._heard = len(self.records)

    def state(self, lead_id: str) -> LeadState:
        kept = self.bench.table.get(lead_id)
        assert kept is not None
        state = kept.state
        assert isinstance(state, LeadState)
        return state

    def leads(self) -> dict[str, LeadState]:
        """Return what is a lead today."""
        held = self.bench.table.held(range(PARTITIONS))
        return {key: kept.state for key, kept in held if not kept.state.claims}

    def commands(self, kind: type) -> list[Any]:
        found = [
            msgspec.json.decode(each.value or b"", type=Command)
            for each in self.bench.log.on(COMMANDS.name)
        ]
        return [each for each in found if isinstance(each, kind)]

    def updates(self, lead_id: str) -> list[ScoreUpdate]:
        """Return a lead's updates by their numbers; a repeated one must be the same."""
        found: dict[int, ScoreUpdate] = {}
        for each in self.bench.log.on(SCORE_UPDATES.name):
            update = msgspec.json.decode(each.value or b"", type=ScoreUpdate)
            if update.lead_id == lead_id:
                assert found.setdefault(update.sequence, update) == update
        assert sorted(found) == [*range(1, len(found) + 1)]
        return [found[number] for number in sorted(found)]


async def test_an_anonymous_visitor_becomes_known() -> None:
    """What the cookie did counts for the person who logs in, who tells the CRM so."""
    cluster = Cluster()
    cluster.put(seen(1, anonymous_id="cookie", name="Demo Requested"))
    await cluster.run()
    (before,) = cluster.updates(COOKIE)
    cluster.put(seen(2, anonymous_id="cookie", user_id="ada", minute=5))
    await cluster.run()

    assert set(cluster.leads()) == {ADA}
    *_, last = cluster.updates(COOKIE)
    assert (last.score, last.merged_into) == (0.0, ADA)
    assert last.previous == before.score
    *_, ada = cluster.updates(ADA)
    assert ada.cause.kind == "merge"
    assert ada.identifiers.anonymous_id == ("cookie",)
    assert ada.score > before.score
    assert set(cluster.state(ADA).ids) == {hash64("1"), hash64("2")}


async def test_a_straggler_is_forwarded() -> None:
    """What the cookie does afterwards, or what comes late, is the person's."""
    cluster = Cluster()
    cluster.put(seen(1, anonymous_id="cookie", user_id="ada"))
    await cluster.run()
    cluster.put(seen(2, anonymous_id="cookie", minute=9))
    await cluster.run()

    assert set(cluster.leads()) == {ADA}
    assert set(cluster.state(ADA).ids) == {hash64("1"), hash64("2")}
    (forward,) = cluster.commands(Forward)
    assert forward.lead_id == ADA
    assert forward.source == f"{COOKIE}/{WEB_EVENTS.name}"


async def test_a_chain_ends_at_the_user_id() -> None:
    """Anonymous, then an address, then a user id: all is one lead in the end."""
    cluster = Cluster()
    cluster.put(seen(1, anonymous_id="cookie"))
    cluster.put(seen(2, anonymous_id="cookie", email="Ada@Example.com", minute=1))
    await cluster.run()
    assert set(cluster.leads()) == {ADDRESS}
    cluster.put(seen(3, email="ada@example.com", user_id="ada", minute=2))
    await cluster.run()
    cluster.put(seen(4, anonymous_id="cookie", minute=3))
    await cluster.run()

    assert set(cluster.leads()) == {ADA}
    assert set(cluster.state(ADA).ids) == {hash64(str(n)) for n in range(1, 5)}
    assert cluster.state(ADA).emails == ("ada@example.com",)


async def test_a_shared_computer() -> None:
    """What was before another's login stays the first person's, also when it is late.

    When the first one logs in again, the cookie is theirs again.
    """
    cluster = Cluster()
    cluster.put(seen(1, anonymous_id="cookie"))
    cluster.put(seen(2, anonymous_id="cookie", user_id="ada", minute=1))
    await cluster.run()
    cluster.put(seen(3, anonymous_id="cookie", user_id="bob", minute=5))
    await cluster.run()
    cluster.put(seen(4, anonymous_id="cookie", minute=6))
    cluster.put(seen(5, anonymous_id="cookie", minute=4))
    await cluster.run()

    assert set(cluster.state(ADA).ids) == {hash64(each) for each in "125"}
    assert set(cluster.state(BOB).ids) == {hash64(each) for each in "34"}
    assert cluster.updates(COOKIE)[-1].merged_into == BOB

    cluster.put(seen(6, anonymous_id="cookie", user_id="ada", minute=8))
    await cluster.run()
    cluster.put(seen(7, anonymous_id="cookie", minute=9))
    await cluster.run()

    assert set(cluster.state(ADA).ids) == {hash64(each) for each in "12567"}


async def test_one_address_of_two_people() -> None:
    """Two user ids are never one; what shows the address only goes to the latest."""
    cluster = Cluster()
    cluster.put(seen(1, email="ada@example.com"))
    cluster.put(seen(2, email="ada@example.com", user_id="ada", minute=1))
    await cluster.run()
    cluster.put(seen(3, email="ada@example.com", user_id="bob", minute=2))
    await cluster.run()
    cluster.put(seen(4, email="ada@example.com", minute=3))
    await cluster.run()

    assert set(cluster.leads()) == {ADA, BOB}
    assert set(cluster.state(ADA).ids) == {hash64(each) for each in "12"}
    assert set(cluster.state(BOB).ids) == {hash64(each) for each in "34"}


@pytest.mark.parametrize(
    "who",
    [
        {"user_id": "ada", "anonymous_id": "[object Object]"},
        {"user_id": "ada", "anonymous_id": " NULL\x00"},
        {"user_id": "ada", "email": "info@example.com"},
        {"email": "sales+x@example.com", "anonymous_id": "cookie"},
        {"user_id": "undefined", "anonymous_id": "cookie"},
    ],
)
async def test_what_links_nobody(who: dict[str, str]) -> None:
    """Broken identifiers and mailboxes of many say nothing of who a person is."""
    cluster = Cluster()
    cluster.put(seen(1, **who))
    await cluster.run()

    assert cluster.commands(Link) == []
    assert len(cluster.leads()) == 1


async def test_an_identifier_that_everybody_uses() -> None:
    """A cookie that ever more people share changes hands no more."""
    cluster = Cluster()
    for number in range(20):
        cluster.put(
            seen(number, anonymous_id="cookie", user_id=f"u{number}", minute=number)
        )
        await cluster.run()
    links = len(cluster.commands(Link))
    for number in range(20):
        cluster.put(
            seen(f"again-{number}", anonymous_id="cookie", user_id=f"u{number}")
        )
        await cluster.run()

    assert len(cluster.leads()) == 20
    assert len(cluster.commands(Link)) <= links + 8, "they are not told for ever"


async def test_a_withdrawal_follows_the_redirect() -> None:
    """Events that are taken back from the cookie go from the person's score."""
    cluster = Cluster()
    cluster.put(seen(1, anonymous_id="cookie", name="Demo Requested"))
    cluster.put(seen(2, anonymous_id="cookie", user_id="ada", minute=1))
    await cluster.run()
    high = cluster.updates(ADA)[-1].score
    retract = Retract(
        lead_id=COOKIE, event_ids=("1",), at=to_datetime(NOW), reason="machine"
    )
    cluster._put(COMMANDS.name, COOKIE.encode(), msgspec.json.encode(retract))
    await cluster.run()

    assert cluster.updates(ADA)[-1].score < high - 10
    assert cluster.updates(ADA)[-1].cause.kind == "retraction"


async def test_what_cannot_be_unpacked_is_a_dead_letter() -> None:
    """A command that no version can read is set aside; the lead stays."""
    cluster = Cluster()
    cluster.put(seen(1, user_id="ada"))
    await cluster.run()
    broken = Absorb(
        lead_id=ADA,
        absorbed=COOKIE,
        state=b"nonsense",
        since=to_datetime(NOW),
        at=to_datetime(NOW),
    )
    cluster._put(COMMANDS.name, ADA.encode(), msgspec.json.encode(broken))
    await cluster.run()

    (letter,) = cluster.bench.log.on("dead-letters.v1")
    assert dict(letter.headers)["dl_reason"] == b"scoring-failed"
    assert set(cluster.state(ADA).ids) == {hash64("1")}


async def test_a_forwarded_event_that_comes_again() -> None:
    """It counts once even where the lead remembers its id no longer."""
    cluster = Cluster()
    cluster.put(seen(1, anonymous_id="cookie", user_id="ada"))
    await cluster.run()
    cluster.put(seen(2, anonymous_id="cookie", minute=1))
    await cluster.run()
    before = read(MODEL, cluster.state(ADA), NOW).exact
    for number in range(10, 12 + MAX_IDS):
        cluster.put(seen(number, name="Nothing Much", user_id="ada", minute=2))
    await cluster.run()
    assert hash64("2") not in cluster.state(ADA).ids
    (forward,) = cluster.commands(Forward)
    cluster._put(COMMANDS.name, ADA.encode(), msgspec.json.encode(forward))
    await cluster.run()

    assert read(MODEL, cluster.state(ADA), NOW).exact == pytest.approx(before)


async def test_a_busy_visitor_fits_a_command() -> None:
    """A visitor with as much memory as a lead can have is handed over whole."""
    cluster = Cluster()
    names = ("Offer Clicked", "Form Submitted", "Demo Requested", "Video Watched")
    for number in range(600):
        cluster.put(
            seen(number, name=names[number % 4], anonymous_id="cookie", minute=1)
        )
    await cluster.run()
    cluster.put(seen("login", anonymous_id="cookie", user_id="ada", minute=2))
    await cluster.run()

    assert set(cluster.leads()) == {ADA}
    assert len(cluster.state(ADA).ids) == MAX_IDS
    assert not cluster.bench.log.on("dead-letters.v1")


def lives_of_three(chance: Random) -> list[Event]:
    """Return what three people do who first are nobody, then known, in some order."""
    events = []
    for person in ("ada", "bob", "eve"):
        cookie, address = f"cookie-{person}", f"{person}@example.com"
        shown: list[dict[str, str]] = [
            {"anonymous_id": cookie},
            {"email": address},
            {"user_id": person},
            {"anonymous_id": cookie, "email": address},
            {"email": address, "user_id": person},
        ]
        whole = {"anonymous_id": cookie, "email": address, "user_id": person}
        names = ("Offer Clicked", "Form Submitted", "Demo Requested", "Video Watched")
        events += [
            seen(
                f"{person}-{number}",
                name=chance.choice(names),
                minute=chance.randrange(20),
                **(whole if number == 5 else chance.choice(shown)),
            )
            for number in range(10)
        ]
    return sorted(events, key=lambda each: each.now)


@pytest.mark.parametrize("seed", range(25))
async def test_no_crash_loses_or_doubles_anything(seed: int) -> None:
    """Whatever crashes between link, absorb and redirect, three leads are left.

    They know exactly their events, and score what a replay of all events scores.
    """
    chance = Random(seed)
    cluster, events = Cluster(chance), lives_of_three(chance)
    while events:
        for _ in range(chance.randrange(1, 6)):
            if events:
                cluster.put(events.pop(0))
        await cluster.run(crash=0.3)
    replay = Replay(MODEL, wake=False)
    for each in lives_of_three(Random(seed)):
        list(replay.take(each))

    leads = cluster.leads()
    assert set(leads) == {lead_id_of("user_id", who) for who in ("ada", "bob", "eve")}
    assert cluster.crashes > 3
    for lead_id, state in leads.items():
        one = replay.states[lead_id]
        assert state.ids == one.ids
        assert len(state.ids) == 10
        have, want = read(MODEL, state, NOW), read(MODEL, one, NOW)
        assert abs(have.exact - want.exact) < 1e-9
        assert cluster.updates(lead_id)[-1].score == state.score
    for key, kept in cluster.bench.table.held(range(PARTITIONS)):
        cluster.updates(key)
        assert kept.partition == partition_of(key.encode(), PARTITIONS)


RIVALS = ("ada", "bob", "eve")


def lives_of_rivals(chance: Random) -> list[Event]:
    """Return what people do of whom three claim one address in quick succession."""
    mail = "ada@example.com"
    shown: list[dict[str, str]] = [
        *({"email": mail, "user_id": who} for who in RIVALS),
        *[{"email": mail}] * 3,
        {"user_id": "ada"},
        {"anonymous_id": "cookie"},
        {"anonymous_id": "cookie", "email": mail},
    ]
    return [
        replace(
            seen(
                f"e{number}",
                minute=max(0, number - chance.choice((0, 0, 0, 4))),
                name=chance.choice(("Offer Clicked", "Form Submitted")),
                **chance.choice(shown),
            ),
            received_at=to_datetime(NOW - (30 - number) * MINUTE),
        )
        for number in range(14)
    ]


class Recording(Cluster):
    """A cluster that remembers where its events and commands are."""

    def __init__(self, chance: Random) -> None:
        super().__init__(chance)
        self.events: list[tuple[Event, Raw]] = []
        self.said: list[tuple[Command, int]] = []

    def put(self, given: Event) -> None:
        super().put(given)
        self.events.append((given, self._queue[-1][2]))

    def _put(self, topic: str, key: bytes, value: bytes) -> None:
        super()._put(topic, key, value)
        if topic == COMMANDS.name:
            command = msgspec.json.decode(value, type=Command)
            self.said.append((command, self._queue[-1][2].offset))


async def rivalry(seed: int, *, crash: float = 0.1) -> Recording:
    """Return a worker that has heard everything of a seed's rivals, in some order."""
    chance = Random(seed)
    cluster, events = Recording(chance), lives_of_rivals(chance)
    while events:
        for _ in range(chance.randrange(1, 6)):
            if events:
                cluster.put(events.pop(0))
        await cluster.run(crash=crash)
    return cluster


# 294, 572: a login that a release had overtaken; a visitor that was sent on twice.
@pytest.mark.parametrize("seed", [*range(20), 294, 572])
async def test_rival_claims(seed: int) -> None:
    """Whatever order claims and events meet in, each event is one claimant's.

    Who shows the address last has it in the end. A replay that follows what leads said
    to each other gives every person the same events and the same score.
    """
    cluster = await rivalry(seed)
    links: dict[str, set[str]] = {}
    for command, _ in cluster.said:
        if isinstance(command, Link):
            links.setdefault(command.lead_id, set()).add(command.to)
    told = HandOvers(links)
    for command, offset in cluster.said:
        told.take(command, offset)
    replay = Replay(MODEL, wake=False)
    for given, raw in cluster.events:
        lead_id = derive_lead_id(given) or ""
        list(
            replay.take(
                given, told.holder(lead_id, WEB_EVENTS.name, raw.offset, given.id)
            )
        )

    leads = cluster.leads()
    counted = [each for state in leads.values() for each in state.ids]
    assert sorted(counted) == sorted(hash64(each.id) for each, _ in cluster.events)
    assert {key for key, one in replay.states.items() if not one.claims} == set(leads)
    for lead_id, state in leads.items():
        one = replay.states[lead_id]
        assert state.ids == one.ids
        have, want = read(MODEL, state, NOW), read(MODEL, one, NOW)
        assert abs(have.exact - want.exact) < 1e-9
    showed = [
        (each.time, derive_lead_id(each))
        for each, _ in cluster.events
        if ADDRESS in weaker_lead_ids(each)
    ]
    last = max(showed)[1]
    assert last == present_owner(cluster.state(ADDRESS))
    assert last == present_owner(replay.states[ADDRESS])
