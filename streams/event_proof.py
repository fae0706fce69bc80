"""Proof of what was taken in: every event in one state, and the states by replay."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Final, Literal, NamedTuple

from schemas.command import Forward, Retract
from schemas.event import Event
from schemas.time import Instant, to_instant
from schemas.topics import COMMANDS
from schemas.workspace import workspace_of
from scorers.identity import derive_lead_id
from scorers.masses import hash64
from scorers.replay import Replay
from scorers.scorer import read
from scorers.state import MAX_IDS, LeadState
from scorers.versions import Versions
from streams import codec
from streams.codec import Message as Input
from streams.codec import Refusal
from streams.partitioner import partition_of
from streams.proof import Held, Leads, Place, Reading, Report, Subject
from streams.state_records import is_source

if TYPE_CHECKING:
    from confluent_kafka import Message

EXACT: Final = 1e-6
"""How far a replayed score may be from the live one, before rounding."""

GONE: Final = "events that are gone by retention"
_MISSING: Final = "leads of whom an event is missing"
PENDING: Final = "events that are not processed yet"


class _Everybody:
    """Contains every lead: where events of one partition are replayed, none merge."""

    def __contains__(self, _: object) -> bool:
        return True


def of_several(held: Held) -> bool:
    """Say whether the lead knows events that came under other identifiers."""
    forwarded = any(is_source(name) for name in held.kept.positions)
    return forwarded or bool(held.state.absorbed)


class Taken(NamedTuple):
    """A record of an event topic, decoded."""

    now: Instant
    """When it was received: records are merged by it."""
    topic: str
    """The base name."""
    place: Place
    key: bytes | None
    content: Input | Refusal
    cut: bool


def taken(topic: str, records: "Iterable[Message]") -> Iterator[Taken]:
    """Yield the records of partitions of `topic` (base name), decoded."""
    readings: dict[int, Reading] = {}
    nows: dict[int, Instant] = {}
    for message in records:
        partition = message.partition() or 0
        reading = readings.setdefault(partition, Reading())
        place, now = reading.place(message), nows.get(partition, 0)
        content = codec.decode(topic, message.value())
        match content:
            case Event():
                now = content.now
            case Forward():
                now = content.event.now
            case Retract():
                now = to_instant(content.at)
        nows[partition] = now
        yield Taken(now, topic, place, message.key(), content, reading.cut)


class Positions(NamedTuple):
    """How far the workers are, and what they set aside."""

    partitions: int
    committed: Mapping[tuple[str, int], int]
    """By topic and partition: everything before was processed."""
    dead: frozenset[Place]
    """Records in the dead letters of scoring."""
    dead_cut: bool
    """Whether older dead letters are gone."""

    def processed(self, place: Place) -> bool:
        """Say whether the workers have acknowledged the record at `place`."""
        return place.offset < self.committed.get((place.topic, place.partition), 0)


class Verdict(NamedTuple):
    """What a comparison came to: proved, left untold, or found wrong."""

    kind: Literal["proved", "left", "found"]
    subject: Subject = "replay"
    text: str = ""
    """Why it cannot be told, or what is wrong."""

    def tell(self, report: Report, place: Place, lead_id: str) -> None:
        """Put it into `report`."""
        match self.kind:
            case "proved":
                report.prove(self.subject)
            case "left":
                report.leave(self.subject, self.text)
            case _:
                report.find(self.subject, place, lead_id, self.text)


def compared(
    versions: Versions, live: LeadState, again: LeadState | None, *, cut: bool
) -> Verdict:
    """Return what `live` is beside `again`, which was made of the events anew.

    `cut` says that older events are gone.
    """
    known = frozenset(live.ids)
    replayed = frozenset() if again is None else frozenset(again.ids)
    if unheard := len(known - replayed):
        if cut:
            return Verdict("left", text=f"leads with {GONE}")
        problem = f"the state knows {unheard} events that are on no topic"
        return Verdict("found", "events", problem)
    if again is None:
        return Verdict("left", text=_MISSING)
    if cut and len(known) >= MAX_IDS:
        return Verdict("left", text=f"leads with {GONE}")
    model = versions.known(live.model)
    if model is None:
        why = f"leads scored by model {live.model}, which is not at hand"
        return Verdict("left", text=why)
    at = max(live.now, again.now)
    one, other = read(model, live, at), read(model, again, at)
    if abs(one.exact - other.exact) <= EXACT:
        return Verdict("proved")
    if len(versions) > 1:
        why = "leads that differ, and whose model changed: is it backfilled?"
        return Verdict("left", text=why)
    problem = f"live it is {one.exact:.6f}, replayed {other.exact:.6f}"
    return Verdict("found", text=problem)


class Forwards:
    """Events that came under another key than their lead's, and their way home."""

    def __init__(self) -> None:
        """Begin with none."""
        self.due: dict[str, tuple[Place, str]] = {}
        self.seen: set[str] = set()
        self.cut = False

    def close(self, report: Report) -> None:
        """Prove that all came home, when every partition was read."""
        for event_id, (place, lead_id) in self.due.items():
            if event_id in self.seen:
                report.prove("events")
            elif self.cut:
                report.leave("events", GONE)
            else:
                problem = f"event {event_id} was never forwarded to its lead"
                report.find("events", place, lead_id, problem)


