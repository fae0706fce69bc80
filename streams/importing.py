"""Importing exports: rows become canonical events, sent once however often resumed.

First all rows are converted into a file of events; then these are sent in the order
of their receipt, and after every batch it is written down how many are there. Whoever
was interrupted converts again, which gives the same events, and goes on from there.
"""

import hashlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Final, Self

import msgspec

from schemas.event import Event
from schemas.time import Instant
from schemas.workspace import DEFAULT_WORKSPACE
from streams.collector.mapping.compiled import Delivery
from streams.collector.mapping.files import MappingFile
from streams.event_files import BadLine
from streams.row_files import Row, RowFile

_encode: Final = msgspec.json.Encoder().encode
_REPORTED: Final = 500
_CHUNK: Final = 1 << 20


class Tally(msgspec.Struct):
    """What a file of rows became."""

    rows: int = 0
    events: int = 0
    passed: int = 0
    """Rows that no event of the mapping fits."""
    bad: list[BadLine] = []
    """Rows that could not be taken, or not wholly."""


class BadRows:
    """The rows that could not be taken: kept as they stood, and why beside them.

    Both files appear with the first bad row. The rows can be mended where they are
    and imported again.
    """

    def __init__(self, path: Path, header: str, encoding: str) -> None:
        """Keep rows at `path` under `header`, the reasons beside it."""
        self.path = path
        self.reasons = path.with_name(f"{path.name}.txt")
        self._header = header
        self._encoding = encoding
        self._files: tuple[IO[bytes], IO[bytes]] | None = None

    def keep(self, row: Row, problem: str) -> None:
        """Keep `row` and what is wrong with it."""
        if self._files is None:
            self._files = (self.path.open("wb"), self.reasons.open("wb"))
            self._files[0].write(self._bytes(self._header))
        rows, reasons = self._files
        text = row.text if row.text.endswith(("\n", "\r")) else f"{row.text}\n"
        rows.write(self._bytes(text))
        reasons.write(f"line {row.line}: {problem}\n".encode(errors="replace"))

    def _bytes(self, text: str) -> bytes:
        return text.encode(self._encoding, errors="surrogateescape")

    def close(self) -> None:
        """Finish both files."""
        for file in self._files or ():
            file.close()


def convert(
    rows: RowFile,
    mapping: MappingFile,
    out: IO[bytes],
    *,
    source: str,
    workspace: str = DEFAULT_WORKSPACE,
    latest: Instant,
    bad_path: Path,
    report: Callable[[int], None] = lambda _: None,
) -> Tally:
    """Write the events of `rows` to `out`, one a line; keep what cannot be taken.

    Raises
    ------
    OSError
        When a bad row cannot be kept.
    """
    tally = Tally()
    delivery = Delivery(
        source=source, workspace=workspace, received_at=None, latest=latest
    )
    bad: BadRows | None = None
    try:
        for row in rows:
            tally.rows += 1
            problems = [] if row.problem is None else [row.problem]
            if row.problem is None:
                outcomes = mapping.mapping.record(row.record, delivery)
                tally.passed += not outcomes
                for outcome in outcomes:
                    if isinstance(outcome, Event):
                        out.write(_encode(outcome) + b"\n")
                        tally.events += 1
                    else:
                        problems.append(outcome.detail)
            if problems:
                problem = "; ".join(problems)
                tally.bad.append(BadLine(row.line, problem))
                if bad is None:
                    encoding = mapping.mapping.mapping.file.encoding
                    bad = BadRows(bad_path, rows.header, encoding)
                bad.keep(row, problem)
            if tally.rows % _REPORTED == 0:
                report(rows.position())
    finally:
        if bad is not None:
            bad.close()
    report(rows.size)
    return tally


class _Kept(msgspec.Struct):
    file: str
    mapping: str
    to: str
    events: int
    done: int = 0


class Progress:
    """How many events of one import are there, kept on disk after every batch."""

    def __init__(self, path: Path, kept: _Kept) -> None:
        """Keep `kept` at `path`."""
        self._path = path
        self._kept = kept

    @classmethod
    def of(
        cls, folder: Path, rows: RowFile, mapping: MappingFile, to: str, events: int
    ) -> Self:
        """Return how far the import of these very rows by this mapping has come.

        The file's content counts, not its name; another mapping or another place to
        send to is another import.
        """
        rows.source.seek(0)
        digest = hashlib.blake2b()
        while chunk := rows.source.read(_CHUNK):
            digest.update(chunk)
        digest.update(f"\x00{mapping.text}\x00{to}\x00{events}".encode())
        path = folder / "imports" / f"{digest.hexdigest()[:32]}.json"
        try:
            kept = msgspec.json.decode(path.read_bytes(), type=_Kept)
        except (OSError, msgspec.DecodeError):
            name = str(getattr(rows.source, "name", ""))
            kept = _Kept(file=name, mapping=mapping.name, to=to, events=events)
        return cls(path, kept)

    @property
    def done(self) -> int:
        """How many events are known to be there."""
        return min(self._kept.done, self._kept.events)

    @property
    def path(self) -> Path:
        """Where it is written down."""
        return self._path

    def forget(self) -> None:
        """Begin again from the first event."""
        self._kept.done = 0

    def reach(self, done: int) -> None:
        """Write down that `done` events are there."""
        self._kept.done = done
        self._path.parent.mkdir(parents=True, exist_ok=True)
        scratch = self._path.with_suffix(".new")
        scratch.write_bytes(_encode(self._kept))
        scratch.replace(self._path)


def bad_path_of(file: str, folder: Path) -> Path:
    """Return where the bad rows of `file` are kept: in `folder`, under its name.

    >>> str(bad_path_of("/exports/crm.csv.gz", Path(".")))
    'crm.bad.csv'
    """
    name = Path("stdin.csv" if file == "-" else file).name.removesuffix(".gz")
    stem, dot, suffix = name.rpartition(".")
    return folder / (f"{stem}.bad{dot}{suffix}" if dot else f"{name}.bad")


def skip(lines: Iterator[object], count: int) -> None:
    """Pass over the first `count` of `lines`."""
    for _ in range(count):
        next(lines, None)
