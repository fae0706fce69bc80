"""The Python example of direct consumption, run as its users run it."""

import sqlite3
import sys
from contextlib import closing
from pathlib import Path

from streams.settings import Settings
from tests.streams.consumers import (
    ADA,
    EXAMPLES,
    TOLD,
    check_story,
    put_story,
    running_example,
)
from tests.waiting import wait_until


def test_the_python_example_keeps_the_latest_of_every_lead(
    topics: Settings, tmp_path: Path
) -> None:
    """Changes are told once, in order, over a restart; the erased are forgotten."""
    script = [sys.executable, str(EXAMPLES / "python" / "consume.py")]
    put_story(topics)
    with running_example(script, topics, tmp_path) as told:
        check_story(told, tmp_path, within=20)

    with closing(sqlite3.connect(tmp_path / "leads.sqlite")) as db:
        rows = db.execute("SELECT lead_id, sequence, score, email FROM leads")
        assert rows.fetchall() == [(ADA, 2, 62.0, "ada@example.com")]

    put_story(topics)  # the same again, as after a worker's crash
    with running_example(script, topics, tmp_path) as again:
        wait_until(lambda: {"erased": TOLD[-1]["erased"]} in again, within=20)
    assert [each for each in again if each.get("lead_id") == ADA] == []
