"""Real clients of analytics products drive the collector, unchanged but for the host.

They come with the developers' requirements, as their registries have them.
"""

from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest

from schemas.event import Event
from streams.settings import Settings
from tests.conftest import MakeTopics
from tests.streams.collector.conftest import arrived, running
from tests.waiting import wait_until

pytestmark = [
    pytest.mark.integration,
    # Clients are old and young; what they are warned of is none of our business.
    pytest.mark.filterwarnings("ignore"),
]
KEY = "wk-live"
Live = tuple[httpx.Client, Settings]


@pytest.fixture
def live(make_topics: MakeTopics) -> Iterator[Live]:
    """A running collector, and its settings."""
    settings = make_topics(write_keys=f"app={KEY}", collector_port=0)
    with running(settings) as (client, _):
        yield client, settings


def library(name: str) -> Any:
    """Return a client's library; skip, and say so, where it is not installed."""
    return pytest.importorskip(
        name, reason=f"THE REAL CLIENT IS NOT TESTED HERE: {name} is not installed"
    )


def url_of(http: httpx.Client) -> str:
    return str(http.base_url).rstrip("/")


def in_short(events: list[Event]) -> list[tuple[str, str, str | None]]:
    return [(event.type, event.name, event.user_id) for event in events]


def test_posthog(live: Live) -> None:
    """What the posthog client captures and sets is on the topics."""
    posthog = library("posthog")
    failures: list[object] = []
    client = posthog.Posthog(
        KEY, host=url_of(live[0]), on_error=lambda *told: failures.append(told)
    )
    client.capture("Demo Requested", distinct_id="u-1", properties={"plan": "pro"})
    client.set(distinct_id="u-1", properties={"email": "ada@example.com"})
    client.shutdown()

    assert in_short(arrived(live[1], 2)) == [
        ("identify", "", "u-1"),
        ("track", "Demo Requested", "u-1"),
    ]
    assert failures == []


def test_mixpanel(live: Live) -> None:
    """The mixpanel client finds the answers it expects, and raises nothing."""
    mixpanel = library("mixpanel")
    url = url_of(live[0])
    consumer = mixpanel.Consumer(
        events_url=f"{url}/track",
        people_url=f"{url}/engage",
        groups_url=f"{url}/groups",
        import_url=f"{url}/import",
    )
    client = mixpanel.Mixpanel(KEY, consumer=consumer)
    client.track("u-1", "Demo Requested", {"plan": "pro"})
    client.people_set("u-1", {"$email": "ada@example.com"})
    client.group_set("company", "acme", {"name": "Acme"})
    client.import_data(KEY, "u-1", "Content Viewed", 1_760_000_000)

    events = arrived(live[1], 3)
    assert in_short(events) == [
        ("identify", "", "u-1"),
        ("track", "Content Viewed", "u-1"),
        ("track", "Demo Requested", "u-1"),
    ]
    assert events[0].email == "ada@example.com"


@pytest.mark.parametrize("batch", [False, True], ids=["httpapi", "batch"])
def test_amplitude(live: Live, *, batch: bool) -> None:
    """The amplitude client is told that its events were taken."""
    amplitude = library("amplitude")
    told: list[tuple[int, str]] = []
    client = amplitude.Amplitude(KEY)
    client.configuration.server_url = (
        f"{url_of(live[0])}/{'batch' if batch else '2/httpapi'}"
    )
    client.configuration.callback = lambda _, code, message=None: told.append(
        (code, message)
    )
    client.track(amplitude.BaseEvent("Demo Requested", user_id="u-1"))
    identify = amplitude.Identify()
    identify.set("email", "ada@example.com")
    client.identify(identify, amplitude.EventOptions(user_id="u-1"))
    client.shutdown()

    assert in_short(arrived(live[1], 2)) == [
        ("identify", "", "u-1"),
        ("track", "Demo Requested", "u-1"),
    ]
    wait_until(lambda: len(told) == 2, what="both answers")
    assert {code for code, _ in told} == {200}


@pytest.mark.parametrize("method", ["post", "get"])
def test_snowplow(live: Live, method: str) -> None:
    """The snowplow tracker takes the answers for success, by POST and by the pixel."""
    snowplow = library("snowplow_tracker")
    sent: list[int] = []
    failed: list[object] = []
    emitter = snowplow.Emitter(
        "127.0.0.1",
        protocol="http",
        port=live[0].base_url.port,
        method=method,
        batch_size=1,
        on_success=lambda events: sent.append(len(events)),
        on_failure=lambda *told: failed.append(told),
    )
    subject = snowplow.Subject()
    subject.set_user_id("u-1")
    tracker = snowplow.Tracker("t", emitter, subject=subject, app_id=KEY)
    tracker.track(snowplow.PageView("https://shop.example/pricing", "Pricing"))
    described = snowplow.SelfDescribingJson(
        "iglu:com.acme/demo_requested/jsonschema/1-0-0", {"plan": "pro"}
    )
    tracker.track(snowplow.SelfDescribing(described))
    tracker.flush()

    events = arrived(live[1], 2)
    assert in_short(events) == [
        ("page", "Pricing", "u-1"),
        ("track", "Demo Requested", "u-1"),
    ]
    assert events[0].properties["path"] == "/pricing"
    assert (sum(sent), failed) == (2, [])


@pytest.mark.parametrize("packed", [False, True], ids=["plain", "gzip"])
def test_rudderstack(live: Live, *, packed: bool) -> None:
    """RudderStack's client speaks Segment's language to the collector."""
    client: Callable[..., Any] = library("rudderstack.analytics.client").Client
    failures: list[object] = []
    rudder = client(
        KEY,
        host=url_of(live[0]),
        gzip=packed,
        on_error=lambda *told: failures.append(told),
    )
    rudder.identify("u-1", {"email": "ada@example.com"})
    rudder.track("u-1", "Demo Requested", {"plan": "pro"})
    rudder.shutdown()

    events = arrived(live[1], 2)
    assert in_short(events) == [
        ("identify", "", "u-1"),
        ("track", "Demo Requested", "u-1"),
    ]
    assert events[0].email == "ada@example.com"
    assert failures == []
