"""The scoring agent: a fetch of records in, scores and alerts out."""

from collections.abc import Iterator
from typing import Any, Final, assert_never, cast

from schemas.account import AccountWakeup, MemberUpdate
from schemas.command import Forward, Learn, Retract, Wakeup
from schemas.event import Event
from schemas.model_version import PRIMARY, ModelVersion
from schemas.time import EARLIEST, MINUTE, Instant, Millis, to_instant, to_iso
from schemas.topics import COMMANDS, EVENT_TOPICS, LEAD_STATE, MODEL_VERSIONS
from scorers.compiled import CompiledModel
from scorers.identity import derive_lead_id
from scorers.scorer import on_backfill, on_event, on_retract, on_wakeup
from scorers.state import LeadState
from scorers.step import Step
from scorers.versions import Act, Versions
from streams import codec, metrics
from streams.agents.cycle import Cycle, Touched
from streams.agents.durable import Change, DurableAgent
from streams.codec import Message, Refusal
from streams.model_book import UnusableVersionError
from streams.partitioner import partition_of
from streams.tables import Lead
from streams.transport.progress import Record as Raw

_SOURCES: Final = {
    **{topic.name: topic.name.partition(".")[0] for topic in EVENT_TOPICS},
    COMMANDS.name: "commands",
    MODEL_VERSIONS.name: "models",
}
"""The metrics' word for each topic; an event's own `source` could be anything."""

_AHEAD: Final[Millis] = 5 * MINUTE
"""How far a producer's clock may be ahead of ours."""


def impossible_time(event: Event, now: Instant) -> str | None:
    """Return what is wrong with an event's time; None if nothing is.

    A lead's time never goes back: one event from the future would hold it there.
    The collector lets none pass, other producers may.
    """
    latest = now + _AHEAD
    if event.now > latest:
        return f"from the future: {to_iso(event.now)}, after {to_iso(latest)}"
    if event.time < EARLIEST:
        return "must be 2000-01-01 at the earliest"
    return None


def learn(model: CompiledModel, state: LeadState, command: Learn) -> Step:
    """Return what follows when new rules take in an event of the past."""
    return on_backfill(
        model,
        state,
        command.event,
        frozenset(command.rules),
        to_instant(command.at),
        traits=frozenset(command.traits),
        place=(command.backfill, command.topic, command.offset),
    )


