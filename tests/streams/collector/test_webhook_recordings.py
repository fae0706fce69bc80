"""Webhooks as providers send them, replayed over HTTP against a running collector.

The requests are recordings and examples that are not part of the repository; the
golden files hold what becomes of them. WRITE_GOLDEN=1 writes those anew.
"""

import base64
import json
import os
from collections import defaultdict
from pathlib import Path
from typing import Any

import httpx
import pytest
from kafka.consumer.fetcher import ConsumerRecord

from streams.settings import Settings
from tests.conftest import MakeTopics
from tests.shared_data import shared_lines
from tests.streams.collector.conftest import read_records, running

GOLDEN = Path(__file__).parents[2] / "golden" / "webhooks"
EVENTS = tuple(f"{channel}.events.v1" for channel in ("web", "email", "social", "crm"))
KEY = "in-the-path"
CREDENTIALS = ("username:password", "cred1:pass1", "cred2:pass2")
KEYS = ",".join(f"mail{n}={key}" for n, key in enumerate((KEY, *CREDENTIALS)))
SECRETS = {
    "mailgun": "ANYMAIL_MAILGUN_WEBHOOK_SIGNING_KEY",
    "sendgrid": "SENDGRID_TRACKING_WEBHOOK_VERIFICATION_KEY",
}
MAIL = [
    "amazon_ses_inbound",
    "amazon_ses_tracking",
    "mailgun_inbound",
    "mailgun_tracking",
    "mailjet_inbound",
    "mailjet_tracking",
    "mailtrap_tracking",
    "sendgrid_inbound",
    "sendgrid_tracking",
    "sparkpost_inbound",
    "sparkpost_tracking",
]
REFUSED = range(400, 500)


async def nothing(_: str) -> bytes:
    """Stand for Amazon, which confirms every subscription."""
    return b"<ConfirmSubscriptionResponse/>"


@pytest.mark.parametrize("name", MAIL)
def test_mail(make_topics: MakeTopics, name: str) -> None:
    """Each recorded request of a provider is taken or refused as it was then."""
    provider = name.removesuffix("_tracking")
    if name != "sendgrid_inbound":
        provider = provider.removesuffix("_inbound")
    seen = Seen()
    for secret, lines in by_secret(provider, name).items():
        settings = make_topics(
            write_keys=KEYS,
            webhook_secrets=f"{provider}={secret}" if secret else "",
            webhook_unsigned="amazon_ses",
            webhook_replay_seconds=0,  # they are from 2016
            collector_port=0,
        )
        with running(settings, nothing) as (client, _):
            for recorded in lines:
                answer = seen.send(client, mail_request(provider, recorded), recorded)
                expect(recorded, answer)
        seen.read(settings)
    seen.compare(name)


def by_secret(provider: str, name: str) -> dict[str, list[dict[str, Any]]]:
    """Return the recordings by the secret that was in force."""
    grouped = defaultdict(list)
    for recorded in shared_lines("webhooks_email", f"{name}.ndjson"):
        setting = SECRETS.get(provider, "")
        secret = recorded["receiver_settings"].get(setting) or ""
        grouped["".join(secret.split())].append(recorded)
    return grouped


def mail_request(provider: str, recorded: dict[str, Any]) -> dict[str, Any]:
    """Return the request: the key by basic auth, or in the path if there is none."""
    path = f"/v1/webhooks/{provider}"
    headers = {**recorded["headers"], "Content-Type": recorded["content_type"]}
    if recorded["receiver_settings"].get("WEBHOOK_SECRET") is None:
        headers.pop("Authorization", None)
        # Nobody at all may not confirm a subscription; somebody with a key may.
        if not recorded["test"].endswith("auth_disabled"):
            path = f"{path}/{KEY}"
    zipped = recorded.get("body_base64")
    body = base64.b64decode(zipped) if zipped else recorded.get("body", "").encode()
    return {
        "method": recorded["method"],
        "url": path,
        "headers": headers,
        "content": body,
    }


