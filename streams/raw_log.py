"""Everything that was received of leads, read back in the order of its receipt.

The raw topics are copied once to a file without a name, beside sixteen bytes a record
in memory, for what belongs together is spread over topics and partitions.
"""

import tempfile
from array import array
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Final, NamedTuple, Self

import msgspec
from msgspec.structs import replace

from schemas.command import Command, Erase, Retract, Wakeup
from schemas.event import Event
from schemas.time import Instant, to_instant
from schemas.topics import COMMANDS, EVENT_TOPICS
from schemas.workspace import is_workspace
from scorers.identity import derive_lead_id
from streams import codec
from streams.agents.scoring import known_as
from streams.dead_letter_log import read_letters
from streams.errors import UserError
from streams.hand_overs import HandOvers
from streams.proof import Place
from streams.suppression_feed import load_suppressions
from streams.topic_reader import TopicReader

if TYPE_CHECKING:
    from confluent_kafka import Message

    from streams.settings import Settings

RAW: Final = (*EVENT_TOPICS, COMMANDS)
"""What states are made of; what leads say to each other follows from it."""

_EVENT: Final = b"e"
_HANDED: Final = b"h"
_RETRACT: Final = b"r"
_REPORTED: Final = 1_000

Offsets = Mapping[str, Sequence[int]]
"""A place in each topic (base name), by partition."""


class Received(NamedTuple):
    """An event or a retraction."""

    content: Event | Retract
    now: Instant
    """When it was received, by itself."""
    at: Instant
    """When Kafka got it."""
    whose: str | None = None
    """The lead that an event of a contested identifier became part of."""


