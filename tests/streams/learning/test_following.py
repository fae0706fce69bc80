"""The training log on a broker: built, repeated, erased, exported."""

import threading
from pathlib import Path

import msgspec
from msgspec.structs import replace

from schemas.event import Event
from schemas.examples import ALERT, SCORE_UPDATE
from schemas.time import DAY, to_datetime, to_instant
from schemas.topics import CRM_EVENTS, NOTIFICATIONS, SCORE_UPDATES, TRAINING
from scorers.training import examples_of
from streams.event_log import Record, opened_log
from streams.learning.following import Following, last_of, read_training
from streams.learning.parquet import read_examples, write_examples
from streams.settings import Settings

LEADS = ("ld_a", "ld_b")


def records(settings: Settings) -> list[Record]:
    asked = to_instant(SCORE_UPDATE.as_of)
    found = []
    for lead_id in LEADS:
        key = lead_id.encode()
        update = replace(SCORE_UPDATE, lead_id=lead_id, previous_tier="silver")
        later = replace(
            update,
            sequence=8,
            as_of=to_datetime(asked + 8 * DAY),
            previous_tier="gold",
        )
        won = Event(
            id=f"won-{lead_id}",
            type="track",
            name="Deal Won",
            channel="crm",
            user_id=lead_id,
            occurred_at=to_datetime(asked + 9 * DAY),
            properties={"amount": 100},
        )
        for topic, message in (
            (SCORE_UPDATES, update),
            (SCORE_UPDATES, later),
            (NOTIFICATIONS, replace(ALERT, lead_id=lead_id)),
            (CRM_EVENTS, won),
        ):
            value = msgspec.json.encode(message)
            found.append(Record(settings.topic(topic.name), key, value, []))
    return found


async def test_the_log_is_kept_and_erased(topics: Settings, tmp_path: Path) -> None:
    """Each lead's record is there once, repeats change nothing, the erased is gone."""
    stop = threading.Event()

    async def run() -> int:
        async with opened_log(topics, name="learning", topics=(TRAINING,)) as log:
            return await Following(topics, log).run(stop=stop, once=True)

    async with opened_log(
        topics, name="test", topics=(SCORE_UPDATES, NOTIFICATIONS, CRM_EVENTS)
    ) as log:
        await log.append(records(topics))
        assert await run() >= len(LEADS)
        first = read_training(topics)
        await log.append(records(topics))  # everything once more
        await run()
        assert read_training(topics) == first
        erased = Record(topics.topic(SCORE_UPDATES.name), b"ld_b", None, [])
        await log.append([erased])
        await run()

    left = read_training(topics)
    assert set(first) == set(LEADS)
    assert set(left) == {"ld_a"}
    examples = list(examples_of(left.values(), last_of(left.values())))
    whys = {each.snapshot.why for each in examples}
    assert {"tier:gold", "scheduled", "alert:hot-lead"} <= whys
    assert all(each.verdict and each.verdict.amount == 100 for each in examples)

    path = tmp_path / "log.parquet"
    write_examples(path, examples, 123)
    assert read_examples(path) == (examples, 123)
