"""States made anew of the raw topics, beside those in force, and put in their place."""

import json
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import pytest
from msgspec.structs import replace
from typer.testing import CliRunner

from schemas.alert import Alert
from schemas.event import Event
from schemas.topics import (
    COMMANDS,
    EVENT_TOPICS,
    LEAD_STATE,
    NOTIFICATIONS,
    SCORE_UPDATES,
)
from scorers.state import LeadState, encode_state
from streams.cli.main import compose
from streams.errors import UserError
from streams.partitioner import partition_of
from streams.settings import Settings
from streams.state_files import read_states
from streams.state_records import decode_stored, encode_stored
from streams.topic_reader import TopicReader
from streams.verify import verify
from tests.waiting import wait_until
from tests.worker_harness import (
    MODEL,
    WorkerProcess,
    check_updates,
    committed,
    make_events,
    produce,
    put_raw,
    read_all,
    stored_states,
    stored_with_redirects,
)

pytestmark = pytest.mark.integration

MakeTopics = Callable[..., Settings]
SOURCES = (*EVENT_TOPICS, COMMANDS)


@pytest.fixture
def home(kafka: str, make_topics: MakeTopics) -> Settings:
    return make_topics(bootstrap=kafka, partitions=2, session_seconds=6.0)


@pytest.fixture
def worker(home: Settings, tmp_path: Path) -> Iterator[WorkerProcess]:
    worker = WorkerProcess(home, tmp_path / "worker.log")
    yield worker
    worker.end()


def run(settings: Settings, *words: str) -> tuple[int, str]:
    """Return how `leadpulse state …` ends, and what it says on standard output."""
    result = CliRunner().invoke(
        compose(["state"]), ["state", *words], env=settings.environ()
    )
    if isinstance(result.exception, UserError):
        raise result.exception
    assert result.exception is None or isinstance(result.exception, SystemExit), (
        result.output
    )
    return result.exit_code, result.stdout


def people(events: list[Event]) -> list[Event]:
    """Return events of which most come under a mail, and some tell whose it is."""
    told = []
    for number, event in enumerate(events):
        who = int((event.user_id or "-0").rpartition("-")[2])
        mail = f"person-{who}@company-{who % 3}.example"
        known = event.user_id if number % 3 == 0 else None
        told.append(replace(event, user_id=known, email=mail))
    return told


def rest(worker: WorkerProcess) -> None:
    """Wait until a worker has done what there is."""
    settings = worker.settings

    def rested() -> bool:
        done = committed(settings, SOURCES)  # first: what is told later is not done
        return done == sum(len(read_all(settings, topic)) for topic in SOURCES)

    worker.wait_ready()
    wait_until(rested, 40, "the worker to come to rest")


def spoil(settings: Settings, lead_id: str, state: LeadState | None) -> None:
    """Put a state on the changelog that no worker would, or the end of one."""
    key = lead_id.encode()
    where = partition_of(key, settings.partitions)
    value = None
    if state is not None:
        with TopicReader(settings) as reader:
            found = read_states(settings, reader, LEAD_STATE.name, where)
        stored = decode_stored(dict(found.winners())[lead_id])
        value = encode_stored(
            msgspec.structs.replace(stored, state=encode_state(state))
        )
    put_raw(settings, LEAD_STATE, value, key=key, partition=where)


def alerts_of(settings: Settings) -> Counter[str]:
    return Counter(
        msgspec.json.decode(each.value() or b"", type=Alert).id
        for each in read_all(settings, NOTIFICATIONS)
    )


def test_states_are_made_anew_and_switched(
    home: Settings, worker: WorkerProcess, tmp_path: Path
) -> None:
    """What was damaged is right again, numbers go on, no alert comes twice.

    Beside a right system nothing differs; a dry run writes nothing; what came since
    counts, too; a worker that runs and a backup are refused.
    """
    file, backup = tmp_path / "anew.gz", tmp_path / "backup.gz"
    events = people(make_events(120, 10))
    produce(home, events[:70])
    worker.start()
    rest(worker)
    code, said = run(home, "rebuild", str(file))
    assert (code, "are the same" in said) == (0, True), said
    assert file.stat().st_mode & 0o077 == 0
    with pytest.raises(UserError, match="stop all of them"):
        run(home, "switch", str(file))
    produce(home, events[70:110])
    rest(worker)
    assert worker.stop() == 0, worker.tail()

    live, alerts = stored_states(home), alerts_of(home)
    lost, wrong = sorted(live, key=lambda key: -live[key].score)[:2]
    one = dict([*live[wrong].ids.items()][:1])
    spoil(home, wrong, replace(live[wrong], rules={}, ids=one))
    spoil(home, lost, None)
    states, updates = read_all(home, LEAD_STATE), read_all(home, SCORE_UPDATES)
    code, said = run(home, "switch", str(file), "--dry-run", "--json")
    found = json.loads(said)
    assert {each["lead_id"]: each["how"] for each in found["differences"]} == {
        lost: "only-rebuilt",
        wrong: "events",
    }
    assert len(read_all(home, LEAD_STATE)) == len(states)
    run(home, "backup", str(backup))
    with pytest.raises(UserError, match="restore"):
        run(home, "switch", str(backup))
    with pytest.raises(UserError, match="switch"):
        run(home, "restore", str(file))

    code, said = run(home, "switch", str(file))
    assert code == 0
    after = stored_states(home)
    assert sum(len(state.ids) for state in after.values()) == 110
    told = len(read_all(home, SCORE_UPDATES)) - len(updates)
    assert told == 0, "what is right was told already"
    assert alerts
    assert alerts_of(home) == alerts

    produce(home, events[110:])
    worker.start()
    rest(worker)
    assert worker.stop() == 0, worker.tail()
    report = verify(home, MODEL)
    assert report.clean, [str(each) for each in report.findings]
    check_updates(home, stored_with_redirects(home))
    assert all(count == 1 for count in alerts_of(home).values())
    assert run(home, "rebuild", str(file))[0] == 0
