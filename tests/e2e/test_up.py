"""`leadpulse up` as a person runs it: up, used, stopped, killed, in its own folder."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import urllib.request
from base64 import b64encode
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from streams.processes import free_port, is_alive
from streams.settings import load_settings
from streams.supervisor import RoleEndedError, Stack
from tests.waiting import wait_until

pytestmark = pytest.mark.e2e

READY_SECONDS = 60


class Up:
    """One `leadpulse up` in a folder, and every process that came of it."""

    def __init__(self, folder: Path, *options: str) -> None:
        self.folder = folder
        self.output = folder / "output"
        with self.output.open("wb") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "streams.cli.main", "up", *options],
                cwd=folder,
                stdout=output,
                stderr=subprocess.STDOUT,
                env={
                    **os.environ,
                    "PYTHONPATH": str(Path(__file__).parents[2]),
                    "PYTHONUNBUFFERED": "1",
                },
            )

    @property
    def said(self) -> str:
        return self.output.read_text(encoding="utf-8")

    def ready(self) -> "Up":
        def up_or_over() -> bool:
            over = self.process.poll() is not None
            return over or "Ctrl-C stops everything" in self.said

        wait_until(up_or_over, READY_SECONDS, "leadpulse to be up")
        assert self.process.poll() is None, self.said
        return self

    def told(self, name: str) -> str:
        found = re.search(rf"^  {name} +(\S+)", self.said, re.MULTILINE)
        assert found is not None, self.said
        return found[1]

    def children(self) -> dict[str, int]:
        return {
            path.stem: int(path.read_text(encoding="ascii").split()[0])
            for path in self.folder.glob(".leadpulse/*/*.pid")
        }

    def end(self, sent: signal.Signals) -> int:
        self.process.send_signal(sent)
        return self.process.wait(60)


StartUp = Callable[..., Up]


@pytest.fixture
def start_up(tmp_path: Path) -> Iterator[StartUp]:
    """Runs of `leadpulse up` on free ports in a folder with a space in its name."""
    folder = tmp_path / "a folder, with spaces"
    folder.mkdir()
    runs: list[Up] = []

    def start(*options: str) -> Up:
        run = Up(folder, *(options or ("--port", "0", "--metrics-port", "0")))
        runs.append(run)
        return run

    yield start
    for run in runs:
        run.process.kill()
        run.process.wait(10)


def track(url: str, write_key: str, **event: str) -> int:
    """Send one event as a source does; return the status."""
    request = urllib.request.Request(  # noqa: S310 - loopback
        f"{url}/v1/track",
        json.dumps(event).encode(),
        {
            "Content-Type": "application/json",
            "Authorization": "Basic " + b64encode(f"{write_key}:".encode()).decode(),
        },
    )
    with urllib.request.urlopen(request, timeout=20) as answer:  # noqa: S310
        return int(answer.status)


def test_up_takes_events_in_and_ctrl_c_leaves_nothing(start_up: StartUp) -> None:
    """An event sent as the summary says is scored; Ctrl-C ends all, exit code 0."""
    up = start_up().ready()
    children = up.children()
    roles = {"collector", "worker", "view", "learning", "web"}
    assert set(children) == {"broker", "redis", *roles}
    assert all(map(is_alive, children.values()))

    status = track(
        up.told("collector"), up.told("write key"), userId="u-1", event="Demo Requested"
    )

    assert status == 200
    metrics = up.told("worker metrics")

    def scored() -> bool:
        with urllib.request.urlopen(metrics, timeout=5) as answer:  # noqa: S310
            return b'leadpulse_events_total{result="scored"' in answer.read()

    wait_until(scored, 20, "the event to be scored")

    assert up.end(signal.SIGINT) == 0, up.said
    assert not any(map(is_alive, children.values()))
    assert not up.children()
    assert "nothing is left running" in up.said


def test_a_second_ctrl_c_does_not_wait(start_up: StartUp) -> None:
    """A part that hangs holds up the first Ctrl-C for a while, and not the second."""
    up = start_up().ready()
    children = up.children()
    os.kill(children["worker"], signal.SIGSTOP)
    up.process.send_signal(signal.SIGINT)
    wait_until(lambda: not is_alive(children["collector"]), 15, "the collector to end")
    assert up.process.poll() is None

    up.process.send_signal(signal.SIGINT)

    assert up.process.wait(10) == 0, up.said
    assert not any(map(is_alive, children.values()))


@pytest.mark.skipif(
    not sys.platform.startswith("linux"), reason="only Linux tells a child"
)
def test_a_killed_up_leaves_nothing(start_up: StartUp) -> None:
    """SIGKILL of `up` itself ends every child; the next run starts in its place."""
    up = start_up().ready()
    children = up.children()

    up.end(signal.SIGKILL)

    wait_until(
        lambda: not any(map(is_alive, children.values())), 10, "the children to end"
    )
    again = start_up().ready()
    assert again.told("write key") == up.told("write key")
    assert again.end(signal.SIGTERM) == 0, again.said


def test_a_crashed_role_ends_everything(start_up: StartUp) -> None:
    """When a role dies, all stop, its last log lines are shown, and it is a failure."""
    up = start_up().ready()
    children = up.children()

    os.kill(children["worker"], signal.SIGKILL)

    assert up.process.wait(60) == 1
    assert "worker ended unexpectedly with code -9" in up.said
    assert "worker.log" in up.said
    assert "Traceback" not in up.said
    assert not any(map(is_alive, children.values()))


@pytest.mark.parametrize("option", ["--port", "--metrics-port", "--redis-port"])
def test_a_taken_port_is_named(start_up: StartUp, option: str) -> None:
    """One line: which port, and which option changes it; wrong usage."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        ports = {"--port": "0", "--metrics-port": "0", option: port}

        up = start_up(*(word for pair in ports.items() for word in pair))

        assert up.process.wait(60) == 2
    (line,) = [line for line in up.said.splitlines() if line.startswith("leadpulse")]
    assert port in line
    assert option in line
    assert not up.children()


