"""How many events one collector takes, beside a handler that does nothing with them.

wrk sends batches of 1 and of 100 calls to the collector and, in turn, to a handler of
the same framework on the same server that reads the body and answers: what is between
the two is what it costs to check, translate and make events durable before answering.

    python -m bench.collector_load --broker kafka --seconds 10 --runs 5

wrk must be installed (`apt install wrk`). Medians of the runs; only the ratios mean
anything on another machine.
"""

import argparse
import json
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import httpx
from confluent_kafka import Consumer, TopicPartition
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from schemas.topics import EVENT_TOPICS
from streams.broker import ApacheBroker, EmbeddedBroker
from streams.processes import LOOPBACK, free_port
from streams.settings import Settings, load_settings
from streams.topics_admin import create_topics
from tests.waiting import wait_until

_KEY = "bench-key"
_BATCHES = (1, 100)
_SCRIPT = """\
wrk.method = "POST"
wrk.headers["Content-Type"] = "application/json"
wrk.headers["Authorization"] = "Basic {basic}"
local file = io.open("{body}", "rb")
wrk.body = file:read("*a")
file:close()
"""
_BASIC = "YmVuY2gta2V5Og=="
_UNITS = {"us": 1e-3, "ms": 1.0, "s": 1e3, "m": 6e4}


class Figures(NamedTuple):
    """What one run of wrk showed."""

    events: float
    """A second."""
    p99: float
    """Milliseconds."""
    cpu: float
    """Microseconds of the server's CPU time per event."""


async def _answer(request: Request) -> Response:
    await request.body()
    return Response(b'{"success":true}', media_type="application/json")


bare = Starlette(routes=[Route("/v1/batch", _answer, methods=["POST"])])
"""What the collector is held against."""


def _bodies(folder: Path) -> dict[int, Path]:
    """Write a script for each size of batch."""
    scripts = {}
    for size in _BATCHES:
        calls = [
            {
                "type": "track",
                "messageId": f"m-{number}",
                "userId": f"user-{number}",
                "event": "Product Viewed",
                "timestamp": "2026-01-01T00:00:00.000Z",
                "properties": {"product": "one", "path": "/products/one"},
                "context": {"ip": "203.0.113.9", "userAgent": "Mozilla/5.0"},
            }
            for number in range(size)
        ]
        body = folder / f"batch-{size}.json"
        body.write_text(json.dumps({"batch": calls}), "utf-8")
        scripts[size] = folder / f"batch-{size}.lua"
        scripts[size].write_text(_SCRIPT.format(basic=_BASIC, body=body), "utf-8")
    return scripts


@contextmanager
def _served(argv: list[str], port: int, environ: dict[str, str]) -> Iterator[int]:
    """Run a server; yield its process id once it answers."""
    process = subprocess.Popen(
        [sys.executable, "-m", *argv],
        env={**os.environ, **environ},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )

    def answers() -> bool:
        if process.poll() is not None:
            sys.exit(f"{argv[0]} ended with {process.returncode}")
        try:
            httpx.get(f"http://{LOOPBACK}:{port}/")
        except httpx.TransportError:
            return False
        return True

    try:
        wait_until(answers, 30, argv[0])
        yield process.pid
    finally:
        process.terminate()
        process.wait(30)


