"""The scoring agent: a fetch of records in, scores and alerts out."""

from collections import Counter
from collections.abc import Iterator
from typing import TYPE_CHECKING, Final, assert_never, cast

from msgspec.structs import replace

from schemas.account import AccountWakeup, MemberUpdate
from schemas.command import (
    Absorb,
    Command,
    Erase,
    Forward,
    Learn,
    Link,
    Release,
    Retract,
    Wakeup,
)
from schemas.event import Event
from schemas.model_version import PRIMARY, ModelVersion
from schemas.privacy import Suppression
from schemas.time import EARLIEST, MINUTE, Instant, Millis, to_instant, to_iso
from schemas.topics import (
    COMMANDS,
    EVENT_TOPICS,
    LEAD_STATE,
    MODEL_VERSIONS,
    SUPPRESSIONS,
)
from schemas.workspace import workspace_of
from scorers.identity import derive_lead_id, untagged
from scorers.mailbox import Addressed, on_message, said_at
from scorers.scorer import on_wakeup
from scorers.state import LeadState
from scorers.step import Step
from scorers.versions import Act, Versions
from streams import codec, metrics
from streams.agents.cycle import Cycle, Touched
from streams.agents.durable import Change, DurableAgent
from streams.agents.erasing import Erasure
from streams.codec import Message, Refusal
from streams.model_book import UnusableVersionError
from streams.state_records import is_source, source_name
from streams.tables import Lead
from streams.tracing import context_of, exemplar
from streams.transport.progress import Record as Raw
from streams.unlinked import read_unlinked

if TYPE_CHECKING:
    from streams.settings import Settings

_SOURCES: Final = {
    **{topic.name: topic.name.partition(".")[0] for topic in EVENT_TOPICS},
    COMMANDS.name: "commands",
    MODEL_VERSIONS.name: "models",
    SUPPRESSIONS.name: "suppressions",
}
"""The metrics' word for each topic; an event's own `source` could be anything."""

_LINKS: Final = "#links"
"""In place of a topic: what is counted of links, not of records."""

_MOST_SOURCES: Final = 64
"""Redirected leads and topics of which a lead remembers how far it got."""

_AHEAD: Final[Millis] = 5 * MINUTE
"""How far a producer's clock may be ahead of ours."""


def impossible_time(event: Event, now: Instant) -> str | None:
    """Return what is wrong with an event's time; None if nothing is.

    A lead's time never goes back: one event from the future would hold it there.
    The collector lets none pass, other producers may.
    """
    received, latest = event.now, now + _AHEAD
    if received > latest:
        return f"from the future: {to_iso(received)}, after {to_iso(latest)}"
    if min(received, to_instant(event.occurred_at)) < EARLIEST:
        return "must be 2000-01-01 at the earliest"
    return None


def known_as(event: Event, settings: "Settings") -> Event:
    """Return `event` under the identifiers by which this deployment knows people."""
    return untagged(event) if settings.ignore_plus_tags else event


def _came_before(touched: Touched, forward: Forward) -> bool:
    """Say whether the lead includes this forwarded event, or one after it."""
    known = touched.positions.get(forward.source)
    return known is not None and forward.offset <= known


def _note_source(touched: Touched, forward: Forward) -> None:
    """Remember how far the lead got with what another one forwards."""
    positions = touched.positions
    positions.pop(forward.source, None)
    positions[forward.source] = forward.offset
    sources = [name for name in positions if is_source(name)]
    for name in sources[:-_MOST_SOURCES]:
        del positions[name]


def _traceable(command: Command, touched: Touched, topic: str, record: Raw) -> Command:
    """Return a redirected event with the place by which it is known if it comes again.

    What a lead forwards from one topic reaches the other lead in its order.
    """
    if not isinstance(command, Forward):
        return command
    source = source_name(touched.key, topic)
    return replace(command, source=source, offset=record.offset)


def _link_result(before: LeadState | None, step: Step) -> str:
    if step.outcome == "duplicate":
        return "known"
    if before is not None and before.claims:
        return "moved"
    handed = any(isinstance(command, Absorb) for command in step.commands)
    return "handed-over" if handed else "reserved"


def _shown(touched: Touched) -> dict[str, str] | None:
    """Return the trace of what reached the lead, if it is recorded."""
    traces = (context_of(record.headers) for _, record in touched.records)
    return exemplar(next(filter(None, traces), None))


