"""What people answer comes back as events: from Slack, from mails, by the CLI."""

import hashlib
import hmac
import json
import time
import uuid
from collections.abc import Container, Iterator
from typing import Any
from urllib.parse import urlencode

import httpx
import msgspec
import pytest
from typer.testing import CliRunner

from schemas.event import Event
from schemas.topics import CRM_EVENTS, DELIVERIES
from scorers.identity import derive_lead_id
from streams.acknowledging import ALERT_PROPERTY, answerable
from streams.cli.alerts import app as alerts_app
from streams.cli.followup import app as followup_app
from streams.delivery.journal import Journal, Writer
from streams.links import MailLinks
from streams.settings import Settings
from streams.topics_admin import create_topics
from tests.streams.collector.conftest import running
from tests.streams.delivery.alerts import alert
from tests.streams.delivery.running import put
from tests.worker_harness import read_all

SIGNING = "8f742231b10e8888abcd99yyyzzz85a5"
SECRET = "a secret for links"


@pytest.fixture(scope="module")
def settings(broker: str) -> Settings:
    settings = Settings.model_validate(
        {
            "bootstrap": broker,
            "partitions": 2,
            "topic_prefix": f"t{uuid.uuid4().hex[:8]}.",
            "metrics_port": 0,
            "collector_port": 0,
            "write_keys": "slack=wk-1",
            "link_secrets": SECRET,
            "webhook_secrets": f"slack={SIGNING}",
        }
    )
    create_topics(settings)
    return settings


@pytest.fixture(scope="module")
def http(settings: Settings) -> Iterator[httpx.Client]:
    with running(settings) as (client, _):
        yield client


def events(settings: Settings) -> dict[tuple[int | None, int | None], Event]:
    """Return every event by its place: partitions come in any order."""
    return {
        (record.partition(), record.offset()): msgspec.json.decode(
            record.value() or b"", type=Event
        )
        for record in read_all(settings, CRM_EVENTS)
    }


def since(
    settings: Settings, before: Container[tuple[int | None, int | None]]
) -> list[Event]:
    return [event for place, event in events(settings).items() if place not in before]


def press(
    http: httpx.Client, action: str, value: str, *, secret: str = SIGNING, age: int = 0
) -> httpx.Response:
    """Send what Slack sends when a button is pressed."""
    payload = {
        "type": "block_actions",
        "user": {"id": "U024BE7LH", "username": "dana"},
        "actions": [{"action_id": action, "value": value, "type": "button"}],
    }
    body = urlencode({"payload": json.dumps(payload)}).encode()
    stamp = str(int(time.time()) - age)
    digest = hmac.new(
        secret.encode(), f"v0:{stamp}:".encode() + body, hashlib.sha256
    ).hexdigest()
    return http.post(
        "/v1/webhooks/slack/wk-1",
        content=body,
        headers={
            "Content-Type": "application/x-www-form-urlencoded",
            "X-Slack-Request-Timestamp": stamp,
            "X-Slack-Signature": f"v0={digest}",
        },
    )


def test_a_button_in_slack_is_an_event_of_its_lead(
    http: httpx.Client, settings: Settings
) -> None:
    """Signed and fresh it is taken in, once however often; else it is refused."""
    one = alert("slack-lead")
    value = msgspec.json.encode(answerable(one)).decode()
    before = events(settings)

    answers = [
        press(http, "leadpulse_taken", value),
        press(http, "leadpulse_taken", value),
        press(http, "leadpulse_unfit", value),
        press(http, "leadpulse_open_lead", value),
    ]
    forged = press(http, "leadpulse_taken", value, secret="guessed")
    stale = press(http, "leadpulse_taken", value, age=600)
    nobody = press(http, "leadpulse_taken", '{"alert_id": "al_1", "user_id": "null"}')

    assert [each.status_code for each in answers] == [200] * 4
    assert [each.content for each in answers] == [b""] * 4
    assert [forged.status_code, stale.status_code] == [401, 401]
    assert nobody.status_code == 200
    got = since(settings, before)
    assert sorted(each.name for each in got) == [
        "Lead Acknowledged",
        "Lead Acknowledged",
        "Lead Disqualified",
    ]
    assert len({each.id for each in got}) == 2
    assert {derive_lead_id(each) for each in got} == {one.lead_id}
    assert {each.properties[ALERT_PROPERTY] for each in got} == {one.id}
    assert {each.properties["by"] for each in got} == {"dana"}
    assert {each.channel for each in got} == {"crm"}


def test_a_link_in_a_mail_asks_before_it_does(
    http: httpx.Client, settings: Settings
) -> None:
    """A scanner that follows it changes nothing; the button does; others' fail."""
    links = MailLinks(str(http.base_url), [SECRET], source="delivery")
    one = alert("mail-lead")
    before = events(settings)
    given: Any = {"by": "dana", "workspace": "default"}
    until = int(time.time() * 1000) + 60_000
    url = links.work(answerable(one), "taken", expires_at=until, **given)
    late = links.work(answerable(one), "taken", expires_at=1, **given)

    page = http.get(url)
    assert page.status_code == 200
    assert "Are you on it?" in page.text
    assert events(settings) == before
    assert http.post(url).status_code == 200
    assert http.post(url[:-3] + "abc").status_code == 400
    assert http.post(url.replace("/w/", "/d/")).status_code == 400
    assert http.post(late).status_code == 410

    (event,) = since(settings, before)
    assert (event.name, derive_lead_id(event)) == ("Lead Acknowledged", one.lead_id)
    assert event.properties["by"] == "dana"


def test_one_click_stops_digests_for_good(
    http: httpx.Client, settings: Settings
) -> None:
    """What a mail program posts (RFC 8058) is what delivery reads."""
    import threading

    links = MailLinks(str(http.base_url), [SECRET], source="delivery")
    url = links.digest(target="owner-mail", person="dana")

    assert "No more digests?" in http.get(url).text
    assert read_all(settings, DELIVERIES) == []
    posted = http.post(url, data={"List-Unsubscribe": "One-Click"})

    assert posted.status_code == 200
    writer = Writer(settings, threading.Event())
    try:
        stopped = [
            Journal(settings, target, writer).no_digests_for()
            for target in ("owner-mail", "another")
        ]
    finally:
        writer.close()
    assert stopped == [{"dana"}, set()]


def test_the_commands_answer_and_preview(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`alerts ack` says the same as the buttons; `followup preview` sends nothing."""
    monkeypatch.setenv("LEADPULSE_BOOTSTRAP", settings.bootstrap)
    monkeypatch.setenv("LEADPULSE_TOPIC_PREFIX", settings.topic_prefix)
    one = alert("cli-lead", traits={"first_name": "<b>Ada</b>", "company": "Acme"})
    put(settings, one)
    run = CliRunner().invoke
    before = events(settings)

    acked = run(alerts_app, ["ack", one.id, "--unfit", "--by", "reza"])
    unknown = run(alerts_app, ["ack", "al_unknown"])
    shown = run(followup_app, ["preview", one.lead_id, "--html"])
    sample = run(followup_app, ["preview", "--stage", "../../etc", "--locale", "fa"])

    assert acked.exit_code == 0, acked.output
    (event,) = since(settings, before)
    assert (event.name, event.properties["by"]) == ("Lead Disqualified", "reza")
    assert unknown.exception is not None
    assert "Template: intent.en.txt" in shown.output
    assert "Subject:  Shall we show you, <b>Ada</b>?" in shown.output
    assert "Hello &lt;b&gt;Ada&lt;/b&gt;," in shown.output
    assert "Template: default.fa.txt" in sample.output
