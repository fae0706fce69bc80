"""Proof of people whom several identifiers make up: their events, folded as one lead.

What belongs together is what redirects and their owners say of each other. Such a
group is spread over partitions, so it is looked at when all of them were read: its
events are found again on the topics and replayed together, some thousand groups at a
time, so that memory holds those only.
"""

from collections.abc import Callable, Container, Iterable, Iterator, Mapping
from typing import Final, NamedTuple

from schemas.command import Absorb, Forward, Learn, Link, Release, Retract
from schemas.event import Event
from schemas.time import Instant
from schemas.workspace import workspace_of
from scorers.identity import derive_lead_id
from scorers.linking import MAX_CLAIMANTS, MAX_LINKED
from scorers.masses import hash64
from scorers.replay import Replay
from scorers.state import MAX_IDS, LeadState, decode_state, encode_state
from scorers.versions import Versions
from streams.codec import Refusal
from streams.event_proof import GONE, PENDING, Positions, Taken, Verdict, compared
from streams.hand_overs import HandOvers
from streams.proof import Leads, Place, Report

MOST_PEOPLE: Final = 20_000
"""Groups whose events are held at a time."""

_BOUNDS: Final = "leads with more identifiers than are remembered"
_AHEAD: Final = "leads with events from the future, merged later than they came"
_LONG: Final = f"leads of several identifiers with more than {MAX_IDS} events"

Again = Callable[[], Iterable[Taken]]
"""Reads every event and command again, of all partitions."""


class _Person(NamedTuple):
    """A lead that several identifiers make up, as it is stored."""

    state: bytes
    place: Place
    partition: int


class _Item(NamedTuple):
    """Something that was received of a group."""

    now: Instant
    place: Place
    lead_id: str
    content: Event | Retract
    topic: str


class _Group:
    """What is found of one group on the topics."""

    __slots__ = ("items", "pending")

    def __init__(self) -> None:
        self.items: list[_Item] = []
        self.pending = False


