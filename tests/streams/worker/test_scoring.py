"""The scoring agent's effects: what, in which order, and nothing else."""

import asyncio
from types import SimpleNamespace
from typing import Any, cast

import msgspec
import pytest

from schemas.command import Forward, Retract, Wakeup
from schemas.score import ScoreUpdate
from schemas.time import HOUR, Instant, to_datetime
from schemas.topics import COMMANDS
from streams import app as app_module
from streams.agents import durable as durable_module
from streams.agents import scoring as scoring_module
from streams.app import WorkerApp
from streams.dead_letters import TooManyDeadLettersError
from streams.event_log import NotDurableError
from streams.state_records import VERSION, ChangelogError, Stored
from streams.transport.consumer import NotOwnerError
from streams.transport.progress import Batch, Fetch
from tests.scorers.small_models import COMPILED
from tests.worker_bench import (
    NOW,
    PARTITIONS,
    Bench,
    Raw,
    batch,
    event,
    lead_of,
    partition_of_lead,
    raw,
)

HOT = [
    event(name, id=f"hot-{n}", channel=channel)
    for n, (name, channel) in enumerate(
        [
            ("Demo Requested", "web"),
            ("Form Submitted", "web"),
            ("Webinar Attended", "content"),
            ("Meeting Held", "crm"),
            ("Offer Downloaded", "email"),
            ("Email Link Clicked", "email"),
            ("Content Downloaded", "content"),
            ("Call Logged", "crm"),
        ]
    )
]


async def test_the_order_of_effects() -> None:
    """State first, then update and alert; each after ownership was confirmed."""
    bench = Bench()
    first = event()

    effects = await bench.process(batch(raw(0, first)))

    assert effects == [
        "confirm",
        "lead.states.v1",
        "confirm",
        "lead.score-updates.v1",
    ]


async def test_alerts_follow_their_update() -> None:
    """A lead that becomes hot is told after its state is durable, in its order."""
    bench = Bench()
    records = [raw(n, each) for n, each in enumerate(HOT)]

    effects = await bench.process(batch(*records))

    states = [each for each in effects if each == "lead.states.v1"]
    assert len(states) == 1, "one write for each touched lead"
    assert effects[:3] == ["confirm", "lead.states.v1", "confirm"]
    assert set(effects[3:]) <= {"lead.score-updates.v1", "notifications.v1"}


async def test_outputs_carry_the_trace_and_the_cloudevent() -> None:
    """An update can be traced to the request that caused it."""
    bench = Bench()
    trace = ("traceparent", b"00-abc")
    await bench.process(batch(raw(0, event(), trace)))

    (record,) = bench.log.on("lead.score-updates.v1")
    headers = dict(record.headers)
    assert headers["traceparent"] == b"00-abc"
    assert headers["ce_type"] == b"leadpulse.score-update.v1"
    update = msgspec.json.decode(record.value or b"", type=ScoreUpdate)
    assert headers["ce_id"] == f"{update.lead_id}:1".encode()
    assert record.key == update.lead_id.encode()
    assert record.partition == partition_of_lead(update.lead_id)


async def test_memory_changes_last() -> None:
    """A state that is not durable is not seen: the same event counts again."""
    bench = Bench()
    for topic in ("lead.states.v1", "lead.score-updates.v1"):
        bench.log.fail_at = topic
        with pytest.raises(NotDurableError):
            await bench.process(batch(raw(0, event())))
        assert bench.table.get(lead_of(event())) is None


