"""Tenants of one deployment: nothing of one is ever seen or moved by another."""

from typing import Any

import msgspec

from schemas.account import AccountScore
from schemas.alert import Alert
from schemas.command import Link
from schemas.event import Event
from schemas.score import ScoreUpdate
from schemas.time import MINUTE, SECOND, Instant, to_datetime
from schemas.topics import COMMANDS, MODEL_VERSIONS
from schemas.workspace import workspace_of
from scorers.belonging import account_id_of
from scorers.replay import Replay
from scorers.step import Step
from scorers.versions import Versions
from streams import metrics
from streams.model_log import version_of
from tests.scorers.test_model_change import DEARER, OLD, model_of
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

OLD_MODEL, NEW_MODEL = model_of(OLD), model_of(DEARER)


def view(number: int, workspace: str, at: Instant = NOW, **given: Any) -> Event:
    return event(
        "",
        id=f"{workspace}-{number}",
        type="page",
        properties={"path": "/pricing"},
        occurred_at=to_datetime(at),
        received_at=to_datetime(at),
        workspace=workspace,
        **given,
    )


def told(bench: Bench, lead_id: str) -> list[ScoreUpdate]:
    updates = [
        msgspec.json.decode(record.value or b"", type=ScoreUpdate)
        for record in bench.log.on("lead.score-updates.v1")
    ]
    return [update for update in updates if update.lead_id == lead_id]


async def take(bench: Bench, *events: Event, start: int = 0) -> None:
    for number, each in enumerate(events, start=start):
        await bench.process(batch(raw(number, each)))


async def publish(bench: Bench, workspace: str) -> None:
    version = version_of(
        NEW_MODEL, DEARER, now=NOW, at=NOW + SECOND, workspace=workspace
    )
    value = msgspec.json.encode(version)
    for partition in range(PARTITIONS):
        await bench.process(
            batch(
                Raw(0, version.id.encode(), value),
                topic=MODEL_VERSIONS.name,
                partition=partition,
            )
        )


async def test_one_person_in_two_workspaces_is_two_leads() -> None:
    """The same user id and the same event id count in each, and in each alone."""
    bench = Bench(model=OLD_MODEL)
    mine = view(1, "default")
    theirs = msgspec.structs.replace(mine, workspace="acme")

    await take(bench, mine, theirs)

    assert workspace_of(lead_of(theirs)) == "acme"
    for each in (mine, theirs):
        (update,) = told(bench, lead_of(each))
        assert update.score == 8.0
    # Nobody can tell from the ids that it is one person.
    assert lead_of(theirs)[-32:] != lead_of(mine)[-32:]


async def test_a_model_is_published_for_one_workspace() -> None:
    """The others go on with theirs; its leads are woken, theirs are not."""
    bench = Bench(model=OLD_MODEL)
    mine, theirs = view(1, "default"), view(1, "acme")
    await take(bench, mine, theirs)
    await publish(bench, "acme")
    bench.clock.at = NOW + SECOND
    assert await bench.wakeups.tick(lambda _: True) == 1
    (wakeup,) = bench.log.on(COMMANDS.name)
    assert wakeup.key == lead_of(theirs).encode()

    await take(
        bench,
        view(2, "default", NOW + MINUTE),
        view(2, "acme", NOW + MINUTE),
        start=10,
    )

    assert told(bench, lead_of(mine))[-1].model == OLD_MODEL.ref
    assert told(bench, lead_of(theirs))[-1].model == NEW_MODEL.ref


async def test_links_stay_inside() -> None:
    """What makes two leads one in a workspace makes nobody one elsewhere."""
    bench = Bench(model=OLD_MODEL)
    login = view(1, "acme", anonymous_id="cookie")

    await take(bench, login)

    links = [
        msgspec.json.decode(record.value or b"", type=Link)
        for record in bench.log.on(COMMANDS.name)
    ]
    assert links
    assert {workspace_of(link.lead_id) for link in links} == {"acme"}
    assert {workspace_of(link.to) for link in links} == {"acme"}


async def test_accounts_and_alerts_stay_inside() -> None:
    """A company that is a customer of two tenants is an account of each."""
    bench = Bench()
    people = [
        event(
            "Demo Requested",
            id=f"{workspace}-{person}",
            user=person,
            email=f"{person}@example.com",
            workspace=workspace,
        )
        for workspace in ("default", "acme")
        for person in ("ada", "bob")
    ]
    await take(bench, *people)
    for number, word in enumerate(bench.log.on("account.members.v1")):
        value, key = word.value or b"", word.key or b""
        await bench.process(
            batch(
                Raw(number, key, value),
                topic="account.members.v1",
                partition=word.partition,
            )
        )

    scores = [
        msgspec.json.decode(record.value or b"", type=AccountScore)
        for record in bench.log.on("account.scores.v1")
    ]
    wanted = {account_id_of("domain", "example.com", w) for w in ("default", "acme")}
    assert {score.account_id for score in scores} == wanted
    for score in scores:
        assert {workspace_of(each.lead_id) for each in score.top} == {
            workspace_of(score.account_id)
        }
        assert score.members <= 2
    for record in bench.log.on("notifications.v1"):
        alert = msgspec.json.decode(record.value or b"", type=Alert)
        ids = [alert.lead_id, alert.account_id or alert.lead_id]
        if alert.account is not None:
            ids += alert.account.people
        assert len({workspace_of(each) for each in ids}) == 1


async def test_metrics_are_told_apart() -> None:
    """What is published for a tenant is counted under its name."""
    bench = Bench(model=OLD_MODEL)

    def counted(workspace: str) -> float:
        return sum(
            sample.value
            for each in metrics.SCORE_UPDATES.collect()
            for sample in each.samples
            if sample.name.endswith("_total")
            and sample.labels["workspace"] == workspace
        )

    before = counted("acme"), counted("default")
    await take(bench, view(1, "acme"), view(2, "acme", NOW + SECOND))

    assert counted("acme") == before[0] + 2
    assert counted("default") == before[1]


def test_a_replay_scores_each_by_its_own_model() -> None:
    """With models by workspace it ends where the workers did."""
    of = {
        "default": Versions.only(OLD_MODEL),
        "acme": Versions.only(NEW_MODEL),
    }
    replay = Replay(of.__getitem__)
    steps = [
        step
        for each in (view(1, "default"), view(1, "acme"))
        for step in replay.take(each)
        if isinstance(step, Step)
    ]

    assert [step.updates[-1].score for step in steps] == [8.0, 20.0]
    assert partition_of_lead(steps[0].state.lead_id) >= 0
