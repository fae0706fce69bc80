"""What is wrong here, and what to do: one finding per thing that can be."""

import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.metadata import version
from typing import TYPE_CHECKING, Final, Literal, cast

from schemas.topics import DEAD_LETTERS
from streams.errors import UserError
from streams.kafka_access import client_config
from streams.redis_server import ask_redis

if TYPE_CHECKING:
    from streams.broker_watch import Sight, Watcher
    from streams.settings import Settings
    from streams.topics_admin import TopicReport

Verdict = Literal["ok", "warn", "fail"]

_SKEW_WARN_SECONDS: Final = 5.0
_SKEW_FAIL_SECONDS: Final = 300.0
_ANSWER_SECONDS: Final = 5.0
_LATELY_SECONDS: Final = 86_400.0
_ENDINGS: Final = {
    "dead-letters": "most records could not be processed, so the line was stopped; see "
    "docs/runbooks/line-stopped.md",
    "not-durable": "Kafka took nothing for a minute",
    "unreadable-state": "a state cannot be read by this version; see docs/recovery.md",
    "topic": "a topic was truncated or made anew; see its log",
    "other": "see its log",
}
_PROGRESS_SECONDS: Final = 3.0
"""Roles commit what they have done every second."""


@dataclass(frozen=True, slots=True)
class Finding:
    """How one thing is; `text` says what to do unless it is ok."""

    verdict: Verdict
    subject: str
    text: str


def examine(settings: "Settings") -> Iterator[Finding]:
    """Yield what is found, from the ground up; each check stands for itself."""
    yield from _guarded("versions", _versions)
    yield from _guarded("model", lambda: _model(settings))
    yield from _guarded("write keys", lambda: _write_keys(settings))
    yield from _guarded("spool", lambda: _spool(settings))
    yield from _guarded("workers", lambda: _endings(settings))
    yield from _guarded("broker", lambda: _broker(settings))
    yield from _guarded("redis", lambda: _redis(settings))


def _guarded(subject: str, check: Callable[[], Iterator[Finding]]) -> Iterator[Finding]:
    try:
        yield from check()
    except UserError as error:
        yield Finding("fail", subject, str(error))


def _versions() -> Iterator[Finding]:
    python = ".".join(map(str, sys.version_info[:3]))
    packages = ("faust-streaming", "confluent-kafka", "redis")
    told = ", ".join(f"{name} {version(name)}" for name in packages)
    yield Finding(
        "ok", "versions", f"leadpulse {version('leadpulse')}, Python {python}, {told}"
    )


def _model(settings: "Settings") -> Iterator[Finding]:
    from streams.model_files import read_model  # noqa: PLC0415 - loads the core

    reference = read_model(settings.model_path).ref
    source = settings.model_path or "shipped"
    yield Finding(
        "ok", "model", f"{reference.name} {reference.version} ({source}) is valid"
    )


def _write_keys(settings: "Settings") -> Iterator[Finding]:
    if settings.write_keys:
        sources = ", ".join(settings.write_keys)
        yield Finding("ok", "write keys", f"for {sources}")
    else:
        yield Finding(
            "warn",
            "write keys",
            "none, so no collector starts here: set LEADPULSE_WRITE_KEYS=source=key",
        )


def _spool(settings: "Settings") -> Iterator[Finding]:
    from streams.spool_file import look  # noqa: PLC0415 - only here

    # `leadpulse up` gives each role a folder of its own.
    for directory in (settings.data_dir, settings.data_dir / "collector"):
        if (found := look(directory)) is None:
            continue
        if found.events:
            how = f"{found.events} events ({found.size} bytes) wait in {directory}"
            what = (
                "they go out when Kafka answers"
                if found.owner is not None
                else "start a collector with this LEADPULSE_DATA_DIR to send them"
            )
            yield Finding("warn", "spool", f"{how}: {what}")
        else:
            yield Finding("ok", "spool", f"{directory} holds nothing that waits")
        if found.aside:
            yield Finding(
                "warn",
                "spool",
                f"{found.aside} records in {directory} cannot be sent and are kept: "
                "see docs/collector.md",
            )


def _endings(settings: "Settings") -> Iterator[Finding]:
    """Tell why workers of this machine had to end lately."""
    from streams.worker_endings import read_endings  # noqa: PLC0415 - only here

    folders = {settings.data_dir, *settings.data_dir.glob("worker*")}
    for directory in sorted(folders):
        found = read_endings(directory)
        if found.at is None or found.last is None:
            continue
        if time.time() - found.at.timestamp() > _LATELY_SECONDS:
            continue
        what = _ENDINGS[found.last]
        yield Finding("warn", "workers", f"one left with 1 at {found.at:%H:%M}: {what}")


def _broker(settings: "Settings") -> Iterator[Finding]:
    from streams.topics_admin import check_topics, connect  # noqa: PLC0415

    admin = connect(settings)
    brokers = len(admin.list_topics(timeout=_ANSWER_SECONDS).brokers)
    yield Finding("ok", "broker", f"{settings.bootstrap} answers, {brokers} in all")
    if brokers < settings.replication_factor:
        yield Finding(
            "warn",
            "broker",
            f"{brokers} cannot hold {settings.replication_factor} replicas: "
            "lower LEADPULSE_REPLICATION_FACTOR or add brokers",
        )
    reports = check_topics(settings)
    problems = [
        f"{report.name}: {problem}" for report in reports for problem in report.problems
    ]
    for problem in problems:
        yield Finding("fail", "topics", problem)
    if problems:
        return
    silent = sorted({key for report in reports for key in report.unknown})
    if silent:
        yield Finding(
            "warn",
            "topics",
            f"all there; this broker does not report {', '.join(silent)}",
        )
    else:
        partitions = reports[0].partitions
        yield Finding(
            "ok", "topics", f"{len(reports)} as defined, {partitions} partitions"
        )
    yield from _partitions(settings)
    yield from _retention(settings, reports)
    yield from _dead_letters(settings)