def _cpu(pid: int) -> float:
    """Return the CPU seconds that a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text("utf-8").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _load(
    port: int, pid: int, script: Path, size: int, given: argparse.Namespace
) -> tuple[Figures, int]:
    """Let wrk send for a while; return what it showed, and the events answered."""
    before = _cpu(pid)
    told = subprocess.run(
        [
            *("wrk", "-t1", f"-c{given.connections}", f"-d{given.seconds}s"),
            *(
                "--timeout",
                "30s",
                "--latency",
                "-s",
                str(script),
                f"http://{LOOPBACK}:{port}/v1/batch",
            ),
        ],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    used = _cpu(pid) - before
    if "Non-2xx" in told or "Socket errors" in told:
        sys.exit(f"not all was taken:\n{told}")
    requests = _number(r"(\d+) requests in", told)
    rate = _number(r"Requests/sec:\s+([\d.]+)", told)
    found = re.search(r"99%\s+([\d.]+)(us|ms|s|m)\b", told)
    if found is None:
        sys.exit(told)
    p99 = float(found[1]) * _UNITS[found[2]]
    return Figures(rate * size, p99, used / requests / size * 1e6), int(requests) * size


def _number(pattern: str, text: str) -> float:
    found = re.search(pattern, text)
    if found is None:
        sys.exit(text)
    return float(found[1])


def _stored(settings: Settings) -> int:
    """Return how many events are on the topics."""
    consumer = Consumer(
        {"bootstrap.servers": settings.bootstrap, "group.id": "bench-collector"}
    )
    try:
        return sum(
            consumer.get_watermark_offsets(
                TopicPartition(settings.topic(topic.name), number), timeout=10
            )[1]
            for topic in EVENT_TOPICS
            for number in range(settings.partitions)
        )
    finally:
        consumer.close()


def _measure(settings: Settings, folder: Path, given: argparse.Namespace) -> int:
    scripts = _bodies(folder)
    bare_port = free_port()
    bare_argv = [
        *("uvicorn", "bench.collector_load:bare", "--port", str(bare_port)),
        *("--loop", "uvloop", "--http", "httptools", "--no-access-log"),
    ]
    found: dict[tuple[str, int], list[Figures]] = {}
    answered = 0
    with (
        _served(bare_argv, bare_port, {}) as bare_pid,
        _served(
            ["streams.cli.main", "collector"],
            settings.collector_port,
            settings.environ(),
        ) as pid,
    ):
        for run in range(given.runs):
            for size, script in scripts.items():
                figures, count = _load(
                    settings.collector_port, pid, script, size, given
                )
                answered += count
                found.setdefault(("collector", size), []).append(figures)
                figures, _ = _load(bare_port, bare_pid, script, size, given)
                found.setdefault(("bare handler", size), []).append(figures)
                print(f"run {run + 1}, batches of {size}: done", flush=True)
    stored = _stored(settings)
    print(f"\n{answered:,} events were answered for, {stored:,} are on the topics")
    for size in _BATCHES:
        rows = {name: found[name, size] for name in ("collector", "bare handler")}
        print(f"\nbatches of {size}, {given.connections} connections")
        middles = {}
        for name, runs in rows.items():
            middle = Figures(*map(statistics.median, zip(*runs, strict=True)))
            middles[name] = middle
            print(
                f"  {name:<14}{middle.events:>12,.0f} events/s"
                f"{middle.p99:>10.1f} ms p99{middle.cpu:>10.1f} µs CPU/event"
            )
        ours, theirs = middles["collector"], middles["bare handler"]
        print(
            f"  ratio         {ours.events / theirs.events:>12.2f}"
            f"{ours.p99 / theirs.p99:>19.1f}{ours.cpu / theirs.cpu:>14.1f}"
        )
    # wrk breaks off what is under way at its end: that is stored, and not answered.
    return int(stored < answered)


def main() -> int:
    """Return 0 when everything that was answered for is on the topics."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--broker", choices=("embedded", "kafka"), default="kafka")
    parser.add_argument("--seconds", type=int, default=10)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--connections", type=int, default=32)
    given = parser.parse_args()
    if shutil.which("wrk") is None:
        sys.exit("wrk is not installed: apt install wrk")
    broker = ApacheBroker if given.broker == "kafka" else EmbeddedBroker
    with tempfile.TemporaryDirectory() as folder, broker(Path(folder)) as running:
        settings = load_settings(
            bootstrap=running.bootstrap,
            partitions=4,
            write_keys=f"bench={_KEY}",
            collector_port=free_port(),
            metrics_port=0,
            data_dir=folder,
        )
        create_topics(settings)
        began = time.monotonic()
        status = _measure(settings, Path(folder), given)
        print(f"\n{time.monotonic() - began:.0f} s in all")
        return status


if __name__ == "__main__":
    sys.exit(main())
