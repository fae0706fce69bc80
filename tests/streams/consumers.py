"""What is put on the topics for the example consumers, and what they must say."""

import json
import os
import signal
import subprocess
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from confluent_kafka import Producer

from schemas.score import Identifiers
from schemas.topics import NOTIFICATIONS, SCORE_UPDATES
from scorers.identity import lead_id_of
from streams.codec import alert_output, update_output
from streams.settings import Settings
from tests.streams.view.records import ADA, alert, update
from tests.waiting import wait_until

EXAMPLES = Path(__file__).parents[2] / "examples"
GRACE = lead_id_of("user_id", "grace")


def put_story(settings: Settings) -> None:
    """Ada rises, is told twice and out of order, is hot; Grace comes and is erased."""
    producer = Producer({"bootstrap.servers": settings.bootstrap})

    def put(topic: str, key: str, value: bytes | None, headers: Any = None) -> None:
        producer.produce(settings.topic(topic), key=key, value=value, headers=headers)

    known = Identifiers(email=("ada@example.com",))
    for sequence, score in ((1, 10.0), (2, 62.0), (1, 10.0), (2, 62.0)):
        told = update_output(
            update(sequence=sequence, score=score, identifiers=known), ()
        )
        put(SCORE_UPDATES.name, ADA, told.value, list(told.headers))
    hot = alert_output(alert(), ())
    for _ in range(2):
        put(NOTIFICATIONS.name, ADA, hot.value, list(hot.headers))
    strange = [("ce_type", b"leadpulse.something.v9")]
    put(NOTIFICATIONS.name, ADA, b'{"new": true}', strange)
    come = update_output(update(lead_id=GRACE, score=5.0), ())
    put(SCORE_UPDATES.name, GRACE, come.value, list(come.headers))
    put(SCORE_UPDATES.name, GRACE, None)
    assert producer.flush(10) == 0


TOLD: tuple[dict[str, object], ...] = (
    {"lead_id": ADA, "sequence": 1, "score": 10, "tier": "bronze"},
    {"lead_id": ADA, "sequence": 2, "score": 62, "tier": "bronze"},
    {
        "alert": "hot-lead",
        "kind": "hot",
        "lead_id": ADA,
        "score": 61,
        "next_action": "Call now.",
    },
    {"lead_id": GRACE, "sequence": 1, "score": 5, "tier": "bronze"},
    {"erased": GRACE},
)
"""Every change once; the order is kept within a lead's topic only."""


@contextmanager
def running_example(
    argv: Sequence[str], settings: Settings, cwd: Path
) -> Iterator[list[dict[str, object]]]:
    """Run a consumer; yields the changes it tells, and ends it in good order."""
    environ = {
        **os.environ,
        "LEADPULSE_TOPIC_PREFIX": settings.topic_prefix,
        "GROUP_ID": f"{settings.app_id}.example",
        "PYTHONUNBUFFERED": "1",
    }
    with (cwd / "stderr").open("wb") as stderr:
        process = subprocess.Popen(
            [*argv, settings.bootstrap],
            cwd=cwd,
            env=environ,
            stdout=subprocess.PIPE,
            stderr=stderr,
            text=True,
        )
    told: list[dict[str, object]] = []
    assert process.stdout is not None
    lines = process.stdout
    reader = threading.Thread(
        target=lambda: told.extend(
            json.loads(line) for line in lines if line.startswith('{"')
        )
    )
    reader.start()
    try:
        yield told
        process.send_signal(signal.SIGTERM)
        process.wait(30)
    finally:
        process.kill()
        process.wait(10)
        reader.join(10)
        lines.close()


def check_story(told: list[dict[str, object]], cwd: Path, within: float) -> None:
    """Wait for all changes; none comes twice, and a lead's come in their order."""
    wait_until(
        lambda: len(told) >= len(TOLD),
        within=within,
        what=f"the changes; it said {(cwd / 'stderr').read_text()[-2000:]}",
    )

    def order(change: dict[str, object]) -> str:
        return f"{change.get('lead_id', change)} {change.get('sequence')}"

    assert sorted(told, key=order) == sorted(TOLD, key=order)
    scores = [each["score"] for each in told if each.get("sequence") and "tier" in each]
    assert scores.index(10) < scores.index(62)
    erased = told.index({"erased": GRACE})
    assert erased > next(n for n, each in enumerate(told) if each.get("score") == 5)
