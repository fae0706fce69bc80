"""A person with three identities, and a search for what is left of them."""

import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from redis import Redis

from schemas.event import Event
from schemas.time import MINUTE, to_datetime
from schemas.topics import DEAD_LETTERS, SCORE_UPDATES, TOPICS
from scorers.identity import lead_id_of
from streams.clock import SystemClock
from streams.settings import Settings
from streams.view import View, connect_view
from streams.view_feed import ViewFeed
from tests.waiting import wait_until
from tests.worker_harness import put_raw, read_all

MAIL = "ada.lovelace@analytical.example"
USER = "crm-ada-1843"
COOKIE = "cookie-of-ada-1843"
LEADS = (
    lead_id_of("user_id", USER),
    lead_id_of("email", MAIL),
    lead_id_of("anonymous_id", COOKIE),
)
MARKS = tuple(mark.encode() for mark in (MAIL, USER, COOKIE, *LEADS))
BOB = lead_id_of("email", "bob.babbage@analytical.example")


AGING = (
    "events",
    "commands",
    "notifications",
    "members",
    "side-updates",
    "dead-letters",
)


def is_kept_by_rule(topic: str) -> bool:
    """Say whether a topic is not one of those that only age empties."""
    return not any(word in topic for word in AGING)


def lives(*, first: int = 0) -> list[Event]:
    """Ada browses, signs up and is known to the CRM; Bob works for the same company."""
    now = SystemClock().now()

    def seen(number: int, name: str, **who: Any) -> Event:
        at = to_datetime(now - (20 - number) * MINUTE)
        return Event(
            id=f"seen-{first + number}-{name}-{len(who)}",
            type="track",
            channel="web",
            name=name,
            occurred_at=at,
            received_at=at,
            properties={"path": "/pricing"},
            **who,
        )

    return [
        seen(1, "Offer Clicked", anonymous_id=COOKIE),
        seen(2, "Demo Requested", anonymous_id=COOKIE, email=MAIL),
        seen(3, "Demo Requested", email="bob.babbage@analytical.example"),
        seen(4, "Meeting Held", email=MAIL, user_id=USER),
        seen(5, "Demo Requested", user_id=USER, traits={"name": "Ada"}),
        seen(6, "Information Requested", user_id=USER),
        seen(7, "Information Requested", email="bob.babbage@analytical.example"),
    ]


def leave_letters(settings: Settings) -> None:
    """Put a dead letter of Ada's and one of Bob's beside each other."""
    for name in (MAIL, "bob.babbage@analytical.example"):
        headers = {
            "dl_stage": "collector",
            "dl_reason": "invalid-event",
            "dl_detail": "no name",
            "dl_topic": "",
            "dl_partition": "-1",
            "dl_offset": "-1",
            "dl_time": "2026-11-21T10:00:00+00:00",
            "dl_attempts": "1",
        }
        put_raw(
            settings,
            DEAD_LETTERS,
            b'{"email": "%s"}' % name.encode(),
            partition=0,
            headers=[(key, value.encode()) for key, value in headers.items()],
        )


@contextmanager
def fed(settings: Settings) -> Iterator[View]:
    """Keep the view up to date, with a feed of its own."""
    url = settings.redis_url.get_secret_value()
    stop = threading.Event()
    with closing(connect_view(url, prefix=settings.topic_prefix)) as view:
        feed = ViewFeed(settings, view, SystemClock())
        thread = threading.Thread(target=feed.run, args=(stop,))
        thread.start()
        try:
            yield view
        finally:
            stop.set()
            thread.join(15)


def wait_for_people(view: View) -> None:
    """Return when the view shows Ada as one lead, and Bob."""
    wait_until(
        lambda: (
            (card := view.lead(LEADS[0])) is not None
            and set(card.update.identifiers.email) == {MAIL}
            and set(card.update.identifiers.anonymous_id) == {COOKIE}
            and view.lead(BOB) is not None
        ),
        40,
        "both people in the view",
    )


def in_topics(settings: Settings, *, only: Callable[[str], bool]) -> list[str]:
    """Return the topics in whose records anything of Ada is found.

    Of a compacted topic only what compaction leaves counts: each key's last record.
    """
    found = []
    for topic in TOPICS:
        if not only(topic.name):
            continue
        records = read_all(settings, topic)
        if topic.cleanup_policy == "compact":
            last = {(each.partition(), each.key()): each for each in records}
            records = [each for each in last.values() if each.value() is not None]
        for record in records:
            headers = repr(record.headers()).encode()
            text = (record.key() or b"") + (record.value() or b"") + headers
            if any(mark in text for mark in MARKS):
                found.append(topic.name)
                break
    return found


def in_redis(settings: Settings) -> list[str]:
    """Return the keys of the view in which anything of Ada is found."""
    found = []
    with closing(Redis.from_url(settings.redis_url.get_secret_value())) as redis:
        for key in redis.scan_iter(f"{settings.topic_prefix}lp:*"):
            dumped: Any = {
                b"string": redis.get,
                b"hash": redis.hgetall,
                b"zset": lambda name: redis.zrange(name, 0, -1),
                b"set": redis.smembers,
            }[redis.type(key)](key)
            text = key + repr(dumped).encode()
            if any(mark in text for mark in MARKS):
                found.append(key.decode())
    return found


def in_files(folder: Path) -> list[str]:
    """Return the files in a folder in which anything of Ada is found."""
    found = []
    for path in folder.rglob("*"):
        try:
            text = path.read_bytes() if path.is_file() else b""
        except FileNotFoundError:
            continue  # compaction took it just now
        if any(mark in text for mark in MARKS):
            found.append(str(path.relative_to(folder)))
    return found


def tombstones(settings: Settings) -> set[bytes | None]:
    """Return the keys of score updates that were erased."""
    return {
        each.key() for each in read_all(settings, SCORE_UPDATES) if not each.value()
    }


def wait_until_gone(find: Callable[[], list[str]], within: float, what: str) -> None:
    """Return when nothing is found any more; say where it is if it stays."""
    left: list[str] = []

    def gone() -> bool:
        left[:] = find()
        return not left

    try:
        wait_until(gone, within, what)
    except AssertionError as late:
        msg = f"{late}: {left}"
        raise AssertionError(msg) from None
