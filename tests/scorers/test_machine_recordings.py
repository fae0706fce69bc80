"""What mail providers really sent: what is marked as a machine's gives no points.

The golden files hold the events that the adapters made of the recorded requests.
"""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

from schemas.event import Event
from scorers.machine_traffic import FLAGS
from scorers.scorer import on_event
from streams.model_files import read_model

MODEL = read_model(None)
GOLDEN = Path(__file__).parents[1] / "golden" / "webhooks"
WHEN = "2026-11-21T10:00:00Z"
DEEDS = {"Email Opened", "Email Link Clicked", "Offer Downloaded"}
MARKED = {
    "amazon_ses": {},
    "mailgun": {},
    "mailjet": {"image-proxy": 1},
    "mailtrap": {"image-proxy": 1},
    "sendgrid": {"image-proxy": 1},
    "sparkpost": {},
}
"""By provider, how many of the recorded events are told from people, and why."""


def recorded(provider: str) -> list[Event]:
    """Return the opens and clicks that a provider reported."""
    told: dict[str, Any] = json.loads(
        (GOLDEN / f"{provider}_tracking.json").read_text()
    )
    events = [
        msgspec.convert({**each, "occurred_at": WHEN}, Event)
        for request in told.values()
        for each in request.get("events", ())
    ]
    return [event for event in events if event.name in DEEDS]


def scored(event: Event) -> float:
    """Return what a lead's first event gives."""
    return on_event(MODEL, None, event, event.now).state.score


@pytest.mark.parametrize("provider", MARKED)
def test_what_is_marked_gives_nothing(provider: str) -> None:
    """An open or a click counts unless a mark or an agent gives a machine away.

    Each of them gives nothing as soon as it carries any of the providers' flags.
    """
    events, found = recorded(provider), Counter[str]()
    assert events
    for event in events:
        reason = MODEL.traffic.judge(event)
        if reason is not None:
            found[reason] += 1
        assert (scored(event) > 0) == (reason is None)
        for flag in FLAGS:
            marked = replace(event, properties={**event.properties, flag: True})
            assert scored(marked) == 0
    assert found == MARKED[provider]
