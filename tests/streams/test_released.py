"""What earlier versions left on topics and disks is read by this one."""

import base64
from pathlib import Path

import msgspec
import pytest

from schemas.account import AccountScore
from schemas.alert import Alert
from schemas.command import Command
from schemas.event import Event
from schemas.score import ScoreUpdate
from schemas.topics import (
    ACCOUNT_SCORES,
    ACCOUNT_STATE,
    COMMANDS,
    LEAD_STATE,
    NOTIFICATIONS,
    SCORE_UPDATES,
    TRAINING,
    WEB_EVENTS,
)
from schemas.training import TrainingRecord
from scorers.replay import Replay
from scorers.scorer import read
from scorers.training import encode_record, examples_of, with_alert, with_update
from streams.model_files import read_model
from streams.rebuilding import Rebuilt
from streams.tables import Account, Kept, Lead
from tests.make_released import RELEASED

VERSIONS = sorted(RELEASED.iterdir())
MESSAGES = {
    WEB_EVENTS: Event,
    SCORE_UPDATES: ScoreUpdate,
    ACCOUNT_SCORES: AccountScore,
    NOTIFICATIONS: Alert,
    COMMANDS: Command,
    TRAINING: TrainingRecord,
}


def states(folder: Path, name: str, kind: type[Kept]) -> dict[str, Kept]:
    """Return the states of a version as a worker of this one recovers them."""
    rebuilt = Rebuilt(0, term=0, claim="")
    lines = (folder / f"{name}.txt").read_text("utf-8").splitlines()
    for offset, line in enumerate(lines):
        key, _, value = line.partition(" ")
        rebuilt.apply(key.encode(), base64.b64decode(value), offset)
    return rebuilt.kept(kind)


def expected(folder: Path) -> tuple[int, dict[str, float]]:
    """Return at which instant the version that wrote it read which scores."""
    told = msgspec.json.decode((folder / "expected.json").read_bytes())
    return told["at"], told["scores"]


@pytest.mark.parametrize("folder", VERSIONS, ids=lambda each: each.name)
def test_states_of_a_released_version(folder: Path) -> None:
    """A rolling upgrade recovers every state, with its positions, to the same score."""
    model = read_model(folder / "model.yaml")
    at, scores = expected(folder)
    leads = states(folder, LEAD_STATE.name, Lead)

    for lead_id, score in scores.items():
        state = leads[lead_id].state
        assert read(model, state, at).exact == pytest.approx(score, abs=1e-9)
        assert leads[lead_id].positions[WEB_EVENTS.name] == 41
        assert leads[lead_id].decode(Lead.encode(state)) == state
    assert any(lead.state.claims for lead in leads.values()), "a redirect is among them"
    accounts = states(folder, ACCOUNT_STATE.name, Account)
    assert accounts
    for account in accounts.values():
        assert account.decode(Account.encode(account.state)) == account.state


@pytest.mark.parametrize("folder", VERSIONS, ids=lambda each: each.name)
def test_messages_of_a_released_version(folder: Path) -> None:
    """Every message decodes, also with a field that a later version may add."""
    for topic, kind in MESSAGES.items():
        lines = (folder / f"{topic.name}.ndjson").read_bytes().splitlines()
        assert lines, topic.name
        for line in lines:
            known = msgspec.json.decode(line, type=kind)
            newer = line[:-1] + b', "a_field_of_next_year": {"x": 1}}'
            assert msgspec.json.decode(newer, type=kind) == known


@pytest.mark.parametrize("folder", VERSIONS, ids=lambda each: each.name)
def test_events_of_a_released_version_score_the_same(folder: Path) -> None:
    """A replay of the events that it kept gives the scores that it had."""
    at, scores = expected(folder)
    replay = Replay(read_model(folder / "model.yaml"))
    for line in (folder / f"{WEB_EVENTS.name}.ndjson").read_bytes().splitlines():
        list(replay.take(msgspec.json.decode(line, type=Event)))
    list(replay.until(at))

    found = {state.lead_id: reading.score for state, reading in replay.readings()}
    assert found == pytest.approx(scores, abs=0.05)


@pytest.mark.parametrize("folder", VERSIONS, ids=lambda each: each.name)
def test_a_released_version_s_training_log_is_learnt_from(folder: Path) -> None:
    """It goes on where it was: what was heard changes no byte, decisions stay."""
    lines = (folder / f"{TRAINING.name}.ndjson").read_bytes().splitlines()
    records = {
        record.lead_id: record
        for line in lines
        if (record := msgspec.json.decode(line, type=TrainingRecord))
    }
    for line in (folder / f"{SCORE_UPDATES.name}.ndjson").read_bytes().splitlines():
        update = msgspec.json.decode(line, type=ScoreUpdate)
        records[update.lead_id] = with_update(records[update.lead_id], update)
    for line in (folder / f"{NOTIFICATIONS.name}.ndjson").read_bytes().splitlines():
        alert = msgspec.json.decode(line, type=Alert)
        records[alert.lead_id] = with_alert(records[alert.lead_id], alert)

    assert [encode_record(record) for record in records.values()] == lines
    at, _ = expected(folder)
    examples = list(examples_of(records.values(), at))
    assert len(examples) == sum(len(record.snapshots) for record in records.values())
    ends = {e.verdict.won: e.verdict.amount for e in examples if e.verdict is not None}
    assert ends == {True: 1200.0, False: None}
    assert {e.snapshot.why.partition(":")[0] for e in examples} == {
        "alert",
        "tier",
        "scheduled",
    }
