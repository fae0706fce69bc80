"""One lead's outcomes, told one by one: what the training log has after each."""

from pathlib import Path
from typing import Any, cast

import msgspec
import pytest
from msgspec.structs import replace

from schemas.event import Event
from schemas.examples import SCORE_UPDATE
from schemas.time import DAY, to_datetime, to_instant
from schemas.topics import CRM_EVENTS, SCORE_UPDATES
from schemas.training import TrainingRecord
from scorers.outcomes import Verdict
from scorers.snapshots import Example
from scorers.training import examples_of
from streams.learning.deals import deals_of
from streams.learning.following import TrainingLog, last_of
from streams.learning.parquet import read_examples, write_examples
from streams.settings import Settings

ASKED = to_instant(SCORE_UPDATE.as_of)
LEAD = "ld_a"


class Told(msgspec.Struct):
    """A message as a consumer hands it over."""

    where: str
    content: bytes | None

    def topic(self) -> str:
        return self.where

    def key(self) -> bytes:
        return LEAD.encode()

    def value(self) -> bytes | None:
        return self.content


class Follower:
    """The training log of one lead, written as records that are read again."""

    def __init__(self) -> None:
        self.settings = Settings()
        self.log = TrainingLog(self.settings)
        self.record: TrainingRecord | None = None

    def hear(self, message: object, *, crm: bool = True) -> int:
        """Return how many records are written when this is heard of."""
        topic = self.settings.topic((CRM_EVENTS if crm else SCORE_UPDATES).name)
        content = None if message is None else msgspec.json.encode(message)
        written = self.log.take(cast("Any", [Told(topic, content)]))
        for each in written:
            self.record = (
                None
                if each.value is None
                else msgspec.json.decode(each.value, type=TrainingRecord)
            )
        return len(written)

    @property
    def kept(self) -> TrainingRecord:
        """The record as it was written last."""
        assert self.record is not None
        return self.record

    def examples(self) -> list[Example]:
        """Return what is learnt from the record."""
        return list(examples_of([self.kept], last_of([self.kept])))

    def verdict(self) -> Verdict | None:
        """Return what became of the lead since it entered a tier, as far as told."""
        found = self.examples()
        assert [each.snapshot.why for each in found] == ["tier:gold"]
        return found[0].verdict


def word(day: int, name: str, **properties: Any) -> Event:
    at = to_datetime(ASKED + day * DAY)
    return Event(
        id=f"{day}-{name}",
        type="track",
        name=name,
        channel="crm",
        user_id="ada",
        occurred_at=at,
        received_at=at,
        properties={"deal_id": "d1"} | properties,
    )


STEPS = (
    (word(1, "Lead Qualified"), None),
    (word(2, "Deal Won", amount="1,200", currency="eur"), (True, 2, 1200.0, "EUR", "")),
    (word(3, "Deal Corrected", amount=900), (True, 2, 900.0, "EUR", "")),
    (word(4, "Deal Reopened"), None),
    (word(5, "Deal Lost", reason="too dear"), (False, 5, None, "", "too dear")),
    (
        word(6, "Deal Corrected", outcome="won", amount=7),
        (True, 5, 7.0, "", "too dear"),
    ),
    (word(7, "Deal Reopened"), None),
    (word(8, "Lead Disqualified", reason="moved"), (False, 8, None, "", "moved")),
)


@pytest.mark.parametrize("order", [1, -1], ids=["in-order", "backwards"])
def test_outcomes_one_by_one(order: int, tmp_path: Path) -> None:
    """Each changes the verdict as it says; told again, or in another order, none does.

    The decision itself stays as it was, whatever comes later.
    """
    log = Follower()
    rise = replace(SCORE_UPDATE, lead_id=LEAD, previous_tier="silver")
    assert log.hear(rise, crm=False) == 1
    assert log.verdict() is None

    for count, (event, expected) in enumerate(STEPS[::order], start=1):
        assert log.hear(event) == 1
        assert log.hear(event) == 0, "told twice"
        assert len(log.kept.outcomes) == count
        assert [shot.score for shot in log.kept.snapshots] == [SCORE_UPDATE.score]
        verdict = log.verdict()
        if order == 1:
            assert verdict == (expected and as_verdict(*expected))

    last = STEPS[-1][1]
    assert last is not None
    assert log.verdict() == as_verdict(*last)
    examples = log.examples()
    write_examples(tmp_path / "log.parquet", examples, 5)
    assert read_examples(tmp_path / "log.parquet") == (examples, 5)
    assert log.hear(None, crm=False) == 1
    assert log.record is None, "erased with the lead's score"


def test_a_forecast_of_the_log_is_told_by_owner_source_stage_and_value() -> None:
    """What the CRM had said by the decision says which part of a forecast a deal is."""
    log = Follower()
    said = {"lead_source": "fair", "lifecycle_stage": "opportunity", "deal_value": 900}
    at = to_datetime(ASKED - DAY)
    came = Event(
        id="came",
        type="identify",
        channel="crm",
        user_id="ada",
        occurred_at=at,
        received_at=at,
        traits=said,
    )
    rise = replace(
        SCORE_UPDATE, lead_id=LEAD, previous_tier="silver", owner="grace@example.com"
    )
    assert log.hear(rise, crm=False) == 1
    assert log.hear(came) == 1
    assert log.hear(came) == 0, "told twice"

    deals = deals_of(log.examples(), ASKED + DAY)

    assert deals.kinds == {
        "owner": ["grace@example.com"],
        "source": ["fair"],
        "tier": [SCORE_UPDATE.tier],
        "stage": ["opportunity"],
    }
    assert deals.value.tolist() == [900.0]
    assert log.hear(None, crm=False) == 1
    assert log.record is None, "erased with the lead's score"


def as_verdict(
    won: bool,  # noqa: FBT001 - a row of a table
    day: int,
    amount: float | None,
    currency: str,
    reason: str,
) -> Verdict:
    return Verdict(
        won=won,
        at=ASKED + day * DAY,
        amount=amount,
        currency=currency,
        reason=reason,
    )
