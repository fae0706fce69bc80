"""Many open boards on one process of the web app: push latency and memory.

Starts Redis and `leadpulse web`, opens as many streams of server-sent events as asked
for, and puts score updates on the view's live channel, each with its own sequence::

    python -m bench.live_clients                       # 200 clients for five minutes
    python -m bench.live_clients --clients 50 --seconds 30 --rate 100

Latency is from the update being handed to Redis until a client has read it. The clients
are in this process and take their part of the machine.
"""

import argparse
import asyncio
import statistics
import sys
import tempfile
import time
from pathlib import Path

import msgspec
from msgspec.structs import replace
from redis import Redis

from bench.million_leads import memory
from schemas.examples import SCORE_UPDATE
from streams.processes import LOOPBACK, Child, free_port
from streams.redis_server import RedisServer
from streams.role_metrics import answers_ok
from streams.settings import PREFIX
from streams.view import connect_view

_WARM_SECONDS = 10.0
_SAMPLE_SECONDS = 30.0
_PER_CENT = 100
_READY_SECONDS = 30.0


class Sequence(msgspec.Struct):
    """What is looked at of a pushed update."""

    sequence: int = -1


class Clients:
    """Streams that are read as they come."""

    def __init__(self, port: int, wanted: int) -> None:
        """Connect to `port` of this machine, `wanted` times."""
        self._port = port
        self._sent: dict[int, float] = {}
        self._decode = msgspec.json.Decoder(Sequence).decode
        self._all_open = asyncio.Event()
        self._wanted = wanted
        self._open = 0
        self.seconds: list[float] = []
        self.ended = 0

    def note(self, sequence: int) -> None:
        """Remember when an update was handed over."""
        self._sent[sequence] = time.perf_counter()

    async def all_open(self) -> None:
        """Return when every stream has begun."""
        await self._all_open.wait()

    async def listen(self) -> None:
        """Read one stream until it ends or this is cancelled."""
        reader, writer = await asyncio.open_connection(LOOPBACK, self._port)
        writer.write(
            f"GET /api/v1/live HTTP/1.1\r\nHost: {LOOPBACK}:{self._port}\r\n"
            "Accept: text/event-stream\r\n\r\n".encode()
        )
        try:
            while line := await reader.readline():
                now = time.perf_counter()
                if line.startswith(b"event: hello"):
                    self._open += 1
                    if self._open == self._wanted:
                        self._all_open.set()
                elif line.startswith(b"data: {"):
                    sequence = self._decode(line[6:]).sequence
                    if sequence in self._sent:
                        self.seconds.append(now - self._sent[sequence])
            self.ended += 1
        finally:
            writer.close()


def start_web(folder: Path, redis_url: str) -> tuple[Child, int]:
    """Start `leadpulse web` over a view; return it and its port once it is ready."""
    port, metrics_port = free_port(), free_port()
    web = Child(
        name="web",
        argv=[sys.executable, "-m", "streams.cli.main", "web"],
        directory=folder,
        cwd=Path(__file__).parents[1],
        environ={
            f"{PREFIX}REDIS_URL": redis_url,
            f"{PREFIX}WEB_PORT": str(port),
            f"{PREFIX}METRICS_PORT": str(metrics_port),
            f"{PREFIX}LOG_LEVEL": "warning",
        },
    )
    web.start()
    deadline = time.monotonic() + _READY_SECONDS
    while not answers_ok(f"http://{LOOPBACK}:{metrics_port}/readyz"):
        if time.monotonic() > deadline:
            sys.exit(f"the web app did not get ready{web.last_words()}")
        time.sleep(0.1)
    return web, port


async def _push(
    clients: Clients, redis: "Redis", channel: str, rate: float, seconds: float
) -> int:
    encode = msgspec.json.Encoder().encode
    began, sequence = time.perf_counter(), 0
    while (due := began + sequence / rate) < began + seconds:
        await asyncio.sleep(max(due - time.perf_counter(), 0.0))
        sequence += 1
        message = encode(replace(SCORE_UPDATE, sequence=sequence))
        clients.note(sequence)
        redis.publish(channel, message)
    return sequence


async def measure(given: argparse.Namespace, folder: Path, redis_url: str) -> None:
    """Print memory every half minute, then what the pushes took."""
    web, port = start_web(folder, redis_url)
    pid = web.pid or 0
    try:
        clients = Clients(port, given.clients)
        listening = [
            asyncio.create_task(clients.listen()) for _ in range(given.clients)
        ]
        await clients.all_open()
        redis = Redis.from_url(redis_url)
        channel = connect_view(redis_url, prefix="").live_channel
        await _push(clients, redis, channel, given.rate, _WARM_SECONDS)
        await asyncio.sleep(1.0)  # what is under way arrives
        clients.seconds.clear()
        first = memory(pid, "VmRSS")
        pushing = asyncio.create_task(
            _push(clients, redis, channel, given.rate, given.seconds)
        )
        began = time.perf_counter()
        while not pushing.done():
            await asyncio.wait([pushing], timeout=_SAMPLE_SECONDS)
            passed = time.perf_counter() - began
            print(f"{passed:5.0f} s: {memory(pid, 'VmRSS') / 1e6:,.1f} MB", flush=True)
        sent = await pushing
        await asyncio.sleep(1.0)  # what is under way arrives
        for each in listening:
            each.cancel()
    finally:
        web.stop()
    found = clients.seconds
    cuts = statistics.quantiles(found, n=_PER_CENT)
    expected = sent * given.clients
    print(
        f"{given.clients} clients, {sent:,} updates at {given.rate:g}/s: "
        f"{len(found):,} of {expected:,} pushes arrived, {clients.ended} ended; "
        f"p50 {cuts[49] * 1e3:.1f} ms, p99 {cuts[98] * 1e3:.1f} ms, "
        f"max {max(found) * 1e3:.1f} ms; memory {first / 1e6:.1f} MB at the beginning"
    )
    if len(found) < expected:
        sys.exit(1)


def main() -> None:
    """Measure one process of the web app."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--clients", type=int, default=200)
    parser.add_argument("--seconds", type=float, default=300.0)
    parser.add_argument("--rate", type=float, default=20.0, help="updates a second")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        redis = RedisServer(folder / "redis", keep=False)
        redis.start()
        try:
            asyncio.run(measure(given, folder / "web", redis.url))
        finally:
            redis.stop()


if __name__ == "__main__":
    main()
