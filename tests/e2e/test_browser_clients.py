"""Other makers' browser clients, unchanged, in Chromium on a page of another origin."""

from typing import TYPE_CHECKING

import pytest

from schemas.event import Event
from tests.e2e.conftest import KEY, Collector, Site
from tests.streams.collector.conftest import arrived

if TYPE_CHECKING:
    from pathlib import Path

    from playwright.sync_api import Browser

pytestmark = [pytest.mark.e2e, pytest.mark.clients, pytest.mark.usefixtures("modules")]

SEGMENT = """
const writeKey = %(key)r
const analytics = AnalyticsNext.AnalyticsBrowser.load(
  { writeKey, cdnSettings: { integrations: { 'Segment.io': { apiKey: writeKey } } } },
  { integrations: { 'Segment.io': { apiHost: %(host)r + '/v1', protocol: 'http' } } },
)
analytics.identify('u-1', { email: 'ada@example.com' })
analytics.page('Pricing')
analytics.track('Demo Requested', { plan: 'pro' })
"""
SNOWPLOW = """
const snowplow = snowplowBrowserTracking
snowplow.newTracker('sp', %(url)r, { appId: %(key)r, encodeBase64: true })
snowplow.setUserId('u-1')
snowplow.trackPageView({ title: 'Pricing' })
snowplow.trackSelfDescribingEvent({ event: {
  schema: 'iglu:com.acme/demo_requested/jsonschema/1-0-0', data: { plan: 'pro' },
} })
"""


def driven(
    browser: "Browser",
    collector: Collector,
    site: Site,
    *,
    module: str,
    script: str,
    count: int,
) -> list[Event]:
    """Return the `count` events of a page that loads `module` and runs `script`."""
    host = collector.url.removeprefix("http://")
    filled = script % {"key": KEY, "host": host, "url": collector.url}
    site.pages["/pricing"] = (
        "<!doctype html><title>Pricing</title>"
        f'<script src="/modules/{module}"></script><script>{filled}</script>'
    )
    wrong: list[str] = []
    context = browser.new_context()
    with context.new_page() as page:
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.goto(f"{site.url}/pricing")
        events = arrived(collector.settings, count)
    context.close()
    assert wrong == []
    return events


def test_segment(
    browser: "Browser", collector: Collector, site: Site, modules: "Path"
) -> None:
    """What analytics-next identifies, pages and tracks is on the topics."""
    module = "@segment/analytics-next/dist/umd/index.js"
    assert (modules / module).is_file()

    identify, page, track = driven(
        browser, collector, site, module=module, script=SEGMENT, count=3
    )

    assert identify.email == "ada@example.com"
    assert (page.name, page.properties["path"]) == ("Pricing", "/pricing")
    assert (track.name, track.properties["plan"]) == ("Demo Requested", "pro")
    assert {each.user_id for each in (identify, page, track)} == {"u-1"}
    assert len({each.anonymous_id for each in (identify, page, track)}) == 1


def test_snowplow(
    browser: "Browser", collector: Collector, site: Site, modules: "Path"
) -> None:
    """What the browser tracker sends past its preflight is on the topics."""
    module = "@snowplow/browser-tracker/dist/index.umd.min.js"
    assert (modules / module).is_file()

    page, track = driven(
        browser, collector, site, module=module, script=SNOWPLOW, count=2
    )

    assert (page.name, page.properties["path"]) == ("Pricing", "/pricing")
    assert (track.name, track.properties["plan"]) == ("Demo Requested", "pro")
    assert page.user_id == track.user_id == "u-1"
    assert page.anonymous_id == track.anonymous_id is not None
