"""What every agent that keeps state promises, whatever its states are of.

The order of effects is the promise (ADR on durability): the new states with what
follows from them are durable in the changelog, then updates and alerts are durable on
their topics, then memory changes and the input is acknowledged. A crash in between
repeats the same bytes: what was decided is read back from the changelog, not decided
again.
"""

import heapq
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from itertools import groupby
from typing import TYPE_CHECKING, Any, ClassVar, Final

import structlog
from mypy_extensions import mypyc_attr

from schemas.dead_letter import DeadLetter, Stage
from schemas.time import Instant, to_datetime
from schemas.topics import DEAD_LETTERS, Topic
from schemas.workspace import workspace_of
from scorers.step import Decision
from streams import codec, metrics
from streams.agents.cycle import Cycle, Touched
from streams.clock import Clock
from streams.codec import Message, Refusal
from streams.dead_letters import DeadLetterGuard
from streams.event_log import Record
from streams.model_book import ModelBook
from streams.outgoing import Output
from streams.partitioner import partition_of
from streams.producing import Parts, PartsLog
from streams.state_records import MAX_STORED_BYTES, ChangelogError, encode_stored
from streams.suppressions import PrivacyKeyError, Suppressions
from streams.tables import StateTable
from streams.timers import Wakeups
from streams.tracing import context_of
from streams.transport.progress import Batch, Fetch
from streams.transport.progress import Record as Raw

if TYPE_CHECKING:
    from streams.settings import Settings

_OUTBOX_BYTES: Final = 256 * 1024
"""Outputs of one key that are kept in one changelog record."""
_CYCLE_BYTES: Final = 16 * 1024 * 1024
_DETAIL: Final = 500

_log = structlog.get_logger(__name__)

Confirm = Callable[[], Awaitable[None]]


Decided = tuple["DurableAgent", Cycle]
"""An agent, and what it wants to be written."""


class Change:
    """What a record did to a state, and what follows from it."""

    __slots__ = ("alerted", "decisions", "outputs", "state")

    def __init__(
        self,
        state: Any,
        outputs: tuple[Output, ...],
        decisions: tuple[Decision, ...] = (),
        *,
        alerted: bool = False,
    ) -> None:
        """Take note of it; `alerted` if somebody is told."""
        self.state = state
        self.outputs = outputs
        self.decisions = decisions
        self.alerted = alerted


