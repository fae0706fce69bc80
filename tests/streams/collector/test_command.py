"""`leadpulse collector` as a process: one clear line for every mistake."""

import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import httpx
import pytest

from streams.settings import Settings
from tests.streams.collector.conftest import KEYS, Read
from tests.waiting import wait_until


def environ(settings: Settings, **variables: str) -> dict[str, str]:
    ours = {
        "BOOTSTRAP": settings.bootstrap,
        "TOPIC_PREFIX": settings.topic_prefix,
        "WRITE_KEYS": KEYS,
        "COLLECTOR_PORT": "0",
        "METRICS_PORT": "0",
        "DATA_DIR": str(settings.data_dir),
        **variables,
    }
    return {**os.environ, **{f"LEADPULSE_{name}": text for name, text in ours.items()}}


COMMAND = (sys.executable, "-m", "streams.cli.main", "collector")


def run(settings: Settings, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        COMMAND,
        env=environ(settings, **variables),
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
    )


@contextmanager
def taken_port() -> Iterator[str]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield str(listener.getsockname()[1])


@pytest.mark.parametrize("setting", ["COLLECTOR_PORT", "METRICS_PORT"])
def test_a_port_already_taken(topics: Settings, setting: str) -> None:
    """A taken port is one line that names it and what changes it; exit code 2."""
    with taken_port() as port:
        ended = run(topics, **{setting: port})

    assert ended.returncode == 2
    (line,) = ended.stderr.splitlines()
    assert f":{port}" in line
    assert f"LEADPULSE_{setting}" in line


@pytest.mark.parametrize(
    ("variables", "named"),
    [
        ({"WRITE_KEYS": ""}, "LEADPULSE_WRITE_KEYS"),
        ({"WRITE_KEYS": "nonsense"}, "LEADPULSE_WRITE_KEYS"),
        ({"MAX_BODY_BYTES": "ten"}, "LEADPULSE_MAX_BODY_BYTES"),
    ],
)
def test_wrong_settings(
    topics: Settings, variables: dict[str, str], named: str
) -> None:
    """A missing key or wrong setting is one line that names it; exit code 2."""
    ended = run(topics, **variables)

    assert ended.returncode == 2
    (line,) = ended.stderr.splitlines()
    assert named in line


def test_a_whole_life(settings: Settings, read: Read) -> None:
    """The command serves events and metrics, logs no key, and stops on SIGTERM."""
    process = subprocess.Popen(
        COMMAND, env=environ(settings), stderr=subprocess.PIPE, text=True
    )
    try:
        assert process.stderr is not None
        first = process.stderr.readline()
        url, metrics = re.findall(r"http://[^\"]+", first)
        wait_until(lambda: httpx.get(f"{url}/readyz").status_code == 200)
        body = {"event": "Demo Requested", "userId": "u"}
        sent = httpx.post(f"{url}/v1/track", json=body, auth=("wk-1", ""))
        shown = httpx.get(metrics).text
    finally:
        process.send_signal(signal.SIGTERM)
        _, log = process.communicate(timeout=30)

    assert sent.status_code == 200
    assert 'leadpulse_collector_events_total{source="website"' in shown
    assert "leadpulse_build_info" in shown
    assert process.returncode == 0
    assert "wk-1" not in first + log
    read(1, "web.events.v1")
