"""The scoring agent: a fetch of records in, scores and alerts out.

The order of effects is the promise (ADR on durability): the new states with what
follows from them are durable in the changelog, then updates and alerts are durable on
their topics, then memory changes and the input is acknowledged. A crash in between
repeats the same bytes: what was decided is read back from the changelog, not decided
again.
"""

import heapq
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Iterator
from itertools import groupby
from typing import TYPE_CHECKING, Final, assert_never

import structlog

from schemas.command import Forward, Retract, Wakeup
from schemas.dead_letter import DeadLetter
from schemas.event import Event
from schemas.time import to_datetime, to_instant
from schemas.topics import COMMANDS, DEAD_LETTERS, EVENT_TOPICS, LEAD_STATE
from scorers.compiled import CompiledModel
from scorers.identity import derive_lead_id
from scorers.scorer import on_event, on_retract, on_wakeup
from scorers.step import Decision, Step
from streams import codec, metrics
from streams.agents.cycle import Cycle, Touched
from streams.clock import Clock
from streams.codec import Output, Refusal
from streams.dead_letters import DeadLetterGuard
from streams.event_log import EventLog, Record
from streams.partitioner import partition_of
from streams.tables import MAX_STORED_BYTES, ChangelogError, Lead, LeadTable
from streams.timers import Wakeups
from streams.transport.progress import Batch, Fetch
from streams.transport.progress import Record as Raw

if TYPE_CHECKING:
    from streams.settings import Settings

_OUTBOX_BYTES: Final = 256 * 1024
"""One lead's outputs that are kept in one changelog record."""
_CYCLE_BYTES: Final = 16 * 1024 * 1024
_DETAIL: Final = 500
_SOURCES: Final = {
    **{topic.name: topic.name.partition(".")[0] for topic in EVENT_TOPICS},
    COMMANDS.name: "commands",
}
"""The metrics' word for each topic; an event's own `source` could be anything."""

_log = structlog.get_logger(__name__)

Confirm = Callable[[], Awaitable[None]]


