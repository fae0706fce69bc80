"""Models beside the primary on the live stream: shadows, and those of a product.

They see what the primary sees, keep states of their own and publish their updates on
a topic of their own. What a lead did before its side model began is taken over from
the primary's state, so this agent goes before the primary's over every fetch.
"""

from collections.abc import Iterator
from typing import Any, Final, NamedTuple, assert_never

import msgspec

from schemas.account import AccountWakeup, MemberUpdate
from schemas.alert import Alert
from schemas.command import (
    Absorb,
    Erase,
    Forward,
    Learn,
    Link,
    Release,
    Retract,
    Wakeup,
)
from schemas.event import Event
from schemas.model_version import ModelVersion
from schemas.privacy import Suppression
from schemas.time import Instant, to_instant
from schemas.topics import COMMANDS, EVENT_TOPICS, SIDE_STATE
from schemas.workspace import workspace_of
from scorers.identity import derive_lead_id
from scorers.mailbox import Addressed, on_message, said_at
from scorers.notice import alert_id
from scorers.scorer import on_wakeup
from scorers.state import LeadState
from scorers.step import Step
from scorers.versions import started
from streams import codec, metrics
from streams.agents.cycle import Cycle, Touched
from streams.agents.durable import Change, Confirm, Decided, DurableAgent
from streams.agents.scoring import impossible_time, known_as
from streams.codec import Message, Refusal
from streams.event_log import Record
from streams.model_book import Side
from streams.outgoing import Output
from streams.partitioner import partition_of
from streams.tables import LeadTable
from streams.transport.progress import Fetch
from streams.transport.progress import Record as Raw

_SEPARATOR: Final = "/"


class _Place(NamedTuple):
    """Where an input is met."""

    cycle: Cycle
    topic: str
    partition: int
    record: Raw


def _key(side: Side, lead_id: str) -> str:
    return f"{side.name}{_SEPARATOR}{lead_id}"