class Scoring(DurableAgent):
    """Scores what it is given, for the partitions that this worker owns."""

    stage = "scoring"
    changelog = LEAD_STATE
    sources = (*EVENT_TOPICS, COMMANDS, MODEL_VERSIONS)

    def __init__(self, *args: Any, **works_with: Any) -> None:
        """Begin with no news of models."""
        super().__init__(*args, **works_with)
        self.news: list[tuple[int, ModelVersion]] = []

    def _handle(
        self, cycle: Cycle, topic: str, partition: int, record: Raw, message: Message
    ) -> None:
        match message:
            case Event():
                self._event(cycle, topic, partition, record, message)
            case Forward():
                self._event(cycle, topic, partition, record, message.event)
            case Wakeup():
                self._look(cycle, topic, partition, record, message)
            case Retract():
                self._retract(cycle, topic, partition, record, message)
            case Learn():
                if message.slot == PRIMARY:
                    self._learn(cycle, topic, partition, record, message)
            case ModelVersion():
                self._publish(cycle, topic, partition, record, message)
            case MemberUpdate() | AccountWakeup():
                msg = f"{topic} holds no {type(message).__name__}"
                raise TypeError(msg)
            case _:
                assert_never(message)

    def _event(
        self, cycle: Cycle, topic: str, partition: int, record: Raw, event: Event
    ) -> None:
        lead_id = derive_lead_id(event)
        if lead_id is None:
            detail = "no identifier names one person"
            refusal = Refusal("unroutable", detail)
            self._refuse(cycle, topic, partition, record, refusal)
            return
        wrong = impossible_time(event, max(record.timestamp, self._clock.now()))
        if wrong is not None:
            refusal = Refusal("invalid-timestamp", wrong)
            self._refuse(cycle, topic, partition, record, refusal)
            return
        key = lead_id.encode()
        touched = self._touch(cycle, lead_id, partition)
        if touched is None or (topic != COMMANDS.name and record.key != key):
            self._forward(cycle, topic, record, lead_id, event)
            return
        if self._replayed(cycle, touched, topic, record):
            return
        now = event.now
        step = self._stepped(touched, now, lambda m, s: on_event(m, s, event, now))
        if step.outcome == "duplicate":
            cycle.results[topic, "duplicate"] += 1
            return
        self._change(cycle, touched, topic, record, step)
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
        planned = self._wake_at(touched, touched.state)
        if planned is None or now < planned:
            return  # was looked at since
        step = self._stepped(touched, now, lambda m, s: on_wakeup(m, s, now))
        self._expect_rest(step.wake_at, now)
        self._change(cycle, touched, topic, record, step)

    def _retract(
        self, cycle: Cycle, topic: str, partition: int, record: Raw, command: Retract
    ) -> None:
        touched = self._touch(cycle, command.lead_id, partition)
        if touched is None or touched.state is None:
            return
        if self._replayed(cycle, touched, topic, record):
            return
        now = to_instant(command.at)
        ids = command.event_ids
        step = self._stepped(touched, now, lambda m, s: on_retract(m, s, ids, now))
        self._change(cycle, touched, topic, record, step)

    def _learn(
        self, cycle: Cycle, topic: str, partition: int, record: Raw, command: Learn
    ) -> None:
        touched = self._touch(cycle, command.lead_id, partition)
        if touched is None or touched.state is None:
            return
        if self._replayed(cycle, touched, topic, record):
            return
        now = to_instant(command.at)
        step = self._stepped(touched, now, lambda m, s: learn(m, s, command))
        if step.outcome == "scored":
            self._change(cycle, touched, topic, record, step)

    def _publish(
        self,
        cycle: Cycle,
        topic: str,
        partition: int,
        record: Raw,
        version: ModelVersion,
    ) -> None:
        """Take a version of a model in: from here on it is known."""
        try:
            if self._models.take(partition, version):
                self.news.append((partition, version))
        except UnusableVersionError as error:
            refusal = Refusal("invalid-command", str(error))
            self._refuse(cycle, topic, partition, record, refusal)

    def take_news(self) -> list[tuple[int, ModelVersion]]:
        """Return the versions that came since it was asked for last."""
        news, self.news = self.news, []
        return news

    def wakeups(self, partition: int) -> Iterator[tuple[str, Instant]]:
        """Yield the leads that a model newer than theirs waits for, and from when.

        Where only thresholds have moved, that is who came up to one of them; the
        others will hear of it when they are looked at anyway.
        """
        versions = self._models.primary(partition)
        if len(versions) == 1:
            return
        last = versions.last
        spared: dict[str, float] = {}
        for lead_id, lead in self._table.held([partition]):
            if lead.model != last.model.digest:
                if lead.model not in spared:
                    spared[lead.model] = versions.unmoved_below(lead.model)
                below = spared[lead.model]
                if below and cast("Lead", lead).score < below:
                    continue
                planned = lead.wake_at
                yield lead_id, last.at if planned is None else min(last.at, planned)

    def _versions(self, touched: Touched) -> Versions:
        """Return the versions of the model that the touched lead is scored by."""
        return self._models.primary(touched.partition)

    def _stepped(self, touched: Touched, now: Instant, act: Act) -> Step:
        """Return what `act` leads to, by the model that is in force at `now`."""
        return self._versions(touched).apply(touched.state, now, act)

    def _wake_at(self, touched: Touched, state: LeadState) -> Instant | None:
        return self._versions(touched).wake_at(state)

    def _change(
        self, cycle: Cycle, touched: Touched, topic: str, record: Raw, step: Step
    ) -> None:
        """Note the step that a record led to."""
        trace = codec.traceparent(record.headers)
        outputs = (
            *(codec.update_output(update, trace) for update in step.updates),
            *(codec.alert_output(alert, trace) for alert in step.alerts),
            *(codec.member_output(member, trace) for member in step.members),
        )
        touched.tiers += [update.tier for update in step.updates]
        change = Change(step.state, outputs, step.decisions, bool(step.alerts))
        self._apply(cycle, touched, topic, record, change)

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

    def _discount(self, cycle: Cycle, topic: str) -> None:
        cycle.results[topic, "scored"] -= topic != COMMANDS.name

    def _count(self, cycle: Cycle) -> None:
        for (topic, result), count in cycle.results.items():
            metrics.EVENTS.labels(_SOURCES[topic], result).inc(count)
        metrics.LEADS.set(len(self._table))
        for touched in cycle.touched.values():
            if touched.after is not None and touched.received:
                # The one that waited longest: the lead's own worst case.
                waited = self._clock.seconds_since(touched.received[0])
                metrics.SCORE_LATENCY.observe(waited)
                if touched.alerted:
                    metrics.ALERT_LATENCY.observe(waited)
        for tier, count in cycle.tiers().items():
            metrics.SCORE_UPDATES.labels(tier).inc(count)
