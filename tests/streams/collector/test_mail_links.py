"""Links of one's own mail over HTTP: what people see, and what is on the topics."""

import uuid
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime

import httpx
import msgspec
import pytest

from schemas.event import Event
from schemas.topics import EVENT_TOPICS
from scorers.consent import words_of
from scorers.machine_policy import MachineTraffic
from scorers.machine_traffic import Traffic
from streams.clock import SystemClock
from streams.collector.app import create_app
from streams.event_log import NotDurableError, Record
from streams.links import MailLinks
from streams.settings import Settings
from streams.topics_admin import create_topics
from tests.streams.collector.conftest import running
from tests.worker_harness import read_all

SECRET = "a secret for links"
SHOP = "https://shop.example/pricing?plan=pro"
BROWSER = {"User-Agent": "Mozilla/5.0 (X11; Linux x86_64) Chrome/156.0.0.0"}


@pytest.fixture(scope="module")
def settings(broker: str) -> Settings:
    """Settings of one collector for all tests here, each with a person of its own."""
    settings = Settings.model_validate(
        {
            "bootstrap": broker,
            "partitions": 1,
            "topic_prefix": f"t{uuid.uuid4().hex[:8]}.",
            "metrics_port": 0,
            "collector_port": 0,
            "write_keys": "mail=wk-1",
            "link_secrets": SECRET,
            "trusted_proxies": "127.0.0.1",
            "rate_limit": "3/day",
        }
    )
    create_topics(settings)
    return settings


@pytest.fixture(scope="module")
def http(settings: Settings) -> Iterator[httpx.Client]:
    """A browser of a running collector."""
    with running(settings) as (client, _):
        client.headers.update(BROWSER)
        yield client


@pytest.fixture
def links(http: httpx.Client) -> MailLinks:
    """What makes links to that collector."""
    return MailLinks(str(http.base_url), [SECRET], source="acme/news")


@pytest.fixture
def ada() -> str:
    """The address of somebody new."""
    return f"{uuid.uuid4().hex[:8]}@example.com"


class NoLog:
    """Kafka, away."""

    async def append(self, records: Sequence[Record]) -> None:
        raise NotDurableError(len(records))

    async def missing_topics(self) -> list[str]:
        raise NotDurableError

    async def close(self) -> None:
        """Nothing is open."""


def events_of(settings: Settings, email: str) -> list[Event]:
    """Return the events of a person; an answer means that they are durable."""
    events = [
        msgspec.json.decode(record.value() or b"", type=Event)
        for topic in EVENT_TOPICS
        for record in read_all(settings, topic)
    ]
    return [event for event in events if event.email == email]


def test_a_pixel_tells_of_an_open(
    http: httpx.Client, links: MailLinks, settings: Settings, ada: str
) -> None:
    """One pixel comes back, and the event is one of the mail that it was in."""
    url = links.open(email=ada, email_id="spring", campaign_id="c-1")

    answer = http.get(f"{url}.gif", headers={"X-Forwarded-For": "8.8.8.8"})

    assert (answer.status_code, answer.headers["content-type"]) == (200, "image/gif")
    assert answer.content.startswith(b"GIF89a")
    assert answer.headers["cache-control"] == "no-store"
    (event,) = events_of(settings, ada)
    assert (event.name, event.channel) == ("Email Opened", "email")
    assert (event.workspace, event.source) == ("acme", "news")
    assert event.properties == {"email_id": "spring", "campaign_id": "c-1"}
    assert event.context == {
        "provider": "link",
        "ip": "8.8.8.0",
        "user_agent": BROWSER["User-Agent"],
    }


def test_a_click_goes_on_and_is_told(
    http: httpx.Client, links: MailLinks, settings: Settings, ada: str
) -> None:
    """The redirect goes where the link says, a file is a download, HEAD is nobody."""
    page = links.click(SHOP, email=ada, email_id="spring", links=2)
    guide = links.click("https://shop.example/guide.pdf", email=ada, email_id="spring")

    assert http.head(page).status_code == 302
    answers = [http.get(url) for url in (page, guide)]

    assert [answer.status_code for answer in answers] == [302, 302]
    assert answers[0].headers["location"] == SHOP
    clicked, downloaded = sorted(events_of(settings, ada), key=lambda event: event.name)
    assert clicked.name == "Email Link Clicked"
    assert clicked.properties == {
        "email_id": "spring",
        "link_url": SHOP,
        "links": 2,
    }
    assert downloaded.name == "Offer Downloaded"
    assert "ip" not in clicked.context  # it came from this machine, or a proxy of it


def test_machines_are_known(
    http: httpx.Client, links: MailLinks, settings: Settings, ada: str
) -> None:
    """A honeypot, a program and a prefetch are judged as those they are."""
    hidden = links.click(SHOP, email=ada, honeypot=True)
    plain = links.click(SHOP, email=ada)

    http.get(hidden)
    http.get(plain, headers={"User-Agent": "python-requests/2.32"})
    http.get(plain, headers={"Sec-Purpose": "prefetch;prerender"})

    traffic = Traffic(MachineTraffic())
    judged = [traffic.judge(event) for event in events_of(settings, ada)]
    assert sorted(map(str, judged)) == ["automation", "flagged", "honeypot"]