class EventProof:
    """Takes one partition of the events and commands by receipt, then is closed."""

    def __init__(
        self,
        report: Report,
        versions: Callable[[str], Versions],
        leads: Leads,
        positions: Positions,
        forwards: Forwards,
    ) -> None:
        """Prove against `leads`, the partition's states as they were read before."""
        self._report = report
        self._versions = versions
        self._leads = leads
        self._positions = positions
        self._forwards = forwards
        self._replay = Replay(versions, wake=False, unlinked=_Everybody())
        self._cut = False
        self._lost: set[str] = set()

    def take(self, record: Taken) -> None:
        """Take the next record of the partition."""
        self._cut = self._cut or record.cut
        self._forwards.cut = self._forwards.cut or record.cut
        if record.place in self._positions.dead:
            self._report.prove("events")
            return
        match record.content:
            case Refusal() as refusal:
                self._refused(record, refusal.detail)
            case Event() as event:
                self._event(record, event)
            case Forward(lead_id=lead_id, event=event):
                self._forwards.seen.add(event.id)
                self._event(record, event, lead_id)
            case Retract() as command:
                self._retract(record, command)
            case _:
                pass  # hints, and what a replay teaches new rules by itself

    def close(self) -> None:
        """Compare the states, when all of the partition was taken.

        Leads of several identifiers are left out: their events are elsewhere, too.
        """
        for lead_id, held in self._leads.items():
            if not held.state.claims and not of_several(held):
                self._compare(lead_id, held)

    @staticmethod
    def _includes(held: Held, record: Taken) -> bool:
        return record.place.offset <= held.kept.positions.get(record.topic, -1)

    def _refused(self, record: Taken, detail: str) -> None:
        if not self._positions.processed(record.place):
            self._report.leave("events", PENDING)
        elif self._positions.dead_cut:
            self._report.leave("events", "dead letters that are gone by retention")
        else:
            problem = f"is in no dead letter, and cannot be scored: {detail}"
            self._report.find("events", record.place, "", problem)

    def _event(self, record: Taken, event: Event, lead_id: str | None = None) -> None:
        lead_id = lead_id or derive_lead_id(event)
        if lead_id is None:
            self._refused(record, "no identifier names one person")
            return
        key = lead_id.encode()
        here = partition_of(key, self._positions.partitions) == record.place.partition
        if not here or (record.topic != COMMANDS.name and record.key != key):
            if self._positions.processed(record.place):
                self._forwards.due[event.id] = (record.place, lead_id)
            else:
                self._report.leave("events", PENDING)
            return
        held = self._leads.get(lead_id)
        if held is not None and held.state.claims:
            return  # an identifier of somebody: proved with the person
        included = held is not None and self._includes(held, record)
        known = held is not None and hash64(event.id) in held.state.ids
        if included and derive_lead_id(event) == lead_id:
            for _ in self._replay.take(event):
                pass
        if known:
            self._report.prove("events")
        elif not included and not self._positions.processed(record.place):
            self._report.leave("events", PENDING)
        elif held is not None and len(held.state.ids) >= MAX_IDS:
            self._report.leave("events", f"beyond the last {MAX_IDS} events of a lead")
        else:
            self._lost.add(lead_id)
            problem = f"event {event.id} is not in the lead's state"
            self._report.find("events", record.place, lead_id, problem)

    def _retract(self, record: Taken, command: Retract) -> None:
        held, lead_id = self._leads.get(command.lead_id), command.lead_id
        if held is None or not self._includes(held, record):
            return
        if lead_id in self._replay.states:
            ids, at = command.event_ids, to_instant(command.at)
            for _ in self._replay.retract(lead_id, ids, at):
                pass

    def _compare(self, lead_id: str, held: Held) -> None:
        again = self._replay.states.get(lead_id)
        versions = self._versions(workspace_of(lead_id))
        verdict = compared(versions, held.state, again, cut=self._cut)
        if lead_id in self._lost and verdict.subject == "replay":
            verdict = Verdict("left", text=_MISSING)
        verdict.tell(self._report, held.place, lead_id)
