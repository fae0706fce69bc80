"""Redis over TLS, as a user of its own; whoever may not is refused, in one line."""

import re
import ssl
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

import msgspec
import pytest
from confluent_kafka import Producer
from prometheus_client import REGISTRY
from redis import Redis

from schemas.topics import SCORE_UPDATES
from streams.clock import SystemClock
from streams.doctor import _redis
from streams.errors import UserError
from streams.processes import LOOPBACK
from streams.redis_access import redis_address
from streams.redis_server import RedisServer
from streams.settings import Settings, SettingsError, load_settings
from streams.view import connect_view
from streams.view_feed import ViewFeed
from streams.view_redis import ViewAwayError
from tests.certificates import Certificates, make_certificates
from tests.chaos.network import Network
from tests.streams.view.records import ADA, account, alert, change, event, update
from tests.waiting import wait_until

DOC = Path(__file__).parents[3] / "docs" / "security.md"
PASSWORD = "a-p@ss/word#of:many%signs"
USERS = (
    "lacking on >PASSWORD ~lp:* +@all -hset",
    "overseer on >PASSWORD ~* +@all",
    "default off",
)


class Guarded(NamedTuple):
    """A Redis behind TLS that knows its users, and what the settings say of it."""

    overseer: Redis
    certificates: Certificates
    port: int
    password: Path

    def settings(self, username: str, **given: object) -> Settings:
        environ = {"LEADPULSE_REDIS_PASSWORD_FILE": str(self.password)}
        return load_settings(
            environ,
            **{
                "redis_url": f"rediss://{LOOPBACK}:{self.port}/0",
                "redis_username": username,
                "redis_ca_path": self.certificates.authority,
                **given,
            },
        )

    def keys(self) -> int:
        return len(self.overseer.keys())


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guarded]:
    """Give a Redis whose users have the rights that the documentation names."""
    folder = tmp_path_factory.mktemp("guarded")
    certificates = make_certificates(folder)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificates.server)
    documented = re.findall(r"^ACL SETUSER (.+)$", DOC.read_text(), re.MULTILINE)
    password = folder / "password"
    password.write_text(f"{PASSWORD}\n")
    with RedisServer(folder / "redis", keep=False) as server:
        port = int(server.url.rpartition(":")[2].partition("/")[0])
        with closing(Redis.from_url(server.url)) as first:
            for words in (*documented, *USERS):
                told = [w.replace("PASSWORD", PASSWORD) for w in words.split()]
                first.execute_command("ACL", "SETUSER", *told)
        url = f"redis://{LOOPBACK}:{port}/0"
        # TLS ends before it, for the Redis that comes as a wheel is built without.
        network = Network(port, tls=context).start()
        with closing(
            Redis.from_url(url, username="overseer", password=PASSWORD)
        ) as overseer:
            yield Guarded(overseer, certificates, network.port, password)
        network.stop()


def doctor(settings: Settings) -> list[str]:
    """Return what the doctor says of Redis, a line for each finding."""
    try:
        found = [f"{each.verdict} {each.text}" for each in _redis(settings)]
    except UserError as error:
        found = [f"fail {error}"]
    assert all("\n" not in line and PASSWORD not in line for line in found)
    return found


def test_documented_rights_are_enough(guarded: Guarded) -> None:
    """The view's user feeds, drops and reads the view; the reader reads it, no more."""
    feeds = guarded.settings("leadpulse-view")
    reads = guarded.settings("leadpulse-reader")
    with (
        closing(connect_view(redis_address(feeds))) as view,
        closing(connect_view(redis_address(reads))) as reader,
    ):
        view.try_rights()
        assert guarded.keys() == 0, "what was tried is gone"
        places = {("lead.score-updates.v1", 0): 5}
        records = (update(score=61, account_id="ac_1"), account(), alert(), event())
        view.write(view.build(), [change(each) for each in records], places)
        for each in (view, reader):
            card = each.lead(ADA)
            assert card is not None
            assert card.update.score == 61
            assert each.top(limit=3)
            assert each.find("ada") == (ADA,)
            each.alerts(limit=3)
            each.positions()
        with pytest.raises(ViewAwayError, match=r"refuses: its user may not .*rights"):
            reader.drop()
        assert view.drop() > 0
    assert guarded.keys() == 0
    assert all(line.startswith("ok ") for line in doctor(feeds))
    assert any("at most" in line for line in doctor(reads))


@pytest.mark.parametrize(
    ("username", "given", "said"),
    [
        ("nobody", {}, r"LEADPULSE_REDIS_USERNAME and LEADPULSE_REDIS_PASSWORD"),
        ("leadpulse-view", {"redis_password": "wrong"}, r"LEADPULSE_REDIS_PASSWORD"),
        ("leadpulse-view", {"redis_ca_path": None}, r"LEADPULSE_REDIS_CA_PATH"),
        ("lacking", {}, r"may not.*docs/security.md"),
    ],
    ids=["nobody", "wrong-password", "authority-not-trusted", "right-missing"],
)
def test_who_may_not_is_refused_in_one_line(
    guarded: Guarded, username: str, given: dict[str, object], said: str
) -> None:
    """Commands and the doctor say what to look at, and nothing is written."""
    settings = guarded.settings(username, **given)
    with (
        closing(connect_view(redis_address(settings))) as view,
        pytest.raises(ViewAwayError, match=said) as refused,
    ):
        view.try_rights()
    assert "\n" not in str(refused.value)
    assert PASSWORD not in str(refused.value)
    assert any(re.search(said, line) for line in doctor(settings))
    assert guarded.keys() == 0


def test_the_feed_counts_what_is_refused(guarded: Guarded, topics: Settings) -> None:
    """The role goes on trying, is not ready and counts; it heals with the right."""
    settings = guarded.settings("lacking")
    stop = threading.Event()
    view = connect_view(redis_address(settings))
    feed = ViewFeed(topics, view, SystemClock())
    before = failures()
    thread = threading.Thread(target=feed.run, args=(stop,))
    thread.start()
    try:
        producer = Producer({"bootstrap.servers": topics.bootstrap, "linger.ms": 0})
        producer.produce(
            topics.topic(SCORE_UPDATES.name),
            key=ADA.encode(),
            value=msgspec.json.encode(update(score=12)),
        )
        assert producer.flush(10) == 0
        wait_until(lambda: failures() > before, 20, "the failure to be counted")
        assert feed.not_ready() is not None
        assert guarded.overseer.keys("lp:lead*") == []
        guarded.overseer.execute_command("ACL", "SETUSER", "lacking", "+hset")
        wait_until(lambda: view.lead(ADA) is not None, 20, "the view to heal")
    finally:
        stop.set()
        thread.join(10)
        view.drop()
        view.close()


def failures() -> float:
    return REGISTRY.get_sample_value("leadpulse_view_failures_total") or 0.0


def test_settings_of_redis_fit_together(tmp_path: Path) -> None:
    """An authority without TLS, or one that is not there, is refused at the start."""
    with pytest.raises(SettingsError, match="rediss://"):
        load_settings({}, redis_ca_path=tmp_path)
    with pytest.raises(SettingsError, match="no file"):
        load_settings({}, redis_url="rediss://x/0", redis_ca_path=tmp_path / "no.pem")
    url = redis_address(load_settings({}, redis_url="rediss://u:p@x:1/0?a=b"))
    assert url == "rediss://u:p@x:1/0?a=b"
