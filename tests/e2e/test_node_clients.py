"""Node's clients, unchanged from npm: one sends, one reads the topics."""

import json
import subprocess
from pathlib import Path

import pytest

from schemas.topics import EVENT_TOPICS
from scorers.identity import lead_id_of
from tests.e2e.conftest import KEY, Collector
from tests.streams.collector.conftest import arrived

pytestmark = [pytest.mark.e2e, pytest.mark.clients]

FOLDER = Path(__file__).parent


def run(node: str, script: str, *arguments: str) -> str:
    """Return what a script of this folder prints; it must end well."""
    done = subprocess.run(
        [node, script, *arguments],
        cwd=FOLDER,
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_what_one_sends_another_reads(node: str, collector: Collector) -> None:
    """analytics-node's calls are events; kafkajs reads them, keyed by the lead."""
    run(node, "segment_node.mjs", collector.url, KEY)

    identify, page, track = arrived(collector.settings, 3)
    assert identify.email == "ada@example.com"
    assert (page.name, page.properties) == ("Pricing", {"path": "/pricing"})
    assert (track.name, track.properties) == ("Demo Requested", {"plan": "pro"})

    settings = collector.settings
    topics = [settings.topic(topic.name) for topic in EVENT_TOPICS]
    printed = run(node, "kafkajs_consumer.mjs", settings.bootstrap, "3", *topics)

    read = [json.loads(line) for line in printed.splitlines()]
    assert {each["value"]["id"] for each in read} == {
        event.id for event in (identify, page, track)
    }
    assert {each["key"] for each in read} == {lead_id_of("user_id", "u-1")}
    assert {each["type"] for each in read} == {"leadpulse.event.v1"}