@pytest.mark.parametrize("fail_at", ["lead.score-updates.v1", None])
async def test_a_crash_repeats_the_same_bytes(fail_at: str | None) -> None:
    """After a crash the outputs are those that were decided, whatever the order.

    Another topic's event of the lead reaches the new process first; still the first
    update that was decided is sent under its number.
    """
    bench = Bench()
    first, other = event(), event("Form Submitted", id="e2", channel="crm")
    bench.log.fail_at = fail_at
    if fail_at is None:
        await bench.process(batch(raw(0, first)))
    else:
        with pytest.raises(NotDurableError):
            await bench.process(batch(raw(0, first)))
    (state,) = bench.log.on("lead.states.v1")

    again = bench.crashed()
    partition = partition_of_lead(lead_of(first))
    crm = batch(raw(5, other), topic="crm.events.v1", partition=partition)
    await again.process(crm)
    await again.process(batch(raw(0, first)))

    sent = again.log.on("lead.score-updates.v1")
    by_sequence = [
        msgspec.json.decode(each.value or b"", type=ScoreUpdate).sequence
        for each in sent
    ]
    assert by_sequence == sorted(set(by_sequence)), "sent once, in order"
    assert by_sequence[0] == 1
    before = bench.log.on("lead.score-updates.v1")
    assert [each.value for each in before] in ([], [sent[0].value])
    assert len(again.log.on("lead.states.v1")) == 1, "the first event counts once"
    assert state.key == lead_of(first).encode()


async def test_an_unsent_output_survives_a_second_crash() -> None:
    """What was not sent before a crash is kept until it is, over any number."""
    bench = Bench()
    bench.log.fail_at = "lead.score-updates.v1"
    with pytest.raises(NotDurableError):
        await bench.process(batch(raw(0, event())))
    again = bench.crashed()
    again.log.fail_at = "lead.score-updates.v1"
    with pytest.raises(NotDurableError):
        await again.process(
            batch(raw(0, event()), raw(1, event("Form Submitted", id="e2")))
        )

    third = again.crashed()
    await third.process(
        batch(raw(0, event()), raw(1, event("Form Submitted", id="e2")))
    )

    sequences = [
        msgspec.json.decode(each.value or b"", type=ScoreUpdate).sequence
        for each in third.log.on("lead.score-updates.v1")
    ]
    assert sequences[0] == 1
    assert sequences == list(range(1, len(sequences) + 1))


async def test_replayed_records_change_nothing() -> None:
    """A record at or below the state's position is passed over."""
    bench = Bench()
    await bench.process(batch(raw(3, event())))

    assert await bench.process(batch(raw(3, event()))) == ["confirm", "confirm"]


async def test_duplicates_change_nothing() -> None:
    """A repeated event id is counted once, at whatever offset it comes again."""
    bench = Bench()
    await bench.process(batch(raw(0, event())))

    assert await bench.process(batch(raw(1, event()))) == ["confirm", "confirm"]


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (b"{", b"invalid-json"),
        (b"\xff\xfe", b"invalid-json"),
        (b'{"properties":{"a":' + b"[" * 100_000, b"invalid-json"),
        (b"{}", b"invalid-event"),
        (b'{"id":1}', b"invalid-event"),
        (None, b"invalid-event"),
        (b" " * 300_000, b"too-large"),
        (msgspec.json.encode(event(user="null")), b"unroutable"),
    ],
    ids=[
        "cut",
        "not-utf8",
        "deep",
        "empty",
        "wrong-type",
        "null",
        "large",
        "nobody",
    ],
)
async def test_poison(value: bytes | None, reason: bytes) -> None:
    """What cannot be processed is set aside untouched, with its story; life goes on."""
    bench = Bench()
    headers = (("any", b"\x00\xff"), ("traceparent", b"00-x"))
    good = raw(8, event())
    poison = Raw(7, b"k", value, headers)
    partition = partition_of_lead(lead_of(event()))

    effects = await bench.process(batch(poison, good, partition=partition))

    (letter,) = bench.log.on("dead-letters.v1")
    assert (letter.key, letter.value) == (b"k", value)
    assert tuple(letter.headers[:2]) == headers
    story = dict(letter.headers[2:])
    assert story["dl_reason"] == reason
    assert story["dl_offset"] == b"7"
    assert story["dl_topic"] == b"t.web.events.v1"
    assert "lead.states.v1" in effects, "the good one was scored"


