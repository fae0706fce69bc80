"""Segment's own SDK, unchanged, pointed at the collector."""

import json

from segment.analytics import Client

from streams.settings import Settings
from tests.conftest import MakeTopics
from tests.streams.collector.conftest import read_records, running


def sent_by_sdk(settings: Settings, *, gzip: bool) -> list[tuple[str, bytes, dict]]:
    """Send one of each call; return topic, key and event of what was stored."""
    failures: list[object] = []
    with running(settings) as (http, _):
        sdk = Client(
            "wk-1",
            host=str(http.base_url).rstrip("/"),
            gzip=gzip,
            on_error=lambda error, items: failures.append((error, items)),
        )
        sdk.identify("u-1", {"email": "ada@example.com", "firstName": "Ada"})
        sdk.page("u-1", None, "Pricing", {"path": "/pricing"})
        sdk.track("u-1", "Demo Requested", {"formId": 7})
        sdk.track("u-1", "Email Opened", {"email_id": "e-1"})
        sdk.group("u-1", "g-1", {"name": "Initech", "employees": 40})
        sdk.alias("a-1", "u-1")
        sdk.screen("u-1", None, "Home")
        sdk.shutdown()

    assert not failures
    topics = [f"{name}.events.v1" for name in ("web", "email", "social", "crm")]
    return [
        (
            record.topic.removeprefix(settings.topic_prefix),
            record.key,
            json.loads(record.value),
        )
        for record in read_records(settings, 7, *topics)
    ]


def test_python_sdk(make_topics: MakeTopics) -> None:
    """Everything segment-analytics-python sends is read back from the topics."""
    settings = make_topics(write_keys="website=wk-1", collector_port=0)
    stored = sent_by_sdk(settings, gzip=False)

    assert len({key for _, key, _ in stored}) == 1
    assert sorted(
        (topic, event["type"], event.get("name", "")) for topic, _, event in stored
    ) == [
        ("crm.events.v1", "alias", ""),
        ("crm.events.v1", "group", ""),
        ("crm.events.v1", "identify", ""),
        ("email.events.v1", "track", "Email Opened"),
        ("web.events.v1", "page", "Home"),
        ("web.events.v1", "page", "Pricing"),
        ("web.events.v1", "track", "Demo Requested"),
    ]
    (identify,) = [event for _, _, event in stored if event["type"] == "identify"]
    assert identify["email"] == "ada@example.com"
    assert identify["traits"]["first_name"] == "Ada"


def test_python_sdk_with_gzip(make_topics: MakeTopics) -> None:
    """The same with the SDK's own compression."""
    settings = make_topics(write_keys="website=wk-1", collector_port=0)

    assert len(sent_by_sdk(settings, gzip=True)) == 7
