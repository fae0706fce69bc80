"""The core compiled: the same to the byte, and nothing in it that would not be."""

import os
import shutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[1]

SCORE = """
import hashlib
from itertools import islice
import msgspec
from bench.core import DEFAULT, demo, stream_of
from scorers import crossing
from scorers.compiled import compile_model
from scorers.loading import load_model
from scorers.scorer import on_event, on_wakeup
from scorers.state import encode_state

model = compile_model(load_model(DEFAULT.read_text("utf-8"), DEFAULT.name))
digest, states = hashlib.sha256(), {}
for lead, event in stream_of(demo(60)):
    step = on_event(model, states.get(lead), event, event.now)
    states[lead] = step.state
    digest.update(msgspec.json.encode((step.updates, step.alerts, step.members)))
for state in states.values():
    for _ in range(5):
        step = on_wakeup(model, state, (state.wake_at or state.now) + 3_600_000)
        state = step.state
        digest.update(msgspec.json.encode(step.updates) + encode_state(state))
print(str(crossing.__file__).rpartition(".")[2], len(states), digest.hexdigest())
"""

WORK = """
import asyncio
import hashlib
import tempfile
from collections import defaultdict
from itertools import chain
from pathlib import Path
import msgspec
import tests.worker_bench as ports
from bench.core import DEFAULT, demo
from bench.peers.toy import Score, decode_score, encode
from schemas.topics import ACCOUNT_MEMBERS, COMMANDS, topic_for
from scorers.compiled import compile_model
from scorers.identity import derive_lead_id
from scorers.loading import load_model
from streams.agents import durable
from streams.partitioner import partition_of
from streams.rebuilding import Rebuilt
from streams.settings import Settings
from streams.state_records import VERSION, Epoch, Stored
from streams.tables import Kept
from streams.transport.snapshots import FORMAT, Header, SnapshotFolder


class KeptScore(Kept):
    @staticmethod
    def encode(state):
        return encode(state)

    def decode(self, data):
        return decode_score(data)


# What only Python knows inherits from what is compiled.
score = Score("lead", 1.5, 7, 2)
kept = KeptScore(0, Stored(VERSION, 0, 0, {}, KeptScore.encode(score), None))
assert kept.is_packed and kept.state == score

model = compile_model(load_model(DEFAULT.read_text("utf-8"), DEFAULT.name))
bench = ports.Bench(model=model)
bench.table._most_unpacked = 5  # states are packed, and needed again
offsets = defaultdict(int)
files = tempfile.TemporaryDirectory()
folder = SnapshotFolder(Settings(data_dir=Path(files.name)))


def placed(topic, key, value, headers=()):
    place = topic, partition_of(key, ports.PARTITIONS)
    offsets[place] += 1
    return place, ports.Raw(offsets[place], key, value, tuple(headers))


async def work(found):
    # What leads and accounts are told comes back, as from a broker.
    while found:
        batches = defaultdict(list)
        for place, record in found:
            batches[place].append(record)
        told = len(bench.log.records)
        await bench.process(
            *(
                ports.batch(*records, topic=topic, partition=partition)
                for (topic, partition), records in batches.items()
            )
        )
        found = [
            placed(each.topic.removeprefix("t."), each.key, each.value, each.headers)
            for each in bench.log.records[told:]
            if each.topic.removeprefix("t.") in (COMMANDS.name, ACCOUNT_MEMBERS.name)
        ]


def restart(table):
    # What a worker has from snapshots lies in their files.
    for partition in sorted(table.partitions):
        claim = table.claim(partition)
        states = table.stored(table.keys_of(partition), claim)
        header = Header(FORMAT, "t", partition, claim.id, claim.offset, 0, 1, b"")
        with folder.write(header) as writer:
            writer.add(states)
            writer.finish()
        found = folder.take("t", partition, 1)
        rebuilt = Rebuilt(partition, claim.term, claim.id)
        rebuilt.restore(dict(chain.from_iterable(found.states())))
        rebuilt.epoch = Epoch(claim.term, claim.offset)
        table.drop([partition])
        table.adopt(rebuilt)


async def main():
    people = sorted(demo(40), key=lambda event: event.now)
    bench.clock.at = people[-1].now
    for begin in range(0, len(people), 50):
        if begin % 200 == 0:
            restart(bench.table)
            restart(bench.companies)
        await work(
            [
                placed(
                    topic_for(event).name,
                    derive_lead_id(event).encode(),
                    msgspec.json.encode(event),
                )
                for event in people[begin : begin + 50]
            ]
        )


asyncio.run(main())
digest = hashlib.sha256(
    msgspec.json.encode([tuple(each) for each in bench.log.records])
)
print(
    str(durable.__file__).rpartition(".")[2],
    len(bench.log.records),
    len(bench.log.on("notifications.v1")),
    len(bench.log.on("dead-letters.v1")),
    digest.hexdigest(),
)
"""


@pytest.fixture(scope="module")
def native() -> ModuleType:
    """Return deploy/native.py, which is no part of a package."""
    from importlib.util import module_from_spec, spec_from_file_location

    spec = spec_from_file_location("native", ROOT / "deploy" / "native.py")
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def told(folder: Path, script: str) -> list[str]:
    """Return what a script prints that runs on the core in `folder`."""
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(folder)},
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    return done.stdout.split()


def test_no_struct_that_is_compiled_has_a_shape_of_its_own(native: ModuleType) -> None:
    """Arguments of a class get lost: what depends on them is not compiled."""
    assert [
        wrong for name in native.MODULES for wrong in native.shaped(ROOT / name)
    ] == []
    assert native.shaped(ROOT / "scorers" / "state.py")


@pytest.mark.integration
@pytest.mark.skipif(shutil.which("cc") is None, reason="there is no C compiler")
def test_compiled_or_not_every_byte_is_the_same(
    native: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What core and agents make of a demo is the same bytes, states included."""
    for package in (*native.PACKAGES, "bench", "deploy", "tests"):
        shutil.copytree(ROOT / package, tmp_path / package)
    monkeypatch.setenv("NATIVE_LEVEL", "0")
    native.compile_in(tmp_path)

    for script in (SCORE, WORK):
        plain, compiled = told(ROOT, script), told(tmp_path, script)

        assert (plain[0], compiled[0]) == ("py", "so")
        assert compiled[1:] == plain[1:]