def test_looking_at_the_page_unsubscribes_nobody(
    http: httpx.Client, links: MailLinks, settings: Settings, ada: str
) -> None:
    """The page asks, names no whole address, and its button does it."""
    url = links.unsubscribe(email=ada, email_id="spring")

    page = http.get(url)

    assert page.status_code == 200
    assert 'method="post"' in page.text
    assert ada not in page.text
    assert f"{ada[0]}…@example.com" in page.text
    assert "default-src 'none'" in page.headers["content-security-policy"]
    assert events_of(settings, ada) == []

    done = http.post(url, data={"confirm": "yes"})

    assert (done.status_code, "You are unsubscribed" in done.text) == (200, True)
    (event,) = events_of(settings, ada)
    assert (event.name, event.properties) == ("Unsubscribed", {"email_id": "spring"})
    assert words_of(event) == {"marketing.email": False}


@pytest.mark.parametrize("kind", ["form", "multipart"])
def test_a_mail_program_unsubscribes_with_one_click(
    http: httpx.Client, links: MailLinks, settings: Settings, ada: str, kind: str
) -> None:
    """RFC 8058: a POST without cookies or redirects, of either form, by a program."""
    url = links.unsubscribe(email=ada, purpose="newsletter")
    field = {"List-Unsubscribe": "One-Click"}
    agent = {"User-Agent": "python-requests/2.32"}

    if kind == "form":
        answer = http.post(url, data=field, headers=agent)
    else:
        parts = {name: (None, value) for name, value in field.items()}
        answer = http.post(url, files=parts, headers=agent)

    assert answer.status_code == 200
    assert "set-cookie" not in answer.headers
    (event,) = events_of(settings, ada)
    assert event.properties["one_click"] is True
    assert Traffic(MachineTraffic()).judge(event) is None
    assert words_of(event) == {"newsletter.email": False}


def test_a_link_that_was_changed_does_nothing(
    http: httpx.Client, links: MailLinks, settings: Settings, ada: str
) -> None:
    """A page says so, with 400; nothing is redirected, and nothing is told."""
    other = MailLinks(str(http.base_url), ["somebody else's secret"])
    urls = [
        other.click("https://evil.example/", email=ada),
        links.click(SHOP, email=ada).replace("/c/", "/u/"),
        links.unsubscribe(email=ada)[:-5],
        f"{http.base_url}/c/https:%2F%2Fevil.example",
    ]

    for url in urls:
        answer = http.get(url)
        assert answer.status_code in {400, 404}
        assert "location" not in answer.headers
    assert "This link does not work" in http.post(urls[2]).text
    pixel = http.get(other.open(email=ada))
    assert (pixel.status_code, pixel.headers["content-type"]) == (400, "image/gif")
    assert events_of(settings, ada) == []


def test_a_link_whose_time_is_over_does_nothing(
    http: httpx.Client, links: MailLinks, settings: Settings, ada: str
) -> None:
    """410, and the page says where it went."""
    over = datetime(2020, 1, 1, tzinfo=UTC)

    answer = http.get(links.click(f"{SHOP}&x=<b>", email=ada, expires_at=over))

    assert answer.status_code == 410
    assert 'href="https://shop.example/pricing?plan=pro&amp;x=&lt;b&gt;"' in answer.text
    assert http.get(links.open(email=ada, expires_at=over)).status_code == 410
    assert events_of(settings, ada) == []


def test_a_link_that_is_called_too_often_still_leads_on(
    http: httpx.Client, links: MailLinks, settings: Settings, ada: str
) -> None:
    """Beyond the limit a click is not told any more; people get where they want."""
    url = links.click(SHOP, email=ada)

    assert {http.get(url).status_code for _ in range(5)} == {302}
    assert len(events_of(settings, ada)) == 3


async def test_without_kafka_people_are_led_on_and_not_lied_to(
    settings: Settings,
) -> None:
    """A click still redirects; an unsubscription that is not kept is not confirmed."""
    links = MailLinks("http://testserver", [SECRET])
    app = create_app(settings, SystemClock(), NoLog())
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app)) as client:
        click = await client.get(links.click(SHOP, email="ada@example.com"))
        stop = await client.post(links.unsubscribe(email="ada@example.com"))

    assert (click.status_code, click.headers["location"]) == (302, SHOP)
    assert (stop.status_code, stop.headers["retry-after"]) == (503, "60")
    assert "try again" in stop.text


def test_the_log_knows_no_address_and_no_token(
    http: httpx.Client,
    links: MailLinks,
    ada: str,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> None:
    """Lines of the log name the route, never the path."""
    url = links.unsubscribe(email=ada)

    http.get(url)

    said = caplog.text + "".join(capfd.readouterr())
    assert ada not in said
    assert url.rpartition("/")[2] not in said