def _partitions(settings: "Settings") -> Iterator[Finding]:
    """Judge whether what is on the topics can be had, and is being taken."""
    from streams.broker_watch import Watcher  # noqa: PLC0415 - only here

    watcher = Watcher(settings)
    sight = watcher.look()
    for places, verdict, what in (
        (sight.leaderless, "fail", "have no leader: start the brokers that held them"),
        (sight.underreplicated, "warn", "miss a replica: is a broker down or slow?"),
    ):
        if places:
            named = ", ".join(f"{topic}[{number}]" for topic, number in places[:3])
            text = f"{len(places)} ({named}, …) {what}"
            yield Finding(cast("Verdict", verdict), "partitions", text)
    if not (sight.leaderless or sight.underreplicated):
        yield Finding("ok", "partitions", "all led, all replicas in step")
    yield from _deleted(watcher, sight)
    if any(sight.lag(group).total() for group in sight.committed):
        time.sleep(_PROGRESS_SECONDS)
    later = watcher.look()
    for group in later.committed:
        behind = later.lag(group)
        if not behind.total():
            continue
        moved = later.committed.get(group) != sight.committed.get(group)
        records = ", ".join(f"{count} of {topic}" for topic, count in (+behind).items())
        if moved:
            text = f"behind, and catching up: {records}"
            yield Finding("warn", f"group {group}", text)
        else:
            text = (
                f"nobody takes what waits ({records}): is its role running, and ready? "
                "See /readyz and its log"
            )
            yield Finding("fail", f"group {group}", text)


def _deleted(watcher: "Watcher", sight: "Sight") -> Iterator[Finding]:
    """Tell what topics did not keep until its reader came."""
    places = {place for known in sight.committed.values() for place in known}
    begins = watcher.begins(places)
    for group, known in sight.committed.items():
        gone: Counter[str] = Counter()
        for place, offset in known.items():
            gone[place[0]] += max(0, begins.get(place, 0) - offset)
        if gone.total():
            records = ", ".join(
                f"{count} of {topic}" for topic, count in (+gone).items()
            )
            text = (
                f"{records} were deleted before group {group} had taken them: start "
                "its role, keep topics longer; see docs/runbooks/lost-to-retention.md"
            )
            yield Finding("fail", "retention", text)


def _retention(settings: "Settings", reports: "list[TopicReport]") -> Iterator[Finding]:
    """Judge whether the broker forgets as soon as people are promised."""
    from streams.topics_admin import wanted_config  # noqa: PLC0415

    late = []
    for report in reports:
        wanted, found = wanted_config(settings, report.topic), dict(report.config)
        for key in ("retention.ms", "max.compaction.lag.ms"):
            if key not in wanted or found.get(key) is None:
                continue
            promised, kept = int(wanted[key]), int(found[key] or 0)
            if promised >= 0 and (kept < 0 or kept > promised):
                late.append(f"{report.name} has {key}={kept}, promised is {promised}")
    for text in late:
        yield Finding("fail", "privacy", f"{text}: alter the topic's configuration")
    if not late:
        days = settings.raw_retention_days
        yield Finding("ok", "privacy", f"kept no longer than promised: raw {days} d")


def _dead_letters(settings: "Settings") -> Iterator[Finding]:
    from confluent_kafka import Consumer, TopicPartition  # noqa: PLC0415

    topic = settings.topic(DEAD_LETTERS.name)
    consumer = Consumer(
        {
            **client_config(settings),
            "group.id": f"{settings.app_id}.doctor",  # required, never joined
            "log_level": 0,
        }
    )
    try:
        partitions = consumer.list_topics(topic, _ANSWER_SECONDS).topics[topic]
        counts = [
            high - low
            for number in partitions.partitions
            for low, high in [
                consumer.get_watermark_offsets(
                    TopicPartition(topic, number), timeout=_ANSWER_SECONDS
                )
            ]
        ]
    finally:
        consumer.close()
    if sum(counts):
        text = f"about {sum(counts)}: look with `leadpulse dead-letters list`"
        yield Finding("warn", "dead letters", text)
    else:
        yield Finding("ok", "dead letters", "none")


def _redis(settings: "Settings") -> Iterator[Finding]:
    from streams.redis_access import redis_address  # noqa: PLC0415 - loads the client
    from streams.view import connect_view  # noqa: PLC0415 - same
    from streams.view_redis import ViewAwayError  # noqa: PLC0415 - same

    address = redis_address(settings)
    facts = ask_redis(address)
    yield Finding("ok", "redis", f"{facts.release} answers")
    try:
        connect_view(address, prefix=settings.topic_prefix).try_rights()
    except ViewAwayError as error:
        text = f"enough to read at most, not for `leadpulse view`: {error}"
        yield Finding("warn", "redis", text)
    yield _skew(abs(facts.time - time.time()))


def _skew(seconds: float) -> Finding:
    """Judge the difference between this clock and that of Redis."""
    if seconds < _SKEW_WARN_SECONDS:
        return Finding("ok", "clocks", f"{seconds:.1f} s apart")
    verdict: Verdict = "warn" if seconds < _SKEW_FAIL_SECONDS else "fail"
    text = f"this machine and Redis are {seconds:.0f} s apart: synchronise them (NTP)"
    return Finding(verdict, "clocks", text)
