"""The topic of dead letters, read back: what died, why, and the way to try again."""

import heapq
import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Final, Literal, cast

import msgspec

from schemas.dead_letter import HEADER_ATTEMPTS, HEADERS, DeadLetter
from schemas.event import Event
from schemas.time import Instant
from schemas.topics import DEAD_LETTERS, TOPICS
from scorers.identity import derive_lead_id
from streams.errors import UserError
from streams.event_log import (
    PARTITION_OF_KEY,
    NotDurableError,
    Record,
    event_record,
    opened_log,
)
from streams.topic_reader import TopicReader

if TYPE_CHECKING:
    from confluent_kafka import Message

    from streams.settings import Settings

_SAFE_ID: Final = re.compile(r"[A-Za-z0-9_.:/|-]{1,80}")

_BATCH: Final = 200

WhyNot = Literal[
    "not-an-event",
    "already-tried",
    "unknown-topic",
]
"""Why a letter is not put back.

not-an-event
    The collector refused it: it is the source's payload, so the source must send
    it again.
already-tried
    The same bytes under the same key were put back in this run.
unknown-topic
    Its headers name none of this deployment's topics.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Letter:
    """One dead letter: its story and the record as it was."""

    story: DeadLetter
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes | None], ...]
    """The original's own, without the story."""
    partition: int
    offset: int
    at: Instant
    """When it was put on the topic."""

    @property
    def preview(self) -> str:
        """The record's own id and size; nothing that may be personal."""
        value = self.value
        if value is None:
            return "no value"
        size = f"{len(value)} bytes"
        try:
            fields = _preview(value)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            return size
        for name in ("id", "messageId", "message_id", "lead_id"):
            found = fields.get(name)
            if isinstance(found, str) and _SAFE_ID.fullmatch(found):
                return f"{name} {found}, {size}"
        return size


_preview: Final = msgspec.json.Decoder(dict[str, Any]).decode
_event: Final = msgspec.json.Decoder(Event).decode


def read_letters(
    settings: "Settings", *, reason: str | None = None, latest: int | None = None
) -> Iterator[Letter]:
    """Yield the letters there are now, oldest first within a partition.

    With `latest` only so many of each partition are looked at, the last ones.

    Raises
    ------
    UnreadableTopicError
        When the topic is missing or no broker answers.
    """
    with TopicReader(settings) as reader:
        topic = settings.topic(DEAD_LETTERS.name)
        for message in reader.read(topic, latest=latest):
            letter = _letter(message)
            if letter is not None and reason in {None, letter.story.reason}:
                yield letter


def latest_letters(
    settings: "Settings", *, limit: int, reason: str | None = None
) -> list[Letter]:
    """Return the newest `limit` letters, newest first."""
    return heapq.nlargest(
        limit,
        # The newest of all are among the newest of each partition.
        read_letters(settings, reason=reason, latest=None if reason else limit),
        key=lambda letter: (letter.at, letter.partition, letter.offset),
    )


class Replay:
    """Decides, letter by letter, what goes back on its topic."""

    def __init__(self, settings: "Settings") -> None:
        """Begin a run: nothing was put back yet."""
        self._settings = settings
        self._tried: set[bytes] = set()
        self._topics = {settings.topic(topic.name) for topic in TOPICS}

    def record(self, letter: Letter) -> Record | WhyNot:
        """Return the original record for its topic, or why it stays a dead letter."""
        # A record that dies after each replay leaves a letter each time: once is
        # enough, or every run would double them.
        digest = sha256(repr((letter.key, letter.value)).encode()).digest()
        if digest in self._tried:
            return "already-tried"
        self._tried.add(digest)
        tried = (HEADER_ATTEMPTS, str(letter.story.attempts + 1).encode())
        if letter.story.stage == "collector":
            record = self._event_record(letter)
            if record is None:
                return "not-an-event"
            return record._replace(headers=[*record.headers, tried])
        if letter.story.topic not in self._topics:
            return "unknown-topic"
        # By its key, not its old partition: that may be what was wrong with it.
        return Record(
            letter.story.topic,
            letter.key,
            letter.value,
            [*letter.headers, tried],
            PARTITION_OF_KEY if letter.key is not None else letter.story.partition,
        )

    def _event_record(self, letter: Letter) -> Record | None:
        """Return a collector's letter as an event, if it is a canonical one."""
        try:
            event = _event(letter.value or b"")
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            return None
        lead_id = derive_lead_id(event)
        if lead_id is None:
            return None
        return event_record(event, lead_id, prefix=self._settings.topic_prefix)


def choose(
    settings: "Settings", *, reason: str | None = None, limit: int | None = None
) -> tuple[Counter[WhyNot], list[Record]]:
    """Return how many letters are left alone and why, and what to put back.

    Raises
    ------
    UnreadableTopicError
        When the topic is missing or no broker answers.
    """
    run = Replay(settings)
    left: Counter[WhyNot] = Counter()
    records: list[Record] = []
    letters = sorted(read_letters(settings, reason=reason), key=lambda one: one.at)
    for letter in letters:
        if limit is not None and len(records) == limit:
            break
        record = run.record(letter)
        if isinstance(record, str):
            left[record] += 1
        else:
            records.append(record)
    return left, records


async def put_back(
    settings: "Settings",
    records: Sequence[Record],
    *,
    report: Callable[[int], None] = lambda _: None,
) -> None:
    """Return when all records are durable on their topics.

    Raises
    ------
    UserError
        When Kafka did not take all of them; the text says how many it has.
    """
    done = 0
    try:
        async with opened_log(settings, name="dead-letters", topics=TOPICS) as log:
            for start in range(0, len(records), _BATCH):
                batch = records[start : start + _BATCH]
                await log.append(batch)
                done += len(batch)
                report(done)
    except NotDurableError as failure:
        msg = (
            f"put back {done} of {len(records)}, then: {failure}; "
            "run it again, what is back already is not scored twice"
        )
        raise UserError(msg) from None


def _letter(message: "Message") -> Letter | None:
    """Return a message of the topic as a letter; None if it is none."""
    # The client's types allow a mapping too; it always gives a list.
    pairs = cast("list[tuple[str, bytes | None]]", message.headers() or [])
    try:
        story = DeadLetter.from_headers(pairs)
    except ValueError:
        return None
    return Letter(
        story=story,
        key=_bytes(message.key()),
        value=_bytes(message.value()),
        headers=tuple(pair for pair in pairs if pair[0] not in HEADERS),
        partition=message.partition() or 0,
        offset=message.offset() or 0,
        at=message.timestamp()[1],
    )


def _bytes(value: str | bytes | None) -> bytes | None:
    return value.encode() if isinstance(value, str) else value
