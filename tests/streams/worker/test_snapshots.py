"""Restarts from snapshots: as exact as from the changelog, and never from a bad one."""

import asyncio
import shutil
from collections.abc import Callable, Iterator
from itertools import chain
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.topics import ACCOUNT_STATE, LEAD_STATE
from scorers.scorer import on_event
from scorers.state import encode_state
from streams.app import WorkerApp, _confirm_states
from streams.clock import SystemClock
from streams.rebuilding import Rebuilt
from streams.settings import Settings
from streams.state_records import OWNER_KEY, Claim, Stored
from streams.tables import Lead, LeadTable
from streams.transport import snapshot_taker
from streams.transport.consumer import NotOwnerError
from streams.transport.snapshot_taker import SnapshotTaker
from streams.transport.snapshots import (
    FORMAT,
    MAX_AGE,
    Header,
    SnapshotError,
    SnapshotFolder,
)
from tests.waiting import wait_until
from tests.worker_bench import RecordingLog
from tests.worker_harness import (
    MODEL,
    WorkerProcess,
    check_exact,
    committed,
    make_events,
    produce,
    put_raw,
    read_all,
)

TOPIC = "t.lead.states.v1"
HEADER = Header(FORMAT, TOPIC, 3, "claim", 7, 42, 1_000, b"mark")
STATES = [(f"ld_{n}", Stored(1, 2, 7, {"web": n}, b"x" * n, n)) for n in range(20)]

encode = msgspec.msgpack.encode

MakeTopics = Callable[..., Settings]


@pytest.fixture
def folder(tmp_path: Path) -> SnapshotFolder:
    return SnapshotFolder(Settings(data_dir=tmp_path))


def write(folder: SnapshotFolder, header: Header = HEADER) -> None:
    with folder.write(header) as writer:
        writer.add(STATES[:15])
        writer.add(STATES[15:])
        writer.finish()


def file_in(tmp_path: Path) -> Path:
    return next(tmp_path.glob("snapshots/*/*"))


def test_a_snapshot_is_used_once(folder: SnapshotFolder, tmp_path: Path) -> None:
    """It holds what was written, only its owner may read it, and then it is gone."""
    write(folder)
    assert file_in(tmp_path).stat().st_mode & 0o077 == 0

    opened = folder.take(TOPIC, 3, now=2_000)
    assert opened is not None
    assert opened.header == HEADER
    assert encode([*chain.from_iterable(opened.states())]) == encode(STATES)
    assert folder.take(TOPIC, 3, now=2_000) is None


def test_states_stay_in_the_file_until_something_happens(
    folder: SnapshotFolder, tmp_path: Path
) -> None:
    """A lead of a snapshot is read, and written again, as any other: nothing is copied.

    A snapshot that is taken of such leads is the same, and so is one taken of that.
    """
    event = make_events(1, 1)[0]
    ada = on_event(MODEL, None, event, event.now).state
    claim = Claim("claim", 1, 7)
    stored = Stored(1, 1, 7, {"web": 4}, encode_state(ada), ada.wake_at)
    states = [(ada.lead_id, stored)]
    for _ in range(2):
        with folder.write(HEADER) as writer:
            writer.add(states)
            writer.finish()
        written = file_in(tmp_path).read_bytes()
        opened = folder.take(TOPIC, 3, now=2_000)
        assert opened is not None
        rebuilt = Rebuilt(3, 1, "mine")
        rebuilt.restore(dict(chain.from_iterable(opened.states())))
        table = LeadTable({})
        table.adopt(rebuilt)
        lead = cast("Lead", table.get(ada.lead_id))
        assert isinstance(lead.packed, memoryview)
        assert lead.score == ada.score
        assert lead.state == ada
        states = table.stored([ada.lead_id], claim)

    assert encode(states) == encode([(ada.lead_id, stored)])
    assert written.count(encode_state(ada)) == 1
    lead.renew(Stored(1, 1, 7, {}, b"new", None))
    assert lead.packed == b"new"


def test_what_is_not_finished_is_no_snapshot(
    folder: SnapshotFolder, tmp_path: Path
) -> None:
    """A snapshot that was given up leaves the one before it, and nothing else."""
    write(folder)
    before = file_in(tmp_path).read_bytes()
    with folder.write(HEADER) as writer:
        writer.add(STATES)

    assert file_in(tmp_path).read_bytes() == before
    assert len(list(tmp_path.glob("snapshots/*/*"))) == 1


def test_what_a_dead_worker_began_is_removed(
    folder: SnapshotFolder, tmp_path: Path
) -> None:
    """What was left of a snapshot goes when its partition has a new owner."""
    unfinished = folder.write(HEADER)
    unfinished.add(STATES)
    assert len(list(tmp_path.glob("snapshots/*/*"))) == 1
    assert folder.take(TOPIC, 3, now=2_000) is None

    assert list(tmp_path.glob("snapshots/*/*")) == []
    with pytest.raises(OSError, match="No such file"), unfinished:
        unfinished.finish()