class Scoring:
    """Scores what it is given, for the partitions that this worker owns."""

    def __init__(
        self,
        settings: "Settings",
        *,
        model: CompiledModel,
        table: LeadTable,
        wakeups: Wakeups,
        log: EventLog,
        clock: Clock,
        partitions: int,
    ) -> None:
        """Score with `model` among `partitions` partitions."""
        self._settings = settings
        self._model = model
        self._table = table
        self._wakeups = wakeups
        self._log = log
        self._clock = clock
        self._partitions = partitions
        self._guard = DeadLetterGuard(settings.dead_letter_ratio)
        self._changelog = settings.topic(LEAD_STATE.name)

    async def process(self, fetch: Fetch, confirm: Confirm) -> None:
        """Return when everything that follows from `fetch` is durable.

        `confirm` is awaited before each write and raises if the partitions may have
        another owner by now.

        Raises
        ------
        NotDurableError
            When the broker did not take something; nothing may be acknowledged.
        TooManyDeadLettersError
            When most of the records cannot be processed.
        """
        with metrics.BATCH_SECONDS.time():
            cycle = Cycle()
            for topic, partition, record in self._in_order(fetch.batches):
                self._take(cycle, topic, partition, record)
                if cycle.full:
                    await self._settle(cycle, confirm)
                    cycle = Cycle()
            await self._settle(cycle, confirm)
        for batch in fetch.batches:
            metrics.BATCH_RECORDS.observe(len(batch.records))

    def _in_order(self, batches: Iterable[Batch]) -> Iterator[tuple[str, int, Raw]]:
        """Yield the records, those of one partition number by their time.

        Topics are fetched apart; a lead's events should still come in the order in
        which they were produced, as far as they are at hand.
        """
        prefix = len(self._settings.topic_prefix)

        def number(batch: Batch) -> int:
            return batch.partition.partition

        for partition, together in groupby(sorted(batches, key=number), key=number):
            streams = [
                [(batch.partition.topic[prefix:], record) for record in batch.records]
                for batch in together
            ]
            merged = heapq.merge(*streams, key=lambda each: each[1].timestamp)
            for topic, record in merged:
                yield topic, partition, record

    def _take(self, cycle: Cycle, topic: str, partition: int, record: Raw) -> None:
        """Add to `cycle` what follows from one record."""
        cycle.records += 1
        message = codec.decode(topic, record.value)
        try:
            match message:
                case Refusal():
                    self._refuse(cycle, topic, partition, record, message)
                case Event():
                    self._event(cycle, topic, partition, record, message)
                case Forward():
                    self._event(cycle, topic, partition, record, message.event)
                case Wakeup():
                    self._look(cycle, topic, partition, record, message)
                case Retract():
                    self._retract(cycle, topic, partition, record, message)
                case _:
                    assert_never(message)
        except ChangelogError:
            raise  # not the event's fault
        except Exception as error:  # noqa: BLE001 - one event never stops the stream
            detail = f"{type(error).__name__}: {error}"
            _log.warning(
                "scoring_failed",
                topic=topic,
                partition=partition,
                offset=record.offset,
                exc_info=True,
            )
            refusal = Refusal("scoring-failed", detail)
            self._refuse(cycle, topic, partition, record, refusal)

    def _event(
        self, cycle: Cycle, topic: str, partition: int, record: Raw, event: Event
    ) -> None:
        lead_id = derive_lead_id(event)
        if lead_id is None:
            detail = "no identifier names one person"
            refusal = Refusal("unroutable", detail)
            self._refuse(cycle, topic, partition, record, refusal)
            return
        key = lead_id.encode()
        touched = self._touch(cycle, lead_id, partition)
        if touched is None or (topic != COMMANDS.name and record.key != key):
            self._forward(cycle, topic, record, lead_id, event)
            return
        if self._replayed(cycle, touched, topic, record):
            return
        step = on_event(self._model, touched.state, event, event.now)
        if step.outcome == "duplicate":
            cycle.results[topic, "duplicate"] += 1
            return
        self._apply(cycle, touched, topic, record, step)
        cycle.results[topic, "scored"] += 1
        touched.received.append(event.now)

    def _look(
        self, cycle: Cycle, topic: str, partition: int, record: Raw, wakeup: Wakeup
    ) -> None:
        touched = self._touch(cycle, wakeup.lead_id, partition)
        if touched is None or touched.state is None:
            return  # moved away, or unknown: whoever knows the lead wakes it
        if self._replayed(cycle, touched, topic, record):
            return
        now = to_instant(wakeup.at)
        if touched.state.wake_at is None or now < touched.state.wake_at:
            return  # was looked at since
        step = on_wakeup(self._model, touched.state, now)
        if step.wake_at is not None and step.wake_at <= now:
            # It would be woken again at once, for ever.
            msg = f"woken at {now}, it wants to be woken at {step.wake_at}"
            raise ValueError(msg)
        self._apply(cycle, touched, topic, record, step)

    def _retract(
        self, cycle: Cycle, topic: str, partition: int, record: Raw, command: Retract
    ) -> None:
        touched = self._touch(cycle, command.lead_id, partition)
        if touched is None or touched.state is None:
            return
        if self._replayed(cycle, touched, topic, record):
            return
        step = on_retract(
            self._model, touched.state, command.event_ids, to_instant(command.at)
        )
        self._apply(cycle, touched, topic, record, step)

    def _touch(self, cycle: Cycle, lead_id: str, partition: int) -> Touched | None:
        """Return the lead's place in the cycle; None if it is not of `partition`."""
        touched = cycle.leads.get(lead_id)
        if touched is None:
            before = self._table.get(lead_id)
            if before is not None:
                touched = Touched(
                    lead_id,
                    before.partition,
                    before,
                    positions=dict(before.positions),
                )
            elif partition_of(lead_id.encode(), self._partitions) == partition:
                touched = Touched(lead_id, partition, None)
            else:
                return None
            cycle.leads[lead_id] = touched
        return touched if touched.partition == partition else None

    def _replayed(
        self, cycle: Cycle, touched: Touched, topic: str, record: Raw
    ) -> bool:
        """Say whether the lead's state includes this record already."""
        if record.offset > touched.positions.get(topic, -1):
            return False
        cycle.results[topic, "replayed"] += 1
        touched.send_again = touched.before is not None
        return True

    def _apply(
        self, cycle: Cycle, touched: Touched, topic: str, record: Raw, step: Step
    ) -> None:
        trace = codec.traceparent(record.headers)
        outputs = [codec.update_output(update, trace) for update in step.updates]
        outputs += [codec.alert_output(alert, trace) for alert in step.alerts]
        touched.after = step.state
        touched.positions[topic] = record.offset
        touched.outputs += outputs
        touched.records.append((topic, record))
        touched.tiers += [update.tier for update in step.updates]
        touched.decisions += step.decisions
        touched.alerted = touched.alerted or bool(step.alerts)
        size = sum(len(output.value) for output in outputs)
        touched.outbox_bytes += size
        cycle.bytes += size
        cycle.full = touched.outbox_bytes > _OUTBOX_BYTES or cycle.bytes > _CYCLE_BYTES

    def _forward(
        self, cycle: Cycle, topic: str, record: Raw, lead_id: str, event: Event
    ) -> None:
        cycle.results[topic, "forwarded"] += 1
        output = codec.forward_output(
            Forward(lead_id=lead_id, event=event), codec.traceparent(record.headers)
        )
        key = lead_id.encode()
        cycle.others.append(
            self._record(output, key, partition_of(key, self._partitions))
        )

    def _refuse(
        self, cycle: Cycle, topic: str, partition: int, record: Raw, refusal: Refusal
    ) -> None:
        cycle.results[topic, "dead"] += 1
        cycle.dead[refusal.reason] += 1
        cycle.example = f"{topic}[{partition}]@{record.offset}: {refusal.reason}"
        letter = DeadLetter(
            stage="scoring",
            reason=refusal.reason,
            detail=refusal.detail[:_DETAIL],
            topic=self._settings.topic(topic),
            partition=partition,
            offset=record.offset,
            at=to_datetime(self._clock.now()),
        )
        cycle.others.append(
            Record(
                self._settings.topic(DEAD_LETTERS.name),
                record.key,
                record.value,
                [*record.headers, *letter.headers()],
            )
        )
        cycle.bytes += len(record.value or b"")
        cycle.full = cycle.full or cycle.bytes > _CYCLE_BYTES

    async def _settle(self, cycle: Cycle, confirm: Confirm) -> None:
        """Write what `cycle` led to, in the promised order."""
        states = self._states(cycle)
        self._guard.note(cycle.records, cycle.dead.total(), cycle.example)
        outputs = [
            self._record(output, touched.lead_id.encode(), touched.partition)
            for touched in cycle.leads.values()
            for output in touched.to_send()
        ]
        await confirm()
        await self._log.append(states)
        await confirm()
        await self._log.append([*outputs, *cycle.others])
        for touched in cycle.leads.values():
            if (state := touched.after) is not None:
                self._table.put(
                    touched.lead_id,
                    Lead(touched.partition, touched.positions, state, state.wake_at),
                )
                self._wakeups.plan(touched.partition, touched.lead_id, state.wake_at)
            elif touched.before is not None and touched.send_again:
                touched.before.outbox = ()
        self._count(cycle)

    def _states(self, cycle: Cycle) -> list[Record]:
        """Return the changelog records of the leads that changed."""
        records = []
        for touched in cycle.leads.values():
            if touched.after is None:
                continue
            value = self._table.encode(
                touched.partition,
                touched.positions,
                touched.after,
                tuple(touched.to_send()),
            )
            if len(value) > MAX_STORED_BYTES:
                self._give_up(cycle, touched, len(value))
                continue
            key = touched.lead_id.encode()
            records.append(Record(self._changelog, key, value, [], touched.partition))
        return records

    def _give_up(self, cycle: Cycle, touched: Touched, size: int) -> None:
        """Leave a lead as it was: no broker would take what it has become."""
        detail = f"the state would have {size} bytes, {MAX_STORED_BYTES} at most"
        for topic, record in touched.records:
            cycle.results[topic, "scored"] -= topic != COMMANDS.name
            refusal = Refusal("scoring-failed", detail)
            self._refuse(cycle, topic, touched.partition, record, refusal)
        touched.after = None
        touched.outputs.clear()

    def _record(self, output: Output, key: bytes, partition: int) -> Record:
        topic = self._settings.topic(output.topic)
        return Record(topic, key, output.value, list(output.headers), partition)

    def _count(self, cycle: Cycle) -> None:
        """Tell the metrics, once a cycle."""
        for (topic, result), count in cycle.results.items():
            metrics.EVENTS.labels(_SOURCES[topic], result).inc(count)
        for reason, count in cycle.dead.items():
            metrics.DEAD_LETTERS.labels("scoring", reason).inc(count)
        metrics.LEADS.set(len(self._table))
        tiers: Counter[str] = Counter()
        decisions: Counter[Decision] = Counter()
        for touched in cycle.leads.values():
            tiers.update(touched.tiers)
            decisions.update(touched.decisions)
            if touched.after is not None and touched.received:
                # The one that waited longest: the lead's own worst case.
                waited = self._clock.seconds_since(touched.received[0])
                metrics.SCORE_LATENCY.observe(waited)
                if touched.alerted:
                    metrics.ALERT_LATENCY.observe(waited)
        for tier, count in tiers.items():
            metrics.SCORE_UPDATES.labels(tier).inc(count)
        for decision, count in decisions.items():
            metrics.ALERTS.labels(
                decision.alert, decision.reason, str(decision.sent).lower()
            ).inc(count)