def expect(recorded: dict[str, Any], answer: httpx.Response) -> None:
    """Fail unless it is taken or refused as then; None then: raised on purpose."""
    status, test = recorded["anymail_status"], recorded["test"]
    assert answer.status_code < 500, (test, answer.text)
    if status == 200:
        assert answer.status_code == 200, (test, answer.text)
    elif status is not None:
        assert answer.status_code in REFUSED, (test, answer.text)


def test_meta(make_topics: MakeTopics) -> None:
    """Each example of Meta's is taken; what people did are events."""
    settings = make_topics(write_keys=KEYS, collector_port=0)
    seen = Seen()
    with running(settings) as (client, _):
        for example in shared_lines(
            "webhooks_social", "meta_page_instagram_whatsapp.ndjson"
        ):
            body = example.get("body") or example["payload"]
            request = {
                "method": "POST",
                "url": f"/v1/webhooks/meta/{KEY}",
                "content": body if isinstance(body, str) else json.dumps(body),
            }
            answer = seen.send(client, request, {"test": example["file"]})
            assert answer.status_code == 200, (example["file"], answer.text)
    seen.read(settings)
    seen.compare("meta")


class Seen:
    """What became of each request: its answer, and what is on the topics of it."""

    def __init__(self) -> None:
        """Begin with nothing seen."""
        self.told: dict[str, dict[str, Any]] = {}
        self._names: dict[str, str] = {}
        self._accepted = self._rejected = 0

    def send(
        self, client: httpx.Client, request: dict[str, Any], recorded: dict[str, Any]
    ) -> httpx.Response:
        """Send a request, marked by a trace of its own."""
        trace = f"{len(self._names) + 1:032x}"
        request.setdefault("headers", {})["traceparent"] = f"00-{trace}-{'1' * 16}-01"
        answer = client.request(**request)
        name = recorded["test"].removeprefix("tests.")
        while name in self.told:
            name += "'"
        self._names[trace] = name
        body = answer.json()
        self._accepted += body.get("accepted", 0)
        self._rejected += len(body.get("rejected", ()))
        told: dict[str, Any] = {"status": answer.status_code}
        for key in ("ignored", "confirmed"):
            if body.get(key):
                told[key] = body[key]
        if "error" in body:
            told["reason"] = body["error"]["reason"]
        self.told[name] = told
        return answer

    def read(self, settings: Settings) -> None:
        """Read the topics; every record must be of a request that was accepted."""
        for record in read_records(settings, self._accepted, *EVENTS):
            event = json.loads(record.value)
            received = event.pop("received_at")
            if event["occurred_at"] == received:
                event["occurred_at"] = "on receipt"
            event["topic"] = record.topic.removeprefix(settings.topic_prefix)
            self._of(record).setdefault("events", []).append(event)
        for record in read_records(settings, self._rejected, "dead-letters.v1"):
            reason = dict(record.headers)["dl_reason"].decode()
            self._of(record).setdefault("dead", []).append(reason)
        for told in self.told.values():
            told.get("events", []).sort(key=lambda event: event["id"])
        self._accepted = self._rejected = 0

    def _of(self, record: ConsumerRecord) -> dict[str, Any]:
        traceparent = dict(record.headers)["traceparent"].decode()
        return self.told[self._names[traceparent.split("-")[1]]]

    def compare(self, name: str) -> None:
        """Fail unless all is as the golden file says."""
        golden = GOLDEN / f"{name}.json"
        if os.environ.get("WRITE_GOLDEN"):
            golden.parent.mkdir(exist_ok=True)
            golden.write_text(
                json.dumps(self.told, indent=1, sort_keys=True, ensure_ascii=False)
                + "\n",
                "utf-8",
            )
        assert self.told == json.loads(golden.read_text("utf-8"))
