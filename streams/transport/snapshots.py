"""Snapshots of the tables on the worker's own disk: a restart reads little else.

A snapshot says what the states of one partition were, and from which offset of the
changelog on they may have changed since. It may hold later states than that: whoever
begins with it reads on from that offset, and a state's record is the whole state.

It is believed only if the changelog still has the claim of the owner who took it, at
the offset where the owner wrote it, and the record that was its last one then: a topic
that was made anew has not, nor has a log that lost its end and grew again. It is not
believed for longer than a changelog certainly keeps tombstones, and it is used once:
the file is gone before its states are taken over. They are not copied: a state is
the bytes of the file, which the system has in memory as long as there is room, until
something happens to it (ADR 0047).
"""

import mmap
import os
import struct
import zlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple, Self

import msgspec
import structlog

from schemas.time import HOUR, Instant
from streams import metrics
from streams.state_records import Stored, StoredView

if TYPE_CHECKING:
    from streams.settings import Settings

FORMAT: Final = 1
MAX_AGE: Final = 12 * HOUR
"""Half the time for which Kafka keeps tombstones after compaction, by default."""
_FRAME: Final = struct.Struct(">II")
_UNFINISHED: Final = ".unfinished"

_log = structlog.get_logger(__name__)

States = list[tuple[str, Stored]]


class Header(msgspec.Struct, array_like=True, frozen=True):
    """What a snapshot is of; fields may only ever be added at the end."""

    format: int
    topic: str
    """The changelog, with the deployment's prefix."""
    partition: int
    claim: str
    """Id of the claim that its owner wrote on the changelog."""
    claimed_at: int
    """Offset of that claim."""
    read_on: int
    """First offset of the changelog whose record the states may not include."""
    taken_at: Instant
    mark: bytes
    """Digest of the changelog's record before `read_on`."""


class _End(msgspec.Struct, array_like=True, frozen=True, tag="end"):
    states: int


class SnapshotError(Exception):
    """A snapshot cannot be used; the changelog has it all."""


_encode: Final = msgspec.msgpack.Encoder().encode
_header: Final = msgspec.msgpack.Decoder(Header).decode
_states: Final = msgspec.msgpack.Decoder(list[tuple[str, StoredView]]).decode
_end: Final = msgspec.msgpack.Decoder(_End).decode


class Opened(NamedTuple):
    """A snapshot whose file nobody else will use."""

    header: Header
    content: memoryview
    """Of the whole file; it is let go when no state refers to it any more."""
    begin: int
    """Where the states begin in it."""

    def states(self) -> Iterator[list[tuple[str, StoredView]]]:
        """Yield the states, some at a time.

        Raises
        ------
        SnapshotError
            When the file is not whole.
        """
        count = 0
        # The disk and the checksums, for which nobody need wait, in another thread.
        with ThreadPoolExecutor(1) as ahead:
            following = ahead.submit(_frame, self.content, self.begin)
            while not (found := following.result()).is_last:
                following = ahead.submit(_frame, self.content, found.end)
                try:
                    states = _states(found.payload)
                except msgspec.DecodeError as error:
                    msg = f"unreadable states: {error}"
                    raise SnapshotError(msg) from error
                count += len(states)
                yield states
            expected = _end(found.payload[1:]).states
        if count != expected:
            msg = f"{count} states of {expected}"
            raise SnapshotError(msg)


_END_MARK: Final = b"\xc1"
"""MessagePack uses this byte for nothing."""