class Sides(DurableAgent):
    """Scores leads by every model that runs beside the primary."""

    stage = "scoring"
    changelog = SIDE_STATE
    sources = (*EVENT_TOPICS, COMMANDS)

    def __init__(self, *args: Any, leads: LeadTable, **works_with: Any) -> None:
        """Begin with what the primary's table `leads` knows."""
        super().__init__(*args, **works_with)
        self._leads = leads

    async def decide(self, fetch: Fetch, confirm: Confirm) -> Decided | None:
        """Return what follows from `fetch` and is not written yet, if there are sides.

        Raises
        ------
        NotDurableError
            When the broker did not take something; nothing may be acknowledged.
        """
        if not self._models.has_sides:
            return None
        return await super().decide(fetch, confirm)

    def wakeups(self, partition: int) -> Iterator[tuple[str, Instant]]:
        """Yield every lead of every slot that is to be looked at, and when."""
        if not self._models.has_sides:
            return
        for lead_id, _ in self._leads.held([partition]):
            for side in self._sides(partition, lead_id).values():
                key = _key(side, lead_id)
                kept = self._table.get(key)
                at: Instant | None = side.versions.first.at
                if kept is not None:
                    at = side.versions.wake_at(kept.state)
                if at is not None:
                    yield key, at

    async def prune(self, partition: int, confirm: Confirm) -> None:
        """Forget what slots knew that have ended."""
        gone = [
            key
            for key, _ in self._table.held([partition])
            if self._side(partition, key) is None
        ]
        if not gone:
            return
        topic = self._settings.topic(SIDE_STATE.name)
        await confirm()
        await self._log.append(
            [Record(topic, key.encode(), None, [], partition) for key in gone]
        )
        for key in gone:
            self._table.remove(key)
            self._wakeups.plan(partition, key, None)

    def _handle(
        self, cycle: Cycle, topic: str, partition: int, record: Raw, message: Message
    ) -> None:
        place = _Place(cycle, topic, partition, record)
        match message:
            case Event():
                self._event(place, message)
            case Forward():
                self._event(place, message.event, message.lead_id)
            case Wakeup():
                self._look(place, message)
            case Retract() | Learn() | Link() | Absorb() | Release():
                slot = message.slot if isinstance(message, Learn) else ""
                self._each(place, message, said_at(message), only=slot)
            case (
                MemberUpdate()
                | AccountWakeup()
                | ModelVersion()
                | Erase()
                | Suppression()
            ):
                pass  # the business of others
            case _:
                assert_never(message)

    def _event(self, place: "_Place", event: Event, lead_id: str | None = None) -> None:
        """Score an event that the primary's agent scores, too."""
        event = known_as(event, self._settings)
        record = place.record
        if lead_id is None:
            lead_id = derive_lead_id(event)
            if lead_id is None or record.key != lead_id.encode():
                return  # set aside or forwarded by the primary's agent
        if impossible_time(event, max(record.timestamp, self._clock.now())):
            return
        self._each(place, event, event.now, lead_id=lead_id)

    def _each(
        self,
        place: "_Place",
        message: Addressed,
        now: Instant,
        *,
        only: str = "",
        lead_id: str = "",
    ) -> None:
        """Let a message reach its lead in every slot, or in one.

        What leads say to each other only the primary's say: it is heard here, too.
        """
        lead_id = lead_id or getattr(message, "lead_id", "")
        for slot, side in self._sides(place.partition, lead_id).items():
            if only and slot != only:
                continue
            touched = self._begun(place, slot, side, lead_id)
            if touched is None:
                continue
            if self._replayed(place.cycle, touched, place.topic, place.record):
                continue
            step = side.versions.apply(
                touched.state,
                now,
                lambda m, s: on_message(m, s, message, now, lead_id=lead_id),
            )
            if step.outcome in {"scored", "linked"}:
                self._note(place, touched, slot, side, step)

    def _look(self, place: "_Place", wakeup: Wakeup) -> None:
        now = to_instant(wakeup.at)
        for slot, side in self._sides(place.partition, wakeup.lead_id).items():
            touched = self._begun(place, slot, side, wakeup.lead_id)
            if touched is None or touched.state is None:
                continue
            if self._replayed(place.cycle, touched, place.topic, place.record):
                continue
            planned = side.versions.wake_at(touched.state)
            if planned is None or now < planned:
                continue
            step = side.versions.apply(
                touched.state, now, lambda m, s: on_wakeup(m, s, now)
            )
            self._expect_rest(step.wake_at, now)
            self._note(place, touched, slot, side, step)

    def _begun(
        self, place: "_Place", slot: str, side: Side, lead_id: str
    ) -> Touched | None:
        """Return the lead's place in a slot; it begins with what the primary knows."""
        key = _key(side, lead_id)
        touched = place.cycle.touched.get(key)
        if touched is None:
            before, known = self._table.get(key), self._leads.get(lead_id)
            if before is not None:
                positions = dict(before.positions)
                touched = Touched(key, before.partition, before, positions)
            elif known is not None:
                positions = dict(known.positions)
                touched = Touched(key, known.partition, None, positions)
                step = started(side.versions, known.state)
                touched.after = step.state
                touched.outputs += self._outputs(slot, side, step, ())
            elif partition_of(lead_id.encode(), self._partitions) == place.partition:
                touched = Touched(key, place.partition, None, {})
            else:
                return None
            place.cycle.touched[key] = touched
        return touched if touched.partition == place.partition else None

    def _note(
        self, place: "_Place", touched: Touched, slot: str, side: Side, step: Step
    ) -> None:
        trace = codec.traceparent(place.record.headers)
        outputs = self._outputs(slot, side, step, trace)
        change = Change(step.state, outputs)
        self._apply(place.cycle, touched, place.topic, place.record, change)
        place.cycle.results[slot, "scored"] += 1

    @staticmethod
    def _outputs(
        slot: str, side: Side, step: Step, trace: codec.Headers
    ) -> tuple[Output, ...]:
        updates = [codec.side_output(update, slot, trace) for update in step.updates]
        if not side.alerts:
            return tuple(updates)
        alerts = [
            codec.alert_output(_told_by(slot, alert), trace, alert.lead_id)
            for alert in step.alerts
        ]
        return (*updates, *alerts)

    def _sides(self, partition: int, lead_id: str) -> dict[str, Side]:
        """Return what runs beside the primary of a lead's workspace."""
        return self._models.sides(partition, workspace_of(lead_id))

    def _side(self, partition: int, key: str) -> Side | None:
        """Return what a state is of, None if that has ended."""
        name, _, lead_id = key.partition(_SEPARATOR)
        side = self._sides(partition, lead_id).get(name.partition("@")[0])
        return side if side is not None and side.name == name else None

    def _wake_at(self, touched: Touched, state: LeadState) -> Instant | None:
        side = self._side(touched.partition, touched.key)
        return None if side is None else side.versions.wake_at(state)

    def _refuse(
        self, cycle: Cycle, topic: str, partition: int, record: Raw, refusal: Refusal
    ) -> None:
        """Leave it to the primary's agent, which sets aside what is no good."""

    def _discount(self, cycle: Cycle, topic: str) -> None:
        """Nothing is counted by topic here."""

    def _count(self, cycle: Cycle) -> None:
        for (slot, result), count in cycle.results.items():
            if result == "scored":
                metrics.SIDE_EVENTS.labels(slot).inc(count)


def _told_by(slot: str, alert: Alert) -> Alert:
    """Return the alert under an id that no other slot's alert has."""
    name = f"{slot}{_SEPARATOR}{alert.alert}"
    return msgspec.structs.replace(
        alert, id=alert_id(alert.lead_id, name, alert.episode)
    )
