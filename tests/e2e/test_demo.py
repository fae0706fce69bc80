"""The demo as a newcomer runs it: everything real, every promise checked by itself."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.waiting import wait_until

pytestmark = pytest.mark.e2e

DEMO = (sys.executable, "-m", "streams.cli.main", "demo", "--no-board")


def environ(tmp_path: Path) -> dict[str, str]:
    return {**os.environ, "LEADPULSE_DATA_DIR": str(tmp_path / "with a space")}


def test_the_demo_keeps_its_promises(tmp_path: Path) -> None:
    """Leads heat up and cool down, every promise is kept, and it leaves with 0."""
    ran = subprocess.run(
        [*DEMO, "--seconds", "20"],
        env=environ(tmp_path),
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )

    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "hot-lead" in ran.stdout
    assert "lead-cooled" in ran.stdout
    assert ran.stdout.count("kept  ") == 7
    assert "BROKEN" not in ran.stdout
    recorded = tmp_path / "with a space" / "demo" / "events.ndjson"
    assert len(recorded.read_bytes().splitlines()) > 500


def test_ctrl_c_ends_the_demo_and_leaves_nothing(tmp_path: Path) -> None:
    """An interrupted demo stops every process it started."""
    demo = subprocess.Popen(
        [*DEMO, "--seconds", "60"],
        env=environ(tmp_path),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        process_group=0,
    )
    data = tmp_path / "with a space" / "demo"
    wait_until(lambda: list(data.glob("*/*.pid")), 60, "the demo's processes")
    deadline = time.monotonic() + 60
    pids: set[int] = set()
    while len(pids) < 5 and time.monotonic() < deadline:
        for path in data.glob("*/*.pid"):
            pids.update(map(int, path.read_text().split()[:1]))
    demo.send_signal(signal.SIGINT)
    out, _ = demo.communicate(timeout=60)

    assert demo.returncode == 130, out
    assert "Traceback" not in out
    for pid in pids:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)