class Scoring(DurableAgent):
    """Scores what it is given, for the partitions that this worker owns."""

    stage = "scoring"
    changelog = LEAD_STATE
    sources = (*EVENT_TOPICS, COMMANDS, MODEL_VERSIONS, SUPPRESSIONS)

    def _begin(self) -> None:
        """Begin with no news of models."""
        self.news: list[tuple[int, ModelVersion]] = []
        self.erasures: list[Erasure] = []
        self._unlinked = read_unlinked(self._settings.unlinked_path)

    def _handle(
        self, cycle: Cycle, topic: str, partition: int, record: Raw, message: Message
    ) -> None:
        match message:
            case Event():
                self._event(cycle, topic, partition, record, message)
            case Forward():
                self._event(cycle, topic, partition, record, message.event, message)
            case Wakeup():
                self._look(cycle, topic, partition, record, message)
            case Learn() if message.slot != PRIMARY:
                pass
            case Retract() | Learn() | Link() | Absorb() | Release():
                self._obey(cycle, topic, partition, record, message)
            case Erase():
                self._erase(cycle, topic, partition, record, message)
            case Suppression():
                self._suppressions.take(message)
            case ModelVersion():
                self._publish(cycle, topic, partition, record, message)
            case MemberUpdate() | AccountWakeup():
                msg = f"{topic} holds no {type(message).__name__}"
                raise TypeError(msg)
            case _:
                assert_never(message)

    def _event(  # noqa: PLR0917 - an event, and how it came
        self,
        cycle: Cycle,
        topic: str,
        partition: int,
        record: Raw,
        event: Event,
        forward: Forward | None = None,
    ) -> None:
        event = known_as(event, self._settings)
        lead_id = derive_lead_id(event) if forward is None else forward.lead_id
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
        if touched is None or (forward is None and record.key != key):
            self._forward(cycle, topic, record, lead_id, event)
            return
        if self._replayed(cycle, touched, topic, record):
            return
        if forward is not None and _came_before(touched, forward):
            cycle.results[topic, "replayed"] += 1
            return
        step = self._told(touched, event, event.now)
        cycle.results[topic, step.outcome] += 1
        if step.outcome == "duplicate":
            return
        self._change(cycle, touched, topic, record, step)
        if forward is not None and forward.source:
            _note_source(touched, forward)
        if step.outcome == "scored" and touched.received is None:
            touched.received = event.now

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

    def _obey(
        self,
        cycle: Cycle,
        topic: str,
        partition: int,
        record: Raw,
        command: Retract | Learn | Link | Absorb | Release,
    ) -> None:
        """Do what a lead is told, or tell whoever it is part of by now."""
        touched = self._touch(cycle, command.lead_id, partition)
        if touched is None or self._replayed(cycle, touched, topic, record):
            return
        step = self._told(touched, command, said_at(command))
        self._count_identity(cycle, touched, command, step)
        if step.outcome != "duplicate" or step.commands:
            self._change(cycle, touched, topic, record, step)

    def _count_identity(
        self,
        cycle: Cycle,
        touched: Touched,
        command: Retract | Learn | Link | Absorb | Release,
        step: Step,
    ) -> None:
        match command:
            case Link():
                cycle.results[_LINKS, _link_result(touched.state, step)] += 1
            case Absorb() if step.outcome == "linked":
                cycle.results[_LINKS, "absorbed"] += 1
                metrics.MERGE_SECONDS.observe(
                    self._clock.seconds_since(to_instant(command.at))
                )
            case _:
                pass

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

    def _erase(
        self, cycle: Cycle, topic: str, partition: int, record: Raw, command: Erase
    ) -> None:
        """Note who is to be erased, once everything before it is done."""
        if self._suppressions.key is None:
            detail = "nobody can be erased without LEADPULSE_PRIVACY_KEY"
            refusal = Refusal("invalid-command", detail)
            self._refuse(cycle, topic, partition, record, refusal)
            return
        self.erasures.append(Erasure(partition, command))

    def take_erasures(self) -> list[Erasure]:
        """Return who is to be erased since it was asked for last."""
        erasures, self.erasures = self.erasures, []
        return erasures

    def take_news(self) -> list[tuple[int, ModelVersion]]:
        """Return the versions that came since it was asked for last."""
        news, self.news = self.news, []
        return news

    def wakeups(self, partition: int) -> Iterator[tuple[str, Instant]]:
        """Yield the leads that a model newer than theirs waits for, and from when.

        Where only thresholds have moved, that is who came up to one of them; the
        others will hear of it when they are looked at anyway.
        """
        changed = {
            workspace: versions
            for workspace in self._models.workspaces(partition)
            if len(versions := self._models.primary(partition, workspace)) > 1
        }
        if not changed:
            return
        spared: dict[tuple[str, str], float] = {}
        for lead_id, lead in self._table.held([partition]):
            workspace = workspace_of(lead_id)
            if workspace not in changed:
                continue
            versions = changed[workspace]
            if lead.model == versions.last.model.digest:
                continue
            place = workspace, lead.model
            if place not in spared:
                spared[place] = versions.unmoved_below(lead.model)
            if spared[place] and cast("Lead", lead).score < spared[place]:
                continue
            at, planned = versions.last.at, lead.wake_at
            yield lead_id, at if planned is None else min(at, planned)

    def _versions(self, touched: Touched) -> Versions:
        """Return the versions of the model that the touched lead is scored by."""
        return self._models.primary(touched.partition, workspace_of(touched.key))

    def _stepped(self, touched: Touched, now: Instant, act: Act) -> Step:
        """Return what `act` leads to, by the model that is in force at `now`."""
        return self._versions(touched).apply(touched.state, now, act)

    def _told(self, touched: Touched, message: Addressed, now: Instant) -> Step:
        """Return what follows when `message` reaches the touched lead at `now`."""
        lead_id = touched.key
        return self._stepped(
            touched, now, lambda m, s: on_message(m, s, message, now, lead_id=lead_id)
        )

    def _wake_at(self, touched: Touched, state: LeadState) -> Instant | None:
        return self._versions(touched).wake_at(state)

    def _change(
        self, cycle: Cycle, touched: Touched, topic: str, record: Raw, step: Step
    ) -> None:
        """Note the step that a record led to."""
        trace = codec.traceparent(record.headers)
        outputs = [codec.update_output(update, trace) for update in step.updates]
        # Most steps have none of these: not to look is most of what it takes.
        if step.alerts:
            outputs += [codec.alert_output(alert, trace) for alert in step.alerts]
        if step.members:
            outputs += [codec.member_output(member, trace) for member in step.members]
        if step.commands:
            outputs += [
                codec.command_output(_traceable(command, touched, topic, record), trace)
                for command in step.commands
                if not isinstance(command, Link)
                or command.lead_id not in self._unlinked
            ]
        touched.tiers += tuple([update.tier for update in step.updates])
        touched.machines += step.machines
        alerted = bool(step.alerts)
        change = Change(step.state, tuple(outputs), step.decisions, alerted=alerted)
        self._apply(cycle, touched, topic, record, change)

    def _forward(
        self, cycle: Cycle, topic: str, record: Raw, lead_id: str, event: Event
    ) -> None:
        cycle.results[topic, "forwarded"] += 1
        output = codec.command_output(
            Forward(lead_id=lead_id, event=event), codec.traceparent(record.headers)
        )
        cycle.others.append(self._record(output, b"", -1))

    def _discount(self, cycle: Cycle, topic: str) -> None:
        cycle.results[topic, "scored"] -= topic != COMMANDS.name

    def _count(self, cycle: Cycle) -> None:
        for (topic, result), count in cycle.results.items():
            if topic == _LINKS:
                metrics.LINKS.labels(result).inc(count)
            else:
                metrics.EVENTS.labels(_SOURCES[topic], result).inc(count)
        metrics.LEADS.set(len(self._table))
        waiting = [
            (self._clock.seconds_since(touched.received), touched)
            for touched in cycle.touched.values()
            # The one that waited longest: the lead's own worst case.
            if touched.after is not None and touched.received is not None
        ]
        slowest = max((waited for waited, _ in waiting), default=0.0)
        for waited, touched in waiting:
            # One trace for a batch, of who waited longest: it is there to be looked at.
            shown = _shown(touched) if waited == slowest else None
            metrics.SCORE_LATENCY.observe(waited, shown)
            if touched.alerted:
                metrics.ALERT_LATENCY.observe(waited, shown or _shown(touched))
        found = Counter(one for each in cycle.touched.values() for one in each.machines)
        for reason, count in found.items():
            metrics.MACHINE_EVENTS.labels(reason).inc(count)
        for (tier, workspace), count in cycle.tiers().items():
            metrics.SCORE_UPDATES.labels(tier, workspace).inc(count)
