"""Freezing a process, as a machine that hangs would."""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.waiting import wait_until


@contextmanager
def frozen(pid: int) -> Iterator[None]:
    """Stop a process; it stands still within, and goes on after."""
    os.kill(pid, signal.SIGSTOP)
    try:
        # The signal takes effect in its own time.
        wait_until(lambda: _stands_still(pid), what=f"process {pid} to be stopped")
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def _stands_still(pid: int) -> bool:
    """Say whether every thread of a process is stopped."""
    tasks = Path(f"/proc/{pid}/task").glob("*/stat")
    return all(task.read_text().rpartition(")")[2].split()[0] == "T" for task in tasks)
