"""Recovery while Kafka cannot be reached: it waits; a restart would do no better."""

import pytest

from streams.topic_reader import UnreadableTopicError
from streams.transport import recovery
from streams.transport.recovery import TableOwner


async def test_recovery_waits_for_the_broker(monkeypatch: pytest.MonkeyPatch) -> None:
    """A topic that cannot be read just now is read when it can be."""
    monkeypatch.setattr(recovery, "_WAIT_SECONDS", 0.0)
    owner = TableOwner.__new__(TableOwner)
    answers = iter([UnreadableTopicError("t", "no broker"), [], ["a", "b"]])

    def read() -> list[str]:
        answer = next(answers)
        if isinstance(answer, Exception):
            raise answer
        return answer

    assert await owner._patiently(read) == []  # type: ignore[arg-type] # of records
    assert await owner._patiently(read) == ["a", "b"]  # type: ignore[comparison-overlap,arg-type]
