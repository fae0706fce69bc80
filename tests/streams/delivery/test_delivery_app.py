"""The delivery app on a real broker: nothing lost, in order, nobody in the way."""

import random
import threading
import time
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest
from prometheus_client import REGISTRY

from schemas.dead_letter import DeadLetter
from schemas.event import Event
from schemas.time import HOUR, to_datetime
from schemas.topics import DEAD_LETTERS
from streams.acknowledging import answerable, work_event
from streams.settings import Settings
from streams.topic_reader import read_topic
from tests.conftest import MakeTopics
from tests.streams.delivery.alerts import alert, later
from tests.streams.delivery.running import (
    in_order,
    journal,
    put,
    running,
    standings,
    with_file,
)
from tests.streams.delivery.servers import HttpServer, http_server
from tests.streams.delivery.test_notifiers import SECRETS, slack_says
from tests.waiting import wait_until


def now() -> int:
    return time.time_ns() // 1_000_000


@pytest.fixture
def http() -> Iterator[HttpServer]:
    with http_server() as server:
        yield server


HOOK = """\
targets:
  hook: {{kind: webhook, url: "{url}/hook", lanes: {lanes}}}
routes: [{{name: all, to: hook}}]
"""


def hooked(
    settings: Settings, folder: Path, http: HttpServer, lanes: int = 8
) -> Settings:
    """Return settings with one webhook that never waits long."""
    text = HOOK.format(url=http.url, lanes=lanes)
    return with_file(settings, folder, text, hook=SECRETS["webhook"])


def keys(http: HttpServer) -> list[str]:
    return [request.headers["webhook-id"] for request in http.requests]


def count(target: str, result: str) -> float:
    labels = {"target": target, "result": result}
    name = "leadpulse_delivery_alerts_total"
    return REGISTRY.get_sample_value(name, labels) or 0.0


