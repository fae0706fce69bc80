"""A record that the CRM keeps from us is set aside; credentials are waited out."""

import threading
import time
from collections.abc import Callable, Sequence

import pytest
from prometheus_client import REGISTRY

from streams.sending_policy import Refuse, Retry, Sender, SendingPolicy
from streams.sinks.answers import Answers
from streams.sinks.batches import Batches
from streams.sinks.rows import Row
from streams.sinks.waiting import Waiting, WaitingRows

POLICY = SendingPolicy(
    first_wait_seconds=0.001,
    longest_wait_seconds=0.002,
    give_up_seconds=60,
    failures_to_open=1_000,
)
DENIED = Retry("credentials", detail="HTTP 403")
Answering = Callable[[Sequence[Row]], Answers]


class Crm:
    """Takes rows as it is told to, and remembers them."""

    def __init__(self, answering: Answering) -> None:
        self.answering = answering
        self.has: set[str] = set()
        self.asked = 0

    def write(self, rows: Sequence[Row]) -> Answers:
        self.asked += 1
        answers = self.answering(rows)
        if isinstance(answers, list):
            for row, answer in zip(rows, answers, strict=True):
                if answer == "written":
                    self.has.add(row.lead_id)
        return answers


def whole(rows: Sequence[Row]) -> Answers:
    """Deny a request for the sake of one record, as most interfaces do."""
    return DENIED if any("bad" in row.lead_id for row in rows) else _all(rows)


def each(rows: Sequence[Row]) -> Answers:
    """Deny the record alone, as interfaces with an answer for each do."""
    return [DENIED if "bad" in row.lead_id else "written" for row in rows]


def _all(rows: Sequence[Row]) -> Answers:
    return ["written" for _ in rows]


def carried(crm: Crm, *leads: str, most: int = 10, times: int = 1) -> WaitingRows:
    """Return what is left of rows after batches of them were carried."""
    rows = WaitingRows(most, 0.0)
    for offset, lead in enumerate(leads):
        rows.put(Waiting(Row(lead, 1), 0, offset, 0, time.monotonic()))
    sender = Sender("sink.test", POLICY, threading.Event())
    batches = Batches("test", rows, crm, sender)
    for _ in range(times):
        if batch := rows.take(time.monotonic() + 1, 0.0):
            batches.send(batch)
    return rows


def refused() -> float:
    labels = {"sink": "test", "result": "refused"}
    return REGISTRY.get_sample_value("leadpulse_sink_records_total", labels) or 0.0


@pytest.mark.parametrize("answering", [whole, each], ids=["whole", "each"])
def test_one_denied_record_holds_nobody_up(answering: Answering) -> None:
    """The others are written, it is counted and set aside, and nothing is left."""
    crm, before = Crm(answering), refused()
    good = [f"good-{number}" for number in range(7)]
    rows = carried(crm, *good[:4], "bad", *good[4:], "bad-too", most=5, times=3)
    assert crm.has == set(good)
    assert refused() - before == 2
    assert rows.standing().leads == 0
    assert rows.settled() == {0: 9}
    assert crm.asked < 40


def test_a_denied_record_that_is_alone_waits_for_others() -> None:
    """By itself it proves nothing: with the next that is taken it is set aside."""
    crm, before = Crm(whole), refused()
    rows = carried(crm, "bad", "good", most=1)
    assert crm.has == {"good"}
    assert refused() - before == 1
    assert rows.standing().leads == 0


def test_wrong_credentials_are_nobodys_fault() -> None:
    """Where nothing is taken nothing is set aside, and all of it goes when it may."""
    patience = iter(range(30))
    crm = Crm(lambda rows: DENIED if next(patience, None) is not None else _all(rows))
    before = refused()
    rows = carried(crm, "a", "b", "c")
    assert crm.has == {"a", "b", "c"}
    assert refused() == before
    assert rows.standing().leads == 0


def test_what_is_refused_is_still_found_by_halves() -> None:
    """A batch that is refused for one record is split, as before."""
    crm = Crm(
        lambda rows: (
            Refuse("invalid") if any(r.lead_id == "bad" for r in rows) else _all(rows)
        )
    )
    rows = carried(crm, "a", "bad", "c")
    assert (crm.has, rows.standing().leads) == ({"a", "c"}, 0)
