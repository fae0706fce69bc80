"""The snippet in Chromium: what visitors do becomes events, and only what they may."""

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import pytest

from streams.links import MailLinks
from tests.e2e.conftest import KEY, Collector, Site
from tests.streams.collector.conftest import arrived

if TYPE_CHECKING:
    from playwright.sync_api import Browser, BrowserContext, Page

pytestmark = [pytest.mark.e2e, pytest.mark.clients]

LARGEST = 4_000
QUEUE = (
    "window.leadpulse=window.leadpulse||function(){"
    "(leadpulse.q=leadpulse.q||[]).push(arguments)}"
)
MARKED = """
<a id="offer" href="#trial" data-lp-offer="spring-trial">Try it</a>
<a id="guide" href="#/guide.pdf" download data-lp-download="guide">Read it</a>
<a id="plain" href="#elsewhere">Something else</a>
<form id="contact" data-lp-form="demo" onsubmit="event.preventDefault()">
  <input name="id" type="email" data-lp-trait="email" value="Ada@Example.com">
  <input name="firm" data-lp-trait="company" value="Initech">
  <input name="news" type="checkbox" data-lp-trait="newsletter" checked>
  <input name="pass" type="password" data-lp-trait="password" value="hidden-1">
  <input name="note" value="hidden-2">
  <button id="send" data-lp-prop-x="unused">Send</button>
</form>
<form onsubmit="event.preventDefault()">
  <input name="mail" value="hidden-3@example.com"><button id="other">Other</button>
</form>
"""

Visit = Callable[..., "Page"]


def page_of(collector: Collector, marks: str = "", script: str = "") -> str:
    """Return a page with the snippet; `marks` are attributes of its tag."""
    return (
        "<!doctype html><html><head><title>Pricing</title>"
        f"<script>{QUEUE};{script}</script>"
        f'<script async src="{collector.url}/lp.js" data-write-key="{KEY}" {marks}>'
        f"</script></head><body>{MARKED}</body></html>"
    )


class Seen(list[tuple[str, str]]):
    """The requests of a visitor: method and URL."""

    def to(self, collector: Collector) -> list[str]:
        """Return the paths of what went to the collector, but for the snippet."""
        return [
            url.removeprefix(collector.url)
            for _, url in self
            if url.startswith(collector.url) and not url.endswith("/lp.js")
        ]


@pytest.fixture
def visitor(browser: "Browser") -> "Iterator[BrowserContext]":
    """Somebody new, with a browser that has seen nothing yet."""
    context = browser.new_context()
    yield context
    context.close()


@pytest.fixture
def requests(visitor: "BrowserContext") -> Seen:
    """Everything that the visitor's browser asks for."""
    seen = Seen()
    visitor.on("request", lambda request: seen.append((request.method, request.url)))
    return seen


def ready(page: "Page", url: str) -> "Page":
    """Go to `url` and wait for the snippet."""
    page.goto(url)
    page.wait_for_function("window.leadpulse && leadpulse.version")
    return page


def kept(page: "Page") -> Any:
    """Return what is kept in the browser: storage and cookies."""
    return page.evaluate(
        "[{...localStorage}, {...sessionStorage}, document.cookie]"
    ), page.context.cookies()


NOTHING = ([{}, {}, ""], [])


