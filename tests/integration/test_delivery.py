"""Ten thousand alerts on Apache Kafka: the target fails, the process is killed."""

import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections import defaultdict
from pathlib import Path

import pytest

from streams.settings import Settings
from tests.conftest import MakeTopics
from tests.streams.delivery.alerts import alert
from tests.streams.delivery.running import in_order, put, standings
from tests.streams.delivery.servers import Request, http_server
from tests.streams.delivery.test_notifiers import SECRETS
from tests.waiting import wait_until

ALERTS = 10_000
PEOPLE = 500


def start(settings: Settings, log: Path) -> subprocess.Popen[bytes]:
    """Start `leadpulse delivery` as operators do."""
    environ = {**os.environ, **settings.environ(), "LEADPULSE_LOG_LEVEL": "warning"}
    with log.open("ab") as out:
        return subprocess.Popen(
            [sys.executable, "-m", "streams.cli.main", "delivery"],
            env=environ,
            stdout=out,
            stderr=out,
        )


@pytest.mark.integration
def test_ten_thousand_alerts_arrive_through_failures_and_a_kill(
    make_topics: MakeTopics, kafka: str, tmp_path: Path
) -> None:
    """Each arrives at least once, twice with the same key, in the order of its lead."""
    topics = make_topics(bootstrap=kafka, partitions=8)
    path = tmp_path / "delivery.yaml"
    secret = SECRETS["webhook"]
    settings = Settings.model_validate(
        {
            **{name: getattr(topics, name) for name in topics.model_fields_set},
            "delivery_path": path,
            "delivery_secrets": {"hook": secret},
        }
    )
    chance, lock = random.Random(11), threading.Lock()
    taken: list[str] = []

    def answer(request: Request) -> object:
        with lock:
            roll = chance.random()
            if roll < 0.02:
                return "drop"
            if roll < 0.08:
                return (503, b"", {})
            taken.append(request.headers["webhook-id"])
            return (500, b"", {}) if roll < 0.1 else (204, b"", {})

    now = time.time_ns() // 1_000_000
    by_lead: dict[str, list[str]] = defaultdict(list)
    alerts = [
        alert(f"p{number % PEOPLE}", episode=1 + number // PEOPLE, at=now)
        for number in range(ALERTS)
    ]
    for each in alerts:
        by_lead[each.lead_id].append(each.id)
    put(settings, *alerts)
    with http_server() as http:
        http.answer_to = answer
        path.write_text(
            "targets:\n"
            f'  hook: {{kind: webhook, url: "{http.url}/hook", lanes: 32}}\n'
            "routes: [{name: all, to: hook}]\n"
        )
        log = tmp_path / "delivery.log"
        process = start(settings, log)
        try:
            wait_until(lambda: len(taken) > ALERTS // 4, within=60)
            process.send_signal(signal.SIGKILL)
            process.wait(10)
            process = start(settings, log)
            wait_until(lambda: len(set(taken)) == ALERTS, within=120)
            process.send_signal(signal.SIGTERM)
            assert process.wait(30) == 0, log.read_text()
        finally:
            process.kill()
            process.wait(10)

    assert set(taken) == {each.id for each in alerts}
    assert len(taken) > ALERTS
    assert all(in_order(taken, wanted) for wanted in by_lead.values())
    told = standings(settings, "hook")
    assert len(told) >= ALERTS - 32
    assert set(told.values()) == {"told"}
    assert secret not in log.read_text()
