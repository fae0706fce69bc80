"""Writes what a version of ours puts on topics and disks, for later ones to read.

Run once when a version is released: `python -m tests.make_released`. What is in
`tests/golden/released` is never written again.
"""

import base64
from importlib.metadata import version
from pathlib import Path

import msgspec

from schemas.alert import Alert
from schemas.event import Channel, Event
from schemas.score import ScoreUpdate
from schemas.time import DAY, HOUR, Instant, to_datetime
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
from scorers.accounts import AccountStep
from scorers.replay import Replay
from scorers.scorer import read
from scorers.training import encode_record, with_alert, with_event, with_update
from streams.model_files import read_model
from streams.state_records import Stored
from streams.tables import Account, Kept, Lead
from tests.chaos.faults import eager_model

RELEASED = Path(__file__).parent / "golden" / "released"
_START: Instant = 1_790_000_000_000
_DEEDS: tuple[tuple[Channel, str, dict[str, object]], ...] = (
    ("web", "Form Submitted", {"form": "contact"}),
    ("web", "Demo Requested", {}),
    ("web", "Offer Clicked", {"offer": "trial"}),
    ("email", "Email Link Clicked", {"email_id": "m1"}),
    ("social", "Post Liked", {"post_id": "p1"}),
    ("crm", "Meeting Held", {}),
)


def events() -> list[Event]:
    """Return what two people of one company do, one of them unknown at first."""
    made = []
    for number in range(36):
        channel, name, properties = _DEEDS[number % len(_DEEDS)]
        known = number >= 12
        at = to_datetime(_START + number * 6 * HOUR)
        made.append(
            Event(
                id=f"golden-{number}",
                type="track",
                channel=channel,
                name=name,
                anonymous_id="cookie-1" if number % 2 else None,
                email=f"person{number % 2}@firm.example" if known else None,
                user_id=None if number % 2 else "user-2",
                properties=properties,
                occurred_at=at,
                received_at=at,
                source="golden",
            )
        )
    return made


def stored(states: dict[str, object], kind: type[Kept]) -> list[str]:
    """Return states as their changelog has them, a key and a record a line."""
    lines = []
    for key in sorted(states):
        state = states[key]
        record = Stored(
            1,
            3,
            17,
            {WEB_EVENTS.name: 41, f"ld_weaker/{WEB_EVENTS.name}": 7},
            kind.encode(state),
            getattr(state, "wake_at", None),
            (),
            kind.model_of(state),
        )
        encoded = base64.b64encode(msgspec.msgpack.encode(record)).decode()
        lines.append(f"{key} {encoded}")
    return lines


def training(updates: list[ScoreUpdate], alerts: list[Alert]) -> list[TrainingRecord]:
    """Return what is learnt from the leads, of whom one is won and the other lost."""
    records: dict[str, TrainingRecord] = {}
    for update in updates:
        record = records.get(update.lead_id, TrainingRecord(lead_id=update.lead_id))
        records[update.lead_id] = with_update(record, update)
    for alert in alerts:
        records[alert.lead_id] = with_alert(records[alert.lead_id], alert)
    at = to_datetime(_START + 11 * DAY)
    people = sorted(lead_id for lead_id in records if not records[lead_id].merged_into)
    for place, lead_id in enumerate(people):
        money = {"amount": 1200, "currency": "EUR"}
        ended = Event(
            id=f"golden-deal-{place}",
            type="track",
            channel="crm",
            name="Deal Lost" if place else "Deal Won",
            user_id=f"user-{place}",
            properties={"reason": "price"} if place else money,
            occurred_at=at,
            received_at=at,
            source="golden",
        )
        records[lead_id] = with_event(records[lead_id], ended)
    return [records[lead_id] for lead_id in sorted(records)]


def main() -> None:
    """Write the files of this version."""
    folder = RELEASED / version("leadpulse")
    folder.mkdir(parents=True)  # those of a released version are left alone
    model = read_model(eager_model(folder / "model.yaml"))
    replay = Replay(model)
    told: dict[str, list[object]] = {
        WEB_EVENTS.name: list(events()),
        SCORE_UPDATES.name: [],
        ACCOUNT_SCORES.name: [],
        NOTIFICATIONS.name: [],
        COMMANDS.name: [],
    }
    at = _START + 12 * DAY
    for event in events():
        for step in replay.take(event):
            if isinstance(step, AccountStep):
                told[ACCOUNT_SCORES.name] += step.updates
            else:
                told[SCORE_UPDATES.name] += step.updates
                told[COMMANDS.name] += step.commands
            told[NOTIFICATIONS.name] += step.alerts
    for topic, messages in told.items():
        lines = [msgspec.json.encode(each).decode() for each in messages]
        (folder / f"{topic}.ndjson").write_text("\n".join(lines) + "\n", "utf-8")
    records = training(told[SCORE_UPDATES.name], told[NOTIFICATIONS.name])
    (folder / f"{TRAINING.name}.ndjson").write_bytes(
        b"".join(encode_record(each) + b"\n" for each in records)
    )
    leads = dict(replay.states)
    (folder / f"{LEAD_STATE.name}.txt").write_text(
        "\n".join(stored(dict(leads), Lead)) + "\n", "utf-8"
    )
    (folder / f"{ACCOUNT_STATE.name}.txt").write_text(
        "\n".join(stored(dict(replay.accounts), Account)) + "\n", "utf-8"
    )
    scores = {
        key: read(model, state, at).exact
        for key, state in leads.items()
        if not state.claims
    }
    expected = {"at": at, "scores": scores}
    (folder / "expected.json").write_bytes(
        msgspec.json.format(msgspec.json.encode(expected)) + b"\n"
    )


if __name__ == "__main__":
    main()
