"""Child processes that never outlive their parent, and never go unnoticed.

A child is started in its own process group, so that Ctrl-C reaches only the parent
and the parent decides the order of stopping. On Linux the kernel ends the child when
the parent dies, even by SIGKILL. Everywhere, the child holds a lock on its pid file:
a lock that is still held names a process left over from a run that was killed.
"""

import errno
import fcntl
import os
import secrets
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from streams.errors import PortUnusableError, UserError

LOOPBACK: Final = "127.0.0.1"
_LAST_PORT: Final = 65_535
# Linux gives connections ports from 32768 on, macOS and Windows from 49152 on.
_FREE_PORTS: Final = range(15_000, 32_000)
_PORTS_TRIED: Final = 100
_drawn: Final[set[int]] = set()
_POLL_SECONDS: Final = 0.02
_KILL_SECONDS: Final = 10.0

# Runs before the program, in its process: ask the kernel to end it with its parent
# (prctl 1 is PR_SET_PDEATHSIG), leave if the parent is already gone, then become it.
# A preexec_fn would do the same in a fork of a process full of client threads.
_DIE_WITH_PARENT: Final = """
import ctypes, os, signal, sys
ctypes.CDLL(None).prctl(1, signal.SIGKILL)
if os.getppid() != int(sys.argv[1]):
    sys.exit(1)
os.execv(sys.argv[2], sys.argv[2:])
"""


class ProcessError(UserError):
    """A child process could not be started, or ended when it should not have."""


class DataInUseError(ProcessError):
    """Another live run keeps its data in the same directory."""

    def __init__(self, directory: Path, name: str, owner: int) -> None:
        """Name the directory, what runs in it and the process that started it."""
        super().__init__(
            f"{directory} is in use: {name} there belongs to process {owner}; "
            f"stop that process or choose another directory with --data"
        )
        self.owner = owner


def free_port() -> int:
    """Return a loopback port that nothing listened on a moment ago.

    It lies below the ports that systems give to outgoing connections, one of which
    could take it before a server that is still starting does. The same process never
    gets it twice.
    """
    for _ in range(_PORTS_TRIED):
        port = _FREE_PORTS.start + secrets.randbelow(len(_FREE_PORTS))
        with socket.socket() as probe, suppress(OSError):
            if port not in _drawn:
                probe.bind((LOOPBACK, port))
                _drawn.add(port)
                return port
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        return int(probe.getsockname()[1])


def claim_port(port: int, *, purpose: str, setting: str, host: str = LOOPBACK) -> int:
    """Return `port`, or a free one for 0, sure that nothing listens on it.

    Raises
    ------
    PortUnusableError
        When something does, or the address is not ours; `setting` changes it.
    """
    if port == 0:
        return free_port()
    try:
        if not 0 < port <= _LAST_PORT:
            raise OSError(errno.EINVAL, f"there are ports up to {_LAST_PORT}")
        socket.create_server((host, port)).close()
    except OSError as error:
        raise PortUnusableError(
            host=host, port=port, purpose=purpose, setting=setting, error=error
        ) from None
    return port


