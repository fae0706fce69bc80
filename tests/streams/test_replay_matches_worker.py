"""Replay of a recorded stream gives what the live worker published."""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path

import msgspec
import pytest

from schemas.account import AccountCommand, AccountScore, MemberUpdate
from schemas.alert import Alert
from schemas.event import Event
from schemas.score import ScoreUpdate
from schemas.time import Instant, to_instant
from schemas.topics import (
    ACCOUNT_MEMBERS,
    ACCOUNT_SCORES,
    EVENT_TOPICS,
    NOTIFICATIONS,
    SCORE_UPDATES,
)
from scorers.replay import Replay
from scorers.scorer import read
from streams.settings import Settings
from tests.conftest import MakeTopics
from tests.waiting import wait_until
from tests.worker_harness import (
    MODEL,
    WorkerProcess,
    committed,
    make_events,
    positions,
    produce,
    read_all,
)


@pytest.fixture
def settings(make_topics: MakeTopics, tmp_path: Path) -> Settings:
    return make_topics(partitions=2, session_seconds=1.0, data_dir=tmp_path)


@pytest.fixture
def worker(settings: Settings, tmp_path: Path) -> Iterator[WorkerProcess]:
    worker = WorkerProcess(settings, tmp_path / "worker.log")
    yield worker
    worker.end()


def test_replay_matches_worker(settings: Settings, worker: WorkerProcess) -> None:
    """Scores and alerts of the recorded topics, folded here, are those of the worker.

    Each lead's last published score is compared at its own instant, bit for bit.
    """
    events = [*make_events(600, 40), *make_events(50, 40)]  # the last are repeated
    worker.start().wait_ready()
    produce(settings, events, rate=2000)
    wait_until(lambda: committed(settings) == len(events), 40, "all events")
    assert worker.stop() == 0

    recorded = [
        msgspec.json.decode(record.value() or b"", type=Event)
        for topic in EVENT_TOPICS
        for record in read_all(settings, topic)
    ]
    assert len(recorded) == len(events)
    updates: dict[str, list[ScoreUpdate]] = defaultdict(list)
    for record in read_all(settings, SCORE_UPDATES):
        update = msgspec.json.decode(record.value() or b"", type=ScoreUpdate)
        updates[update.lead_id].append(update)
    alerts = {
        msgspec.json.decode(record.value() or b"", type=Alert).id
        for record in read_all(settings, NOTIFICATIONS)
    }
    replay, told = Replay(MODEL, wake=False), set()
    for event in sorted(recorded, key=lambda event: event.now):
        for step in replay.take(event):
            told.update(alert.id for alert in step.alerts)

    assert updates.keys() == replay.states.keys()
    for lead_id, state in replay.states.items():
        live = updates[lead_id][-1]
        then = read(MODEL, state, to_instant(live.as_of))
        told_live = (live.score, live.tier, live.grade)
        assert (then.score, then.tier, then.grade) == told_live, lead_id
    assert told == alerts


def test_replay_matches_the_worker_for_accounts(
    settings: Settings, worker: WorkerProcess
) -> None:
    """Scores and surges of accounts, folded here, are those that were published.

    Of every account the score after its people's last words is compared; leads and
    accounts are on partitions of their own, so words cross on the way.
    """
    events = list(_of_companies(make_events(300, 24)))
    worker.start().wait_ready()
    produce(settings, events, rate=2000)
    wait_until(lambda: committed(settings) == len(events), 40, "all events")
    wait_until(lambda: _heard(settings), 40, "the accounts to have heard all words")
    assert worker.stop() == 0

    replay = Replay(MODEL)
    told = [step for item in events for step in replay.take(item)]
    told += replay.until(_last_word(settings))
    live: dict[str, AccountScore] = {}
    for record in read_all(settings, ACCOUNT_SCORES):
        score = msgspec.json.decode(record.value() or b"", type=AccountScore)
        live[score.account_id] = score
    surges = {
        (alert.id, alert.reason, alert.account_id)
        for step in told
        for alert in step.alerts
        if alert.account is not None
    }

    assert surges
    assert surges == {
        (alert.id, alert.reason, alert.account_id)
        for record in read_all(settings, NOTIFICATIONS)
        for alert in [msgspec.json.decode(record.value() or b"", type=Alert)]
        if alert.account is not None
    }
    assert live.keys() == replay.accounts.keys()
    for account_id, state in replay.accounts.items():
        score, folded = live[account_id], state.published
        assert (score.score, score.tier, score.members, score.active, score.top) == (
            (folded.score, folded.tier, folded.members, folded.active, folded.top)
        ), account_id


def _of_companies(events: Iterable[Event]) -> Iterator[Event]:
    """Let the people of the events work for six companies, some of them for none."""
    for item in events:
        number = int((item.user_id or "").rpartition("-")[2])
        domain = "gmail.com" if number % 7 == 6 else f"company{number % 7}.example"
        yield msgspec.structs.replace(item, email=f"{item.user_id}@{domain}")


def _heard(settings: Settings) -> bool:
    words = len(read_all(settings, ACCOUNT_MEMBERS))
    return words > 0 and committed(settings, [ACCOUNT_MEMBERS]) == words


def _last_word(settings: Settings) -> Instant:
    """Return the last instant of which any account has heard from a lead."""
    heard = positions(settings, [ACCOUNT_MEMBERS])
    words = [
        msgspec.json.decode(record.value() or b"", type=AccountCommand)
        for record in read_all(settings, ACCOUNT_MEMBERS)
        if (record.offset() or 0) < heard[record.topic() or "", record.partition() or 0]
    ]
    instants = [word.as_of for word in words if isinstance(word, MemberUpdate)]
    return max(map(to_instant, instants))
