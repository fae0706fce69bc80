"""How long an alert takes from its topic to a target that is well.

Runs the delivery app in this process against a broker that is named or embedded and a
webhook receiver on loopback, puts alerts on the topic at a steady rate, and measures
from just before each is put until its receiver has it.

    python -m bench.delivery --alerts 1000 --rate 50
"""

import argparse
import contextlib
import statistics
import tempfile
import threading
import time
from pathlib import Path

from streams.broker import EmbeddedBroker
from streams.settings import Settings
from streams.topics_admin import create_topics
from tests.streams.delivery.alerts import alert
from tests.streams.delivery.running import put, running, with_file
from tests.streams.delivery.servers import Request, http_server
from tests.streams.delivery.test_notifiers import SECRETS


def main() -> None:
    """Measure, and print the figures."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--alerts", type=int, default=1_000)
    arguments.add_argument("--rate", type=float, default=50.0)
    arguments.add_argument("--bootstrap")
    given = arguments.parse_args()
    sent: dict[str, float] = {}
    seconds: list[float] = []
    done = threading.Event()

    def answer(request: Request) -> object:
        key = request.headers["webhook-id"]
        seconds.append(time.monotonic() - sent[key])
        if len(seconds) == given.alerts:
            done.set()
        return (204, b"", {})

    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        bootstrap = given.bootstrap
        if bootstrap is None:
            embedded = stack.enter_context(EmbeddedBroker(folder / "broker"))
            bootstrap = embedded.bootstrap
        http = stack.enter_context(http_server())
        http.answer_to = answer
        plain = Settings.model_validate(
            {
                "bootstrap": bootstrap,
                "topic_prefix": "bench.",
                "app_id": "bench",
                "partitions": 8,
            }
        )
        create_topics(plain)
        text = (
            f'targets: {{hook: {{kind: webhook, url: "{http.url}/"}}}}\n'
            "routes: [{name: all, to: hook}]\n"
        )
        settings = with_file(plain, folder, text, hook=SECRETS["webhook"])
        stack.enter_context(running(settings))
        began = time.monotonic()
        for number in range(given.alerts):
            wait = began + number / given.rate - time.monotonic()
            if wait > 0:
                time.sleep(wait)
            one = alert(f"p{number}", at=time.time_ns() // 1_000_000)
            sent[one.id] = time.monotonic()
            put(settings, one)
        done.wait(60)
    cuts = statistics.quantiles(seconds, n=100)
    print(f"alerts {len(seconds)} of {given.alerts} at {given.rate:g} a second")
    print(f"p50 {cuts[49]:.3f} s, p95 {cuts[94]:.3f} s, p99 {cuts[98]:.3f} s")


if __name__ == "__main__":
    main()