@dataclass(slots=True, kw_only=True)
class Child:
    """One child process, its log file and its pid file."""

    name: str
    argv: Sequence[str]
    directory: Path
    """Where it keeps its pid file and, unless told otherwise, runs and logs."""
    cwd: Path | None = None
    environ: Mapping[str, str] | None = None
    """Its whole environment; that of this process if None."""
    log: Path | None = None
    _process: subprocess.Popen[bytes] | None = None

    @property
    def log_path(self) -> Path:
        """Where its output goes; the run before is kept beside it as `.1`."""
        return self.log or self.directory / f"{self.name}.log"

    @property
    def pid_path(self) -> Path:
        """Where its process id is written, locked as long as it lives."""
        return self.directory / f"{self.name}.pid"

    @property
    def pid(self) -> int | None:
        """Its process id, None before the start."""
        return None if self._process is None else self._process.pid

    @property
    def exit_code(self) -> int | None:
        """How it ended; None while it runs or before it was started."""
        return None if self._process is None else self._process.poll()

    @property
    def running(self) -> bool:
        """Whether it was started and has not ended."""
        return self._process is not None and self._process.poll() is None

    def start(self) -> None:
        """Run the program in the background; a leftover of a killed run is ended.

        On Linux it ends with the *thread* that calls this: call it from one that
        lives as long as the child should.

        Raises
        ------
        DataInUseError
            When the pid file is held by a child of another live process.
        ProcessError
            When the program cannot be run.
        """
        self.directory.mkdir(parents=True, exist_ok=True)
        self.log_path.parent.mkdir(parents=True, exist_ok=True)
        with suppress(FileNotFoundError):
            self.log_path.replace(self.log_path.with_suffix(".log.1"))
        lock = self._lock_pid_file()
        try:
            with self.log_path.open("wb") as log:
                self._process = subprocess.Popen(
                    _with_parent(self.argv),
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    cwd=self.cwd or self.directory,
                    env=self.environ,
                    process_group=0,
                    pass_fds=(lock,),
                )
            os.ftruncate(lock, 0)
            os.pwrite(lock, f"{self._process.pid} {os.getpid()}\n".encode(), 0)
        except OSError as error:
            msg = f"cannot start {self.name} ({self.argv[0]}): {error.strerror}"
            raise ProcessError(msg) from None
        finally:
            os.close(lock)  # from here on only the child holds the lock

    def wait_ready(
        self, ready: Callable[[], bool], *, within: float, doing: str
    ) -> None:
        """Return once `ready()` is true.

        Raises
        ------
        ProcessError
            With the last lines of the log, when the child ends first or `within`
            seconds pass.
        """
        deadline = time.monotonic() + within
        while not ready():
            if not self.running:
                code = self.exit_code
                msg = f"{self.name} ended with code {code} while {doing}"
                raise ProcessError(msg + self.last_words())
            if time.monotonic() > deadline:
                msg = f"{self.name} was not ready after {within:g} s of {doing}"
                raise ProcessError(msg + self.last_words())
            time.sleep(_POLL_SECONDS)

    def ask_to_stop(self) -> None:
        """Send it SIGTERM and do not wait."""
        if self._process is not None and self._process.poll() is None:
            self._process.terminate()

    def stop(self, *, within: float = 20.0) -> bool:
        """End it by SIGTERM, by SIGKILL after `within` seconds; True if SIGTERM did."""
        if self._process is None:
            return True
        self.ask_to_stop()
        try:
            self._process.wait(within)
        except subprocess.TimeoutExpired:
            self.kill()
            return False
        self._forget()
        return True

    def kill(self) -> None:
        """End it at once, by SIGKILL, as a crash would."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(_KILL_SECONDS)
            self._forget()

    def tail(self, lines: int = 15) -> list[str]:
        """Return the last lines of its log."""
        with suppress(OSError):
            text = self.log_path.read_text(encoding="utf-8", errors="replace")
            return text.splitlines()[-lines:]
        return []

    def last_words(self, lines: int = 15) -> str:
        """Return the end of its log as an indented block, ready to follow an error."""
        block = "".join(f"\n  {line}" for line in self.tail(lines))
        return f"; the end of {self.log_path}:{block}" if block else ""

    def _forget(self) -> None:
        self.pid_path.unlink(missing_ok=True)

    def _lock_pid_file(self) -> int:
        while True:
            lock = os.open(self.pid_path, os.O_RDWR | os.O_CREAT, 0o644)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                os.close(lock)
                self._end_leftover()
            except BaseException:
                os.close(lock)
                raise
            else:
                return lock

    def _end_leftover(self) -> None:
        words = self.pid_path.read_text(encoding="ascii").split()
        if len(words) != 2:  # noqa: PLR2004 - not written yet: just being started
            raise DataInUseError(self.directory, self.name, os.getppid())
        pid, owner = map(int, words)
        if is_alive(owner):
            raise DataInUseError(self.directory, self.name, owner)
        for sent in (signal.SIGTERM, signal.SIGKILL):
            with suppress(ProcessLookupError):
                os.kill(pid, sent)
            deadline = time.monotonic() + _KILL_SECONDS
            while is_alive(pid) and time.monotonic() < deadline:
                time.sleep(_POLL_SECONDS)
            if not is_alive(pid):
                return
        msg = f"{self.name} of an earlier run (process {pid}) cannot be ended"
        raise ProcessError(msg)


def is_alive(pid: int) -> bool:
    """Return whether a process of this id exists and has not ended."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    # A child that ended but was not waited for still has its id.
    with suppress(OSError, IndexError):
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
        return stat.rpartition(")")[2].split()[0] not in "ZX"
    return True


def _with_parent(argv: Sequence[str]) -> list[str]:
    if not sys.platform.startswith("linux"):
        return list(argv)
    python = [sys.executable, "-I", "-S", "-c", _DIE_WITH_PARENT, str(os.getpid())]
    return [*python, *argv]