def test_a_named_redis_must_answer(start_up: StartUp) -> None:
    """One line, before anything takes events in; its password is not repeated."""
    up = start_up(
        *("--redis", "redis://:pa55word@127.0.0.1:1/0"),
        *("--port", "0", "--metrics-port", "0"),
    )

    assert up.process.wait(60) == 1
    assert "leadpulse: no Redis answers" in up.said
    assert "pa55word" not in up.said
    assert not up.children()


def test_two_runs_on_the_same_data_are_refused(start_up: StartUp) -> None:
    """The second says who has the directory, and the first goes on."""
    first = start_up().ready()

    second = start_up()

    assert second.process.wait(60) == 1
    assert str(first.process.pid) in second.said
    assert "--data" in second.said
    assert all(map(is_alive, first.children().values()))
    assert first.end(signal.SIGTERM) == 0, first.said


def test_a_named_broker_and_redis_are_used(
    start_up: StartUp, broker: str, redis_url: str
) -> None:
    """With --bootstrap and --redis nothing is started in their place."""
    ports = ("--port", "0", "--metrics-port", "0")

    up = start_up("--bootstrap", broker, "--redis", redis_url, *ports).ready()

    assert set(up.children()) == {"collector", "worker", "view", "learning", "web"}
    assert up.told("broker") == broker
    assert up.end(signal.SIGTERM) == 0, up.said


def test_two_workers_share_the_partitions(start_up: StartUp) -> None:
    """Both are ready, and each has its own metrics."""
    up = start_up("--workers", "2", "--port", "0", "--metrics-port", "0").ready()

    assert up.told("worker-1 metrics") != up.told("worker-2 metrics")
    assert up.end(signal.SIGTERM) == 0, up.said


@pytest.mark.integration
@pytest.mark.usefixtures("apache_kafka_possible")
def test_up_on_apache_kafka_keeps_the_topics(start_up: StartUp) -> None:
    """The same on Apache Kafka, whose topics are still there the next time."""
    options = ("--broker", "kafka", "--port", "0", "--metrics-port", "0")
    port = str(free_port())
    up = start_up(*options, "--broker-port", port).ready()
    assert up.end(signal.SIGINT) == 0, up.said

    again = start_up(*options, "--broker-port", port).ready()

    assert "Apache Kafka" in again.said
    assert again.end(signal.SIGINT) == 0, again.said


def test_a_stack_is_a_library(tmp_path: Path) -> None:
    """A program gets addresses and keys from a stack, and a crash as an error."""
    started = 1_795_255_200_000
    settings = load_settings(
        {},
        data_dir=tmp_path / "stack",
        collector_port=0,
        metrics_port=0,
        partitions=2,
        write_keys="demo=secret",
        access_tokens="ada=admin:0123456789abcdef,vi=viewer:fedcba9876543210",
        clock_origin=started,
        clock_started=started,
        clock_speed=60.0,
    )
    with Stack(settings) as stack:
        stack.check()
        assert stack.write_key == "secret"
        assert stack.settings.clock_speed == 60.0
        assert track(stack.collector_url, "secret", userId="u", event="x") == 200
        told = stack.metrics()
        assert told is not None
        assert told.total("leadpulse_collector_events_total", verdict="accepted") == 1

        stack.roles[0].child.kill()

        with pytest.raises(RoleEndedError, match="collector"):
            stack.check()
    assert stack.roles == ()