@mypyc_attr(allow_interpreted_subclasses=True)
class DurableAgent(ABC):
    """Processes what it is given, for the partitions that this worker owns."""

    stage: ClassVar[Stage]
    """What it is called where something goes wrong."""
    changelog: ClassVar[Topic]
    """Where its states are kept."""
    sources: ClassVar[tuple[Topic, ...]]
    """What its states are made of; co-partitioned with the changelog."""

    def __init__(
        self,
        settings: "Settings",
        *,
        models: ModelBook,
        table: StateTable,
        wakeups: Wakeups,
        log: PartsLog,
        clock: Clock,
        partitions: int,
        suppressions: Suppressions,
    ) -> None:
        """Work with `models` among `partitions` partitions."""
        self._settings = settings
        self._models = models
        self._table = table
        self._wakeups = wakeups
        self._log = log
        self._clock = clock
        self._partitions = partitions
        self._suppressions = suppressions
        self._topics: dict[str, str] = {}
        """The topics that were written to, by their base names."""
        self._guard = DeadLetterGuard(settings.dead_letter_ratio)
        self._begin()

    def _begin(self) -> None:  # noqa: B027 - most agents have nothing of their own
        """Make what only this agent has."""

    @abstractmethod
    def _handle(
        self, cycle: Cycle, topic: str, partition: int, record: Raw, message: Message
    ) -> None:
        """Add to `cycle` what follows from a message."""

    def _wake_at(self, touched: Touched, state: Any) -> Instant | None:  # noqa: ARG002
        """Return when a state is to be looked at."""
        planned: Instant | None = state.wake_at
        return planned

    @abstractmethod
    def _discount(self, cycle: Cycle, topic: str) -> None:
        """Take back what was counted for a record that changed something."""

    @abstractmethod
    def _count(self, cycle: Cycle) -> None:
        """Tell the metrics what only this agent knows, once a cycle."""

    async def process(self, fetch: Fetch, confirm: Confirm) -> None:
        """Return when everything that follows from `fetch` is durable.

        Raises
        ------
        NotDurableError
            When the broker did not take something; nothing may be acknowledged.
        TooManyDeadLettersError
            When most of the records cannot be processed.
        """
        decided = await self.decide(fetch, confirm)
        if decided is not None:
            await self.settle([decided], confirm)

    async def decide(self, fetch: Fetch, confirm: Confirm) -> "Decided | None":
        """Return what follows from `fetch` and is not written yet, None if nothing is.

        Only batches of the agent's own sources are its business. Where more follows
        than may wait in memory, the beginning is written already.

        `confirm` is awaited before each write and raises if the partitions may have
        another owner by now.

        Raises
        ------
        NotDurableError
            When the broker did not take something; nothing may be acknowledged.
        TooManyDeadLettersError
            When most of the records cannot be processed.
        """
        names = {self._settings.topic(topic.name) for topic in self.sources}
        batches = [each for each in fetch.batches if each.partition.topic in names]
        if not batches:
            return None
        cycle = Cycle()
        for topic, partition, records in self._in_order(batches):
            for record in records:
                self._take(cycle, topic, partition, record)
                if cycle.full:
                    await self.settle([(self, cycle)], confirm)
                    cycle = Cycle()
        for batch in batches:
            metrics.BATCH_RECORDS.observe(len(batch.records))
        return self, cycle

    def _in_order(
        self, batches: Iterable[Batch]
    ) -> Iterator[tuple[str, int, Sequence[Raw]]]:
        """Yield runs of records, those of one partition number by their time.

        Topics are fetched apart; events of one key should still come in the order in
        which they were produced, as far as they are at hand.
        """
        prefix = len(self._settings.topic_prefix)

        def number(batch: Batch) -> int:
            return batch.partition.partition

        for partition, together in groupby(sorted(batches, key=number), key=number):
            found = list(together)
            if len(found) == 1:
                topic = found[0].partition.topic[prefix:]
                yield topic, partition, found[0].records
                continue
            streams = [
                [(batch.partition.topic[prefix:], record) for record in batch.records]
                for batch in found
            ]
            merged = heapq.merge(*streams, key=lambda each: each[1].timestamp)
            for topic, record in merged:
                yield topic, partition, (record,)

    def _take(self, cycle: Cycle, topic: str, partition: int, record: Raw) -> None:
        """Add to `cycle` what follows from one record."""
        cycle.records += 1
        message = codec.decode(topic, record.value)
        if isinstance(message, Refusal):
            self._refuse(cycle, topic, partition, record, message)
            return
        admitted = self._suppressions.admit(message)
        if admitted is None:
            cycle.results[topic, "suppressed"] += 1
            return
        try:
            self._handle(cycle, topic, partition, record, admitted)
        except (ChangelogError, PrivacyKeyError):
            raise  # not the event's fault
        except Exception as error:  # noqa: BLE001 - one event never stops the stream
            detail = f"{type(error).__name__}: {error}"
            trace = context_of(record.headers)
            _log.warning(
                "scoring_failed",
                trace_id=None if trace is None else trace.trace_id,
                stage=self.stage,
                topic=topic,
                partition=partition,
                offset=record.offset,
                exc_info=True,
            )
            refusal = Refusal("scoring-failed", detail)
            self._refuse(cycle, topic, partition, record, refusal)

    def _touch(self, cycle: Cycle, key: str, partition: int) -> Touched | None:
        """Return the key's place in the cycle; None if it is not of `partition`."""
        touched = cycle.touched.get(key)
        if touched is None:
            before = self._table.get(key)
            if before is not None:
                positions = dict(before.positions)
                touched = Touched(key, before.partition, before, positions)
            elif partition_of(key.encode(), self._partitions) == partition:
                touched = Touched(key, partition, None, {})
            else:
                return None
            cycle.touched[key] = touched
        return touched if touched.partition == partition else None

    def _replayed(
        self, cycle: Cycle, touched: Touched, topic: str, record: Raw
    ) -> bool:
        """Say whether the state includes this record already."""
        if record.offset > touched.positions.get(topic, -1):
            return False
        cycle.results[topic, "replayed"] += 1
        touched.send_again = touched.before is not None
        return True

    @staticmethod
    def _expect_rest(wake_at: Instant | None, now: Instant) -> None:
        """Refuse what would be woken again at once, for ever.

        Raises
        ------
        ValueError
            When what was woken at `now` wants to be woken then again.
        """
        if wake_at is not None and wake_at <= now:
            msg = f"woken at {now}, it wants to be woken at {wake_at}"
            raise ValueError(msg)

    def _apply(
        self, cycle: Cycle, touched: Touched, topic: str, record: Raw, change: Change
    ) -> None:
        """Note what a record changed."""
        touched.after = change.state
        touched.positions[topic] = record.offset
        touched.outputs += change.outputs
        touched.records += ((topic, record),)
        if change.decisions:
            touched.decisions += change.decisions
        touched.alerted = touched.alerted or change.alerted
        size = 0
        for output in change.outputs:
            size += len(output.value)
        touched.outbox_bytes += size
        cycle.bytes += size
        cycle.full = touched.outbox_bytes > _OUTBOX_BYTES or cycle.bytes > _CYCLE_BYTES

    def _refuse(
        self, cycle: Cycle, topic: str, partition: int, record: Raw, refusal: Refusal
    ) -> None:
        cycle.results[topic, "dead"] += 1
        cycle.dead[refusal.reason] += 1
        cycle.example = f"{topic}[{partition}]@{record.offset}: {refusal.reason}"
        letter = DeadLetter(
            stage=self.stage,
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

    async def settle(self, decided: Sequence["Decided"], confirm: Confirm) -> None:
        """Write what cycles led to, of this agent and others, in the promised order.

        The states of all of them go first, then what follows from any: two waits for
        the broker, however many agents a fetch had work for.

        Raises
        ------
        NotDurableError
            When the broker did not take something; nothing may be acknowledged.
        TooManyDeadLettersError
            When most of the records cannot be processed.
        """
        states: list[Parts] = []
        outputs: list[Parts] = []
        for agent, cycle in decided:
            changed, following = agent.records_of(cycle)
            states += changed
            outputs += following
        await confirm()
        await self._log.append(states)
        await confirm()
        await self._log.append(outputs)
        for agent, cycle in decided:
            agent.note_durable(cycle)

    def note_durable(self, cycle: Cycle) -> None:
        """Let memory be what `cycle` led to: all of it is durable."""
        # Methods are called by their owners: compiled, a bound one costs more.
        table, wakeups = self._table, self._wakeups
        for touched in cycle.touched.values():
            state, stored = touched.after, touched.stored
            if stored is not None:
                key, partition = touched.key, touched.partition
                table.renew(key, partition, stored, state)
                wakeups.plan(partition, key, self._wake_at(touched, state))
            elif touched.before is not None and touched.send_again:
                touched.before.outbox = ()
        self._count_all(cycle)

    def records_of(self, cycle: Cycle) -> tuple[list[Parts], list[Parts]]:
        """Return the changelog records of what changed, and what follows from it.

        Raises
        ------
        TooManyDeadLettersError
            When most of the records cannot be processed.
        """
        changelog = self._settings.topic(self.changelog.name)
        table = self._table
        states: list[Parts] = []
        outputs: list[Parts] = []
        size = 0
        for touched in cycle.touched.values():
            state = touched.after
            if state is None and not touched.send_again:
                continue
            key, partition = touched.key.encode(), touched.partition
            sent = touched.to_send()
            if state is not None:
                stored = table.signed(partition, touched.positions, state, sent)
                value = encode_stored(stored)
                if len(value) > MAX_STORED_BYTES:
                    self._give_up(cycle, touched, len(value))
                    sent = touched.to_send()
                else:
                    touched.stored = stored
                    states.append((changelog, key, value, (), partition))
                    size += len(value)
            for output in sent:
                outputs.append(self._record(output, key, partition))  # noqa: PERF401 - a list of one costs more
        metrics.CHANGELOG_BYTES.inc(size)
        # A state that cannot be kept has become dead letters only now.
        self._guard.note(cycle.records, cycle.dead.total(), cycle.example)
        outputs += cycle.others
        return states, outputs

    def _give_up(self, cycle: Cycle, touched: Touched, size: int) -> None:
        """Leave it as it was: no broker would take what it has become."""
        detail = f"the state would have {size} bytes, {MAX_STORED_BYTES} at most"
        for topic, record in touched.records:
            self._discount(cycle, topic)
            refusal = Refusal("scoring-failed", detail)
            self._refuse(cycle, topic, touched.partition, record, refusal)
        touched.after = None
        touched.outputs = ()

    def _record(self, output: Output, key: bytes, partition: int) -> Parts:
        """Return an output as a record of `key`, if it has no other key itself."""
        if output.key:
            key = output.key.encode()
            partition = partition_of(key, self._partitions)
        topic = self._topics.get(output.topic)
        if topic is None:
            topic = self._topics[output.topic] = self._settings.topic(output.topic)
        return topic, key, output.value, output.headers, partition

    def _count_all(self, cycle: Cycle) -> None:
        """Tell the metrics, once a cycle."""
        for reason, count in cycle.dead.items():
            metrics.DEAD_LETTERS.labels(self.stage, reason).inc(count)
        decisions = Counter(
            (decision, workspace_of(touched.key))
            for touched in cycle.touched.values()
            for decision in touched.decisions
        )
        for (decision, workspace), count in decisions.items():
            metrics.ALERTS.labels(
                decision.alert, decision.reason, str(decision.sent).lower(), workspace
            ).inc(count)
        self._count(cycle)