class SnapshotFolder:
    """Where a worker keeps its snapshots: one file for each partition of a table."""

    def __init__(self, settings: "Settings") -> None:
        """Use a folder of the deployment's own in the data directory."""
        self._folder = settings.data_dir / "snapshots" / settings.app_id

    def take(self, topic: str, partition: int, now: Instant) -> Opened | None:
        """Open the snapshot of a partition and remove its file; None if there is none.

        What is too old, of another format or of another topic is removed as well.
        """
        path = self._path(topic, partition)
        for left in path.parent.glob(f"{path.stem}.*{_UNFINISHED}"):
            left.unlink(missing_ok=True)  # by one that died, or is not the owner now
        try:
            content = _content(path)
            frame = _frame(content, 0)
            header = _header(frame.payload)
            if header.format != FORMAT or header.topic != topic:
                msg = f"format {header.format} of {header.topic}"
                raise SnapshotError(msg)
            if not 0 <= now - header.taken_at <= MAX_AGE:
                msg = "too old, or from the future"
                raise SnapshotError(msg)
        except FileNotFoundError:
            return None
        except (OSError, SnapshotError, msgspec.DecodeError) as error:
            metrics.SNAPSHOTS.labels("refused").inc()
            _log.warning("snapshot_refused", path=str(path), error=str(error))
            return None
        finally:  # used or not
            self.discard(topic, partition)
        return Opened(header, content, frame.end)

    def discard(self, topic: str, partition: int) -> None:
        """Remove the snapshot of a partition, if there is one."""
        with suppress(OSError):
            self._path(topic, partition).unlink()

    def write(self, header: Header) -> "SnapshotWriter":
        """Begin on the snapshot of a partition; the one before stays until the end.

        Raises
        ------
        OSError
            When the folder cannot be written to.
        """
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        return SnapshotWriter(self._path(header.topic, header.partition), header)

    def _path(self, topic: str, partition: int) -> Path:
        return self._folder / f"{topic}-{partition}.snapshot"


class SnapshotWriter:
    """A snapshot in the making, in a file beside its place."""

    def __init__(self, path: Path, header: Header) -> None:
        """Open the file; whoever else may read the folder cannot read it."""
        self._path = path
        # A paused worker may have begun on one of the same partition.
        self._unfinished = path.with_suffix(f".{os.getpid()}{_UNFINISHED}")
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC
        self._file = os.fdopen(os.open(self._unfinished, flags, 0o600), "wb")
        self._count = 0
        self._put(_encode(header))

    def add(self, states: States) -> None:
        """Write some more states."""
        self._count += len(states)
        self._put(_encode(states))

    def finish(self) -> None:
        """Let it be the snapshot of its partition."""
        self._put(_END_MARK + _encode(_End(self._count)))
        self._file.close()
        self._unfinished.replace(self._path)

    def __enter__(self) -> Self:
        """Write it within a block."""
        return self

    def __exit__(self, *_: object) -> None:
        """Leave nothing behind that is not finished."""
        with suppress(OSError):
            self._file.close()
        self._unfinished.unlink(missing_ok=True)

    def _put(self, payload: bytes) -> None:
        self._file.write(_FRAME.pack(len(payload), zlib.crc32(payload)))
        self._file.write(payload)


class _Frame(NamedTuple):
    payload: memoryview
    end: int

    @property
    def is_last(self) -> bool:
        """Whether it says how many states there were."""
        return self.payload[:1].tobytes() == _END_MARK


def _content(path: Path) -> memoryview:
    """Return the bytes of a file, which are read when they are looked at.

    Raises
    ------
    OSError
        When it cannot be opened.
    SnapshotError
        When there are none.
    """
    with path.open("rb") as file:
        try:
            mapped = mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ)
        except ValueError as error:
            raise SnapshotError(str(error)) from error
    mapped.madvise(mmap.MADV_WILLNEED)
    return memoryview(mapped)


def _frame(content: memoryview, at: int) -> _Frame:
    begin = at + _FRAME.size
    if begin > len(content):
        msg = "it ends in the middle"
        raise SnapshotError(msg)
    size, checksum = _FRAME.unpack(content[at:begin])
    end = begin + size
    payload = content[begin:end]
    if len(payload) < size or zlib.crc32(payload) != checksum:
        msg = "its bytes are not those that were written"
        raise SnapshotError(msg)
    return _Frame(payload, end)
