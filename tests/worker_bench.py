"""A worker's agents without a broker: every effect in one list."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec

from schemas.event import Event
from schemas.time import Instant, to_datetime
from schemas.topics import ACCOUNT_STATE, LEAD_STATE, SIDE_STATE, WEB_EVENTS
from scorers.compiled import CompiledModel
from scorers.identity import derive_lead_id
from streams.agents.accounts import Accounts
from streams.agents.erasing import Erasing
from streams.agents.roster import Roster
from streams.agents.scoring import Scoring
from streams.agents.sides import Sides
from streams.event_log import NotDurableError, Record
from streams.model_book import ModelBook
from streams.partitioner import partition_of
from streams.producing import Parts
from streams.rebuilding import Rebuilt
from streams.settings import Settings
from streams.state_records import OWNER_KEY, Ownership, encode_ownership
from streams.suppressions import Suppressions
from streams.tables import AccountTable, LeadTable, SideTable
from streams.timers import Wakeups
from streams.transport.progress import Batch, Fetch, Partition
from tests.worker_harness import MODEL

NOW: Instant = 1_795_255_200_000
PARTITIONS = 8
SETTINGS = Settings.model_validate(
    {"topic_prefix": "t.", "privacy_key": "a key for tests"}
)


@dataclass
class StubClock:
    at: Instant = NOW

    def now(self) -> Instant:
        return self.at

    def seconds_since(self, instant: Instant) -> float:
        return (self.at - instant) / 1000


@dataclass(frozen=True)
class Raw:
    offset: int
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes], ...] = ()
    timestamp: int = NOW


class RecordingLog:
    """Writes every effect into one list, and can fail at a chosen append."""

    def __init__(self, effects: list[str]) -> None:
        self.effects = effects
        self.records: list[Record] = []
        self.fail_at: str | None = None

    async def append(self, parts: Sequence[Parts]) -> None:
        records = [Record(*each) for each in parts]
        names = [record.topic.removeprefix("t.") for record in records]
        if self.fail_at in names:
            raise NotDurableError(self.fail_at)
        self.effects += names
        self.records += records

    async def missing_topics(self) -> list[str]:
        return []

    async def close(self) -> None:
        return

    def on(self, topic: str) -> list[Record]:
        return [each for each in self.records if each.topic == f"t.{topic}"]


@dataclass
class Bench:
    """The worker's agents on recording ports."""

    effects: list[str] = field(default_factory=list)
    clock: StubClock = field(default_factory=StubClock)
    ratio: float = 1.0
    model: CompiledModel = MODEL

    def __post_init__(self) -> None:
        self.log = RecordingLog(self.effects)
        self.table = LeadTable({})
        self.companies = AccountTable({})
        self.beside = SideTable({})
        self.models = ModelBook(self.model)
        self.adopt([])
        self.wakeups = Wakeups(SETTINGS, self.log, self.clock)
        settings = SETTINGS.model_copy(update={"dead_letter_ratio": self.ratio})
        self.suppressions = Suppressions(settings)
        ports: dict[str, Any] = {
            "models": self.models,
            "wakeups": self.wakeups,
            "log": self.log,
            "clock": self.clock,
            "partitions": PARTITIONS,
            "suppressions": self.suppressions,
        }
        self.scoring = Scoring(settings, table=self.table, **ports)
        self.accounts = Accounts(settings, table=self.companies, **ports)
        self.sides = Sides(settings, table=self.beside, leads=self.table, **ports)
        self.roster = Roster(
            sides=self.sides,
            scoring=self.scoring,
            accounts=self.accounts,
            wakeups=self.wakeups,
            erasing=Erasing(
                settings,
                models=self.models,
                leads=self.table,
                beside=self.beside,
                wakeups=self.wakeups,
                log=self.log,
                partitions=PARTITIONS,
                suppressions=self.suppressions,
            ),
        )

    def adopt(self, records: Sequence[Record]) -> None:
        """Own every partition, with what the changelogs hold."""
        tables = {
            LEAD_STATE: self.table,
            SIDE_STATE: self.beside,
            ACCOUNT_STATE: self.companies,
        }
        for changelog, table in tables.items():
            for partition in range(PARTITIONS):
                rebuilt = Rebuilt(partition, 1, "me")
                for offset, record in enumerate(records):
                    place = (record.topic, record.partition)
                    if place == (SETTINGS.topic(changelog.name), partition):
                        rebuilt.apply(record.key, record.value, offset)
                mine = encode_ownership(Ownership(1, 1, "me", "w"))
                rebuilt.apply(OWNER_KEY, mine, len(records))
                table.adopt(rebuilt)

    async def confirm(self) -> None:
        self.effects.append("confirm")

    async def process(self, *batches: Batch) -> list[str]:
        """Return the effects of one fetch."""
        self.effects.clear()
        await self.roster.process(Fetch(batches, 1, 1), self.confirm)
        return list(self.effects)

    def crashed(self) -> "Bench":
        """A new process that recovers from what this one made durable."""
        again = Bench(clock=self.clock, model=self.model)
        again.adopt(self.log.records)
        return again


def event(name: str = "Demo Requested", user: str = "u1", **given: Any) -> Event:
    fields: dict[str, Any] = {
        "id": "e1",
        "type": "track",
        "channel": "web",
        "name": name,
        "user_id": user,
        "occurred_at": to_datetime(NOW),
        "received_at": to_datetime(NOW),
    }
    return Event(**fields | given)


def lead_of(given: Event) -> str:
    lead_id = derive_lead_id(given)
    assert lead_id is not None
    return lead_id


def partition_of_lead(lead_id: str) -> int:
    return partition_of(lead_id.encode(), PARTITIONS)


def raw(offset: int, given: Event, *headers: tuple[str, bytes]) -> Raw:
    key = lead_of(given).encode()
    return Raw(offset, key, msgspec.json.encode(given), headers)


def batch(
    *records: Raw, topic: str = WEB_EVENTS.name, partition: int | None = None
) -> Batch:
    if partition is None:
        partition = partition_of(records[0].key or b"", PARTITIONS)
    place = Partition(f"t.{topic}", partition)
    return Batch(place, records[0].offset, records[-1].offset + 1, records)
