"""Files of rows: CSV or NDJSON, plain or gzipped, read row by row with line numbers."""

import csv
import io
import re
from collections.abc import Iterator
from typing import IO, Any, Final, Self

import msgspec

from streams.collector.mapping.language import Table
from streams.event_files import EventFileError, open_lines

LINE: Final = "_line"
"""The field of every record that says on which line its row begins."""

_LONGEST_CELL: Final = 1_000_000
_NOT_TEXT: Final = re.compile("[\udc80-\udcff]")
_decode: Final = msgspec.json.Decoder().decode


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """One row of a file: its place, its text, and what it says or what is wrong."""

    line: int
    """Counted from one, as editors do."""
    text: str
    """As it stands in the file, line ends and all."""
    record: dict[str, Any] = {}
    problem: str | None = None


class RowFile:
    """The rows of one file."""

    def __init__(self, source: IO[bytes], table: Table) -> None:
        """Read `source`, which is closed at the end, as `table` says."""
        self._source = source
        self._table = table
        source.seek(0, io.SEEK_END)
        self.size = source.tell()
        """How many bytes there are to read."""
        source.seek(0)
        self.header = ""
        """The line with the columns' names, as it stands in the file."""

    @classmethod
    def open(cls, path: str, table: Table) -> Self:
        """Return the file at `path`, or standard input for ``-``.

        Raises
        ------
        EventFileError
            When it cannot be opened, or is gzip and broken.
        """
        try:
            return cls(open_lines(path), table)
        except (OSError, EOFError) as error:
            reason = getattr(error, "strerror", None) or error
            msg = f"cannot read {path}: {reason}"
            raise EventFileError(msg) from None

    @property
    def source(self) -> IO[bytes]:
        """The file itself, plain and seekable."""
        return self._source

    def __iter__(self) -> Iterator[Row]:
        """Yield every row from the beginning, the bad ones too.

        Raises
        ------
        EventFileError
            When there is no line with the names of the columns.
        """
        self._source.seek(0)
        encoding = self._table.encoding
        lines = io.TextIOWrapper(
            self._source,
            encoding="utf-8-sig" if encoding.lower() in {"utf-8", "utf8"} else encoding,
            errors="surrogateescape",  # what is no text is noticed, and kept
            newline="",
        )
        try:
            if self._table.format == "ndjson":
                yield from _objects(lines)
            else:
                yield from self._cells(lines)
        finally:
            if not self._source.closed:
                lines.detach()

    def position(self) -> int:
        """Return how many bytes were read."""
        return self._source.tell()

    def close(self) -> None:
        """Let go of the file."""
        self._source.close()

    def __enter__(self) -> Self:
        """Keep the file open until the end of the block."""
        return self

    def __exit__(self, *_exc: object) -> None:
        """Let go of the file."""
        self.close()

    def _cells(self, lines: Iterator[str]) -> Iterator[Row]:
        table = self._table
        consumed: list[str] = []

        def noted() -> Iterator[str]:
            for line in lines:
                consumed.append(line)
                yield line.replace("\x00", "")

        csv.field_size_limit(_LONGEST_CELL)
        reader = csv.reader(
            noted(),
            delimiter=table.delimiter,
            quotechar=table.quote or None,
            quoting=csv.QUOTE_MINIMAL if table.quote else csv.QUOTE_NONE,
            strict=True,
        )
        columns = table.columns
        line = 1
        while True:
            del consumed[:]
            problem, cells = None, []
            try:
                cells = next(reader)
            except StopIteration:
                return
            except csv.Error as error:
                problem = f"is no row: {error}"
            text, at = "".join(consumed), line
            line += len(consumed)
            if not text.strip("\r\n"):
                continue
            if problem is None and _NOT_TEXT.search(text):
                problem = f"is not {table.encoding}"
            if columns is None:
                self.header, columns = text, _columns(cells, problem)
                continue
            record: dict[str, Any] = {}
            if problem is None:
                record, problem = self._record(columns, cells)
            yield Row(line=at, text=text, record={**record, LINE: at}, problem=problem)

    def _record(
        self, columns: list[str], cells: list[str]
    ) -> tuple[dict[str, Any], str | None]:
        """Return the cells that hold something, by column, and what is wrong."""
        if len(cells) > len(columns) and any(cells[len(columns) :]):
            return {}, f"has {len(cells)} cells, and there are {len(columns)} columns"
        if len(cells) < len(columns) and self._table.columns is None:
            return {}, f"has {len(cells)} cells, and there are {len(columns)} columns"
        record: dict[str, Any] = {
            name: cell
            for name, cell in zip(columns, cells, strict=False)
            if name and cell
        }
        for name in self._table.json_columns:
            if name in record:
                try:
                    record[name] = _decode(record[name])
                except (msgspec.DecodeError, RecursionError):
                    return {}, f"column {name} holds no JSON"
        return record, None


def _columns(cells: list[str], problem: str | None) -> list[str]:
    names = [cell.strip() for cell in cells]
    twice = {name for name in names if name and names.count(name) > 1}
    if problem is None and twice:
        problem = f"names '{min(twice)}' twice"
    if problem is not None:
        msg = f"the first line should name the columns: it {problem}"
        raise EventFileError(msg)
    return names


def _objects(lines: Iterator[str]) -> Iterator[Row]:
    for number, text in enumerate(lines, 1):
        if not text.strip():
            continue
        try:
            record = _decode(text.encode(errors="surrogateescape"))
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            yield Row(line=number, text=text, problem=f"is no JSON: {error}")
            continue
        if isinstance(record, dict):
            yield Row(line=number, text=text, record={**record, LINE: number})
        else:
            yield Row(line=number, text=text, problem="is no JSON object")
