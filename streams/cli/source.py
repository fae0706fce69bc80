"""`leadpulse source`: mappings of any webhook or export, checked and tried."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from streams.cli.printing import print_schema

if TYPE_CHECKING:
    from streams.collector.mapping.compiled import CompiledMapping, Mapped
    from streams.collector.mapping.files import MappingFileError

app = typer.Typer(
    help="Check and try the mappings that make events of any webhook or export.",
    no_args_is_help=True,
)

MappingName = Annotated[
    str,
    typer.Argument(
        metavar="MAPPING",
        help="A mapping file, or the name of a mapping that is shipped or in "
        "LEADPULSE_MAPPINGS_DIR.",
        show_default=False,
    ),
]

_SHOWN_ROWS = 10


@app.command("list")
def list_mappings() -> None:
    """List the mappings that are shipped and those of LEADPULSE_MAPPINGS_DIR."""
    from rich.console import Console
    from rich.table import Table

    from streams.collector.mapping.files import mapping_paths, read_mapping
    from streams.settings import load_settings

    table = Table("mapping", "what for", "file", box=None)
    for path in mapping_paths(load_settings().mappings_dir):
        each = read_mapping(path)
        table.add_row(each.name, each.mapping.mapping.title, str(path))
    Console().print(table)


@app.command()
def check(
    files: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="FILE…",
            help="Mapping files; all of LEADPULSE_MAPPINGS_DIR if absent.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Say whether mappings are right; leave with 1 when one is not."""
    from streams.collector.mapping.files import (
        MappingFileError,
        load_mappings,
        mapping_paths,
        read_mapping,
    )
    from streams.settings import load_settings

    folder = None if files else load_settings().mappings_dir
    failed = False
    for path in files or mapping_paths(folder):
        try:
            mapping = read_mapping(path).mapping.mapping
        except MappingFileError as error:
            failed = True
            _tell(error, path)
            continue
        events = len(mapping.events)
        kinds = f"{events} event{'s' if events > 1 else ''}"
        typer.echo(f"{path}: {mapping.mapping} is right, {kinds}")
    if failed:
        raise typer.Exit(1)
    if not files:
        load_mappings(folder)  # two of one name are a mistake, too


@app.command()
def test(
    mapping: MappingName,
    payload: Annotated[
        str,
        typer.Argument(
            metavar="PAYLOAD|-",
            help="A payload as JSON or a form post, or rows (*.csv, *.ndjson); "
            "- is stdin.",
            show_default=False,
        ),
    ],
    *,
    rows: Annotated[
        int, typer.Option(min=1, help="Of a file of rows, how many are tried.")
    ] = _SHOWN_ROWS,
) -> None:
    """Show the events that a payload becomes; leave with 1 when one is refused.

    Nothing is sent. Events are printed as JSON, what is said about them goes to
    standard error.
    """
    from streams.collector.mapping.compiled import Delivery
    from streams.collector.mapping.files import MappingFileError, find_mapping
    from streams.settings import load_settings

    settings = load_settings()
    try:
        found = find_mapping(mapping, settings.mappings_dir)
    except MappingFileError as error:
        if not error.problems:
            raise
        _tell(error, Path(mapping))
        raise typer.Exit(1) from None
    if payload.removesuffix(".gz").endswith((".csv", ".tsv", ".ndjson")):
        from itertools import islice

        from streams.row_files import RowFile

        now = settings.clock().now()
        with RowFile.open(payload, found.mapping.mapping.file) as table:
            mapped = [
                _of_row(found.mapping, row.record, now)
                for row in islice(table, rows)
                if row.problem is None
            ]
    else:
        delivery = Delivery(source=found.name, received_at=settings.clock().now())
        mapped = list(found.mapping.payload(_read_payload(payload), delivery))
    if not _show(mapped):
        raise typer.Exit(1)


@app.command()
def schema() -> None:
    """Print the JSON Schema of a mapping file: editors complete and check with it."""
    from streams.collector.mapping.files import json_schema

    print_schema(json_schema())


def _of_row(mapping: "CompiledMapping", record: Any, now: int) -> "Mapped":
    from streams.collector.mapping.compiled import Delivery, Mapped

    delivery = Delivery(source=mapping.mapping.mapping, received_at=None, latest=now)
    return Mapped(record=record, outcomes=mapping.record(record, delivery))


def _read_payload(path: str) -> Any:
    import sys

    from streams.collector.mapping.payload import read_payload
    from streams.collector.verdict import RefusedError
    from streams.errors import UserError

    try:
        body = sys.stdin.buffer.read() if path == "-" else Path(path).read_bytes()
    except OSError as error:
        msg = f"cannot read {path}: {error.strerror}"
        raise UserError(msg) from None
    try:
        return read_payload(body)
    except RefusedError as error:
        msg = f"{path}: {error.detail}"
        raise UserError(msg) from None


def _show(mapped: "list[Mapped]") -> bool:
    """Print what each record became; say whether all was well."""
    import msgspec

    from schemas.event import Event

    events = refused = passed = 0
    for number, one in enumerate(mapped, 1):
        if not one.outcomes:
            passed += 1
            typer.echo(f"record {number}: no event of the mapping fits", err=True)
        for outcome in one.outcomes:
            if isinstance(outcome, Event):
                events += 1
                text = msgspec.json.format(msgspec.json.encode(outcome), indent=2)
                typer.echo(text)
            else:
                refused += 1
                typer.echo(
                    f"record {number}: {outcome.reason}: {outcome.detail}", err=True
                )
    typer.echo(
        f"{len(mapped)} records: {events} events, {refused} refused, {passed} "
        "passed over",
        err=True,
    )
    return refused == 0


def _tell(error: "MappingFileError", path: Path) -> None:
    for problem in error.problems:
        typer.echo(problem.picture, err=True)
    count = len(error.problems)
    text = f"{path}: {count} problem{'s' if count > 1 else ''}"
    typer.secho(text, err=True, fg="red", bold=True)