@pytest.mark.parametrize(
    "now", [HEADER.taken_at + MAX_AGE + 1, HEADER.taken_at - 1], ids=["old", "future"]
)
def test_age_is_limited(folder: SnapshotFolder, now: int) -> None:
    """Older than tombstones are kept, or from the future: it is not used."""
    write(folder)

    assert folder.take(TOPIC, 3, now) is None


def test_of_another_topic_is_refused(folder: SnapshotFolder, tmp_path: Path) -> None:
    """A file that says another topic than its name is not used."""
    write(folder)
    shutil.move(file_in(tmp_path), file_in(tmp_path).with_name("u-3.snapshot"))

    assert folder.take("u", 3, now=2_000) is None


@given(place=st.integers(min_value=0), bit=st.integers(0, 7), cut=st.booleans())
def test_damage_is_noticed(
    tmp_path_factory: pytest.TempPathFactory, place: int, bit: int, *, cut: bool
) -> None:
    """Whatever bit flips, wherever the file ends: the same states, or none."""
    tmp_path = tmp_path_factory.mktemp("snapshot")
    folder = SnapshotFolder(Settings(data_dir=tmp_path))
    write(folder)
    file = file_in(tmp_path)
    content = bytearray(file.read_bytes())
    place %= len(content)
    content[place] ^= 1 << bit
    file.write_bytes(content[:place] if cut else content)

    opened = folder.take(TOPIC, 3, now=2_000)
    if opened is not None:
        with pytest.raises(SnapshotError):
            list(opened.states())


def test_records_behind_a_snapshot_count() -> None:
    """What was written later replaces what the snapshot had; older owners do not."""
    rebuilt = Rebuilt(0, 1, "mine")
    rebuilt.restore(dict(STATES))
    rebuilt.apply(b"ld_1", encode(Stored(1, 2, 7, {"web": 99}, b"new", None)), 42)
    rebuilt.apply(b"ld_2", encode(Stored(1, 1, 0, {"web": 99}, b"late", None)), 43)
    rebuilt.apply(b"ld_3", None, 44)
    table = LeadTable({})
    rebuilt.epoch = rebuilt.epoch._replace(offset=45)
    table.adopt(rebuilt)
    claim = table.claim(0)

    assert claim is not None
    kept = dict(table.stored([f"ld_{n}" for n in range(1, 4)], claim))
    assert kept["ld_1"].state == b"new"
    assert kept["ld_2"].state == b"xx"
    assert kept["ld_2"].owner == 45
    assert "ld_3" not in kept
    assert [key for key, _ in rebuilt.repairs()] == ["ld_2"]


# -- A worker that takes them


@pytest.fixture
def settings(make_topics: MakeTopics) -> Settings:
    return make_topics(partitions=2, session_seconds=1.0, snapshot_seconds=0.5)


@pytest.fixture
def worker(settings: Settings, tmp_path: Path) -> Iterator[WorkerProcess]:
    worker = WorkerProcess(settings, tmp_path / "worker.log")
    yield worker
    worker.end()


def taken(worker: WorkerProcess) -> float:
    return worker.figure('leadpulse_snapshots_total{result="taken"}')


def wait_for_snapshots(worker: WorkerProcess) -> None:
    """Return when all of them were begun after this was called."""
    before = taken(worker)
    # Three tables of two partitions; a round that had begun may be under way.
    wait_until(lambda: taken(worker) >= before + 12, 30, "snapshots")


