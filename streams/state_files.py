"""States in a file: what a deployment knows, taken out of Kafka and put back.

A file holds, one JSON object a line and gzipped: how far the workers were, every state
as a new owner would find it, the models and who was erased, and what was published of
each lead and account last. Its last line says how many lines there must be and what
they hash to, so half a file is never taken for a whole one.
"""

import gzip
import hashlib
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Final, Self, cast

import msgspec

from schemas.time import to_datetime
from schemas.topics import (
    ACCOUNT_SCORES,
    ACCOUNT_STATE,
    LEAD_STATE,
    MODEL_VERSIONS,
    SCORE_UPDATES,
    SIDE_STATE,
    SUPPRESSIONS,
)
from schemas.workspace import workspace_of
from streams.clock import SystemClock
from streams.errors import UserError
from streams.rebuilding import Rebuilt
from streams.settings import Settings
from streams.state_groups import committed_by_topic, marks_of
from streams.state_records import ChangelogError
from streams.topic_reader import TopicReader
from streams.topics_admin import check_topics, shared_partitions

FORMAT: Final = 1
STATES: Final = (LEAD_STATE, ACCOUNT_STATE, SIDE_STATE)
"""Where states are; of each key the record of the last owner counts."""
COMMON: Final = (MODEL_VERSIONS, SUPPRESSIONS)
"""What is the same on every partition, and only ever grows."""
PUBLISHED: Final = (SCORE_UPDATES, ACCOUNT_SCORES)
"""What others were told last of each key."""


class StateFileError(UserError):
    """A file of states cannot be used; the text says why."""


class Header(msgspec.Struct, frozen=True, kw_only=True, tag="header"):
    """Begins a file."""

    format: int
    made_at: datetime
    partitions: int
    committed: dict[str, list[int]]
    """How far the workers had acknowledged each topic, by partition."""
    marks: dict[str, list[int]]
    """When the last record before each of these places was written."""
    workspace: str | None = None
    """Whose states these are; everybody's if None."""
    rebuilt: bool = False
    """Whether they were made anew of the events: nobody was told of them."""
    models: list[str] = []
    """By which models they were made anew."""


class Row(msgspec.Struct, frozen=True, kw_only=True, tag="row"):
    """A record; `topic` is its base name."""

    topic: str
    partition: int
    key: bytes
    value: bytes
    headers: list[tuple[str, bytes]] = []


class Trailer(msgspec.Struct, frozen=True, kw_only=True, tag="trailer"):
    """Ends a file."""

    rows: int
    digest: str


_Line = Header | Row | Trailer
_encode: Final = msgspec.json.Encoder().encode
_decode: Final = msgspec.json.Decoder(_Line).decode


def owner_of(topic: str, key: bytes) -> str:
    """Return the lead or the account that a record is about."""
    name = key.decode()
    # What models beside the primary keep has their slot before the lead's id.
    return name.rpartition("/")[2] if topic == SIDE_STATE.name else name


def back_up(
    settings: Settings,
    path: Path,
    *,
    workspace: str | None = None,
    progress: Callable[[int], None] = lambda _rows: None,
) -> int:
    """Write what the workers know to `path`; return the number of rows.

    It can be done beside workers: each state says for itself what it includes, and
    what is acknowledged is asked first.

    Raises
    ------
    UserError
        When a topic cannot be read, or the file cannot be written.
    """
    partitions = shared_partitions(check_topics(settings))
    committed = committed_by_topic(settings, partitions)
    header = Header(
        format=FORMAT,
        made_at=to_datetime(SystemClock().now()),
        partitions=partitions,
        committed=committed,
        marks=marks_of(settings, committed),
        workspace=workspace,
    )
    with StateFileWriter(path, header) as writer, TopicReader(settings) as reader:
        for row in _rows(settings, reader, partitions):
            ours = workspace is None or row.topic in {each.name for each in COMMON}
            if ours or workspace_of(owner_of(row.topic, row.key)) == workspace:
                writer.write(row)
                progress(writer.rows)
        return writer.rows


def _rows(settings: Settings, reader: TopicReader, partitions: int) -> Iterator[Row]:
    for partition in range(partitions):
        for topic in COMMON:
            yield from last_words(settings, reader, topic.name, partition)
        for topic in STATES:
            rebuilt = read_states(settings, reader, topic.name, partition)
            for name, value in rebuilt.winners():
                yield Row(
                    topic=topic.name,
                    partition=partition,
                    key=name.encode(),
                    value=value,
                )
        for topic in PUBLISHED:
            yield from last_words(settings, reader, topic.name, partition)


