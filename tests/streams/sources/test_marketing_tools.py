"""Webhooks of tools for messages, forms, chats and logins, as recordings have them."""

from collections import Counter
from typing import Any

import httpx
import msgspec

from schemas.event import Event
from schemas.time import to_instant
from schemas.topics import DEAD_LETTERS, EVENT_TOPICS
from streams.collector.adapters.mapped import take
from streams.collector.adapters.provider import Envelope
from streams.collector.mapping.files import load_mappings
from streams.settings import Settings
from tests.conftest import MakeTopics
from tests.shared_data import shared_lines
from tests.streams.collector.conftest import running
from tests.worker_harness import read_all

NOW = 1_795_301_200_000

FOLDER = "rudder_transformer_sources"
RECORDINGS: dict[str, tuple[str, dict[str, int]]] = {
    # file: where it goes, and the events that come of it
    "auth0": ("auth0", {"Signed Up": 3}),
    "braze": (
        "braze",
        {
            "Email Opened": 1,
            "In-App Message Clicked": 4,
            "Product Purchased": 1,
            "customeventname": 1,
        },
    ),
    "canny": (
        "canny",
        {"Feedback Commented": 1, "Feedback Posted": 2, "Feedback Voted": 2},
    ),
    "customerio": (
        "customerio",
        {
            "Email Bounced": 1,
            "Email Delivered": 1,
            "Email Link Clicked": 1,
            "Push Link Clicked": 1,
            "Resubscribed": 3,
            "SMS Link Clicked": 1,
            "Slack Link Clicked": 1,
            "Unsubscribed": 1,
        },
    ),
    "facebook_lead_ads": ("facebook-lead-ads", {"Form Submitted": 4}),
    "formsort": ("formsort", {"Form Submitted": 1}),
    "iterable": (
        "iterable",
        {
            "Email Bounced": 1,
            "Email Link Clicked": 1,
            "Email Marked as Spam": 1,
            "Email Opened": 1,
            "In-App Message Clicked": 1,
            "Push Opened": 1,
            "Resubscribed": 3,
            "SMS Link Clicked": 1,
            "SMS Replied": 1,
            "Unsubscribed": 2,
        },
    ),
    "mailjet": (
        "mailjet",
        {
            "Email Bounced": 2,
            "Email Delivered": 1,
            "Email Link Clicked": 1,
            "Email Opened": 2,
        },
    ),
    "olark": ("olark", {"Information Requested": 1}),
    "segment": ("auth0", {"Signed In": 2}),
    "webhook": ("formsort", {}),
}


def test_recorded_webhooks_over_http(make_topics: MakeTopics) -> None:
    """Each is answered with 200, but for broken JSON; nothing of it is lost."""
    keys = ",".join(f"{name}=wk-{name}" for name in RECORDINGS)
    settings = make_topics(write_keys=keys, collector_port=0, partitions=1)
    with running(settings) as (http, _):
        rejected = sum(
            replayed(http, name, provider) for name, (provider, _) in RECORDINGS.items()
        )

    events = events_on(settings)
    for name, (_, expected) in RECORDINGS.items():
        became = Counter(event.name for event in events if event.source == name)
        assert became == Counter(expected), name
    assert len(read_all(settings, DEAD_LETTERS)) == rejected > 0


def test_a_webhook_that_is_sent_again_is_the_same_events(
    make_topics: MakeTopics,
) -> None:
    """Where no signed time tells a replay, its ids do: no lead counts it twice."""
    keys = ",".join(f"{name}=wk-{name}" for name in RECORDINGS)
    settings = make_topics(write_keys=keys, collector_port=0, partitions=1)
    told = []
    with running(settings) as (http, _):
        for _ in range(2):
            for name, (provider, _) in RECORDINGS.items():
                replayed(http, name, provider)
            told.append({(each.source, each.id) for each in events_on(settings)})

    assert told[0] == told[1]
    assert len(told[0]) > 30


def replayed(http: httpx.Client, name: str, provider: str) -> int:
    """Send all requests of a file; return how many records were rejected."""
    rejected = 0
    for line in shared_lines("trackers", FOLDER, f"{name}.ndjson"):
        asked = line["input"]["request"]
        answer = http.post(
            f"/v1/webhooks/{provider}/wk-{name}",
            content=asked["body"],
            headers={"Content-Type": asked["headers"]["Content-Type"]},
        )
        broken = "malformed" in line["description"]
        assert answer.status_code == (400 if broken else 200), answer.text
        rejected += 0 if broken else len(answer.json()["rejected"])
    return rejected


def events_on(settings: Settings) -> list[Event]:
    return [
        msgspec.json.decode(record.value() or b"", type=Event)
        for topic in EVENT_TOPICS
        for record in read_all(settings, topic)
    ]


def event_of(mapping: str, payload: dict[str, Any]) -> Event:
    """Return the one event that a payload becomes."""
    envelope = Envelope(source="tools", received_at=NOW)
    taken = take(load_mappings(None)[mapping], payload, envelope)
    (event,) = taken.events
    assert not taken.refused
    return event


def test_a_click_says_which_mail_and_when() -> None:
    """Customer.io's delivery is the mail, its time is seconds, a file is a download."""
    event = event_of(
        "customerio",
        {
            "data": {
                "customer_id": "c-1",
                "delivery_id": "d-1",
                "newsletter_id": 36,
                "href": "https://shop.example/guide.pdf",
                "recipient": "ada@example.com",
            },
            "event_id": "e-1",
            "object_type": "email",
            "metric": "clicked",
            "timestamp": 1_585_254_348,
        },
    )

    assert (event.id, event.name) == ("customerio-e-1", "Offer Downloaded")
    assert (event.user_id, event.email) == ("c-1", "ada@example.com")
    assert event.channel == "email"
    assert to_instant(event.occurred_at) == 1_585_254_348_000
    assert event.properties == {
        "email_id": "d-1",
        "campaign_id": "36",
        "link_url": "https://shop.example/guide.pdf",
    }


def test_what_the_tool_holds_to_be_a_machine_is_kept() -> None:
    """Braze flags opens by machines; the flag comes along."""
    event = event_of(
        "braze",
        {
            "events": [
                {
                    "event_type": "users.messages.email.Open",
                    "id": "b-1",
                    "time": 1_585_254_348,
                    "user": {"external_user_id": "u-1"},
                    "properties": {
                        "dispatch_id": "d-1",
                        "email_address": "ada@example.com",
                        "machine_open": True,
                    },
                }
            ]
        },
    )

    assert (event.name, event.user_id) == ("Email Opened", "u-1")
    assert event.properties == {"email_id": "d-1", "machine_open": True}