def test_a_worker_goes_on_from_its_snapshots(
    settings: Settings, worker: WorkerProcess
) -> None:
    """Killed, with damaged files: the scores are those of the events, each once."""
    events = make_events(600, 50)
    worker.start().wait_ready()
    produce(settings, events[:300])
    wait_until(lambda: committed(settings) == 300, 40, "the first events")
    wait_for_snapshots(worker)
    worker.kill()
    produce(settings, events[300:400])

    worker.start().wait_ready()
    assert worker.figure('leadpulse_snapshots_total{result="used"}') == 6
    assert worker.figure("leadpulse_restored_states_total") > 40
    wait_until(lambda: committed(settings) == 400, 40, "the next events")
    wait_for_snapshots(worker)
    worker.kill()
    leads = f"{settings.topic(LEAD_STATE.name)}-"
    files = sorted(settings.data_dir.glob(f"snapshots/*/{leads}*"))
    assert len(files) == 2
    with files[0].open("r+b") as file:  # one ends in the middle
        file.truncate(files[0].stat().st_size // 2)
    # The other is of a log that lost its end: another record is there now.
    other = SnapshotFolder(settings).write(header_of(files[1], mark=b"another"))
    other.finish()
    account = f"{settings.topic(ACCOUNT_STATE.name)}-"
    (one, *_) = sorted(settings.data_dir.glob(f"snapshots/*/{account}*"))
    third = SnapshotFolder(settings).write(header_of(one, claim="another"))
    third.finish()
    produce(settings, events[400:])

    worker.start().wait_ready()
    assert worker.figure('leadpulse_snapshots_total{result="refused"}') == 3
    wait_until(lambda: committed(settings) == 600, 40, "the last events")
    assert worker.stop() == 0
    check_exact(settings, events)


def header_of(path: Path, **given: str | bytes) -> Header:
    """Return the header of a snapshot's file with something else in it."""
    content = path.read_bytes()
    size = int.from_bytes(content[:4])
    header = msgspec.msgpack.decode(content[8 : 8 + size], type=Header)
    return msgspec.structs.replace(header, **given)


def test_late_writes_are_undone_at_once(
    settings: Settings, worker: WorkerProcess
) -> None:
    """What a former owner writes late is written over while the worker goes on."""
    worker.start().wait_ready()
    produce(settings, make_events(20, 5))
    wait_until(lambda: committed(settings) == 20, 40, "the events")
    wait_for_snapshots(worker)
    last = {
        record.key(): record
        for record in read_all(settings, LEAD_STATE)
        if record.key() != OWNER_KEY and record.value() is not None
    }
    key, record = next(iter(last.items()))
    state = msgspec.msgpack.decode(record.value() or b"", type=Stored)
    late = Stored(1, state.term - 1, 0, {}, state.state, None)
    put_raw(
        settings,
        LEAD_STATE,
        msgspec.msgpack.encode(late),
        key=key,
        partition=record.partition() or 0,
    )

    def undone() -> bool:
        written = [
            msgspec.msgpack.decode(each.value() or b"", type=Stored)
            for each in read_all(settings, LEAD_STATE)
            if each.key() == key
        ]
        return late in written and written[-1].positions == state.positions

    wait_until(undone, 30, "the late write to be undone")
    assert worker.stop() == 0


# -- When none may be taken


class Taking:
    """A taker on a table of one partition, beside a changelog that ends at 42."""

    def __init__(self, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
        self.table = LeadTable({})
        self.own("mine")
        self.confirm: Callable[[], None] = lambda: None
        self.mark = b"mark"
        self.folder = SnapshotFolder(settings)
        self.topic = settings.topic(LEAD_STATE.name)
        monkeypatch.setattr(snapshot_taker, "end_of", lambda *_: 42)
        monkeypatch.setattr(snapshot_taker, "late_keys", lambda *_: [])
        monkeypatch.setattr(snapshot_taker, "mark_of", lambda *_: self.mark)
        self.taker = SnapshotTaker(
            settings,
            tables={LEAD_STATE: self.table},
            log=RecordingLog([]),
            clock=SystemClock(),
            confirm=self._confirm,
            writing=asyncio.Lock(),
        )

    async def _confirm(self) -> None:
        self.confirm()

    def own(self, claim: str) -> None:
        rebuilt = Rebuilt(0, 1, claim)
        rebuilt.restore(dict(STATES))
        self.table.adopt(rebuilt)

    async def take(self) -> int:
        """Take them; return how many states there are, -1 if there is no snapshot."""
        await self.taker.take()
        return self.found()

    def found(self) -> int:
        opened = self.folder.take(self.topic, 0, SystemClock().now())
        return sum(map(len, opened.states())) if opened else -1


@pytest.fixture
def taking(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Taking:
    return Taking(Settings(data_dir=tmp_path), monkeypatch)


async def test_all_states_are_taken(taking: Taking) -> None:
    """Nothing stands in the way: the snapshot has every state."""
    assert await taking.take() == len(STATES)


async def test_none_of_a_partition_that_goes_away(taking: Taking) -> None:
    """A partition that is dropped meanwhile has no states: that is no snapshot."""
    taking.confirm = lambda: taking.table.drop([0])

    assert await taking.take() == -1


async def test_none_of_a_partition_that_is_owned_anew(taking: Taking) -> None:
    """What another claim brought is not told under the former one."""
    taking.confirm = lambda: taking.own("another")

    assert await taking.take() == -1


async def test_none_of_states_that_are_in_doubt(taking: Taking) -> None:
    """Where the states may not be what is on the changelog, none is taken."""

    def doubt() -> None:
        raise NotOwnerError

    taking.confirm = doubt

    assert await taking.take() == -1


async def test_none_of_a_log_that_lost_its_end(taking: Taking) -> None:
    """Where the changelog's last record is gone again, offsets say nothing."""
    taking.mark = b""

    assert await taking.take() == -1


async def test_none_holds_what_was_removed(taking: Taking) -> None:
    """The snapshot that has a state which is removed later is removed itself."""
    await taking.taker.take()
    taking.table.remove("ld_1")
    taking.taker.tidy()

    assert taking.found() == -1


@pytest.mark.parametrize(
    ("failed", "generation"), [(True, 3), (False, None)], ids=["failed", "unsure"]
)
async def test_states_are_in_doubt_after_a_failure(
    *, failed: bool, generation: int | None
) -> None:
    """A fetch that did not come to its end leaves states that nobody may rely on."""
    app = SimpleNamespace(failed=failed, owner=SimpleNamespace(generation=generation))

    with pytest.raises(NotOwnerError):
        await _confirm_states(cast("WorkerApp", app))