class PersonProof:
    """Hears of every partition's leads, then proves those that belong together."""

    def __init__(
        self,
        report: Report,
        versions: Callable[[int, str], Versions],
        positions: Positions,
        unlinked: Container[str],
    ) -> None:
        """Prove with the models of a partition and workspace, as workers link."""
        self._report = report
        self._versions = versions
        self._positions = positions
        self._unlinked = unlinked
        self._parents: dict[str, str] = {}
        self._redirects: dict[str, int] = {}
        self._contested = False
        self._people: dict[str, _Person] = {}
        self._told = HandOvers({})

    def hear(self, partition: int, leads: Leads, of_several: Iterable[str]) -> None:
        """Take note of a partition's redirects, and of its leads `of_several`."""
        for lead_id, held in leads.items():
            for _, owner in held.state.claims:
                self._join(lead_id, owner)
            if held.state.claims:
                self._redirects[lead_id] = len(held.state.claims)
                self._contested |= len({who for _, who in held.state.claims}) > 1
        for lead_id in of_several:
            held = leads[lead_id]
            self._parents.setdefault(lead_id, lead_id)
            self._people[lead_id] = _Person(
                encode_state(held.state), held.place, partition
            )

    def prove(
        self,
        again: Again,
        admits: Callable[[Event], bool],
        hand_overs: Callable[[], HandOvers],
    ) -> None:
        """Compare every group with a replay of its events, when all were heard of.

        Where several people claim an identifier, `hand_overs` tell whose each event
        became: exactly one claimant has it, and scores what it then would.
        """
        self._told = hand_overs() if self._contested else HandOvers({})
        groups: dict[str, list[str]] = {}
        for lead_id in self._parents:
            groups.setdefault(self._root(lead_id), []).append(lead_id)
        roots = sorted(groups)
        for begin in range(0, len(roots), MOST_PEOPLE):
            part = roots[begin : begin + MOST_PEOPLE]
            found, cut = self._gather({root: groups[root] for root in part}, again)
            for root in part:
                self._prove(groups[root], found[root], admits, cut=cut)

    def _root(self, lead_id: str) -> str:
        parent = self._parents.setdefault(lead_id, lead_id)
        while parent != lead_id:
            grand = self._parents[parent]
            self._parents[lead_id] = grand
            lead_id, parent = parent, grand
        return lead_id

    def _join(self, one: str, other: str) -> None:
        one, other = self._root(one), self._root(other)
        self._parents[max(one, other)] = min(one, other)

    def _gather(
        self, groups: Mapping[str, list[str]], again: Again
    ) -> tuple[dict[str, _Group], bool]:
        """Return what is on the topics of each group, and whether older is gone."""
        found = {root: _Group() for root in groups}
        at_home = {each: found[root] for root, ids in groups.items() for each in ids}
        cut = False
        for record in again():
            cut = cut or record.cut
            for lead_id in subjects(record):
                group = at_home.get(lead_id)
                if group is None:
                    continue
                if not self._positions.processed(record.place):
                    group.pending = True
                content = record.content
                if isinstance(content, Event | Retract):
                    group.items.append(
                        _Item(record.now, record.place, lead_id, content, record.topic)
                    )
        return found, cut

    def _prove(
        self,
        lead_ids: list[str],
        group: _Group,
        admits: Callable[[Event], bool],
        *,
        cut: bool,
    ) -> None:
        people = [each for each in lead_ids if each in self._people]
        came = [
            item
            for item in group.items
            if isinstance(item.content, Retract)
            or (admits(item.content) and item.place not in self._positions.dead)
        ]
        redirected = [
            (item.place, item.lead_id, item.content.id)
            for item in came
            if item.lead_id in self._redirects and isinstance(item.content, Event)
        ]
        if group.pending:
            self._leave(PENDING, len(people), len(redirected))
            return
        replay = self._replayed(came, people)
        lives = {each: decode_state(self._people[each].state) for each in people}
        self._prove_events(redirected, lives, cut=cut)
        excuse = self._excuse(lead_ids, came, lives.values())
        for lead_id, live in lives.items():
            known = self._people[lead_id]
            versions = self._versions(known.partition, workspace_of(lead_id))
            verdict = compared(versions, live, replay.states.get(lead_id), cut=cut)
            if verdict.kind == "found" and excuse:
                verdict = Verdict("left", "replay", excuse)
            verdict.tell(self._report, known.place, lead_id)

    def _replayed(self, came: list[_Item], people: list[str]) -> Replay:
        partition = self._people[people[0]].partition if people else 0
        replay = Replay(
            lambda workspace: self._versions(partition, workspace),
            wake=False,
            unlinked=self._unlinked,
        )
        for item in sorted(came, key=lambda item: (item.now, item.place)):
            if isinstance(item.content, Event):
                offset, event = item.place.offset, item.content
                whose = self._told.holder(item.lead_id, item.topic, offset, event.id)
                steps: Iterator[object] = replay.take(event, whose)
            else:
                ids = item.content.event_ids
                steps = replay.retract(item.lead_id, ids, item.now)
            for _ in steps:
                pass
        return replay

    def _prove_events(
        self,
        redirected: list[tuple[Place, str, str]],
        lives: Mapping[str, LeadState],
        *,
        cut: bool,
    ) -> None:
        """Prove that what came under a redirected identifier is in its person."""
        long = any(len(state.ids) >= MAX_IDS for state in lives.values())
        for place, lead_id, event_id in redirected:
            if any(hash64(event_id) in state.ids for state in lives.values()):
                self._report.prove("events")
            elif cut or long:
                self._report.leave("events", GONE if cut else _LONG)
            else:
                problem = f"event {event_id} is not in the state of its person"
                self._report.find("events", place, lead_id, problem)

    def _excuse(
        self, lead_ids: list[str], came: list[_Item], lives: Iterable[LeadState]
    ) -> str:
        """Return why a difference would prove nothing; empty where it would."""
        if any(self._redirects.get(each, 0) >= MAX_CLAIMANTS for each in lead_ids):
            return _BOUNDS
        for live in lives:
            if len(live.linked) >= MAX_LINKED:
                return _BOUNDS
            if len(live.ids) >= MAX_IDS:
                return _LONG
        ahead = any(
            isinstance(item.content, Event) and item.content.time > item.now
            for item in came
        )
        return _AHEAD if ahead else ""

    def _leave(self, why: str, people: int, events: int) -> None:
        for _ in range(people):
            self._report.leave("replay", why)
        for _ in range(events):
            self._report.leave("events", why)


def subjects(record: Taken) -> tuple[str, ...]:
    """Return the leads that a record is about; a hint is about nobody."""
    content = record.content
    match content:
        case Event():
            lead_id = derive_lead_id(content)
            return () if lead_id is None else (lead_id,)
        case Forward(event=event):
            lead_id = derive_lead_id(event)
            return (content.lead_id,) if lead_id is None else (content.lead_id, lead_id)
        case Link(to=to):
            return (content.lead_id, to)
        case Absorb() | Retract() | Learn() | Release():
            return (content.lead_id,)
        case Refusal():
            return ()
        case _:
            return ()
