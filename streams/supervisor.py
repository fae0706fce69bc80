"""A whole deployment on one machine: broker, Redis and every role as child processes.

`leadpulse up` and the demo are two faces of `Stack`. It knows the order in which
things start and stop and when they are ready; it prints nothing.
"""

import os
import secrets
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal, Self

from pydantic import SecretStr

from streams.access import least_token
from streams.broker import ApacheBroker, Broker, EmbeddedBroker
from streams.processes import LOOPBACK, Child, ProcessError, claim_port
from streams.redis_access import redis_address
from streams.redis_server import RedisServer, ask_redis
from streams.role_metrics import RoleMetrics, answers_ok, read_metrics
from streams.settings import PREFIX, Settings
from streams.suppressions import KEY_FILE as PRIVACY_KEY_FILE
from streams.topics_admin import create_topics, shared_partitions

BrokerKind = Literal["embedded", "kafka"]

_READY_SECONDS: Final = 60.0
_POLL_SECONDS: Final = 0.1
_SOURCE: Final = "local"
_KEY_FILE: Final = "write-key"
_COMMANDS: Final = {"learning": ("learn", "follow"), "sinks": ("sinks", "run")}
"""How a role is started whose command has another name."""


class RoleEndedError(ProcessError):
    """A part of the stack ended by itself; the text has its last log lines."""

    def __init__(self, child: Child) -> None:
        """Name the part, how it ended and the end of its log."""
        how = f"ended unexpectedly with code {child.exit_code}"
        super().__init__(f"{child.name} {how}{child.last_words()}")
        self.name = child.name


@dataclass(frozen=True, slots=True, kw_only=True)
class Role:
    """One running role: its process and where its metrics are."""

    name: str
    child: Child
    metrics_url: str
    ready_url: str


