"""`leadpulse schema`: write the contract down, or check that it is current."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from streams.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Mapping

app = typer.Typer(
    help="Write the contract down, or check that it is current.",
    no_args_is_help=True,
)


class UnwritableError(UserError):
    """A file cannot be written where it was asked for."""

    exit_code = 2

    def __init__(self, path: Path, error: OSError) -> None:
        """Name the file and what is wrong."""
        super().__init__(f"cannot write {path}: {error.strerror or error}")


Out = Annotated[
    Path,
    typer.Option("--out", metavar="DIR", help="Folder to write to, or to compare."),
]
Check = Annotated[
    bool,
    typer.Option("--check", help="Write nothing; leave with 1 when a file is stale."),
]


@app.command()
def export(out: Out = Path("docs"), *, check: Check = False) -> None:
    """Write a JSON Schema per message, and what topics and HTTP routes there are.

    The topics are an AsyncAPI document, the collector's routes an OpenAPI document.
    """
    import json
    from importlib.metadata import version

    import yaml

    from schemas.asyncapi import document
    from schemas.json_schema import documents
    from streams.collector.app import all_providers, describe
    from streams.settings import Settings

    files = {
        Path("schemas", name): json.dumps(schema, indent=2, ensure_ascii=False) + "\n"
        for name, schema in documents().items()
    }
    asyncapi = document(
        version=version("leadpulse"),
        partitions=Settings.model_fields["partitions"].default,
    )
    dumper = type("Dumper", (yaml.SafeDumper,), {"ignore_aliases": lambda *_: True})
    shown = Settings.model_construct(link_secrets=("shown",))
    openapi = describe(shown, all_providers(shown))
    for name, described in (("asyncapi", asyncapi), ("openapi", openapi)):
        files[Path(f"{name}.yaml")] = yaml.dump(
            described, Dumper=dumper, sort_keys=False, allow_unicode=True, width=88
        )
    _settle(out, files, check=check)


@app.command()
def metrics(out: Out = Path("docs"), *, check: Check = False) -> None:
    """Write the page of metrics."""
    from streams.metrics_reference import render

    _settle(out, {Path("metrics.md"): render()}, check=check)


@app.command()
def settings(out: Out = Path("docs"), *, check: Check = False) -> None:
    """Write the page of settings."""
    from streams.settings_reference import render

    _settle(out, {Path("settings.md"): render()}, check=check)


def _settle(folder: Path, files: "Mapping[Path, str]", *, check: bool) -> None:
    """Make `folder` hold `files`, or with `check` leave with 1 when it does not."""
    stale = [
        folder / name for name, text in files.items() if _read(folder / name) != text
    ]
    if check:
        for path in stale:
            typer.echo(f"{path}: stale; run `make docs`", err=True)
        if stale:
            raise typer.Exit(1)
        typer.echo(f"{folder}: {len(files)} generated files are current")
        return
    for name, text in files.items():
        path = folder / name
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        except OSError as error:
            raise UnwritableError(path, error) from None
    typer.echo(f"{folder}: {len(files)} files written, {len(stale)} of them changed")


def _read(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return None
