"""The door of the registry's providers, over real HTTP in front of a real broker."""

import httpx
import msgspec
import pytest

from schemas.event import Event
from streams.collector.server import create_server
from streams.settings import SettingsError
from tests.conftest import MakeTopics
from tests.streams.collector.conftest import KEYS, Read, running

CLICK = {
    "event": "click",
    "time": 1784700000,
    "MessageID": 17,
    "email": "ada@example.com",
    "url": "https://example.com/pricing",
    "ip": "192.0.2.1",
    "agent": "Mozilla/5.0",
}


def test_an_event_of_a_provider(client: httpx.Client, read: Read) -> None:
    """What a provider posts under a key in the path is on its topic, repeats alike."""
    answers = [
        client.post("/v1/webhooks/mailjet/wk-1", json=[CLICK, {"event": "blocked"}])
        for _ in range(2)
    ]

    for answer in answers:
        assert answer.status_code == 200
        assert answer.json() == {
            "success": True,
            "accepted": 1,
            "ignored": 1,
            "rejected": [],
        }
    first, again = (
        msgspec.json.decode(one.value, type=Event) for one in read(2, "email.events.v1")
    )
    assert first.id == again.id
    assert (first.name, first.email) == ("Email Link Clicked", "ada@example.com")
    assert (first.source, first.workspace) == ("website", "default")
    assert first.properties == {
        "email_id": "17",
        "link_url": "https://example.com/pricing",
    }
    assert first.context == {
        "provider": "mailjet",
        "ip": "192.0.2.1",
        "user_agent": "Mozilla/5.0",
    }


def test_what_cannot_be_an_event(client: httpx.Client, read: Read) -> None:
    """An item of nobody becomes a dead letter, and the provider need not repeat it."""
    answer = client.post("/v1/webhooks/mailjet/wk-1", json=[{"event": "open"}])

    assert answer.status_code == 200
    assert answer.json()["rejected"][0]["reason"] == "unroutable"
    (letter,) = read(1, "dead-letters.v1", "email.events.v1")
    assert letter.value == b'{"event":"open"}'


def test_keys_of_webhooks(client: httpx.Client) -> None:
    """The key comes in the path, in the query, by basic auth; a wrong one is 401."""
    path = "/v1/webhooks/mailjet"
    assert client.post(f"{path}/wk-1", json=[]).status_code == 200
    assert client.post(f"{path}?write_key=wk-2", json=[]).status_code == 200
    for auth in [("wk-1", ""), ("us", "wk-1"), ("wk-1", "x")]:
        assert client.post(path, json=[], auth=auth).status_code == 200
    wrong = client.post(f"{path}/wk-3", json=[], auth=("wk-1", ""))
    assert (wrong.status_code, wrong.json()["error"]["reason"]) == (
        401,
        "unknown-write-key",
    )
    missing = client.post(path, json=[])
    assert missing.status_code == 401
    assert missing.headers["WWW-Authenticate"].startswith("Basic")


def test_too_many_requests_of_a_key(make_topics: MakeTopics) -> None:
    """A key that sends too often is told when to come back; others are not."""
    settings = make_topics(write_keys=KEYS, collector_port=0, rate_limit="2/hour")
    with running(settings) as (client, _):
        path = "/v1/webhooks/mailjet"
        statuses = [client.post(f"{path}/wk-1", json=[]).status_code for _ in range(3)]
        late = client.post("/v1/track", json={}, auth=("wk-1", ""))
        other = client.post(f"{path}/wk-2", json=[])

    assert statuses == [200, 200, 429]
    assert late.status_code == 429
    assert 1 <= int(late.headers["Retry-After"]) <= 3600
    assert other.status_code == 200


def test_keys_in_paths_are_not_logged(
    client: httpx.Client, capsys: pytest.CaptureFixture[str]
) -> None:
    """The log names routes, never the paths: keys stand in them."""
    client.post("/v1/webhooks/mailjet/wk-1", json=[CLICK])
    client.post("/v1/webhooks/mailjet/wk-not-ours", json=[CLICK])
    client.post("/v1/webhooks/nobody/wk-1?write_key=wk-2", json=[CLICK])

    told = "".join(capsys.readouterr())
    assert "/v1/webhooks/mailjet/{write_key}" in told
    assert "wk-" not in told
    assert "ada@example.com" not in told


def test_settings_of_providers_that_there_are_not(make_topics: MakeTopics) -> None:
    """A secret of an unknown provider is refused in one line that names the known."""
    settings = make_topics(write_keys=KEYS, webhook_secrets="sendgird=x")
    with pytest.raises(SettingsError, match=r"no provider 'sendgird'.*sendgrid"):
        create_server(settings)
