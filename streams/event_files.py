"""Files of canonical events, one JSON object a line: plain, gzipped or piped in.

A file is read twice: first every line is checked and its receipt noted, then events
are decoded one by one in the order asked for. Memory is sixteen bytes a line,
whatever the lines hold.
"""

import gzip
import mmap
import shutil
import sys
import tempfile
from array import array
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Final, NamedTuple, Self

import msgspec

from schemas.event import Event
from schemas.topics import WEB_EVENTS
from scorers.identity import derive_lead_id
from streams import codec
from streams.errors import UserError

STDIN: Final = "-"

_GZIP: Final = b"\x1f\x8b"
_BOM: Final = b"\xef\xbb\xbf"
_decode: Final = msgspec.json.Decoder(Event).decode


class EventFileError(UserError):
    """A file of events cannot be read; the text says which and why."""


class BadLine(NamedTuple):
    """A line that is no canonical event."""

    number: int
    """Counted from one, as editors do."""
    problem: str


class EventFile:
    """The checked events of one file; the bad lines are known and passed over."""

    def __init__(self, data: bytes | mmap.mmap, source: IO[bytes] | None) -> None:
        """Hold `data`, whose backing `source` is closed at the end."""
        self.bad_lines: list[BadLine] = []
        self._data = data
        self._source = source
        self._offsets = array("q")
        self._receipts = array("q")

    @classmethod
    def open(cls, path: str) -> Self:
        """Return the file at `path`, or standard input for ``-``; nothing is checked.

        Raises
        ------
        EventFileError
            When it cannot be opened, or is gzip and broken.
        """
        try:
            source = open_lines(path)
            # An empty file cannot be mapped.
            empty = source.seek(0, 2) == 0
            data = b"" if empty else mmap.mmap(source.fileno(), 0, prot=mmap.PROT_READ)
        except (OSError, EOFError) as error:
            reason = getattr(error, "strerror", None) or error
            msg = f"cannot read {path}: {reason}"
            raise EventFileError(msg) from None
        return cls(data, source)

    @property
    def size(self) -> int:
        """How many bytes there are to check."""
        return len(self._data)

    def __len__(self) -> int:
        """Return how many good events there are."""
        return len(self._offsets)

    def check(self, report: Callable[[int], None] = lambda _: None) -> None:
        """Look at every line; `report` is told the bytes done from time to time."""
        data, offset, number = self._data, 0, 0
        if data[:3] == _BOM:
            offset = len(_BOM)
        while offset < len(data):
            number += 1
            line, end = self._line(offset)
            if line.strip():
                problem = self._note(line, offset)
                if problem is not None:
                    self.bad_lines.append(BadLine(number, problem))
            offset = end
            if number % 1_000 == 0:
                report(offset)
        report(len(data))

    def in_order_of_receipt(self) -> Iterator[Event]:
        """Yield the events by their receipt, equal ones as they stand in the file."""
        return (event for event, _ in self.lines_in_order_of_receipt())

    def lines_in_order_of_receipt(self) -> Iterator[tuple[Event, bytes]]:
        """Yield the same events, each with its bytes as they stand in the file."""
        return map(self._read, sorted(range(len(self)), key=self._receipts.__getitem__))

    def __iter__(self) -> Iterator[Event]:
        """Yield the events as they stand in the file."""
        return (self._read(index)[0] for index in range(len(self)))

    def close(self) -> None:
        """Let go of the file."""
        if isinstance(self._data, mmap.mmap):
            self._data.close()
        if self._source is not None:
            self._source.close()

    def __enter__(self) -> Self:
        """Keep the file open until the end of the block."""
        return self

    def __exit__(self, *_exc: object) -> None:
        """Let go of the file."""
        self.close()

    def _line(self, offset: int) -> tuple[bytes, int]:
        found = self._data.find(b"\n", offset)
        end = len(self._data) if found < 0 else found + 1
        return self._data[offset:end], end

    def _note(self, line: bytes, offset: int) -> str | None:
        """Remember a good line; return what is wrong with a bad one."""
        event = codec.decode(WEB_EVENTS.name, line)
        if isinstance(event, codec.Refusal):
            return event.detail
        if not isinstance(event, Event):  # a topic of events holds nothing else
            return "no event"
        if derive_lead_id(event) is None:
            return "no legal identifier: the event belongs to nobody"
        self._offsets.append(offset)
        self._receipts.append(event.now)
        return None

    def _read(self, index: int) -> tuple[Event, bytes]:
        line = self._line(self._offsets[index])[0].strip()
        return _decode(line), line


def open_lines(path: str) -> IO[bytes]:
    """Return a seekable file of plain lines: `path` itself or a copy unpacked.

    Raises
    ------
    OSError
        When it cannot be read.
    EOFError
        When it is gzip that ends too early.
    """
    if path != STDIN:
        source = Path(path).open("rb")  # noqa: SIM115 - closed by its EventFile
        if source.seekable():
            packed = source.read(2) == _GZIP
            source.seek(0)
            return _unpacked(source) if packed else source
        return _spooled(source)
    return _spooled(sys.stdin.buffer)


def _spooled(pipe: IO[bytes]) -> IO[bytes]:
    copy = tempfile.TemporaryFile()  # noqa: SIM115 - closed by its EventFile
    shutil.copyfileobj(pipe, copy)
    copy.seek(0)
    packed = copy.read(2) == _GZIP
    copy.seek(0)
    return _unpacked(copy) if packed else copy


def _unpacked(packed: IO[bytes]) -> IO[bytes]:
    copy = tempfile.TemporaryFile()  # noqa: SIM115 - closed by its EventFile
    with packed, gzip.open(packed) as plain:
        shutil.copyfileobj(plain, copy)
    copy.flush()
    return copy
