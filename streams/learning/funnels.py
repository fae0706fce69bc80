"""Funnels: tables of leads with outcomes, as events by a mapping and a model beside.

A funnel is a folder with three files: `funnel.yaml` says which tables there are,
`mapping.yaml` what a row means, `model.yaml` what somebody thinks it is worth.
"""

import csv
import io
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Annotated, Any, Final, Literal, Self

import msgspec
from pydantic import Field, model_validator

from schemas.event import Event
from scorers.compiled import CompiledModel
from scorers.loading import ModelError, load_part
from scorers.parts import Name, Part, PositiveDuration
from streams.collector.mapping.compiled import Delivery
from streams.collector.mapping.files import MappingFile, read_mapping
from streams.errors import UserError
from streams.event_files import open_lines
from streams.model_files import read_model_text, read_text
from streams.row_files import RowFile

Split = Literal["cross-validated", "time-ordered"]

_SHIPPED: Final = (
    Path(__file__).parents[1] / "funnels",  # in an installed wheel
    Path(__file__).parents[2] / "deploy" / "funnels",  # in a checkout
)
_REPORTED: Final = 500


class FunnelError(UserError):
    """A funnel cannot be found or read; the text says where and why."""


class Join(Part):
    """A table whose columns are added to each row with the same key."""

    file: Annotated[str, Field(min_length=1)]
    """The table, CSV, beside the funnel's own."""
    on: Annotated[str, Field(min_length=1)]
    """The column that both have."""
    aliases: dict[str, str] = {}
    """How keys of the funnel's table are spelt in this one."""


class Funnel(Part):
    """A table of leads, and how to judge a score by it."""

    funnel: Name
    """Its name in words-with-dashes."""
    title: str = ""
    """What it is, in one line."""
    file: Annotated[str, Field(min_length=1)]
    """The table: CSV or NDJSON, plain, gzip, or in a zip."""
    member: str | None = None
    """The table's name in the zip."""
    joins: list[Join] = []
    """Tables that say more of each row."""
    decide_after: PositiveDuration
    """How long after a lead was first seen its score is judged."""
    decide_every: PositiveDuration | None = None
    """Judged again at this distance while the lead is open; only once if absent."""
    split: Split = "cross-validated"
    """How what is judged is kept apart from what is learnt from."""

    @model_validator(mode="after")
    def _zip_has_member(self) -> Self:
        if (self.member is None) == self.file.endswith(".zip"):
            msg = "`member` names the table in a `file` that is a zip"
            raise ValueError(msg)
        return self


class FunnelFolder(msgspec.Struct, frozen=True):
    """A funnel with its mapping and its model."""

    folder: Path
    funnel: Funnel
    mapping: MappingFile
    model: CompiledModel
    text: str
    """The model's text."""


def shipped_funnels() -> list[str]:
    """Return the names of the funnels that come with Leadpulse."""
    return sorted(path.parent.name for path in _shipped().glob("*/funnel.yaml"))


def _shipped() -> Path:
    return next(path for path in _SHIPPED if path.is_dir())


def find_funnel(wanted: str, model: Path | None = None) -> FunnelFolder:
    """Return the funnel that `wanted` names: a folder, or a shipped one by name.

    Raises
    ------
    FunnelError
        When there is none, or it is wrong.
    """
    folder = Path(wanted)
    if not (folder / "funnel.yaml").is_file():
        folder = _shipped() / wanted
    path = folder / "funnel.yaml"
    if not path.is_file():
        names = ", ".join(shipped_funnels())
        msg = f"there is no funnel '{wanted}'; there is {names} — or name a folder"
        raise FunnelError(msg)
    try:
        funnel = load_part(Funnel, read_text(path), str(path))
    except ModelError as error:
        raise FunnelError(str(error)) from None
    text, compiled = read_model_text(model or folder / "model.yaml")
    return FunnelFolder(
        folder, funnel, read_mapping(folder / "mapping.yaml"), compiled, text
    )


def funnel_events(
    found: FunnelFolder,
    data: Path,
    *,
    report: Callable[[int], None] = lambda _: None,
) -> list[Event]:
    """Return the events of a funnel's tables in `data`, in the order of their time.

    Raises
    ------
    FunnelError
        When a table is missing, or a row cannot be taken.
    """
    events = list(_events(found, data, report))
    events.sort(key=lambda event: event.now)
    return events


def _events(
    found: FunnelFolder, data: Path, report: Callable[[int], None]
) -> Iterator[Event]:
    mapping = found.mapping.mapping
    delivery = Delivery(
        source=found.funnel.funnel, workspace="default", received_at=None, latest=None
    )
    joined = [(each, _table(data / each.file, each.on)) for each in found.funnel.joins]
    with RowFile(_opened(found.funnel, data), mapping.mapping.file) as rows:
        for number, row in enumerate(rows, start=1):
            if row.problem is not None:
                msg = f"{found.funnel.file}, line {row.line}: {row.problem}"
                raise FunnelError(msg)
            record = dict(row.record)
            for join, table in joined:
                key = str(record.get(join.on, ""))
                record |= table.get(join.aliases.get(key, key), {})
                record[join.on] = key
            for outcome in mapping.record(record, delivery):
                if not isinstance(outcome, Event):
                    msg = f"{found.funnel.file}, line {row.line}: {outcome.detail}"
                    raise FunnelError(msg)
                yield outcome
            if number % _REPORTED == 0:
                report(number)


def _opened(funnel: Funnel, data: Path) -> IO[bytes]:
    path = data if data.is_file() else data / funnel.file
    try:
        if funnel.member is None:
            return open_lines(str(path))
        with zipfile.ZipFile(path) as archive:
            return io.BytesIO(archive.read(funnel.member))
    except (OSError, EOFError, KeyError, zipfile.BadZipFile) as error:
        msg = f"cannot read {path}: {getattr(error, 'strerror', None) or error}"
        raise FunnelError(msg) from None


def _table(path: Path, on: str) -> dict[str, dict[str, Any]]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as lines:
            return {
                str(row[on]): {name: cell for name, cell in row.items() if cell}
                for row in csv.DictReader(lines)
            }
    except (OSError, KeyError) as error:
        msg = f"cannot read {path}: {getattr(error, 'strerror', None) or error}"
        raise FunnelError(msg) from None
