"""The managers' pages and their API: empty, full, and safe from what others wrote."""

from collections.abc import Callable
from typing import Any

import httpx
import msgspec
import pytest
from confluent_kafka import Producer
from msgspec.structs import replace

from schemas.alert import Alert
from schemas.dead_letter import DeadLetter
from schemas.examples import ALERT
from schemas.score import Identifiers
from schemas.time import HOUR, to_datetime
from schemas.topics import CRM_EVENTS, DEAD_LETTERS, NOTIFICATIONS
from streams.clock import SystemClock
from streams.model_files import shipped_model
from tests.streams.web import seeding
from tests.streams.web.conftest import Web, lead
from tests.waiting import wait_until

PAGES = ("/team", "/quality", "/studio", "/operations")
HOSTILE = "<script>alert(1)</script>\u202e=cmd"
TEXT = shipped_model().read_text("utf-8")


def page(web: Web, path: str, role: str = "admin", lang: str = "en") -> str:
    answer = web.known(role).get(path, params={"lang": lang})
    assert answer.status_code == 200, answer.text
    return answer.text


def told(web: Web, path: str, role: str = "viewer") -> Any:
    answer = web.known(role).get(f"/api/v1/{path}")
    assert answer.status_code == 200, answer.text
    return answer.json()


def post(web: Web, path: str, body: dict[str, Any], role: str) -> httpx.Response:
    return web.known(role).post(f"/api/v1/{path}", json=body)


def until(found: Callable[[], Any], what: str) -> Any:
    return wait_until(found, within=15, what=what)


def test_nothing_known_yet_is_said_in_words(web: Web) -> None:
    """Each page stands without data, says what it waits for, and in both languages."""
    assert "No lead was hot yet" in page(web, "/team")
    assert "leadpulse learn follow" in page(web, "/quality")
    assert "leadpulse learn report" in page(web, "/quality")
    assert "LEADPULSE_WEB_METRICS" in page(web, "/operations")
    assert "own file; nothing was published yet" in page(web, "/studio")
    for path in PAGES:
        assert 'dir="rtl"' in page(web, path, lang="fa")
    letters = web.known("admin").get("/operations/letters")
    assert "No dead letters" in letters.text
    assert web.known("viewer").get("/api/v1/operations").status_code == 404


def test_the_team_page_names_who_waits(web: Web) -> None:
    """What was told and done is on the page within moments, by owner."""
    now = SystemClock().now()
    seeding.put(web.settings, seeding.followed_up(24, now))
    web.put(*seeding.view_of(24, now))
    report = until(
        lambda: (found := told(web, "team"))["everybody"]["hot"] == 24 and found,
        "24 hot leads",
    )
    assert {each["name"] for each in report["owners"]} == set(seeding.OWNERS)
    assert report["funnel"][0]["count"] == 24
    text = page(web, "/team")
    for each in report["waiting"]:
        assert f"/leads/{each['lead_id']}" in text
    assert told(web, "team?days=1")["days"] == 1
    assert web.known("viewer").get("/api/v1/team?days=0").status_code == 400


def test_the_quality_page_compares_models(web: Web) -> None:
    """Outcomes in the training log make curves, each version has its own figures."""
    now = SystemClock().now()
    seeding.put(web.settings, seeding.learnt(400, now, ("0ld0ld0ld0ld", "new")))
    report = until(
        lambda: (found := told(web, "quality"))["ranking"]["known"] == 400 and found,
        "400 leads of the training log",
    )
    ranking = report["ranking"]
    assert {each["digest"] for each in ranking["models"]} == {"0ld0ld0ld0ld", "new"}
    assert ranking["auc"]["value"] > 0.5
    assert len(ranking["gains"]) > 10
    text = page(web, "/quality", lang="fa")
    assert "سنجش نسخه‌های مدل" in text
    assert "مدلی پیشین" in text


def test_what_others_wrote_stays_text(web: Web) -> None:
    """Names, owners and details full of markup and bidi controls do nothing."""
    now = SystemClock().now()
    who = lead("hostile", 70.0, tier="gold", owner=HOSTILE)
    web.put(replace(who, identifiers=Identifiers(email=(HOSTILE,))))
    alert: Alert = replace(
        ALERT,
        id="al_hostile",
        lead_id=who.lead_id,
        owner=HOSTILE,
        decided_at=to_datetime(now - 3 * HOUR),
    )
    seeding.put(web.settings, [(NOTIFICATIONS.name, who.lead_id, alert)])
    until(lambda: "al_hostile" in str(told(web, "team")["waiting"]), "the alert")
    _bury(web, HOSTILE)
    letters = web.known("admin").get("/operations/letters")
    for text in (page(web, "/team"), letters.text):
        assert "<script>alert" not in text
        assert "\u202e" not in text
        assert "&lt;script&gt;alert(1)" in text
    draft = TEXT.replace("model: default", f'model: "{HOSTILE}"')
    found = post(web, "models/check", {"text": draft}, "sales")
    assert found.headers["content-type"] == "application/json"