@pytest.mark.parametrize(
    "when",
    ["2300-01-01T00:00:00Z", "9999-12-31T23:59:59-12:00", "0001-01-01T00:00:00Z"],
    ids=["future", "end-of-time", "ancient"],
)
async def test_impossible_times_are_set_aside(when: str) -> None:
    """An event from the future does not hold its lead there: the next one counts."""
    bench = Bench()
    good = msgspec.to_builtins(event())
    good.pop("received_at", None)
    impossible = msgspec.json.encode({**good, "id": "when", "occurred_at": when})
    key = lead_of(event()).encode()
    partition = partition_of_lead(lead_of(event()))

    effects = await bench.process(
        batch(Raw(7, key, impossible, ()), raw(8, event()), partition=partition)
    )

    (letter,) = bench.log.on("dead-letters.v1")
    assert letter.value == impossible
    assert dict(letter.headers)["dl_reason"] in {
        b"invalid-timestamp",
        b"invalid-event",
        b"scoring-failed",
    }
    assert "lead.score-updates.v1" in effects, "the good one was scored and published"


async def test_a_bad_command_is_a_dead_letter() -> None:
    """Commands are checked like events."""
    bench = Bench()
    await bench.process(
        batch(Raw(0, b"k", b'{"kind":"dance"}'), topic=COMMANDS.name, partition=0)
    )

    (letter,) = bench.log.on("dead-letters.v1")
    assert dict(letter.headers)["dl_reason"] == b"invalid-command"


