"""Writes what a version of ours puts on topics and disks, for later ones to read.

Run once when a version is released: `python -m tests.make_released`. What is in
`tests/golden/released` is never written again.
"""

import base64
from importlib.metadata import version
from pathlib import Path

import msgspec

from schemas.event import Channel, Event
from schemas.time import DAY, HOUR, Instant, to_datetime
from schemas.topics import (
    ACCOUNT_SCORES,
    ACCOUNT_STATE,
    COMMANDS,
    LEAD_STATE,
    NOTIFICATIONS,
    SCORE_UPDATES,
    WEB_EVENTS,
)
from scorers.accounts import AccountStep
from scorers.replay import Replay
from scorers.scorer import read
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
