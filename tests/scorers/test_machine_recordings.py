"""Real requests of mail providers: what they mark as a machine's gives no points."""

import json
from typing import Any

import pytest

from scorers.scorer import on_event
from tests.scorers.test_machine_traffic import MODEL, mail
from tests.shared_data import shared_data

_NAMES = {
    "open": "Email Opened",
    "click": "Email Link Clicked",
    "unsub": "Unsubscribed",
    "unsubscribe": "Unsubscribed",
}


def _told(provider: str) -> list[dict[str, Any]]:
    """Return the events in the provider's recorded requests that can be read."""
    path = shared_data("webhooks_email") / f"{provider}_tracking.ndjson"
    found: list[dict[str, Any]] = []
    for line in path.read_text("utf-8").splitlines():
        body = json.loads(line)["body"]
        if isinstance(body, str):
            try:
                body = json.loads(body)
            except ValueError:
                continue
        items = body.get("events", []) if isinstance(body, dict) else body
        found += [item for item in items if item.get("event") in _NAMES]
    return found


@pytest.mark.parametrize(
    ("provider", "reasons"),
    [
        ("mailjet", {"image-proxy": 1}),
        ("mailtrap", {"image-proxy": 1}),
        ("sendgrid", {"image-proxy": 1}),
    ],
)
def test_marked_events_give_nothing(provider: str, reasons: dict[str, int]) -> None:
    """Each event that a provider's mark or agent gives away scores nothing."""
    found: dict[str, int] = {}
    for number, told in enumerate(_told(provider)):
        properties = {name: value for name, value in told.items() if name != "event"}
        item = mail(number, name=_NAMES[told["event"]], **properties)
        reason = MODEL.traffic.judge(item)
        score = on_event(MODEL, None, item, item.now).state.score
        if reason is not None:
            found[reason] = found.get(reason, 0) + 1
            assert score == 0
        elif told["event"] in {"open", "click"}:
            assert score > 0
    assert found == reasons
