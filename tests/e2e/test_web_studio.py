"""The managers' pages in a real browser: readable by all, a draft tried, published."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from streams.supervisor import Stack
from streams.web.texts.words import WORDS
from tests.e2e.pages_of_the_app import FOREIGN, paths, settled, tasted

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

pytestmark = [pytest.mark.e2e, pytest.mark.clients]

PATIENCE = 30_000
"""Milliseconds that something may take to show on a busy machine."""


@pytest.fixture(scope="module")
def url(stack: Stack) -> str:
    """The app, open to whoever is on this machine."""
    return stack.web_url


@pytest.fixture
def page(browser: "Browser", url: str) -> Iterator["Page"]:
    """A page at a desk, in English."""
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    context.set_default_timeout(PATIENCE)
    context.add_cookies([{"name": "lp_lang", "value": "en", "url": url}])
    yield context.new_page()
    context.close()


@pytest.mark.parametrize("taste", ["en desk light", "fa phone dark", "fa desk light"])
def test_each_page_is_for_everybody(
    browser: "Browser", url: str, modules: Path, taste: str
) -> None:
    """No serious hurdle by axe, nothing too wide, in Persian no word of English."""
    lang, size, theme = taste.split()
    axe = (modules / "axe-core" / "axe.min.js").read_text(encoding="utf-8")
    page = tasted(browser, url, size=size, lang=lang, theme=theme)
    page.set_default_timeout(PATIENCE)
    wrong: list[object] = []
    page.on("pageerror", lambda error: wrong.append(str(error)))
    for name, path in paths(url).items():
        page.goto(f"{url}{path}")
        settled(page, name)
        over = page.evaluate("document.documentElement.scrollWidth - innerWidth")
        wrong += [(name, "too wide")] if over > 0 else []
        if lang == "fa":
            wrong += [(name, each) for each in page.evaluate(FOREIGN)]
            english = set(WORDS["en"].values()) - set(WORDS["fa"].values())
            wrong += [(name, each) for each in page.evaluate(SHOWN) if each in english]
        page.evaluate(axe)
        told = page.evaluate(
            "axe.run({ resultTypes: ['violations'] }).then((r) => r.violations)"
        )
        wrong += [
            (name, each["id"], each["nodes"][0]["html"])
            for each in told
            if each["impact"] in {"serious", "critical"}
        ]
    page.context.close()

    assert wrong == []


SHOWN = """() => [...document.querySelectorAll("body *")]
  .filter((at) => !at.children.length && !at.closest("script, textarea, [lang=en]"))
  .map((at) => at.textContent.trim()).filter((text) => text.length > 2)"""
"""Says every text of a page, whatever it stands in."""


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
