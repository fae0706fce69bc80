"""Whose the events of contested identifiers became, as leads said it to each other.

Where several people show one identifier, who has it changes hands between the events
that show nothing else. Links and events reach the identifier's lead by several topics,
which have no order between them, so no replay could know what came first. The lead
that holds the identifier decides, and what it decides is on the topic of commands:
a `Forward` for each event, an `Absorb` for what it knew before. Proof and rebuilding
follow that.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from schemas.command import Absorb, Forward, Link
from schemas.topics import COMMANDS
from streams import codec
from streams.state_records import source_name, split_source

if TYPE_CHECKING:
    from confluent_kafka import Message

    from streams.settings import Settings
    from streams.topic_reader import TopicReader


class HandOvers:
    """What went from lead to lead where identifiers are contested."""

    def __init__(self, links: Mapping[str, set[str]]) -> None:
        """Watch over leads of which `links` say that two others claim one."""
        self._links = links
        self._watched = _with_rivals(links)
        self._forwards: dict[tuple[str, int], tuple[str, int]] = {}
        self._strays: dict[str, int] = {}
        self._absorbed: dict[str, list[str]] = defaultdict(list)

    def __bool__(self) -> bool:
        """Say whether anything is contested."""
        return bool(self._watched)

    def take(self, command: object, offset: int) -> None:
        """Take the next command of a partition, which is at `offset` there."""
        match command:
            case Forward(lead_id=lead_id, source="", event=event):
                if lead_id in self._watched:
                    self._strays.setdefault(event.id, offset)
            case Forward(lead_id=lead_id, source=source):
                if split_source(source)[0] in self._watched:
                    # What a crash repeated is further behind, and was not taken.
                    place = source, command.offset
                    self._forwards.setdefault(place, (lead_id, offset))
            case Absorb(lead_id=lead_id, absorbed=absorbed):
                told = self._absorbed[absorbed]
                if absorbed in self._watched and lead_id not in told:
                    told.append(lead_id)

    def holder(
        self, lead_id: str, topic: str, offset: int, event_id: str
    ) -> str | None:
        """Return whose an event became that came to `lead_id` at this place.

        It is None where nobody contests it: then links alone say whose it is.
        """
        if lead_id not in self._watched:
            return None
        name = source_name(lead_id, topic)
        if (name, offset) not in self._forwards and event_id in self._strays:
            name, offset = source_name(lead_id, COMMANDS.name), self._strays[event_id]
        while (there := self._forwards.get((name, offset))) is not None:
            lead_id, offset = there
            name = source_name(lead_id, COMMANDS.name)
        # It stayed there; with what that lead knew it went on.
        met = {lead_id}
        while (owner := self._absorber(lead_id)) is not None and owner not in met:
            met.add(owner)
            lead_id = owner
        return lead_id

    def _absorber(self, lead_id: str) -> str | None:
        """Return who took a lead in: the last one to whom it was sent on."""
        told = self._absorbed.get(lead_id, [])
        for owner in told:
            if not self._links.get(owner, set()).intersection(told):
                return owner
        return None


def _with_rivals(links: Mapping[str, set[str]]) -> frozenset[str]:
    """Return the leads that belong together with one that several others claim."""
    beside: dict[str, set[str]] = defaultdict(set)
    for weaker, owners in links.items():
        beside[weaker] |= owners
        for owner in owners:
            beside[owner].add(weaker)
    found: set[str] = set()
    waiting = [weaker for weaker, owners in links.items() if len(owners) > 1]
    while waiting:
        lead_id = waiting.pop()
        if lead_id not in found:
            found.add(lead_id)
            waiting += beside[lead_id] - found
    return frozenset(found)


def read_hand_overs(settings: "Settings", reader: "TopicReader") -> HandOvers:
    """Return what leads said to each other of contested identifiers until now.

    The topic of commands is read once, and once more where there are any.

    Raises
    ------
    UserError
        When the topic cannot be read.
    """
    name = settings.topic(COMMANDS.name)
    links: dict[str, set[str]] = {}
    for _, command in _commands(reader.read(name)):
        if isinstance(command, Link):
            links.setdefault(command.lead_id, set()).add(command.to)
    found = HandOvers(links)
    if found:
        for offset, command in _commands(reader.read(name)):
            found.take(command, offset)
    return found


def _commands(records: "Iterable[Message]") -> Iterable[tuple[int, object]]:
    for message in records:
        content = codec.decode(COMMANDS.name, message.value())
        yield message.offset() or 0, content
