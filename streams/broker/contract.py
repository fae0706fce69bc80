"""What every broker that Leadpulse starts can do."""

import socket
from abc import ABC, abstractmethod
from pathlib import Path
from typing import ClassVar, Self

from streams.processes import LOOPBACK, Child, ProcessError, claim_port


class BrokerError(ProcessError):
    """A broker could not be started; the text says what to do."""


class Broker(ABC):
    """A broker on loopback, as a child process, with its data in one directory."""

    name: ClassVar[str]
    keeps_data: ClassVar[bool]
    """Whether records survive a restart of the broker."""
    start_seconds: ClassVar[float]
    """How long a start may take before it counts as failed."""

    def __init__(
        self, directory: Path, *, port: int = 0, log: Path | None = None
    ) -> None:
        """Keep data and log (unless at `log`) in `directory`; port 0: a free one."""
        self.directory = directory.absolute()
        self.log = log
        self._asked_port = port
        self._port: int | None = None
        self._child: Child | None = None

    @property
    def bootstrap(self) -> str:
        """Where clients connect, as host:port.

        Raises
        ------
        BrokerError
            Before the first start: a free port is picked then.
        """
        if self._port is None:
            msg = f"the {self.name} broker was not started"
            raise BrokerError(msg)
        return f"{LOOPBACK}:{self._port}"

    @property
    def child(self) -> Child | None:
        """The process that serves, None while there is none."""
        return self._child

    def start(self) -> Self:
        """Serve; returns when a real metadata request has been answered."""
        self.launch()
        self.wait_until_serving()
        return self

    def launch(self) -> None:
        """Run the process; it may not serve yet."""
        if self._port is None:
            self._port = claim_port(
                self._asked_port,
                purpose=f"the {self.name} broker",
                setting="--broker-port",
            )
        child = self._prepare(self._port)
        child.start()
        self._child = child

    def wait_until_serving(self) -> None:
        """Return when a real metadata request has been answered.

        Raises
        ------
        ProcessError
            When the process ends first, or takes too long; it is not left running.
        """
        if self._child is None:
            msg = f"the {self.name} broker was not launched"
            raise BrokerError(msg)
        try:
            self._child.wait_ready(
                self._answers, within=self.start_seconds, doing="starting to serve"
            )
        except BaseException:
            self.kill()
            raise

    def stop(self) -> None:
        """Stop serving in an orderly way; nothing is left running."""
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

    @abstractmethod
    def _prepare(self, port: int) -> Child:
        """Return the process to start, everything it needs being in place."""

    def _answers(self) -> bool:
        return accepts(self.bootstrap) and answers(self.bootstrap)


def accepts(address: str, *, within: float = 0.2) -> bool:
    """Return whether something listens on host:port."""
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host.strip("[]"), int(port)), within).close()
    except OSError:
        return False
    return True


def answers(bootstrap: str, *, within: float = 2.0) -> bool:
    """Return whether a broker answers a metadata request in `within` seconds."""
    from confluent_kafka import KafkaException  # noqa: PLC0415 - loads librdkafka
    from confluent_kafka.admin import AdminClient  # noqa: PLC0415

    # Refused connections are expected while a broker starts: keep them off stderr.
    admin = AdminClient({"bootstrap.servers": bootstrap, "log_level": 0})
    try:
        return bool(admin.list_topics(timeout=within).brokers)
    except KafkaException:
        return False
