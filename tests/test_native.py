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


def scored(folder: Path) -> list[str]:
    """Return how the core in `folder` ran, how many leads it scored, and to what."""
    done = subprocess.run(
        [sys.executable, "-c", SCORE],
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
    """Updates, alerts, words to accounts and states of a demo are the same bytes."""
    for package in (*native.PACKAGES, "bench", "deploy"):
        shutil.copytree(ROOT / package, tmp_path / package)
    monkeypatch.setenv("NATIVE_LEVEL", "0")
    native.compile_in(tmp_path)

    plain, compiled = scored(ROOT), scored(tmp_path)

    assert (plain[0], compiled[0]) == ("py", "so")
    assert compiled[1:] == plain[1:]