def test_what_visitors_do_becomes_events(
    visitor: "BrowserContext", requests: Seen, collector: Collector, site: Site
) -> None:
    """Pages, routes, a marked offer, a download and a form; nothing else is told."""
    site.pages["/pricing"] = page_of(collector)
    with visitor.new_page() as page:
        ready(page, f"{site.url}/pricing?utm_source=news&utm_campaign=spring")
        page.evaluate("document.title = 'Plans'; history.pushState({}, '', '/plans')")
        page.click("#offer")
        page.click("#guide")
        page.click("#plain")
        page.click("#send")
        page.click("#other")
        page.evaluate("leadpulse('track', 'Video Watched', {videoLength: 3})")

    identify, home, plans, content, form, offer, video = sorted(
        arrived(collector.settings, 7),
        key=lambda event: (event.type, event.name != "Pricing", event.name),
    )

    assert (home.name, plans.name) == ("Pricing", "Plans")
    assert home.properties["path"] == "/pricing"
    assert home.context["campaign"] == {"source": "news", "name": "spring"}
    assert plans.properties["path"] == "/plans"
    assert plans.properties["referrer"].startswith(f"{site.url}/pricing")
    assert (offer.name, offer.properties["offer"]) == ("Offer Clicked", "spring-trial")
    assert content.name == "Content Downloaded"
    assert content.channel == "content"
    assert content.properties["asset_id"] == "guide"
    assert content.properties["asset_type"] == "pdf"
    assert (form.name, form.properties["form_id"]) == ("Form Submitted", "demo")
    assert identify.email == "Ada@Example.com"
    assert identify.traits == {
        "email": "Ada@Example.com",
        "company": "Initech",
        "newsletter": True,
    }
    assert video.properties["video_length"] == 3
    events = [identify, home, plans, content, form, offer, video]
    assert len({event.anonymous_id for event in events}) == 1
    assert len({event.id for event in events}) == 7
    assert "hidden" not in str(events)
    assert "Chrome" in home.context["user_agent"]
    assert set(requests.to(collector)) == {"/v1/batch"}  # no preflight, nothing else
    assert "OPTIONS" not in {method for method, _ in requests}


def test_it_is_under_four_kilobytes_on_the_wire(
    visitor: "BrowserContext", collector: Collector, site: Site
) -> None:
    """What the browser receives is packed, and small."""
    site.pages["/"] = page_of(collector)
    with visitor.new_page() as page:
        with page.expect_response("**/lp.js") as got:
            ready(page, f"{site.url}/")
        response = got.value
        assert response.header_value("content-encoding") == "gzip"
        sizes = response.request.sizes()
        assert 1_000 < sizes["responseBodySize"] < LARGEST
    assert len(arrived(collector.settings, 1)) == 1


def test_without_consent_nothing_is_sent_and_nothing_is_kept(
    visitor: "BrowserContext", requests: Seen, collector: Collector, site: Site
) -> None:
    """Before the answer, and after a no: no request, no storage, no cookie."""
    site.pages["/"] = page_of(collector, 'data-consent="required"')
    with visitor.new_page() as page:
        ready(page, f"{site.url}/")
        act(page)
        assert kept(page) == NOTHING

        page.evaluate("leadpulse('consent', false)")
        act(page)
        page.evaluate("leadpulse('consent', {marketing: false, analytics: false})")
        act(page)
        assert kept(page) == NOTHING
        page.goto("about:blank")  # what was held back would go now
        assert requests.to(collector) == []

        ready(page, f"{site.url}/?agreed")
        page.click("#send")
        page.evaluate("leadpulse('consent', {marketing: true, analytics: false})")
    (view,) = arrived(collector.settings, 1)

    assert (view.type, view.properties["url"]) == ("page", f"{site.url}/?agreed")
    assert view.context["consent"] == {"marketing": True, "analytics": False}


def test_who_changes_their_mind_is_forgotten(
    visitor: "BrowserContext", collector: Collector, site: Site
) -> None:
    """After a no the id is gone; after a new yes it is another one."""
    site.pages["/"] = page_of(collector, 'data-consent="required"')
    with visitor.new_page() as page:
        ready(page, f"{site.url}/")
        page.evaluate("leadpulse('consent', true); leadpulse('track', 'First')")
        arrived(collector.settings, 2)
        page.evaluate("leadpulse('consent', false); leadpulse('track', 'Never')")
        assert kept(page) == NOTHING
        page.evaluate("leadpulse('consent', true); leadpulse('track', 'Second')")
        page.evaluate("leadpulse('reset'); leadpulse('track', 'Third')")

    _, first, second, third = arrived(collector.settings, 4)

    assert [first.name, second.name, third.name] == ["First", "Second", "Third"]
    assert len({each.anonymous_id for each in (first, second, third)}) == 3
    assert first.context["consent"] is True


