"""Models that change under a running worker, and those that run beside."""

from typing import Any

import msgspec
import pytest

from schemas.alert import Alert
from schemas.command import Learn, Retract, Wakeup
from schemas.model_version import PRIMARY, ModelVersion
from schemas.score import ScoreUpdate
from schemas.time import MINUTE, SECOND, Instant, to_datetime
from schemas.topics import COMMANDS, MODEL_VERSIONS, WEB_EVENTS
from scorers.compiled import CompiledModel
from streams.model_log import ending, version_of
from tests.scorers.test_model_change import DEARER, OLD, WIDER, model_of
from tests.worker_bench import (
    NOW,
    Bench,
    Raw,
    batch,
    event,
    lead_of,
    partition_of_lead,
    raw,
)

OLD_MODEL, NEW_MODEL = model_of(OLD), model_of(DEARER)
PARTITION = partition_of_lead(lead_of(event()))


def view(number: int, at: Instant = NOW, path: str = "/pricing") -> Any:
    return event(
        "",
        id=f"v{number}",
        type="page",
        properties={"path": path},
        occurred_at=to_datetime(at),
        received_at=to_datetime(at),
    )


def published(text: str, at: Instant, **given: Any) -> ModelVersion:
    return version_of(model_of(text), text, now=at - SECOND, at=at, **given)


def versions(*given: ModelVersion, start: int = 0) -> Any:
    records = [
        Raw(start + n, each.id.encode(), msgspec.json.encode(each))
        for n, each in enumerate(given)
    ]
    return batch(*records, topic=MODEL_VERSIONS.name, partition=PARTITION)


def commands(*given: Any, start: int = 0) -> Any:
    records = [
        Raw(start + n, each.lead_id.encode(), msgspec.json.encode(each))
        for n, each in enumerate(given)
    ]
    return batch(*records, topic=COMMANDS.name)


def updates(bench: Bench, topic: str = "lead.score-updates.v1") -> list[ScoreUpdate]:
    return [
        msgspec.json.decode(record.value or b"", type=ScoreUpdate)
        for record in bench.log.on(topic)
    ]


def woken(at: Instant, start: int = 0) -> Any:
    return commands(Wakeup(lead_id=lead_of(event()), at=to_datetime(at)), start=start)


def bench_of(model: CompiledModel = OLD_MODEL) -> Bench:
    return Bench(model=model)


async def test_a_version_in_the_middle_of_a_fetch() -> None:
    """Events are scored by what is in force when they were received."""
    bench = bench_of()
    later = published(DEARER, NOW + MINUTE)

    await bench.process(
        versions(later),
        batch(raw(0, view(1)), raw(1, view(2, NOW + 2 * MINUTE))),
    )

    told = updates(bench)
    assert [update.model for update in told] == [
        OLD_MODEL.ref,
        NEW_MODEL.ref,
        NEW_MODEL.ref,
    ]
    assert [update.sequence for update in told] == [1, 2, 3]


async def test_leads_that_nothing_happens_to_are_woken_for_it() -> None:
    """A version applies to every lead as soon as it is in force."""
    bench = bench_of()
    await bench.process(batch(raw(0, view(1))))
    bench.log.records.clear()

    await bench.process(versions(published(DEARER, NOW + SECOND)))
    bench.clock.at = NOW + SECOND
    assert await bench.wakeups.tick(lambda _: True) == 1
    (wakeup,) = bench.log.on(COMMANDS.name)
    await bench.process(batch(Raw(0, wakeup.key, wakeup.value), topic=COMMANDS.name))

    assert [(u.score, u.cause.kind) for u in updates(bench)] == [(20.0, "model")]


async def test_a_worker_that_starts_again_wakes_who_is_behind() -> None:
    """What was published while a lead was asleep reaches it after a crash, too."""
    bench = bench_of()
    await bench.process(batch(raw(0, view(1))))
    again = bench.crashed()
    later = published(DEARER, NOW + SECOND)

    again.models.load(PARTITION, [msgspec.json.encode(later)])
    again.roster.plan(PARTITION)

    again.clock.at = NOW + SECOND
    assert await again.wakeups.tick(lambda _: True) == 1


async def test_what_is_in_force_does_not_change_by_being_told_twice() -> None:
    """A fetch that is read again brings no news."""
    bench = bench_of()
    later = published(DEARER, NOW)
    await bench.process(versions(later))
    assert len(bench.models.primary(PARTITION)) == 2

    await bench.process(versions(later, start=1))

    assert len(bench.models.primary(PARTITION)) == 2


@pytest.mark.parametrize(
    "text", ["", "model: [", DEARER.replace("points: 20", "points: many"), OLD]
)
async def test_a_version_that_cannot_be_used_is_set_aside(text: str) -> None:
    """No text, no model, or not the one that it says: the worker goes on with its."""
    bench = bench_of()
    broken = msgspec.structs.replace(published(DEARER, NOW), text=text)
    if text == OLD:
        broken = msgspec.structs.replace(broken, model=model_of(WIDER).ref)

    await bench.process(versions(broken), batch(raw(0, view(1))))

    (letter,) = bench.log.on("dead-letters.v1")
    assert dict(letter.headers)["dl_reason"] == b"invalid-command"
    assert [update.model for update in updates(bench)] == [OLD_MODEL.ref]


async def test_a_text_that_is_known_need_not_come_again() -> None:
    """Rolling back names the digest only."""
    bench = bench_of()
    first = published(OLD, NOW)
    there = published(DEARER, NOW + MINUTE)
    back = msgspec.structs.replace(
        first, id="primary@back", at=to_datetime(NOW + 2 * MINUTE), text=""
    )

    await bench.process(
        versions(first, there, back), batch(raw(0, view(1, NOW + 3 * MINUTE)))
    )

    assert updates(bench)[-1].model == OLD_MODEL.ref