def test_every_alert_arrives_in_the_order_of_its_lead_while_the_target_fails(
    make_topics: MakeTopics,
    tmp_path: Path,
    http: HttpServer,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Answers fail at random, the process ends in the middle: nothing is lost."""
    quick_retries(monkeypatch)
    settings = hooked(make_topics(), tmp_path, http)
    chance, lock = random.Random(7), threading.Lock()
    taken: list[str] = []

    def answer(request: object) -> object:
        key = request.headers["webhook-id"]  # type: ignore[attr-defined]
        with lock:
            roll = chance.random()
            if roll < 0.1:
                return "drop"
            if roll < 0.3:
                return (503, b"", {})
            taken.append(key)
            # Taken, and the answer is lost: it must come again with its key.
            return (500, b"", {}) if roll < 0.35 else (204, b"", {})

    http.answer_to = answer
    people = [f"p{number}" for number in range(40)]
    alerts = [
        alert(person, episode=episode, at=now())
        for episode in range(1, 6)
        for person in people
    ]
    put(settings, *alerts)

    with running(settings):
        wait_until(lambda: len(set(taken)) > 80, within=30)
    with running(settings):
        wait_until(lambda: len(set(taken)) == len(alerts), within=60)
        wait_until(lambda: set(standings(settings, "hook").values()) == {"told"})

    by_lead: dict[str, list[str]] = defaultdict(list)
    for each in alerts:
        by_lead[each.lead_id].append(each.id)
    assert set(taken) == {each.id for each in alerts}
    assert all(in_order(taken, wanted) for wanted in by_lead.values())
    assert len(taken) > len(alerts)


def quick_retries(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let targets be tried again at once."""
    from streams.delivery import app
    from streams.sending_policy import SendingPolicy

    monkeypatch.setattr(
        app,
        "policy_of",
        lambda _target: SendingPolicy(
            first_wait_seconds=0.002,
            longest_wait_seconds=0.01,
            failures_to_open=50,
            open_seconds=0.05,
            give_up_seconds=120,
        ),
    )


def test_slack_s_message_follows_its_episode(
    make_topics: MakeTopics, tmp_path: Path, http: HttpServer
) -> None:
    """Told once; taken up it says so; cooled it is closed and its thread continues."""
    text = f"""\
people: {{dana: {{slack: U024BE7LH}}}}
targets:
  chat: {{kind: slack, channel: C024BE91L, api: "{http.url}/api/"}}
  page: {{kind: pagerduty, url: "{http.url}/pd"}}
routes:
  - {{name: hot, when: {{kind: [hot, cooled]}}, to: [chat, page]}}
"""
    http.usual = slack_says(ok=True, channel="C024BE91L", ts="171.5")
    settings = with_file(
        make_topics(), tmp_path, text, chat=SECRETS["slack"], page="R0UT"
    )
    hot = alert(at=now())
    cooled = later(alert(kind="cooled", policy="lead-cooled", at=now()), 1)

    def slack() -> list[tuple[str, dict[str, object]]]:
        return [
            (request.path.rpartition(".")[2], request.json)
            for request in http.requests
            if request.path.startswith("/api")
        ]

    put(settings, hot)
    with running(settings):
        wait_until(lambda: standings(settings, "chat") == {hot.id: "told"})
    # A new process knows the thread, and whoever answered is shown in it.
    put(
        settings,
        work_event(answerable(hot), "taken", by="dana", via="slack", now=now() + 1),
    )
    with running(settings):
        wait_until(lambda: standings(settings, "chat") == {hot.id: "worked"})
        put(settings, cooled, hot)
        wait_until(
            lambda: standings(settings, "chat") == {hot.id: "ended", cooled.id: "told"}
        )
        wait_until(lambda: standings(settings, "page").get(hot.id) == "ended")

    assert [method for method, _ in slack()] == [
        "postMessage",
        "update",
        "update",
        "postMessage",
    ]
    posted, taken, ended, thread = (body for _, body in slack())
    assert "dana is on it." in str(taken)
    assert "I'm on it" in str(posted)
    assert "I'm on it" not in str(taken)
    assert "It has cooled down." in str(ended)
    assert thread["thread_ts"] == taken["ts"] == "171.5"
    incidents = [r.json["event_action"] for r in http.requests if r.path == "/pd"]
    assert incidents == ["trigger", "acknowledge", "resolve"]
    speed = REGISTRY.get_sample_value(
        "leadpulse_speed_to_lead_seconds_count", {"tier": "gold", "owner": "dana"}
    )
    assert speed == 1


def test_what_waits_survives_a_restart_and_comes_in_one_digest(
    make_topics: MakeTopics,
    tmp_path: Path,
    http: HttpServer,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Held alerts are on a topic; what ended or was taken up meanwhile is not told."""
    text = f"""\
targets:
  hook:
    kind: webhook
    url: "{http.url}/hook"
    digest: {{at: "08:30", everything: true, days: [mon, tue, wed, thu, fri, sat, sun]}}
routes: [{{name: all, to: hook}}]
"""
    http.usual = (204, b"", {})
    settings = with_file(make_topics(), tmp_path, text, hook=SECRETS["webhook"])
    ada, grace, mary, joan = (alert(name, at=now()) for name in ("a", "g", "m", "j"))
    cooled = alert("m", kind="cooled", policy="lead-cooled", at=now() + 1)
    put(settings, ada, grace, mary, joan)
    with running(settings):
        wait_until(lambda: list(standings(settings, "hook").values()) == ["held"] * 4)
    put(
        settings,
        cooled,
        work_event(answerable(joan), "unfit", by="dana", via="cli", now=now() + 1),
    )
    assert http.requests == []

    with running(settings) as app:
        wait_until(
            lambda: (
                sorted(standings(settings, "hook").values())
                == ["dropped", "dropped", "held", "held"]
            )
        )
        for feed in app._feeds:  # the next day
            clock = feed._clock
            monkeypatch.setattr(clock, "now", lambda: now() + 25 * HOUR)
        wait_until(lambda: http.requests)
        wait_until(
            lambda: (
                sorted(standings(settings, "hook").values())
                == ["dropped", "dropped", "told", "told"]
            )
        )

    (digest,) = http.requests
    told = [each["alert"]["id"] for each in digest.json["data"]["alerts"]]
    assert sorted(told) == sorted([ada.id, grace.id])


def test_a_target_that_is_down_is_in_nobody_s_way(
    make_topics: MakeTopics,
    tmp_path: Path,
    http: HttpServer,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """One target refuses all, another takes all at once; memory has a bound."""
    from streams.delivery import app as app_module

    monkeypatch.setattr(app_module, "MOST_IN_HAND", 20)
    text = f"""\
targets:
  well: {{kind: webhook, url: "{http.url}/well"}}
  down: {{kind: webhook, url: "http://127.0.0.1:9/down"}}
  wrong: {{kind: webhook, url: "{http.url}/wrong"}}
routes: [{{name: all, to: [well, down, wrong]}}]
"""

    def answer(request: object) -> object:
        path = request.path  # type: ignore[attr-defined]
        return (204, b"", {}) if path == "/well" else (400, b"", {})

    http.answer_to = answer
    secrets = dict.fromkeys(("well", "down", "wrong"), SECRETS["webhook"])
    settings = with_file(make_topics(), tmp_path, text, **secrets)
    alerts = [alert(f"p{number}", at=now()) for number in range(100)]
    put(settings, *alerts)

    with running(settings) as app:
        wait_until(lambda: len(standings(settings, "well")) == 100, within=30)
        wait_until(lambda: len(standings(settings, "wrong")) == 100, within=30)
        by_name = {feed._desk.name: feed for feed in app._feeds}
        assert standings(settings, "down") == {}
        wait_until(lambda: by_name["down"]._paused)

    letters = [*read_topic(settings, settings.topic(DEAD_LETTERS.name))]
    stories = [
        DeadLetter.from_headers(
            [(n, v) for n, v in letter.headers() or [] if isinstance(v, bytes)]  # type: ignore[misc]
        )
        for letter in letters
    ]
    assert len(letters) == 100
    assert {(s.stage, s.reason, s.detail) for s in stories} == {
        ("delivery", "undeliverable", "wrong: invalid HTTP 400")
    }

    # Mended and replayed, a letter is told; where the alert was told, it is not again.
    http.answer_to = lambda _: (204, b"", {})
    http.requests.clear()
    put(settings, alerts[0])
    with running(settings):
        wait_until(lambda: standings(settings, "wrong")[alerts[0].id] == "told")
        wait_until(lambda: count("well", "duplicate") >= 1)
    assert [each.path for each in http.requests] == ["/wrong"]


def test_nobody_is_told_of_who_was_erased_or_routed_elsewhere(
    make_topics: MakeTopics, tmp_path: Path, http: HttpServer
) -> None:
    """What a target should not hear is counted by its reason, and done."""
    http.usual = (204, b"", {})
    settings = hooked(make_topics(), tmp_path, http)
    text = settings.delivery_path
    assert text is not None
    text.write_text(
        text.read_text().replace("name: all,", "name: gold, when: {tier: gold},")
    )
    put(settings, alert("a", tier="bronze", at=now()), alert("b", at=now()))
    before = count("hook", "not-routed")

    with running(settings):
        wait_until(lambda: len(standings(settings, "hook")) == 1)
        wait_until(lambda: count("hook", "not-routed") == before + 1)

    assert keys(http) == [alert("b").id]
    assert len(journal(settings)) == 1


def test_work_of_others_is_known_by_its_lead(
    make_topics: MakeTopics, tmp_path: Path, http: HttpServer
) -> None:
    """A call that the CRM logs answers the alerts of its lead told until then."""
    http.usual = (204, b"", {})
    settings = hooked(make_topics(), tmp_path, http)
    first = alert("ada", at=now() - HOUR)
    put(settings, first)
    with running(settings):
        wait_until(lambda: standings(settings, "hook") == {first.id: "told"})
        call = Event(
            id="call-1",
            type="track",
            channel="crm",
            name="Call Logged",
            user_id="ada",
            occurred_at=to_datetime(now()),
        )
        put(settings, call)
        wait_until(lambda: standings(settings, "hook") == {first.id: "worked"})
