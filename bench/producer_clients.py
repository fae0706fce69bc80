"""Which Kafka client acknowledges a collector's requests fastest (ADR 0006).

    python bench/producer_clients.py [HOST:PORT]

Without an address it starts the embedded broker. Each client sends the same 600-byte
events with three headers, acks=all, and a request is done when the last of its
events is acknowledged, as in the collector. One process per client.
"""

import asyncio
import itertools
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import uvloop
from aiokafka import AIOKafkaProducer
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient, NewTopic
from confluent_kafka.aio import AIOProducer
from kafka import KafkaProducer

from streams.broker import EmbeddedBroker

TOPIC = "bench.producer-clients"
VALUE = b"x" * 600
HEADERS = [("ce_id", b"0" * 36), ("ce_type", b"t" * 18), ("ce_source", b"s" * 18)]
KEYS = [f"ld_{number:032x}".encode() for number in range(1_000)]
LOADS = ((1, 32, 4_000), (100, 4, 400))
"""Events in a request, requests at a time, requests in all."""

Send = Callable[[list[bytes]], Awaitable[None]]


async def measure(client: str, send: Send) -> None:
    """Print the figures of one client under every load."""
    await send(KEYS[:1])
    for size, at_once, requests in LOADS:
        latencies: list[float] = []
        keys = itertools.cycle(KEYS)

        async def work(
            size: int, count: int, latencies: list[float], keys: Iterator[bytes]
        ) -> None:
            for _ in range(count):
                begun = time.perf_counter()
                await send([next(keys) for _ in range(size)])
                latencies.append(time.perf_counter() - begun)

        wall, cpu = time.perf_counter(), time.process_time()
        count = requests // at_once
        await asyncio.gather(
            *(work(size, count, latencies, keys) for _ in range(at_once))
        )
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
        latencies.sort()
        events = len(latencies) * size
        print(
            f"{client:14} {size:4} per request  {events / wall:8,.0f} events/s  "
            f"{events / cpu:8,.0f} per CPU second  "
            f"p50 {latencies[len(latencies) // 2] * 1e3:6.1f} ms  "
            f"p99 {latencies[int(len(latencies) * 0.99)] * 1e3:6.1f} ms",
            flush=True,
        )


async def confluent(bootstrap: str) -> None:
    """Measure confluent-kafka with one polling thread and one future a request."""
    producer = Producer(
        {"bootstrap.servers": bootstrap, "acks": "all", "enable.idempotence": True}
        | {"linger.ms": 0, "partitioner": "murmur2_random"}
    )
    loop = asyncio.get_running_loop()
    stop = threading.Event()

    def poll() -> None:
        while not stop.is_set():
            producer.poll(0.1)

    thread = threading.Thread(target=poll)
    thread.start()

    async def send(keys: list[bytes]) -> None:
        done = loop.create_future()
        left = len(keys)

        def delivered(_error: object, _message: object) -> None:
            nonlocal left
            left -= 1
            if left == 0:
                loop.call_soon_threadsafe(done.set_result, None)

        for key in keys:
            producer.produce(TOPIC, VALUE, key, headers=HEADERS, on_delivery=delivered)
        await done

    await measure("confluent", send)
    stop.set()
    thread.join()


async def confluent_aio(bootstrap: str) -> None:
    """Measure confluent-kafka's own asyncio producer; its batches take no headers."""
    producer = AIOProducer(
        {"bootstrap.servers": bootstrap, "acks": "all", "enable.idempotence": True},
        buffer_timeout=0.005,
    )

    async def send(keys: list[bytes]) -> None:
        sent = [await producer.produce(TOPIC, value=VALUE, key=key) for key in keys]
        await asyncio.gather(*sent)

    await measure("confluent.aio", send)
    await producer.close()


async def aiokafka(bootstrap: str) -> None:
    """Measure aiokafka, not idempotent: the embedded broker refuses it that."""
    producer = AIOKafkaProducer(bootstrap_servers=bootstrap, acks="all")
    await producer.start()

    async def send(keys: list[bytes]) -> None:
        sent = [await producer.send(TOPIC, VALUE, key, headers=HEADERS) for key in keys]
        await asyncio.gather(*sent)

    await measure("aiokafka", send)
    await producer.stop()


async def kafka_python(bootstrap: str) -> None:
    """Measure kafka-python with one future a request."""
    producer = KafkaProducer(
        bootstrap_servers=bootstrap, acks="all", enable_idempotence=True
    )
    loop = asyncio.get_running_loop()

    async def send(keys: list[bytes]) -> None:
        done = loop.create_future()
        left = len(keys)

        def delivered(_metadata: object) -> None:
            nonlocal left
            left -= 1
            if left == 0:
                loop.call_soon_threadsafe(done.set_result, None)

        for key in keys:
            producer.send(TOPIC, VALUE, key, headers=HEADERS).add_callback(delivered)
        await done

    await measure("kafka-python", send)
    producer.close()


CLIENTS = (confluent, confluent_aio, aiokafka, kafka_python)


def main() -> None:
    """Measure every client, or the one named after the address."""
    match sys.argv[1:]:
        case [bootstrap, name]:
            (client,) = (one for one in CLIENTS if one.__name__ == name)
            uvloop.run(client(bootstrap))
        case [bootstrap]:
            admin = AdminClient({"bootstrap.servers": bootstrap})
            for made in admin.create_topics([NewTopic(TOPIC, 8, 1)]).values():
                made.exception(10)
            for client in CLIENTS:
                command = [sys.executable, __file__, bootstrap, client.__name__]
                subprocess.run(command, check=True)
        case _:
            with (
                tempfile.TemporaryDirectory() as folder,
                EmbeddedBroker(Path(folder)) as broker,
            ):
                command = [sys.executable, __file__, broker.bootstrap]
                subprocess.run(command, check=True)


if __name__ == "__main__":
    main()