def _bury(web: Web, detail: str) -> None:
    letter = DeadLetter(
        stage="scoring",
        reason="invalid-json",
        detail=detail,
        topic=web.settings.topic(CRM_EVENTS.name),
        partition=0,
        offset=1,
        at=to_datetime(SystemClock().now()),
    )
    producer = Producer({"bootstrap.servers": web.settings.bootstrap})
    topic = web.settings.topic(DEAD_LETTERS.name)
    producer.produce(topic, b"{", b"k", headers=letter.headers())
    assert producer.flush(10) == 0


def test_dead_letters_go_back_once_asked(web: Web) -> None:
    """First only looked at, then put back; the detail of a letter is for admins."""
    _bury(web, "expected an object")
    listed = told(web, "dead-letters", "admin")["letters"]
    assert listed[0]["detail"] == "expected an object"
    body = {"reason": "invalid-json", "dry_run": True}
    looked = post(web, "dead-letters/replay", body, "admin").json()
    assert looked["put_back"] >= 1
    assert looked["dry_run"]
    done = post(web, "dead-letters/replay", {"reason": "invalid-json"}, "admin").json()
    assert done["put_back"] == looked["put_back"]
    none = post(web, "dead-letters/replay", {"reason": "too-large"}, "admin").json()
    assert none["put_back"] == 0
    assert post(web, "dead-letters/replay", {"all": 1}, "admin").status_code == 400


def test_a_draft_is_tried_before_it_is_published(web: Web) -> None:
    """Adjusted, reckoned on what happened, tested; nothing of it is in force."""
    seeding.put(web.settings, seeding.browsed(25, SystemClock().now()))
    body = {"text": TEXT, "points": {"pricing-page": 20, "form-submitted": 20}}
    adjusted = post(web, "models/adjust", body, "sales").json()
    assert adjusted["checked"]["valid"]
    draft = {"text": adjusted["text"]}

    def reckoned() -> Any:
        found = post(web, "models/effect", draft, "sales").json()
        return found["leads"] >= 25 and found

    # A small sample that somebody's page had read before is read anew in seconds.
    effect = until(reckoned, "a sample with everybody in it")
    assert effect["changed"] > 0
    tests = post(web, "models/timelines", draft, "sales").json()
    assert tests["failed"] > 0, "the shipped tests know what a look at prices gives"
    strange = post(web, "models/try", {**draft, "lead": "nobody"}, "sales")
    assert strange.status_code == 409
    wrong = post(web, "models/effect", {"text": "groups: 5"}, "sales")
    assert wrong.status_code == 422
    assert "line 1" in wrong.json()["detail"]
    assert told(web, "models")["versions"] == []


def test_publishing_and_rolling_back_are_history(web: Web) -> None:
    """Only admins publish, with a note; what was in force before can come back."""
    second = TEXT.replace('version: "1.0.0"', 'version: "2.0.0"')
    note = {"note": "dearer prices"}
    for role in ("viewer", "sales"):
        answer = post(web, "models/publish", {"text": TEXT, **note}, role)
        assert answer.status_code == 403
    empty = post(web, "models/publish", {"text": TEXT, "note": "  "}, "admin")
    assert empty.status_code == 400
    wrong = post(web, "models/publish", {"text": "no model", **note}, "admin")
    assert wrong.status_code == 422
    first = post(web, "models/publish", {"text": TEXT, **note}, "admin").json()
    again = post(web, "models/publish", {"text": TEXT, **note}, "admin").json()
    assert (first["already"], again["already"]) == (False, True)
    later = post(web, "models/publish", {"text": second, **note}, "admin").json()
    assert later["version"] == "2.0.0"
    back = post(web, "models/rollback", {"to": first["digest"]}, "admin").json()
    assert (back["digest"], back["already"]) == (first["digest"], False)
    rows = told(web, "models")["versions"]
    notes = [row["note"] for row in rows]
    assert notes == ["rolled back", "dearer prices", "dearer prices"]
    text = told(web, f"models/{later['digest']}/text")["text"]
    assert text == second
    assert web.known("viewer").get("/api/v1/models/none/text").status_code == 404
    button = f'data-roll-back="{later["digest"]}"'
    until(lambda: button in page(web, "/studio"), "the rolled back model's moment")
    assert "data-roll-back" not in page(web, "/studio", role="sales")
    unknown = post(web, "models/rollback", {"to": "9.9.9"}, "admin")
    assert unknown.status_code == 409


@pytest.mark.parametrize("role", ["viewer", "sales", "admin"])
def test_each_role_sees_what_it_may_do(web: Web, role: str) -> None:
    """Viewers read, sales try drafts, admins publish and put dead letters back."""
    studio = page(web, "/studio", role=role)
    assert ('id="pane-draft"' in studio) is (role != "viewer")
    assert ('id="publish-form"' in studio) is (role == "admin")
    assert ('id="letters"' in page(web, "/operations", role=role)) is (role == "admin")


def test_a_part_of_a_page_is_only_that_part(web: Web) -> None:
    """What is swapped in place every few seconds has no frame around it."""
    for path in ("/team?part=1", "/operations?part=1"):
        text = web.known("viewer").get(path).text
        assert "<html" not in text
    assert msgspec.json.decode(
        web.known("viewer").get("/api/openapi.json").content, type=dict
    )["paths"]["/api/v1/models/publish"]["post"]