@pytest.mark.skipif(COMPILED, reason="what is compiled cannot be patched")
async def test_an_exception_of_the_core_is_a_dead_letter(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """An event that the core chokes on leaves its lead as it was."""
    bench = Bench()
    await bench.process(batch(raw(0, event())))
    before = bench.table.get(lead_of(event()))

    def choke(*_: Any, **__: Any) -> None:
        raise ZeroDivisionError("x" * 5000)

    monkeypatch.setattr(scoring_module, "on_message", choke)
    await bench.process(batch(raw(1, event(id="e2"))))

    (letter,) = bench.log.on("dead-letters.v1")
    story = dict(letter.headers)
    assert story["dl_reason"] == b"scoring-failed"
    assert len(story["dl_detail"] or b"") <= 500
    assert bench.table.get(lead_of(event())) is before


async def test_an_unreadable_state_is_not_the_events_fault() -> None:
    """A stored state of another version stops the worker; no event is set aside."""
    bench = Bench()
    lead_id = lead_of(event())
    partition = partition_of_lead(lead_id)
    unreadable = Stored(VERSION, 1, 0, {}, b"\xc1", None)
    bench.table.renew(lead_id, partition, unreadable, None)

    with pytest.raises(ChangelogError, match="unreadable state"):
        await bench.process(batch(raw(0, event())))
    assert bench.effects == []


@pytest.mark.skipif(COMPILED, reason="what is compiled cannot be patched")
async def test_a_state_too_large_is_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """A lead that no broker would take stays as it was; its events are set aside."""
    bench = Bench()
    monkeypatch.setattr(durable_module, "MAX_STORED_BYTES", 10)

    effects = await bench.process(batch(raw(0, event())))

    assert effects == ["confirm", "confirm", "dead-letters.v1"]
    assert bench.table.get(lead_of(event())) is None


async def test_mostly_poison_stops_before_anything_is_written() -> None:
    """A broken deploy does not drain the topics into the dead letters."""
    bench = Bench(ratio=0.5)
    poison = [Raw(offset, b"k", b"{") for offset in range(150)]

    with pytest.raises(TooManyDeadLettersError, match=r"web.events.v1\[0\]@149"):
        await bench.process(batch(*poison, partition=0))
    assert bench.effects == []


async def test_a_wrong_partition_is_forwarded() -> None:
    """An event on another partition than its lead's goes to the lead's own."""
    bench = Bench()
    given = event()
    right = partition_of_lead(lead_of(given))
    wrong = (right + 1) % PARTITIONS

    effects = await bench.process(
        batch(raw(0, given, ("traceparent", b"00-t")), partition=wrong)
    )

    assert effects == ["confirm", "confirm", "lead.commands.v1"]
    (record,) = bench.log.on("lead.commands.v1")
    assert (record.key, record.partition) == (lead_of(given).encode(), right)
    assert dict(record.headers)["traceparent"] == b"00-t"
    forward = msgspec.json.decode(record.value or b"", type=Forward)
    assert forward == Forward(lead_id=lead_of(given), event=given)


async def test_a_wrong_key_is_forwarded_and_counted_once() -> None:
    """A forwarded event is scored at its lead, however often it was forwarded."""
    bench = Bench()
    given = event()
    partition = partition_of_lead(lead_of(given))
    odd = Raw(0, b"someone-else", msgspec.json.encode(given))
    await bench.process(batch(odd, partition=partition))
    (record,) = bench.log.on("lead.commands.v1")
    commands = [Raw(offset, record.key, record.value) for offset in (0, 1)]

    effects = await bench.process(
        batch(*commands, topic=COMMANDS.name, partition=partition)
    )

    assert effects == [
        "confirm",
        "lead.states.v1",
        "confirm",
        "lead.score-updates.v1",
    ]


def command(offset: int, given: Wakeup | Retract) -> Raw:
    return Raw(offset, given.lead_id.encode(), msgspec.json.encode(given))


async def test_wakeups_are_hints() -> None:
    """Early, unknown and repeated wake-ups do nothing; a due one looks once."""
    bench = Bench()
    await bench.process(batch(raw(0, event())))
    lead_id = lead_of(event())
    lead = bench.table.get(lead_id)
    assert lead is not None
    planned = lead.wake_at
    assert planned is not None
    partition = partition_of_lead(lead_id)

    async def wake(offset: int, at: Instant, who: str = lead_id) -> list[str]:
        wakeup = Wakeup(lead_id=who, at=to_datetime(at))
        return await bench.process(
            batch(command(offset, wakeup), topic=COMMANDS.name, partition=partition)
        )

    nothing = ["confirm", "confirm"]
    assert await wake(0, planned - 1) == nothing
    assert await wake(1, planned, "ld_unknown") == nothing
    assert "lead.states.v1" in await wake(2, planned)
    assert await wake(2, planned) == nothing
    assert await wake(3, planned) == nothing
    woken = bench.table.get(lead_id)
    assert woken is not None
    assert woken.wake_at is None or woken.wake_at > planned


async def test_retracted_events_lose_their_points() -> None:
    """A retraction takes the score back and publishes it."""
    bench = Bench()
    await bench.process(batch(raw(0, event())))
    lead_id = lead_of(event())
    gone = Retract(
        lead_id=lead_id, event_ids=("e1",), at=to_datetime(NOW + 1), reason="consent"
    )

    partition = partition_of_lead(lead_id)
    effects = await bench.process(
        batch(command(0, gone), topic=COMMANDS.name, partition=partition)
    )

    assert effects[1:] == ["lead.states.v1", "confirm", "lead.score-updates.v1"]


async def test_topics_of_a_partition_are_merged_by_time() -> None:
    """Events of one lead from two topics are scored in the order of their making."""
    bench = Bench()
    early = event(id="early", channel="crm", name="Meeting Held")
    late = event(id="late")
    partition = partition_of_lead(lead_of(late))
    web = batch(Raw(0, lead_of(late).encode(), msgspec.json.encode(late), (), NOW + 5))
    crm = batch(
        Raw(0, lead_of(early).encode(), msgspec.json.encode(early), (), NOW + 1),
        topic="crm.events.v1",
        partition=partition,
    )

    await bench.process(web, crm)

    causes = [
        msgspec.json.decode(each.value or b"", type=ScoreUpdate).cause.event_id
        for each in bench.log.on("lead.score-updates.v1")
    ]
    assert causes == ["early", "late"]


class StubConsumer:
    """Records how a fetch was left."""

    def __init__(self, effects: list[str]) -> None:
        self.effects = effects
        self.lost_after = 99

    async def confirm_ownership(self, _: Fetch) -> None:
        self.lost_after -= 1
        if self.lost_after < 0:
            raise NotOwnerError

    def leave(self, _: Fetch, *, durable: bool) -> None:
        self.effects.append("acknowledged" if durable else "left")


async def left(bench: Bench, consumer: StubConsumer, *batches: Batch) -> list[Any]:
    """Return the failures that were told when the agent scored a fetch."""
    failures: list[BaseException] = []
    owner = SimpleNamespace(distrust=lambda: bench.effects.append("distrust"))
    stub = SimpleNamespace(
        batches=consumer,
        roster=bench.roster,
        owner=owner,
        failed=False,
        writing=asyncio.Lock(),
    )
    bench.effects.clear()
    await app_module._score(
        cast("WorkerApp", stub), Fetch(batches, 1, 1), failures.append
    )
    assert stub.failed == bool(failures)
    return failures


async def test_acknowledged_after_everything() -> None:
    """Acknowledging is the last effect of all."""
    bench = Bench()

    assert await left(bench, StubConsumer(bench.effects), batch(raw(0, event()))) == []
    assert bench.effects == [
        "lead.states.v1",
        "lead.score-updates.v1",
        "acknowledged",
    ]


async def test_nothing_is_acknowledged_that_is_not_durable() -> None:
    """A write that the broker does not take ends the worker, not the event."""
    bench = Bench()
    bench.log.fail_at = "lead.score-updates.v1"

    failures = await left(bench, StubConsumer(bench.effects), batch(raw(0, event())))

    assert [type(each) for each in failures] == [NotDurableError]
    assert bench.effects == ["lead.states.v1", "distrust", "left"]


@pytest.mark.parametrize("confirmed", [0, 1])
async def test_a_lost_partition_is_left_alone(confirmed: int) -> None:
    """A worker that is no owner any more writes nothing further and trusts nothing."""
    bench = Bench()
    consumer = StubConsumer(bench.effects)
    consumer.lost_after = confirmed

    assert await left(bench, consumer, batch(raw(0, event()))) == []
    assert bench.effects == [*["lead.states.v1"][:confirmed], "distrust", "left"]


async def test_due_leads_are_woken_on_their_partition() -> None:
    """A tick sends what is due of caught-up partitions, once."""
    bench = Bench()
    for number in range(3):
        bench.wakeups.plan(number, f"ld_{number}", NOW + number)
    bench.clock.at = NOW + 1

    assert await bench.wakeups.tick(lambda partition: partition != 0) == 1
    assert await bench.wakeups.tick(lambda _: True) == 1
    assert await bench.wakeups.tick(lambda _: True) == 0
    assert [(each.partition, each.key) for each in bench.log.records] == [
        (1, b"ld_1"),
        (0, b"ld_0"),
    ]
    bench.wakeups.drop([2])
    bench.clock.at = NOW + HOUR
    assert await bench.wakeups.tick(lambda _: True) == 0


async def test_a_wakeup_that_was_not_sent_is_tried_again() -> None:
    """A broker that is away delays wake-ups and loses none."""
    bench = Bench()
    bench.wakeups.plan(1, "ld_1", NOW)
    bench.log.fail_at = "lead.commands.v1"
    await bench.wakeups.tick(lambda _: True)
    assert bench.log.records == []

    bench.log.fail_at = None
    await bench.wakeups.tick(lambda _: True)
    assert len(bench.log.records) == 1