def last_words(
    settings: Settings, reader: TopicReader, topic: str, partition: int
) -> Iterable[Row]:
    """Return the last record of each key, as compaction would leave them."""
    last: dict[bytes, Row] = {}
    for message in reader.read(settings.topic(topic), only=(partition,)):
        key, value = message.key() or b"", message.value()
        last.pop(key, None)
        if value is not None:
            headers = cast("list[tuple[str, bytes]]", message.headers() or [])
            last[key] = Row(
                topic=topic,
                partition=partition,
                key=key,
                value=value,
                headers=headers,
            )
    return last.values()


def read_states(
    settings: Settings, reader: TopicReader, topic: str, partition: int
) -> Rebuilt:
    """Return a partition's states as a new owner would find them.

    Raises
    ------
    StateFileError
        When a state cannot be read.
    """
    rebuilt = Rebuilt(partition, term=0, claim="")
    try:
        for message in reader.read(settings.topic(topic), only=(partition,)):
            rebuilt.apply(message.key(), message.value(), message.offset() or 0)
    except ChangelogError as error:
        msg = f"cannot read the states: {error}"
        raise StateFileError(msg) from None
    return rebuilt


class StateFileWriter:
    """Writes a file beside its place, then moves it there: all or nothing."""

    def __init__(self, path: Path, header: Header) -> None:
        """Write to `path`, beginning with `header`."""
        self._path = path
        self._fresh = path.with_name(f".{path.name}.part")
        self._digest = hashlib.sha256()
        self._header = header
        self.rows = 0

    def __enter__(self) -> Self:
        """Open the file beside its place.

        Raises
        ------
        StateFileError
            When it cannot be written.
        """
        try:
            self._fresh.touch(mode=0o600)  # people's data: for nobody else's eyes
            self._out = gzip.GzipFile(self._fresh, "wb")
        except OSError as error:
            raise _unwritable(self._path, error) from None
        self._put(self._header)
        return self

    def write(self, row: Row) -> None:
        """Add a row."""
        self._put(row)
        self.rows += 1

    def _put(self, line: _Line) -> None:
        text = _encode(line) + b"\n"
        self._digest.update(text)
        try:
            self._out.write(text)
        except OSError as error:
            raise _unwritable(self._path, error) from None

    def __exit__(self, kind: object, *_: object) -> None:
        """Put the whole file in its place, or nothing after a failure."""
        try:
            if kind is None:
                self._put(Trailer(rows=self.rows, digest=self._digest.hexdigest()))
            self._out.close()
            if kind is None:
                self._fresh.replace(self._path)
        except OSError as error:
            raise _unwritable(self._path, error) from None
        finally:
            self._fresh.unlink(missing_ok=True)


def _unwritable(path: Path, error: OSError) -> StateFileError:
    return StateFileError(f"cannot write {path}: {error.strerror}")


def check_file(path: Path) -> Header:
    """Return the header of a file that is whole.

    Raises
    ------
    StateFileError
        When it is not, or was written in another format.
    """
    digest, rows = hashlib.sha256(), 0
    header: Header | None = None
    try:
        with gzip.open(path, "rb") as lines:
            for line in lines:
                match _decode(line):
                    case Header() as header if header.format == FORMAT:
                        pass
                    case Header() as other:
                        msg = f"{path} has format {other.format}, {FORMAT} is known"
                        raise StateFileError(msg)
                    case Row():
                        rows += 1
                    case Trailer() as end:
                        whole = end.rows == rows and end.digest == digest.hexdigest()
                        if header is not None and whole:
                            return header
                        break
                digest.update(line)
    except OSError as error:
        msg = f"cannot read {path}: {error.strerror or error}"
        raise StateFileError(msg) from None
    except (EOFError, msgspec.DecodeError):
        pass
    msg = f"{path} is damaged, or only a part of a file of states"
    raise StateFileError(msg)


def read_rows(path: Path) -> Iterator[Row]:
    """Yield the rows of a file that was checked."""
    with gzip.open(path, "rb") as lines:
        for line in lines:
            read = _decode(line)
            if isinstance(read, Row):
                yield read
