"""Leads and accounts write beside each other, and both come to an end."""

import asyncio
from collections.abc import Sequence

import pytest

from schemas.topics import (
    ACCOUNT_MEMBERS,
    ACCOUNT_STATE,
    COMMANDS,
    LEAD_STATE,
    SCORE_UPDATES,
)
from streams.event_log import NotDurableError, Record
from streams.transport.progress import Batch
from tests.worker_bench import Bench, Raw, RecordingLog, batch, event, raw

LEADS, ACCOUNTS = f"t.{LEAD_STATE.name}", f"t.{ACCOUNT_STATE.name}"
DEADLINE = 40.0


class MeetingLog(RecordingLog):
    """Kafka that writes no lead's state before an account's was handed over."""

    def __init__(self, effects: list[str]) -> None:
        super().__init__(effects)
        self.met = asyncio.Event()
        self.refuses: str | None = None

    async def append(self, records: Sequence[Record]) -> None:
        topics = {record.topic for record in records}
        if ACCOUNTS in topics:
            self.met.set()
        if LEADS in topics:
            await asyncio.wait_for(self.met.wait(), DEADLINE)
        if self.refuses in topics:
            raise NotDurableError(self.refuses)
        await super().append(records)


def employee(number: int, offset: int) -> Raw:
    """Return what one of the people of example.com does."""
    user = f"u{number}"
    given = event(user=user, id=f"e{number}", email=f"{user}@example.com")
    return raw(offset, given)


async def fetch_of_both() -> tuple[Bench, MeetingLog, list[Batch]]:
    """Return agents to whom a lead's event and an account's word come in one fetch."""
    bench = Bench()
    await bench.process(batch(employee(1, 0)))
    told = [each for each in bench.log.records if each.topic.endswith("members.v1")]
    assert told, "the lead tells its account"
    word = Raw(0, told[0].key, told[0].value)
    words = batch(word, topic=ACCOUNT_MEMBERS.name, partition=told[0].partition)
    log = MeetingLog(bench.effects)
    for agent in (bench.scoring, bench.accounts):
        agent._log = log
    return bench, log, [batch(employee(2, 1)), words]


async def test_one_wait_for_kafka_serves_leads_and_accounts() -> None:
    """States of both are on their way before either is durable."""
    bench, _, batches = await fetch_of_both()
    effects = [each for each in await bench.process(*batches) if each != "confirm"]
    written = effects.index(LEAD_STATE.name), effects.index(ACCOUNT_STATE.name)
    assert max(written) < effects.index(SCORE_UPDATES.name)
    assert COMMANDS.name not in effects[: min(written)]


@pytest.mark.parametrize("refused", [LEADS, ACCOUNTS])
async def test_both_end_before_a_failure_is_told(refused: str) -> None:
    """What one of them could not write is raised when the other has written its own."""
    bench, log, batches = await fetch_of_both()
    log.refuses = refused
    with pytest.raises(NotDurableError, match=refused):
        await bench.process(*batches)
    (other,) = {LEADS, ACCOUNTS} - {refused}
    assert other.removeprefix("t.") in bench.effects
    assert len(asyncio.all_tasks()) == 1, "nothing is left at work"