class RawLog:
    """The records of the raw topics between two places of each."""

    def __init__(self, settings: "Settings") -> None:
        """Begin with none; nothing is read yet."""
        self._settings = settings
        self._file = tempfile.TemporaryFile()  # noqa: SIM115 - closed at the end
        self._size = 0
        self._nows = array("q")
        self._places = array("q")
        self.cut = False
        """Whether retention took older records of a topic."""
        self.ends: dict[tuple[str, int], int] = {}
        """By topic and partition, what comes after the last record that was read."""
        self.told: set[str] = set()
        """Leads to which a command was read that no event repeats by itself."""

    def __enter__(self) -> Self:
        """Return the log."""
        return self

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _where: TracebackType | None,
    ) -> None:
        """Let go of the copy."""
        self._file.close()

    def __len__(self) -> int:
        """Return how many events and retractions there are."""
        return len(self._nows)

    def gather(
        self,
        since: Offsets,
        until: Offsets,
        *,
        pending: Offsets | None = None,
        told: HandOvers | None = None,
        report: Callable[[int], None] = lambda _read: None,
    ) -> None:
        """Read the records from `since` on and before `until`, to the end where none.

        From `pending` on commands are what workers have not done: an erasure among
        them is refused, and who else is told something is remembered. With what
        leads have `told` each other events say whose they became.

        Raises
        ------
        UserError
            When a topic cannot be read, or somebody is still to be erased.
        """
        dead = frozenset(
            Place(letter.story.topic, letter.story.partition, letter.story.offset)
            for letter in read_letters(self._settings)
            if letter.story.stage == "scoring"
        )
        read = 0
        with TopicReader(self._settings) as reader:
            for topic in RAW:
                name = self._settings.topic(topic.name)
                begun = dict(enumerate(since.get(topic.name, ())))
                bounds = until.get(topic.name)
                first: set[int] = set()
                for message in reader.read(name, since=begun):
                    read += 1
                    if read % _REPORTED == 0:
                        report(read)
                    partition, offset = message.partition() or 0, message.offset() or 0
                    if partition not in first:
                        first.add(partition)
                        self.cut |= offset > begun.get(partition, 0)
                    if bounds is not None and offset >= bounds[partition]:
                        continue
                    self.ends[topic.name, partition] = offset + 1
                    if Place(name, partition, offset) not in dead:
                        self._keep(topic.name, message, pending, told)
                for partition, end in enumerate(bounds or ()):
                    unread = partition not in first and end > begun.get(partition, 0)
                    self.cut |= unread
        report(read)
        self._file.flush()

    def __iter__(self) -> Iterator[Received]:
        """Yield what was gathered, by its receipt; equal ones as they were read."""
        for index in sorted(range(len(self)), key=self._nows.__getitem__):
            start = self._places[2 * index]
            self._file.seek(start)
            kind = self._file.read(1)
            value = self._file.read(self._places[2 * index + 1])
            at, value = int.from_bytes(value[:8], "big"), value[8:]
            whose = None
            if kind == _HANDED:
                size = 1 + value[0]
                whose, value = value[1:size].decode(), value[size:]
            topic = COMMANDS.name if kind == _RETRACT else EVENT_TOPICS[0].name
            content = codec.decode(topic, value)
            if isinstance(content, Event | Retract):
                yield Received(content, self._nows[index], at, whose)

    def _keep(
        self,
        topic: str,
        message: "Message",
        pending: Offsets | None,
        told: HandOvers | None,
    ) -> None:
        value = message.value() or b""
        match codec.decode(topic, value):
            case Event() as event:
                whose = self._whose(event, topic, message.offset() or 0, told)
                if whose is None:
                    self._write(_EVENT, event.now, message, value)
                else:
                    name = whose.encode()
                    value = len(name).to_bytes(1) + name + value
                    self._write(_HANDED, event.now, message, value)
            case Retract() as command:
                self._write(_RETRACT, to_instant(command.at), message, value)
            case Wakeup():
                pass  # a hint
            case codec.Refusal():
                pass  # among the dead letters
            case command if pending is not None:
                place = pending[topic][message.partition() or 0]
                if (message.offset() or 0) >= place:
                    self._pend(command)  # type: ignore[arg-type] # a command
            case _:
                pass  # what leads say to each other, events say again

    def _whose(
        self, event: Event, topic: str, offset: int, told: HandOvers | None
    ) -> str | None:
        if not told:
            return None
        lead_id = derive_lead_id(known_as(event, self._settings))
        if lead_id is None:
            return None
        return told.holder(lead_id, topic, offset, event.id)

    def _pend(self, command: Command) -> None:
        if isinstance(command, Erase):
            msg = (
                "an erasure is not done yet: start the workers, let them come to "
                "rest, and stop them again"
            )
            raise UserError(msg)
        self.told.add(command.lead_id)

    def _write(
        self, kind: bytes, now: Instant, message: "Message", value: bytes
    ) -> None:
        stamp = max(message.timestamp()[1], 0).to_bytes(8, "big")
        self._nows.append(now)
        self._places.extend((self._size, len(value) + len(stamp)))
        self._file.write(kind + stamp + value)
        self._size += 1 + len(stamp) + len(value)


def write_events(
    settings: "Settings", path: Path, *, workspace: str, rename: str | None = None
) -> int:
    """Return how many events of a workspace were written to `path`, by their receipt.

    With another name they are written as that workspace's.

    Raises
    ------
    UserError
        When a topic cannot be read, the file not be written, or a name is none.
    """
    for name in (workspace, rename):
        if name is not None and not is_workspace(name):
            msg = f"{name!r} is no workspace: lower-case letters, digits and dashes"
            raise UserError(msg)
    count = 0
    known = load_suppressions(settings)
    try:
        path.touch(mode=0o600)  # people's data: for nobody else's eyes
        with path.open("wb") as out, RawLog(settings) as log:
            log.gather({}, {})
            for received in log:
                event = known.admit(received.content)
                if isinstance(event, Event) and event.workspace == workspace:
                    named = replace(event, workspace=rename or workspace)
                    out.write(msgspec.json.encode(named) + b"\n")
                    count += 1
    except OSError as error:
        msg = f"cannot write {path}: {error.strerror}"
        raise UserError(msg) from None
    return count
