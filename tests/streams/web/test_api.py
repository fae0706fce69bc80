"""The API over a real view, over HTTP."""

import csv
import io
import json
import re
import threading
from collections.abc import Iterator

import httpx
import pytest

from schemas.event import Event
from schemas.score import Identifiers
from schemas.time import to_datetime
from schemas.topics import CRM_EVENTS, NOTIFICATIONS
from streams.web.app import endpoints
from tests.streams.collector.conftest import arrived
from tests.streams.view.records import T0, account, alert, change, update
from tests.streams.web.conftest import Web, lead
from tests.waiting import wait_until

OWNED = [lead(f"page{n:02}", 20 + n % 5, owner="pages") for n in range(12)]


@pytest.fixture(scope="module")
def api(web: Web) -> httpx.Client:
    return web.of("sales")


def names(client: httpx.Client, **query: object) -> list[str]:
    answer = client.get("/api/v1/leads", params={k: str(v) for k, v in query.items()})
    assert answer.status_code == 200, answer.text
    return [row["name"].partition("@")[0] for row in answer.json()["leads"]]


def test_the_ranking_is_paged_and_filtered(web: Web, api: httpx.Client) -> None:
    """Every page follows on the one before, ties and filters included."""
    web.put(*OWNED, lead("other", 99, tier="gold", owner="somebody else"))

    whole = names(api, owner="pages", limit=50)
    paged: list[str] = []
    cursor = ""
    for _ in range(9):
        answer = api.get(
            "/api/v1/leads", params={"owner": "pages", "limit": 5, "cursor": cursor}
        ).json()
        paged += [row["name"].partition("@")[0] for row in answer["leads"]]
        cursor = answer["next_cursor"] or ""
        if not cursor:
            break

    assert len(whole) == 12
    assert paged == whole
    assert answer["total"] == 12
    assert names(api, owner="pages", offset=3, limit=4) == whole[3:7]
    assert names(api, owner="somebody else") == ["other"]
    assert names(api, tier="gold", owner="pages") == []
    assert len(names(api, owner="pages", min_score=23)) == 4
    assert names(api, tier="bronze", owner="pages", min_score=24) == [
        name for name in whole if name in {"page04", "page09"}
    ]
    assert names(api, text="PAGE07") == ["page07"]
    assert names(api, text="page07@example.com") == ["page07"]
    assert len(names(api, text="page", owner="pages", limit=3)) == 3


@pytest.mark.parametrize(
    "query", ["limit=0", "limit=x", "cursor=%00", "cursor=abc", "offset=-1"]
)
def test_a_wrong_query_is_told(api: httpx.Client, query: str) -> None:
    """It is a problem of RFC 9457 with a status of 400, never a broken answer."""
    answer = api.get(f"/api/v1/leads?{query}")

    assert answer.status_code == 400
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["type"].startswith("urn:leadpulse:problem:bad-")


def test_what_did_not_change_is_not_sent_again(web: Web, api: httpx.Client) -> None:
    """An ETag that still holds is answered with 304; after a change with the new."""
    web.put(lead("etag", 30))
    path = "/api/v1/leads/etag@example.com"
    first = api.get(path)
    tag = {"If-None-Match": first.headers["etag"]}

    assert first.json()["update"]["score"] == 30
    assert api.get(path, headers=tag).status_code == 304
    web.put(lead("etag", 31, sequence=2))
    assert api.get(path, headers=tag).json()["update"]["score"] == 31
    assert api.get("/api/v1/leads/nobody").status_code == 404


def test_accounts_and_alerts_are_told(web: Web, api: httpx.Client) -> None:
    """An account has its people; alerts come by pages, the latest first."""
    who = lead("member", 40, account_id=account().account_id)
    told = [alert(alert_id=f"al_{n}", lead_id=who.lead_id, at=T0 + n) for n in range(3)]
    web.view.write(web.view.build(), map(change, (account(score=70), who, *told)), {})

    assert api.get("/api/v1/accounts").json()["accounts"][0]["account"]["score"] == 70
    people = api.get("/api/v1/accounts/acme.example").json()["people"]
    assert [person["name"] for person in people] == ["member@example.com"]
    first = api.get("/api/v1/alerts?limit=2").json()
    assert [each["id"] for each in first["alerts"]] == ["al_2", "al_1"]
    rest = api.get(f"/api/v1/alerts?limit=2&before={first['next_before']}").json()
    assert [each["id"] for each in rest["alerts"]] == ["al_0"]
    row = api.get("/api/v1/leads?text=member@example.com").json()["leads"][0]
    assert row["alert"]["id"] == "al_2"


