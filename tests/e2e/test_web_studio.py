"""The managers' pages in a real browser: readable by all, a draft tried, published."""

import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from confluent_kafka import Producer

from schemas.dead_letter import DeadLetter
from schemas.model_version import PRIMARY
from schemas.time import to_datetime
from schemas.topics import DEAD_LETTERS, WEB_EVENTS
from streams.clock import SystemClock
from streams.metrics_server import start_metrics_server
from streams.model_desk import ModelDesk
from streams.model_files import read_model_text
from streams.settings import Settings
from streams.topics_admin import create_topics
from streams.view import connect_view
from tests.e2e.conftest import MODULES, missing
from tests.streams.view.records import change
from tests.streams.web import seeding
from tests.streams.web.conftest import serving

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

pytestmark = [pytest.mark.e2e, pytest.mark.clients]

PAGES = ("team", "quality", "studio", "operations")
PATIENCE = 30_000
"""Milliseconds that something may take to show on a busy machine."""


@pytest.fixture(scope="module")
def url(
    broker: str, redis_url: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    """The app over some weeks of life on topics and in the view."""
    unique = f"e{uuid.uuid4().hex[:8]}"
    metrics = start_metrics_server(Settings(metrics_port=0), "worker")
    settings = Settings.model_validate(
        {
            "bootstrap": broker,
            "redis_url": redis_url,
            "partitions": 1,
            "topic_prefix": f"{unique}.",
            "app_id": unique,
            "web_port": 0,
            "web_rate_limit": "",
            "web_metrics": f"worker=http://127.0.0.1:{metrics}/metrics",
            "data_dir": tmp_path_factory.mktemp("managing"),
        }
    )
    create_topics(settings)
    now = SystemClock().now()
    models = ("0ld0ld0ld0ld", read_model_text(None)[1].digest)
    seeding.put(settings, seeding.browsed(30, now))
    seeding.put(settings, seeding.followed_up(40, now))
    seeding.put(settings, seeding.learnt(400, now, models))
    _bury(settings)
    # In a thread: Playwright has an event loop of its own in this one.
    with ThreadPoolExecutor(1) as apart:
        apart.submit(_publish, settings).result()
    with closing(connect_view(redis_url, prefix=settings.topic_prefix)) as view:
        view.write(view.build(), map(change, seeding.view_of(40, now)), {})
        with serving(settings, view) as url:
            yield url


def _publish(settings: Settings) -> None:
    """Put the shipped model into the history, as the first worker does."""
    text, compiled = read_model_text(None)
    desk = ModelDesk(settings)
    desk.publish(
        desk.version(compiled, text, slot=PRIMARY, alerts=False, note="the first")
    )


def _bury(settings: Settings) -> None:
    letter = DeadLetter(
        stage="scoring",
        reason="invalid-json",
        detail="expected an object",
        topic=settings.topic(WEB_EVENTS.name),
        partition=0,
        offset=1,
        at=to_datetime(SystemClock().now()),
    )
    producer = Producer({"bootstrap.servers": settings.bootstrap})
    topic = settings.topic(DEAD_LETTERS.name)
    producer.produce(topic, b"{", b"k", headers=letter.headers())
    assert producer.flush(20) == 0


@pytest.fixture
def page(browser: "Browser", url: str) -> Iterator["Page"]:
    """A page at a desk, in English."""
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    context.set_default_timeout(PATIENCE)
    context.add_cookies([{"name": "lp_lang", "value": "en", "url": url}])
    yield context.new_page()
    context.close()


@pytest.mark.parametrize("lang", ["en", "fa"])
def test_each_page_is_for_everybody(browser: "Browser", url: str, lang: str) -> None:
    """No serious hurdle by axe, no error, nothing wider than a desk or a phone."""
    axe = MODULES / "axe-core" / "axe.min.js"
    if not axe.is_file():
        missing("npm has not installed axe-core")
    narrow = {"width": 390, "height": 844}
    wide = {"width": 1280, "height": 900}
    for size, theme in ((wide, "light"), (narrow, "dark")):
        # Without our policy, for axe is a script of somebody else's.
        context = browser.new_context(
            viewport=size,  # type: ignore[arg-type] # a plain dictionary
            bypass_csp=True,
        )
        context.set_default_timeout(PATIENCE)
        for name, value in (("lp_lang", lang), ("lp_theme", theme)):
            context.add_cookies([{"name": name, "value": value, "url": url}])
        shown = context.new_page()
        for path in PAGES:
            shown.goto(f"{url}/{path}")
            shown.wait_for_selector(".stats, .rules, .card")
            assert _hurdles(shown, axe) == [], (path, lang, theme)
            over = shown.evaluate("document.documentElement.scrollWidth - innerWidth")
            assert over <= 0, (path, size)
        context.close()


def _hurdles(page: "Page", axe: Path) -> list[tuple[str, str]]:
    page.add_script_tag(path=axe)
    found: dict[str, Any] = page.evaluate("axe.run({resultTypes: ['violations']})")
    return [
        (each["id"], each["nodes"][0]["html"])
        for each in found["violations"]
        if each["impact"] in {"serious", "critical"}
    ]


def test_a_draft_is_tried_published_and_taken_back(page: "Page", url: str) -> None:
    """From what if, over a slip and its place, to the history; no script is refused."""
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on(
        "console",
        lambda said: (
            errors.append(said.text)
            if said.type == "error" and "status of 4" not in said.text
            else None
        ),
    )
    page.goto(f"{url}/studio")
    field = page.locator('[data-rule="form-submitted"]')
    field.fill("15")
    field.press("Enter")
    page.locator("#draft-mark").wait_for(state="visible")
    page.locator("#tab-draft").click()
    page.locator(".verdict.good").first.wait_for()

    page.locator("#run-effect").click()
    page.locator("#effect .verdict").wait_for()
    assert "leads change tier" in page.locator("#effect").inner_text()
    page.locator("#try-form input").fill("nobody@example.com")
    page.locator("#try-form button").click()
    page.locator("#tried .note").wait_for()

    right = page.locator("#text").input_value()
    page.locator("#text").fill(right.replace("\ntiers:", "\nteirs:"))
    problem = page.locator(".problem", has_text="tiers").first
    problem.click()
    line = page.evaluate(
        "() => { const e = document.getElementById('text');"
        "return e.value.slice(0, e.selectionStart).split('\\n').length }"
    )
    assert right.split("\n")[line - 1].startswith("tiers:")
    assert page.locator("#publish").is_disabled()

    page.locator("#text").fill(right)
    page.locator("#publish:not([disabled])").wait_for()
    page.locator("#publish-form textarea").fill("forms tell more than we thought")
    with page.expect_navigation():  # it shows anew what is in force
        page.locator("#publish").click()
    page.locator("#tab-versions").click()
    page.get_by_text("forms tell more than we thought").wait_for()
    page.locator("[data-roll-back]").first.click()
    with page.expect_navigation():
        page.locator("#confirm-yes").click()
    page.get_by_text("rolled back").first.wait_for()
    assert errors == []


def test_dead_letters_go_back_from_the_page(page: "Page", url: str) -> None:
    """Looked at first, then put back; roles and their figures stand above."""
    page.goto(f"{url}/operations")
    page.locator(".role.up-role", has_text="worker").wait_for()
    page.locator("#letters tbody tr").first.wait_for()
    page.get_by_role("button", name="Only look").click()
    page.locator(".toast", has_text="would go back").wait_for()
    page.get_by_role("button", name="Put back").click()
    page.locator(".toast", has_text="went back").wait_for()
