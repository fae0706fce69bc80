"""`leadpulse evaluate` on what files hold: events, and the exported training log."""

import asyncio
import json
import random
from pathlib import Path

import msgspec
import pytest

from schemas.event import Event
from schemas.time import DAY, HOUR, Instant, to_datetime
from schemas.topics import TRAINING
from schemas.training import TrainingOutcome, TrainingRecord, TrainingSnapshot
from scorers.compiled import compile_model
from scorers.loading import load_model
from scorers.training import encode_record
from streams.event_log import Record, opened_log
from streams.settings import Settings
from tests.streams.cli.conftest import Run

MODEL = """\
model: sellers
version: "1"
decimals: 0
groups:
  fit:
    cap: 60
    rules:
      - {name: large, where: {traits.size: large}, points: 10}
      - {name: known, where: {traits.known: true}, points: 20}
tiers:
  - {name: gold, at: 30}
"""
LEADS = 320
START = 20_000 * DAY


class Lead(msgspec.Struct, frozen=True):
    """Who came, what was known, and what it came to."""

    name: str
    at: Instant
    large: bool
    known: bool
    won: bool


def leads() -> list[Lead]:
    """Return leads of whom the large are won far more often than others."""
    chosen = random.Random(11)
    found = []
    for place in range(LEADS):
        large, known = chosen.random() < 0.4, chosen.random() < 0.5
        won = chosen.random() < (0.75 if large else 0.2)
        found.append(Lead(f"u{place}", START + place * HOUR, large, known, won))
    return found


def lines(lead: Lead) -> list[Event]:
    """Return what a CRM said of a lead, the outcome two days after it came."""
    ended = lead.at + 2 * DAY
    properties = {"amount": 900, "currency": "EUR"} if lead.won else {"reason": "none"}
    return [
        Event(
            id=f"{lead.name}-came",
            type="identify",
            channel="crm",
            user_id=lead.name,
            occurred_at=to_datetime(lead.at),
            received_at=to_datetime(lead.at),
            traits={"size": "large" if lead.large else "small", "known": lead.known},
        ),
        Event(
            id=f"{lead.name}-ended",
            type="track",
            name="Deal Won" if lead.won else "Deal Lost",
            channel="crm",
            user_id=lead.name,
            occurred_at=to_datetime(ended),
            received_at=to_datetime(ended),
            properties=properties,
        ),
    ]


def record(lead: Lead, digest: str) -> TrainingRecord:
    """Return what the training log has of a lead."""
    points = {"large": 10.0 * lead.large, "known": 20.0 * lead.known}
    score = sum(points.values())
    return TrainingRecord(
        lead_id=f"ld_{lead.name}",
        sequence=1,
        snapshots=(
            TrainingSnapshot(
                at=to_datetime(lead.at),
                why="scheduled",
                score=score,
                tier="gold" if score >= 30 else "none",
                model=digest,
                groups={"fit": score},
                points=points,
            ),
        ),
        outcomes=(
            TrainingOutcome(
                event_id=f"{lead.name}-ended",
                at=to_datetime(lead.at + 2 * DAY),
                kind="won" if lead.won else "lost",
                amount=900 if lead.won else None,
                currency="EUR" if lead.won else "",
            ),
        ),
    )


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder to work in, with a model."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "model.yaml").write_text(MODEL, "utf-8")
    return tmp_path


def told(folder: Path, name: str) -> dict[str, float]:
    """Return the AUC of each way, as the report's figures have it."""
    figures = json.loads((folder / "reports" / f"{name}.evaluation.json").read_bytes())
    assert (folder / "reports" / f"{name}.evaluation.html").is_file()
    assert figures["open"] == 0
    return {way: each["auc"]["value"] for way, each in figures["qualities"].items()}


def test_events_are_evaluated(leadpulse: Run, folder: Path) -> None:
    """From a file of events alone one reads which points rank better, and by what."""
    encoded = [msgspec.json.encode(each) for lead in leads() for each in lines(lead)]
    (folder / "crm.ndjson").write_bytes(b"\n".join(encoded))

    ran = leadpulse(
        "evaluate", "crm.ndjson", "--model", "model.yaml",
        "--split", "cross-validated", "--every", "0s",
    )  # fmt: skip
    missing = leadpulse("evaluate", "nothing.ndjson", "--model", "model.yaml")

    assert missing.code == 1
    assert "nothing.ndjson" in missing.err
    assert ran.code == 0, ran.err
    assert "report: reports/crm.evaluation.html" in ran.err
    auc = told(folder, "crm")
    assert auc["recalibrated points"] > auc["points as they are"] + 0.03
    assert auc["recalibrated points"] > 0.7


def test_the_training_log_is_exported_and_evaluated(
    leadpulse: Run, folder: Path, topics: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What stands on the topic goes through Parquet and comes to the same figures."""
    digest = compile_model(load_model(MODEL, "model.yaml")).digest
    topic = topics.topic(TRAINING.name)
    kept = [
        Record(topic, each.lead_id.encode(), encode_record(each), [])
        for each in (record(lead, digest) for lead in leads())
    ]

    async def write() -> None:
        async with opened_log(topics, name="test", topics=(TRAINING,)) as log:
            await log.append(kept)

    asyncio.run(write())
    for name, value in topics.environ().items():
        monkeypatch.setenv(name, value)

    exported = leadpulse("learn", "export", "log.parquet")
    ran = leadpulse(
        "evaluate", "log.parquet", "--model", "model.yaml",
        "--split", "cross-validated",
    )  # fmt: skip
    (folder / "no.parquet").write_text("lead_id,won\n")
    wrong = leadpulse("evaluate", "no.parquet", "--model", "model.yaml")

    assert f"{LEADS:,} decisions on {LEADS:,} leads, {LEADS:,} with an" in exported.out
    assert ran.code == 0, ran.err
    auc = told(folder, "log")
    assert auc["recalibrated points"] > auc["points as they are"] + 0.03
    assert wrong.code == 1
    assert "no.parquet is no training log of Leadpulse's" in wrong.err
    assert "Traceback" not in wrong.err