def test_a_refusal_is_remembered_where_no_consent_is_asked_for(
    visitor: "BrowserContext", requests: Seen, collector: Collector, site: Site
) -> None:
    """It holds on the next page, until somebody agrees again."""
    site.pages["/"] = page_of(collector)
    with visitor.new_page() as page:
        ready(page, f"{site.url}/")
        arrived(collector.settings, 1)
        page.evaluate("leadpulse('consent', false)")
        before = len(requests.to(collector))
        ready(page, f"{site.url}/?refused")
        act(page)
        page.goto("about:blank")
        assert len(requests.to(collector)) == before

        ready(page, f"{site.url}/?agreed")
        page.evaluate("leadpulse('consent', true)")
    _, agreed = sorted(
        arrived(collector.settings, 2), key=lambda event: event.occurred_at
    )

    assert agreed.properties["url"] == f"{site.url}/?agreed"


@pytest.mark.parametrize(
    "signal", ["globalPrivacyControl: true", "doNotTrack: '1'"], ids=["gpc", "dnt"]
)
def test_privacy_signals_are_respected(
    visitor: "BrowserContext",
    requests: Seen,
    collector: Collector,
    site: Site,
    signal: str,
) -> None:
    """Such a browser sends and keeps nothing, unless the site looks away."""
    name, _, value = signal.partition(": ")
    visitor.add_init_script(
        f"Object.defineProperty(Navigator.prototype, '{name}', {{get: () => {value}}})"
    )
    site.pages["/"] = page_of(collector)
    site.pages["/ignored"] = page_of(collector, 'data-signals="ignore"')
    with visitor.new_page() as page:
        ready(page, f"{site.url}/")
        page.evaluate("leadpulse('consent', true)")
        act(page)
        assert kept(page) == NOTHING
        page.goto("about:blank")
        assert requests.to(collector) == []

        ready(page, f"{site.url}/ignored")
    (view,) = arrived(collector.settings, 1)

    assert view.properties["path"] == "/ignored"


@pytest.mark.parametrize("how", ["forbidden", "unwanted"])
def test_without_storage_a_page_is_a_visit(
    visitor: "BrowserContext", collector: Collector, site: Site, how: str
) -> None:
    """Events of one page have one id, the next page has another; beacons or not."""
    if how == "forbidden":
        visitor.add_init_script(
            "Object.defineProperty(window, 'localStorage', "
            "{get() { throw new DOMException('no', 'SecurityError') }})"
        )
        visitor.add_init_script("delete Navigator.prototype.sendBeacon")
    marks = 'data-storage="none"' if how == "unwanted" else ""
    site.pages["/"] = page_of(
        collector, marks, "leadpulse('track', 'Early'); leadpulse('page', 'Named')"
    )
    with visitor.new_page() as page:
        ready(page, f"{site.url}/")
        page.click("#offer")
        arrived(collector.settings, 3)
        if how == "unwanted":
            assert kept(page) == NOTHING
        ready(page, f"{site.url}/")
    events = arrived(collector.settings, 5)

    assert [event.name for event in events] == [
        *("Named", "Named"),
        *("Early", "Early", "Offer Clicked"),
    ]
    assert len({event.anonymous_id for event in events}) == 2


def test_the_button_of_the_page_unsubscribes(
    visitor: "BrowserContext", collector: Collector
) -> None:
    """A person who follows the link presses the button, and is told that it is done."""
    links = MailLinks(collector.url, ["a secret for links"])
    with visitor.new_page() as page:
        page.goto(links.unsubscribe(email="ada@example.com", email_id="spring"))
        assert page.get_by_text("a…@example.com").is_visible()
        page.get_by_role("button", name="Unsubscribe").click()
        page.get_by_text("You are unsubscribed").wait_for()
    (event,) = arrived(collector.settings, 1)

    assert (event.name, event.email) == ("Unsubscribed", "ada@example.com")


def act(page: "Page") -> None:
    """Do everything that would be told."""
    page.click("#offer")
    page.click("#guide")
    page.click("#send")
    page.evaluate(
        "history.pushState({}, '', '?p=' + Math.random());"
        "leadpulse('identify', 'u-1', {email: 'ada@example.com'});"
        "leadpulse('track', 'Never Sent'); leadpulse('page')"
    )
    page.evaluate("new Promise(done => setTimeout(done, 0))")
