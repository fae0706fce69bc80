"""The demo on a machine that has no network but itself."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.e2e

# In a network namespace of its own there is no way out: only loopback, once it is up.
ISOLATED = ("unshare", "--map-root-user", "--net", "sh", "-c")
LOOPBACK_UP = "ip link set lo up"


@pytest.fixture
def isolated() -> tuple[str, ...]:
    """The words before a shell line that run it without a network."""
    possible = (
        shutil.which("unshare") is not None
        and shutil.which("ip") is not None
        and subprocess.run([*ISOLATED, LOOPBACK_UP], check=False).returncode == 0
    )
    if not possible:
        pytest.skip(
            "NO NETWORK NAMESPACES HERE: needs unshare, ip, and leave to use it"
        )
    return ISOLATED


def test_the_demo_needs_no_network(isolated: tuple[str, ...], tmp_path: Path) -> None:
    """Once installed, broker, Redis and roles come up and keep every promise."""
    demo = f'"{sys.executable}" -m streams.cli.main demo --seconds 10 --no-board'

    done = subprocess.run(
        [*isolated, f"{LOOPBACK_UP} && exec {demo}"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
        capture_output=True,
        text=True,
        timeout=150,
        check=False,
    )

    assert done.returncode == 0, done.stdout + done.stderr
    assert "receipt to alert" in done.stdout
