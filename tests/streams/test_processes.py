"""Child processes: they end with their parent, and no leftover goes unnoticed."""

import os
import signal
import socket
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from streams.errors import PortUnusableError
from streams.processes import (
    Child,
    DataInUseError,
    ProcessError,
    claim_port,
    is_alive,
)
from tests.waiting import wait_until

SLEEPER = "import time; print('awake', flush=True); time.sleep(600)"
STUBBORN = (
    "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN);"
    "print('awake', flush=True); time.sleep(600)"
)

MakeChild = Callable[[str], Child]


@pytest.fixture
def child_of(tmp_path: Path) -> Iterator[MakeChild]:
    """Children that run a piece of Python in one directory with a space."""
    children: list[Child] = []

    def make(code: str) -> Child:
        child = Child(
            name="sleeper",
            argv=[sys.executable, "-c", code],
            directory=tmp_path / "a directory",
        )
        children.append(child)
        return child

    yield make
    for child in children:
        child.kill()


def awake(child: Child) -> Child:
    """Start a child; return it when it has spoken."""
    child.start()
    child.wait_ready(lambda: child.tail() == ["awake"], within=10, doing="waking")
    return child


def another_run(tmp_path: Path, then: str) -> tuple[subprocess.Popen[str], int]:
    """Start a sleeper from another process, which then does `then`."""
    code = textwrap.dedent(f"""
        import sys, time
        from pathlib import Path
        from streams.processes import Child
        child = Child(
            name="sleeper",
            argv=[sys.executable, "-c", {SLEEPER!r}],
            directory=Path({str(tmp_path / "a directory")!r}),
        )
        child.start()
        print(child.pid, flush=True)
        {then}
    """)
    owner = subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, text=True
    )
    assert owner.stdout is not None
    return owner, int(owner.stdout.readline())


def end(owner: subprocess.Popen[str]) -> None:
    """End the other process and let go of its pipe."""
    owner.kill()
    owner.communicate(timeout=10)


def test_a_stopped_child_is_gone(child_of: MakeChild) -> None:
    """After a stop there is no process and no pid file."""
    child = awake(child_of(SLEEPER))
    pid = child.pid
    assert pid is not None
    assert child.running

    assert child.stop()

    assert not is_alive(pid)
    assert not child.running
    assert not child.pid_path.exists()


def test_a_child_deaf_to_sigterm_is_killed(child_of: MakeChild) -> None:
    """What does not end when asked is ended, and the caller is told."""
    child = awake(child_of(STUBBORN))

    assert not child.stop(within=0.3)

    assert child.exit_code == -signal.SIGKILL


def test_a_child_that_ends_early_gives_its_last_words(child_of: MakeChild) -> None:
    """Whoever waits for it learns its exit code and the end of its log at once."""
    child = child_of("import sys; print('the disk is full'); sys.exit(7)")
    child.start()

    with pytest.raises(ProcessError, match=r"(?s)code 7.*the disk is full"):
        child.wait_ready(lambda: False, within=30, doing="starting")


def test_a_child_that_never_gets_ready_is_reported(child_of: MakeChild) -> None:
    """Waiting has an end, and the message names it."""
    child = awake(child_of(SLEEPER))

    with pytest.raises(ProcessError, match=r"(?s)not ready after 0.1 s.*awake"):
        child.wait_ready(lambda: False, within=0.1, doing="starting")


def test_a_missing_program_is_one_line(tmp_path: Path) -> None:
    """A program that is not there is an error of the user's kind."""
    child = Child(name="none", argv=["/no/such/program"], directory=tmp_path)

    if sys.platform.startswith("linux"):
        child.start()
        with pytest.raises(ProcessError, match="No such file"):
            child.wait_ready(lambda: False, within=10, doing="starting")
    else:
        with pytest.raises(ProcessError, match="No such file"):
            child.start()


def test_the_log_of_the_run_before_is_kept(child_of: MakeChild) -> None:
    """A restart does not wipe out what the crashed run said last."""
    first = child_of("print('first')")
    first.start()
    wait_until(lambda: not first.running, 10, "the first run to end")

    awake(child_of(SLEEPER)).stop()

    kept = child_of(SLEEPER).log_path.with_suffix(".log.1")
    assert "first" in kept.read_text(encoding="utf-8")


@pytest.mark.skipif(
    not sys.platform.startswith("linux"), reason="only Linux tells a child"
)
def test_a_child_dies_with_its_killed_parent(tmp_path: Path) -> None:
    """SIGKILL of the parent ends the child, though nobody could stop it."""
    owner, pid = another_run(tmp_path, "time.sleep(600)")
    assert is_alive(pid)

    end(owner)

    wait_until(lambda: not is_alive(pid), 10, "the child to end")


def test_ctrl_c_does_not_reach_a_child(child_of: MakeChild) -> None:
    """A child has its own process group: the parent decides who stops when."""
    child = awake(child_of(SLEEPER))
    assert child.pid is not None

    assert os.getpgid(child.pid) == child.pid != os.getpgrp()


def test_a_second_run_on_the_same_data_is_refused(
    tmp_path: Path, child_of: MakeChild
) -> None:
    """While another live process owns the directory, the error names that process."""
    owner, pid = another_run(tmp_path, "time.sleep(600)")
    try:
        with pytest.raises(DataInUseError, match=r"--data") as refused:
            child_of(SLEEPER).start()
        assert refused.value.owner == owner.pid
        assert is_alive(pid)
    finally:
        end(owner)


def test_a_leftover_of_a_killed_run_is_ended(
    tmp_path: Path, child_of: MakeChild
) -> None:
    """A child that outlived its parent (no kernel help) makes way for the new one."""
    # Started without the kernel's help, as on a system that has none.
    directory = tmp_path / "a directory"
    code = (
        "import streams.processes as p; p._with_parent = list\n"
        "import sys; from pathlib import Path\n"
        f"c = p.Child(name='sleeper', argv=[sys.executable, '-c', {SLEEPER!r}],"
        f" directory=Path({str(directory)!r}))\n"
        "c.start(); print(c.pid)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, check=True
    )
    leftover = int(done.stdout)
    try:
        assert is_alive(leftover)

        child = awake(child_of(SLEEPER))

        assert not is_alive(leftover)
        assert child.running
    finally:
        with suppress(ProcessLookupError):
            os.kill(leftover, signal.SIGKILL)


def test_a_taken_port_names_itself_and_the_option() -> None:
    """The message says which port, what for and how to change it; it is usage."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]

        with pytest.raises(PortUnusableError) as refused:
            claim_port(port, purpose="the collector", setting="--port")

    text = str(refused.value)
    assert str(port) in text
    assert "the collector" in text
    assert "--port" in text
    assert "\n" not in text
    assert refused.value.exit_code == 2


@pytest.mark.parametrize("port", [-1, 65_536])
def test_a_port_that_cannot_be_is_refused(port: int) -> None:
    """Counting up from the last port ends in the same one line."""
    with pytest.raises(PortUnusableError, match=r"up to 65535.*--metrics-port"):
        claim_port(port, purpose="metrics", setting="--metrics-port")


def test_port_zero_is_a_free_one() -> None:
    """Zero picks a port on which a server can listen."""
    port = claim_port(0, purpose="a test", setting="--port")

    socket.create_server(("127.0.0.1", port)).close()
    assert claim_port(port, purpose="a test", setting="--port") == port
