"""From the collector's receipt of an event to the hot alert in a consumer's hands.

Starts the whole product on this machine, brings every lead just below gold, then
sends the event that makes each one hot, at a steady rate over HTTP as an SDK would.
The clock starts at `received_at`, which the collector stamps, and stops when an
ordinary consumer of the notifications topic has the alert.

    python -m bench.alert_latency --broker kafka --alerts 1000 --rate 50

Apache Kafka is the broker that counts; the embedded one adds its own long poll.
"""

import argparse
import statistics
import sys
import tempfile
import threading
import time
from pathlib import Path

import httpx
import msgspec
from confluent_kafka import OFFSET_BEGINNING, Consumer, TopicPartition

from schemas.alert import Alert
from schemas.time import to_instant
from schemas.topics import NOTIFICATIONS
from streams.settings import load_settings
from streams.supervisor import Stack

_TRAITS = {
    "employees": 50,
    "annual_revenue": 20_000_000,
    "industry": "technology",
    "budget": 100_000,
    "lifecycle_stage": "decision",
}


def _track(lead: int, name: str, **properties: object) -> dict[str, object]:
    return {
        "type": "track",
        "event": name,
        "userId": f"bench-{lead}",
        "properties": properties,
    }


def _almost_gold(lead: int) -> list[dict[str, object]]:
    """Return events worth a little under sixty points."""
    downloads = [
        _track(lead, "Content Downloaded", asset_id=f"a{n}", asset_type="ebook")
        for n in range(3)
    ]
    return [
        {"type": "identify", "userId": f"bench-{lead}", "traits": _TRAITS},
        *downloads,
    ]


def _receive(
    bootstrap: str,
    topic: str,
    wanted: int,
    seen: dict[str, float],
    stop: threading.Event,
) -> None:
    """Collect, per alert id, the seconds from receipt to here."""
    consumer = Consumer(
        {
            "bootstrap.servers": bootstrap,
            "group.id": "bench-alerts",
            "fetch.wait.max.ms": 10,
        }
    )
    # Assigned by hand: joining a group would take longer than the first alerts do.
    partitions = consumer.list_topics(topic, timeout=10).topics[topic].partitions
    consumer.assign(
        [TopicPartition(topic, each, OFFSET_BEGINNING) for each in partitions]
    )
    decode = msgspec.json.Decoder(Alert).decode
    try:
        while len(seen) < wanted and not stop.is_set():
            message = consumer.poll(0.2)
            if message is None or message.error() is not None:
                continue
            now = time.time()
            alert = decode(message.value())
            if alert.kind == "hot":
                seen.setdefault(alert.id, now - to_instant(alert.decided_at) / 1000)
    finally:
        consumer.close()


def _wait_until_scored(stack: Stack, events: int) -> None:
    """Return when the warm-up is behind us; it is not what is measured."""
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        metrics = stack.metrics()
        scored = (
            metrics.total("leadpulse_events_total", result="scored") if metrics else 0
        )
        if scored >= events:
            return
        time.sleep(0.2)
    sys.exit("the warm-up was not scored within two minutes")


def _measure(stack: Stack, alerts: int, rate: float) -> list[float]:
    settings = stack.settings
    seen: dict[str, float] = {}
    stop = threading.Event()
    topic = settings.topic(NOTIFICATIONS.name)
    receiver = threading.Thread(
        target=_receive, args=(settings.bootstrap, topic, alerts, seen, stop)
    )
    receiver.start()
    url = f"{stack.collector_url}/v1"
    with httpx.Client(auth=(stack.write_key, ""), timeout=30) as client:
        for first in range(0, alerts, 50):
            batch = [
                event
                for lead in range(first, min(first + 50, alerts))
                for event in _almost_gold(lead)
            ]
            client.post(f"{url}/batch", json={"batch": batch}).raise_for_status()
        _wait_until_scored(stack, 4 * alerts)
        started = time.monotonic()
        for lead in range(alerts):
            due = started + lead / rate
            time.sleep(max(0.0, due - time.monotonic()))
            event = _track(lead, "Demo Requested")
            client.post(f"{url}/track", json=event).raise_for_status()
    receiver.join(60)
    stop.set()
    receiver.join()
    return sorted(seen.values())


def main() -> None:
    """Run once and print the percentiles."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--broker", choices=("embedded", "kafka"), default="kafka")
    parser.add_argument("--alerts", type=int, default=1_000)
    parser.add_argument("--rate", type=float, default=50.0, help="events per second")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        settings = load_settings(
            {}, data_dir=Path(folder), collector_port=0, metrics_port=0
        )
        with Stack(settings, broker=options.broker, tell=print) as stack:
            seconds = _measure(stack, options.alerts, options.rate)
    if len(seconds) < options.alerts:
        parser.exit(1, f"only {len(seconds)} of {options.alerts} alerts arrived\n")
    cuts = statistics.quantiles(seconds, n=100)
    print(
        f"{options.broker}: {len(seconds)} alerts at {options.rate:g}/s: "
        f"p50 {cuts[49] * 1000:.1f} ms, p95 {cuts[94] * 1000:.1f} ms, "
        f"p99 {cuts[98] * 1000:.1f} ms, worst {seconds[-1] * 1000:.1f} ms"
    )


if __name__ == "__main__":
    main()