def test_work_goes_by_the_topic_and_comes_back(web: Web, api: httpx.Client) -> None:
    """Who takes, snoozes or assigns a lead is on the topic, then on every screen."""
    who = lead("worked", 80, tier="gold")
    web.publish(who)
    told = alert(alert_id="al_worked", lead_id=who.lead_id)
    web.publish(told, NOTIFICATIONS.name)
    path = f"/api/v1/leads/{who.lead_id}"
    wait_until(lambda: api.get(path).status_code == 200, what="the lead in the view")
    wait_until(lambda: api.get(path).json()["alerts"], what="its alert")

    assert (
        api.post(f"{path}/acknowledge", json={}).json()["name"] == "Lead Acknowledged"
    )
    assert api.post(f"{path}/snooze", json={"minutes": 30}).status_code == 200
    assert api.post(f"{path}/assign", json={"owner": "zoe"}).status_code == 200
    # Twice is once.
    assert api.post(f"{path}/acknowledge", json={}).status_code == 200

    def work() -> list[dict[str, object]]:
        found: list[dict[str, object]] = api.get(path).json()["work"]
        return found if len(found) == 3 else []

    done = {each["name"]: each for each in wait_until(work, what="the work")}
    assert {each["by"] for each in done.values()} == {"sales"}
    assert done["Lead Acknowledged"]["alert_id"] == "al_worked"
    assert done["Lead Assigned"]["owner"] == "zoe"
    assert isinstance(done["Lead Snoozed"]["until"], int)
    events = arrived(web.settings, 4)
    assert {event.channel for event in events} == {"crm"}
    assert len({event.id for event in events}) == 3
    assert api.post(f"{path}/snooze", json={"minutes": 0}).status_code == 400
    assert api.post(f"{path}/assign", json={"owner": ""}).status_code == 400


class Listener:
    """Listens to live events from a thread."""

    def __init__(self, web: Web, last: str | None = None) -> None:
        self.events: list[tuple[str, str, dict[str, object]]] = []
        headers = {} if last is None else {"Last-Event-ID": last}
        self._client = web.of("viewer")
        self._stop = threading.Event()
        self._thread = threading.Thread(
            target=self._listen, args=(headers,), daemon=True
        )
        self._thread.start()
        wait_until(lambda: self.events or last, what="the stream to begin")

    def _listen(self, headers: dict[str, str]) -> None:
        with self._client.stream("GET", "/api/v1/live", headers=headers) as answer:
            for identity, kind, data in _events(answer.iter_lines()):
                self.events.append((identity, kind, data))
                if self._stop.is_set():
                    return

    def of(self, kind: str, **wanted: object) -> dict[str, object] | None:
        return next(
            (
                data
                for _, found, data in self.events
                if found == kind and wanted.items() <= data.items()
            ),
            None,
        )

    def stop(self) -> str:
        self._stop.set()
        return self.events[-1][0]


def _events(lines: Iterator[str]) -> Iterator[tuple[str, str, dict[str, object]]]:
    told: dict[str, str] = {}
    for line in lines:
        name, _, value = line.partition(": ")
        told[name] = value
        if not line and "data" in told:
            yield told["id"], told["event"], json.loads(told["data"])
        if not line:
            told = {}


def test_live_events_come_and_resume(web: Web) -> None:
    """Changes arrive as they happen; who was away gets what was missed, and once."""
    listener = Listener(web)
    web.put(lead("live", 12))
    wait_until(lambda: listener.of("lead", score=12.0), what="the first change")
    last = listener.stop()
    web.put(lead("live", 13, sequence=2))
    web.put(lead("live", 14, sequence=3))

    again = Listener(web, last)
    wait_until(lambda: again.of("lead", score=14.0), what="what was missed")
    scores = [data["score"] for _, kind, data in again.events if kind == "lead"]
    assert scores[:2] == [13.0, 14.0]
    assert again.of("reset") is None

    stranger = Listener(web, "somebody-17")
    wait_until(lambda: stranger.of("reset") is not None, what="the reset")
    told = alert(alert_id="al_live", lead_id=lead("live").lead_id)
    web.view.write(web.view.build(), [change(told)], {})
    wait_until(lambda: stranger.of("alert"), what="the alert")
    taken = Event(
        id="taken",
        type="track",
        channel="crm",
        name="Lead Acknowledged",
        email="live@example.com",
        occurred_at=to_datetime(T0),
        properties={"by": "kim", "alert_id": "al_live"},
    )
    web.publish(taken, CRM_EVENTS.name)
    wait_until(lambda: stranger.of("work"), what="that kim is on it")
    for each in (again, stranger):
        each.stop()


def test_nothing_in_a_file_is_a_formula(web: Web, api: httpx.Client) -> None:
    """A spreadsheet shows what others wrote as text."""
    evil = '=HYPERLINK("http://x","y")'
    web.put(
        update(
            lead_id="ld_" + "e" * 32,
            score=55,
            owner="@sum",
            identifiers=Identifiers(user_id=(evil,)),
        )
    )

    answer = api.get("/api/v1/leads.csv", params={"owner": "@sum"})
    rows = list(csv.DictReader(io.StringIO(answer.text.removeprefix("\ufeff"))))

    assert rows[0]["name"] == f"'{evil}"
    assert rows[0]["owner"] == "'@sum"
    assert "attachment" in answer.headers["content-disposition"]


def test_the_document_describes_every_route(api: httpx.Client) -> None:
    """OpenAPI has each route of the API, and refers to what is there."""
    document = api.get("/api/openapi.json").json()
    described = {
        (path, method.upper())
        for path, methods in document["paths"].items()
        for method in methods
    }

    assert described == {
        (each.path, each.method) for each in endpoints() if each.is_api
    }
    named = re.findall(r"#/components/schemas/([^\"]+)", json.dumps(document))
    assert set(named) <= document["components"]["schemas"].keys()
