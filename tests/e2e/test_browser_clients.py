"""Other makers' browser clients, unchanged, in Chromium on a page of another origin."""

from typing import TYPE_CHECKING

import pytest

from schemas.event import Event
from tests.e2e.conftest import KEY, Collector, Site
from tests.streams.collector.conftest import arrived

if TYPE_CHECKING:
    from playwright.sync_api import Browser

pytestmark = [pytest.mark.e2e, pytest.mark.clients, pytest.mark.usefixtures("modules")]

SEGMENT = """
<script src="/modules/@segment/analytics-next/dist/umd/index.js"></script>
<script>
const writeKey = %(key)r
const analytics = AnalyticsNext.AnalyticsBrowser.load(
  { writeKey, cdnSettings: { integrations: { 'Segment.io': { apiKey: writeKey } } } },
  { integrations: { 'Segment.io': { apiHost: %(host)r + '/v1', protocol: 'http' } } },
)
analytics.identify('u-1', { email: 'ada@example.com' })
analytics.page('Pricing')
analytics.track('Demo Requested', { plan: 'pro' })
</script>
"""
SNOWPLOW = """
<script src="/modules/@snowplow/browser-tracker/dist/index.umd.min.js"></script>
<script>
const snowplow = snowplowBrowserTracking
snowplow.newTracker('sp', %(url)r, { appId: %(key)r, encodeBase64: true })
snowplow.setUserId('u-1')
snowplow.trackPageView({ title: 'Pricing' })
snowplow.trackSelfDescribingEvent({ event: {
  schema: 'iglu:com.acme/demo_requested/jsonschema/1-0-0', data: { plan: 'pro' },
} })
</script>
"""
RUDDERSTACK = """
<script
  src="/modules/@rudderstack/analytics-js/dist/npm/modern/bundled/umd/index.js"
></script>
<script>
const client = new rudderanalytics.RudderAnalytics()
client.load(%(key)r, %(url)r, { configUrl: %(url)r })
client.identify('u-1', { email: 'ada@example.com' })
client.page('Pricing')
client.track('Demo Requested', { plan: 'pro' })
</script>
"""
POSTHOG = """
<script type="module">
import posthog from '/modules/posthog-js/dist/module.no-external.js'
posthog.init(%(key)r, {
  api_host: %(url)r,
  opt_out_useragent_filter: true, // it takes a headless browser for a bot
})
posthog.identify('u-1', { email: 'ada@example.com' })
posthog.capture('Demo Requested', { plan: 'pro' })
</script>
"""


@pytest.mark.parametrize("client", ["segment", "snowplow", "rudderstack", "posthog"])
def test_what_the_client_sends_is_on_the_topics(
    browser: "Browser", collector: Collector, site: Site, client: str
) -> None:
    """A person who is made known, the page they see and what they do; all of one id."""
    script = {
        "segment": SEGMENT,
        "snowplow": SNOWPLOW,
        "rudderstack": RUDDERSTACK,
        "posthog": POSTHOG,
    }[client]
    # Snowplow has no call to tell traits.
    count = 2 if client == "snowplow" else 3

    events = driven(browser, collector, site, script, count)

    *identified, page, track = events
    assert [each.email for each in identified] == ["ada@example.com"] * (count - 2)
    assert (page.type, page.properties["path"]) == ("page", "/pricing")
    assert (track.name, track.properties["plan"]) == ("Demo Requested", "pro")
    assert track.user_id == "u-1"
    devices = {each.anonymous_id for each in events}
    assert None not in devices
    assert len(devices) == 1


def driven(
    browser: "Browser", collector: Collector, site: Site, script: str, count: int
) -> list[Event]:
    """Return the `count` events of a page that runs `script`."""
    host = collector.url.removeprefix("http://")
    filled = script % {"key": KEY, "host": host, "url": collector.url}
    site.pages["/pricing"] = f"<!doctype html><title>Pricing</title>{filled}"
    wrong: list[str] = []
    context = browser.new_context()
    with context.new_page() as page:
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.goto(f"{site.url}/pricing")
        events = arrived(collector.settings, count)
    context.close()
    assert wrong == []
    return events