class Stack:
    """Everything on one machine, from the broker to the view.

    A broker or a Redis that the settings name (`bootstrap`, `redis_url`) is used;
    otherwise an embedded one is started. Enter it as a context, or call `start` and
    `stop`; call `check` now and then while it runs. Start it from the main thread:
    on Linux the children end with the thread that started them.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        broker: BrokerKind = "embedded",
        workers: int = 1,
        broker_port: int = 0,
        redis_port: int = 0,
        tell: Callable[[str], None] = lambda _line: None,
    ) -> None:
        """Plan a stack in ``settings.data_dir``; nothing runs before `start`.

        `tell` hears, in one line each, of what takes its time.
        """
        self.data_dir: Final = settings.data_dir.absolute()
        self._given = settings
        self._workers = workers
        self._tell = tell
        self._settings: Settings | None = None
        self._roles: list[Role] = []
        self._broker: Broker | None = None
        self._redis: RedisServer | None = None
        self._partitions = 0
        if "bootstrap" not in settings.model_fields_set:
            self._broker = (
                ApacheBroker(
                    self.data_dir / "kafka",
                    port=broker_port,
                    log=self._log("broker"),
                    tell=tell,
                )
                if broker == "kafka"
                else EmbeddedBroker(
                    self.data_dir / "broker", port=broker_port, log=self._log("broker")
                )
            )
        if "redis_url" not in settings.model_fields_set:
            self._redis = RedisServer(
                self.data_dir / "redis",
                port=redis_port,
                # The view of topics that are gone would show leads nobody knows.
                keep=self._broker is None or self._broker.keeps_data,
                log=self._log("redis"),
            )

    @property
    def settings(self) -> Settings:
        """The settings in force, addresses and write key included.

        Raises
        ------
        ProcessError
            Before the start, when they are not known yet.
        """
        if self._settings is None:
            msg = "the stack was not started"
            raise ProcessError(msg)
        return self._settings

    @property
    def bootstrap(self) -> str:
        """Where Kafka clients connect."""
        return self.settings.bootstrap

    @property
    def redis_url(self) -> str:
        """Where the view is."""
        return redis_address(self.settings)

    @property
    def collector_url(self) -> str:
        """Where events are sent, without a path."""
        host = _reachable(self.settings.host)
        return f"http://{host}:{self.settings.collector_port}"

    @property
    def web_url(self) -> str:
        """Where the web app is, for a browser on this machine."""
        return f"{self.collector_url.rpartition(':')[0]}:{self.settings.web_port}"

    @property
    def write_key(self) -> str:
        """A key that the collector accepts."""
        return next(iter(self.settings.write_keys.values())).get_secret_value()

    @property
    def broker(self) -> Broker | None:
        """The broker that was started; None when one was named."""
        return self._broker

    @property
    def redis(self) -> RedisServer | None:
        """The Redis that was started; None when one was named."""
        return self._redis

    @property
    def roles(self) -> tuple[Role, ...]:
        """The running roles in the order of their start."""
        return tuple(self._roles)

    def start(self) -> Self:
        """Start everything; returns when events are taken in and scored.

        Raises
        ------
        UserError
            When a port is taken, a part is missing or does not come up, or topics
            that exist are unfit. Whatever was started is stopped again.
        """
        try:
            self._start()
        except BaseException:
            self.stop()
            raise
        return self

    def stop(self) -> None:
        """Stop everything, each part after those that write to it; leave nothing.

        An exception meanwhile (a second Ctrl-C) ends the rest at once.
        """
        roles, self._roles = self._roles, []
        children = [role.child for role in roles]
        try:
            for name in (
                "collector",
                "web",
                "worker",
                "learning",
                "view",
                "delivery",
                "sinks",
            ):
                group = [role.child for role in roles if role.name.startswith(name)]
                for child in group:
                    child.ask_to_stop()
                for child in group:
                    child.stop()
            if self._redis is not None:
                self._redis.stop()
            if self._broker is not None:
                self._broker.stop()
        except BaseException:
            with ExitStack() as rest:  # kill each, whatever befalls the others
                for part in (self._broker, self._redis, *children):
                    if part is not None:
                        rest.callback(part.kill)
            raise

    def check(self) -> None:
        """Return if every part still runs.

        Raises
        ------
        RoleEndedError
            For the first part that ended by itself, with its last log lines.
        """
        for child in self._children():
            if not child.running:
                raise RoleEndedError(child)

    def metrics(self) -> RoleMetrics | None:
        """Return what all roles tell of themselves; None while one is silent."""
        return self._metrics_of(self._roles)

    def __enter__(self) -> Self:
        """Start everything."""
        return self.start()

    def __exit__(self, *_exc: object) -> None:
        """Stop everything."""
        self.stop()

    def _start(self) -> None:
        given = self._given
        # Before anything runs: a taken port is the likeliest reason to begin again.
        collector_port = claim_port(
            given.collector_port,
            purpose="the collector",
            setting="--port",
            host=given.host,
        )
        # Who lets a free port be picked does not mind where the other is.
        free = not given.collector_port and "web_port" not in given.model_fields_set
        web_port = claim_port(
            0 if free else given.web_port,
            purpose="the web app",
            setting="--web-port",
            host=given.host,
        )
        workers = [f"worker-{number}" for number in range(1, self._workers + 1)]
        names = ["collector", "view", "learning", "web"]
        if given.delivery_path is not None:
            names.append("delivery")
        if given.sinks_dir is not None:
            names.append("sinks")
        names += workers if workers[1:] else ["worker"]
        metrics_ports = list(self._claim_metrics_ports(len(names)))
        self._make_data_dir()
        if self._broker is not None:
            self._tell(f"starting the {self._broker.name} broker")
            self._broker.start()
        if self._redis is not None:
            self._redis.start()
        else:  # its absence would only show in the log of the view's feed
            ask_redis(redis_address(given))
        chosen: dict[str, object] = {
            "collector_port": collector_port,
            "web_port": web_port,
            "write_keys": given.write_keys
            or {_SOURCE: SecretStr(self._kept_secret(_KEY_FILE))},
        }
        if given.privacy_key is None:
            chosen["privacy_key"] = SecretStr(self._kept_secret(PRIVACY_KEY_FILE))
        if self._broker is not None:
            chosen["bootstrap"] = self._broker.bootstrap
        if self._redis is not None:
            chosen["redis_url"] = SecretStr(self._redis.url)
        # What the web app shows of the others.
        urls = map(self._metrics_url, metrics_ports)
        chosen["web_metrics"] = given.web_metrics or dict(zip(names, urls, strict=True))
        chosen["reports_dir"] = given.reports_dir or self.data_dir / "reports"
        self._settings = given.model_copy(update=chosen)
        self._partitions = shared_partitions(create_topics(self._settings))
        self._tell("starting " + ", ".join(names))
        for name, port in zip(names, metrics_ports, strict=True):
            self._roles.append(self._start_role(name, port))
        self._wait_ready()

    def _metrics_url(self, port: int) -> str:
        return f"http://{_reachable(self._given.host)}:{port}/metrics"

    def _claim_metrics_ports(self, count: int) -> Iterator[int]:
        first = self._given.metrics_port
        for number in range(count):
            yield claim_port(
                first and first + number,
                purpose="metrics",
                setting="--metrics-port",
                host=self._given.host,
            )

    def _start_role(self, name: str, metrics_port: int) -> Role:
        own: dict[str, object] = {
            "metrics_port": metrics_port,
            "data_dir": self.data_dir / name,
            "log_format": "json",
        }
        if self.settings.worker_id is not None:  # two members must not share one
            own["worker_id"] = f"{self.settings.worker_id}-{name}"
        settings = self.settings.model_copy(update=own)
        child = Child(
            name=name,
            argv=[
                *(sys.executable, "-m", "streams.cli.main"),
                *_COMMANDS.get(name, (name.partition("-")[0],)),
            ],
            directory=self.data_dir / name,
            cwd=Path.cwd(),
            environ={
                # Not the parent's LEADPULSE_*: a *_FILE among them would win.
                **_foreign_environ(),
                **settings.environ(),
                "PYTHONUNBUFFERED": "1",
            },
            log=self._log(name),
        )
        child.start()
        own_url = self._metrics_url(metrics_port).removesuffix("/metrics")
        return Role(
            name=name,
            child=child,
            metrics_url=f"{own_url}/metrics",
            ready_url=(
                f"{self.collector_url if name == 'collector' else own_url}/readyz"
            ),
        )

    def _wait_ready(self) -> None:
        deadline = time.monotonic() + _READY_SECONDS
        while (waiting := self._not_ready()) is not None:
            self.check()
            if time.monotonic() > deadline:
                msg = (
                    f"{waiting.name} was not ready after {_READY_SECONDS:g} s"
                    f"{waiting.child.last_words()}"
                )
                raise ProcessError(msg)
            time.sleep(_POLL_SECONDS)

    def _not_ready(self) -> Role | None:
        """Return a role that is still to come up, None if events are scored."""
        for role in self._roles:
            if not answers_ok(role.ready_url):
                return role
        # Ready is also a worker that waits for its share: all must have an owner.
        workers = [role for role in self._roles if role.name.startswith("worker")]
        told = self._metrics_of(workers)
        owned = 0 if told is None else told.total("leadpulse_assigned_partitions")
        return None if owned >= self._partitions else workers[-1]

    def _metrics_of(self, roles: Iterable[Role]) -> RoleMetrics | None:
        return read_metrics(
            (role.metrics_url for role in roles),
            token=least_token(self.settings.access_tokens),
        )

    def _children(self) -> Iterator[Child]:
        for part in (self._broker, self._redis):
            if part is not None and part.child is not None:
                yield part.child
        for role in self._roles:
            yield role.child

    def _make_data_dir(self) -> None:
        try:
            self.data_dir.mkdir(parents=True, exist_ok=True)
            # Its own contents are nobody's to commit.
            (self.data_dir / ".gitignore").write_text("*\n", encoding="utf-8")
        except OSError as error:
            msg = f"cannot write to {self.data_dir}: {error.strerror}; choose --data"
            raise ProcessError(msg) from None

    def _kept_secret(self, name: str) -> str:
        """Return a key of this data directory, made up the first time."""
        path = self.data_dir / name
        with suppress(FileNotFoundError):
            if key := path.read_text(encoding="utf-8").strip():
                return key
        key = secrets.token_hex(16)
        path.touch(mode=0o600)
        path.write_text(key + "\n", encoding="utf-8")
        return key

    def _log(self, name: str) -> Path:
        return self.data_dir / "logs" / f"{name}.log"


def _reachable(host: str) -> str:
    """Return where this machine reaches what listens on `host`."""
    return LOOPBACK if host in {"0.0.0.0", "::"} else host  # noqa: S104


def _foreign_environ() -> dict[str, str]:
    return {
        name: value for name, value in os.environ.items() if not name.startswith(PREFIX)
    }
