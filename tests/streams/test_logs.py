"""What is written to the log, and what is left out."""

import logging

import pytest

from streams import logs
from streams.logs import FewerRepetitions


def test_what_libraries_repeat_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    """A library says the same a few times, then how often it would have; we always."""
    now = [1_000.0]
    monkeypatch.setattr(logs.time, "monotonic", lambda: now[0])
    fewer = FewerRepetitions()

    def say(node: int, name: str = "aiokafka.client") -> str | None:
        text = "Unable to connect to node %s"
        record = logging.LogRecord(name, 40, __file__, 1, text, (node,), None)
        return record.getMessage() if fewer.filter(record) else None

    assert [say(each) is not None for each in range(8)] == [True] * 5 + [False] * 3
    assert all(say(each, "streams.worker") for each in range(8))
    assert say(0, "aiokafka.cluster")

    now[0] += 31
    assert say(7) == "Unable to connect to node 7 (3 like it left out)"
    assert say(8) == "Unable to connect to node 8"


def test_texts_that_are_never_alike_take_no_memory() -> None:
    """Whoever puts values into the text itself is heard, and not remembered."""
    fewer = FewerRepetitions()
    for each in range(3_000):
        record = logging.LogRecord("mode", 30, __file__, 1, f"task {each}", None, None)
        assert fewer.filter(record)
    assert len(fewer._said) <= logs._MOST_KNOWN + 1