async def test_a_new_rule_learns_once() -> None:
    """However often a lesson is sent, it counts once; the lead says so."""
    bench = bench_of()
    seen = view(1, path="/product")
    await bench.process(batch(raw(0, seen)))
    later = published(WIDER, NOW + SECOND)
    lesson = Learn(
        lead_id=lead_of(seen),
        event=seen,
        rules=("product",),
        backfill=later.id,
        topic=f"{WEB_EVENTS.name}/0",
        offset=0,
        at=later.at,
    )
    await bench.process(versions(later))

    await bench.process(commands(lesson, lesson))

    (update,) = [each for each in updates(bench) if each.cause.kind == "model"]
    assert update.score == 6.0
    state = bench.table.get(lead_of(seen))
    assert state is not None
    assert state.state.taught == {later.id: {f"{WEB_EVENTS.name}/0": 0}}


async def test_a_shadow_scores_beside_and_never_alerts() -> None:
    """Its updates are on a topic of their own; the primary's are as without it."""
    bench, alone = bench_of(), bench_of()
    views = [raw(n, view(n)) for n in range(3)]
    shadow = published(DEARER, NOW, slot="dearer")

    await bench.process(versions(shadow))
    await bench.process(batch(*views))
    await alone.process(batch(*views))

    beside = updates(bench, "lead.side-updates.v1")
    assert [update.score for update in beside] == [20.0, 40.0]
    assert {update.model.digest for update in beside} == {NEW_MODEL.digest}
    assert [update.sequence for update in beside] == [1, 2]
    for topic in ("lead.score-updates.v1", "notifications.v1"):
        assert [r.value for r in bench.log.on(topic)] == [
            r.value for r in alone.log.on(topic)
        ]
    assert len(bench.log.on("notifications.v1")) == 1


async def test_a_shadow_begins_with_what_the_primary_knows() -> None:
    """Leads are woken for it; what they did before counts by its points."""
    bench = bench_of()
    await bench.process(batch(raw(0, view(1))))
    await bench.process(versions(published(DEARER, NOW, slot="dearer")))

    await bench.process(woken(NOW))

    assert [u.score for u in updates(bench, "lead.side-updates.v1")] == [20.0]


async def test_a_shadow_counts_once_what_is_read_again() -> None:
    """A crash after its state was durable repeats the same bytes and no more."""
    bench = bench_of()
    shadow = versions(published(DEARER, NOW, slot="dearer"))
    await bench.process(shadow)
    fetch = batch(raw(0, view(1)), raw(1, view(2, NOW + 1)))
    await bench.process(fetch)
    again = bench.crashed()
    again.models.load(PARTITION, [shadow.records[0].value])

    await again.process(fetch)

    topic = "lead.side-updates.v1"
    assert [r.value for r in again.log.on(topic)] == [
        r.value for r in bench.log.on(topic)
    ]


async def test_a_shadow_forgets_what_is_withdrawn() -> None:
    """A retraction reaches every model."""
    bench = bench_of()
    await bench.process(versions(published(DEARER, NOW, slot="dearer")))
    await bench.process(batch(raw(0, view(1))))
    lead_id = lead_of(event())

    await bench.process(
        commands(
            Retract(
                lead_id=lead_id,
                event_ids=("v1",),
                at=to_datetime(NOW + 1),
                reason="machine",
            )
        )
    )

    assert updates(bench, "lead.side-updates.v1")[-1].score == 0.0
    assert updates(bench)[-1].score == 0.0


async def test_a_side_model_may_alert_under_ids_of_its_own() -> None:
    """With alerts a product's model alerts beside the primary's."""
    bench = bench_of()
    side = published(DEARER, NOW, slot="product", alerts=True)

    await bench.process(versions(side))
    await bench.process(batch(*[raw(n, view(n)) for n in range(3)]))

    alerts = [
        msgspec.json.decode(record.value or b"", type=Alert)
        for record in bench.log.on("notifications.v1")
    ]
    assert {alert.model.digest for alert in alerts} == {
        OLD_MODEL.digest,
        NEW_MODEL.digest,
    }
    assert len({alert.id for alert in alerts}) == len(alerts) == 2


async def test_a_slot_that_ends_leaves_nothing() -> None:
    """Its states get tombstones; begun anew it begins with the primary's memory."""
    bench = bench_of()
    shadow = published(DEARER, NOW, slot="dearer")
    await bench.process(versions(shadow))
    await bench.process(batch(raw(0, view(1))))
    assert len(bench.beside) == 1

    await bench.process(versions(ending(shadow, NOW + MINUTE), start=1))

    assert len(bench.beside) == 0
    assert [r.value for r in bench.log.on("lead.side-states.v1")][-1] is None
    told = len(updates(bench, "lead.side-updates.v1"))
    await bench.process(batch(raw(1, view(2, NOW + 4 * MINUTE))))
    assert len(updates(bench, "lead.side-updates.v1")) == told


async def test_a_shadow_changes_its_version_too() -> None:
    """A slot has a history like the primary's."""
    bench = bench_of()
    await bench.process(
        versions(
            published(DEARER, NOW, slot="next"),
            published(WIDER, NOW + MINUTE, slot="next"),
        )
    )
    await bench.process(batch(raw(0, view(1)), raw(1, view(2, NOW + 2 * MINUTE))))

    digests = [u.model.digest for u in updates(bench, "lead.side-updates.v1")]
    assert digests[0] == NEW_MODEL.digest
    assert digests[-1] == model_of(WIDER).digest
    assert bench.models.sides(PARTITION).keys() == {"next"}
    assert PRIMARY not in bench.models.sides(PARTITION)
