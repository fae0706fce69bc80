"""`leadpulse model publish | rollback | retire | history`: which model is in force."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from schemas.model_version import PRIMARY, SLOT_PATTERN
from schemas.workspace import DEFAULT_WORKSPACE
from streams.cli.viewing import OfWorkspace

if TYPE_CHECKING:
    from schemas.model_version import ModelVersion
    from scorers.backfill import Questions
    from scorers.compiled import CompiledModel
    from streams.model_desk import ModelDesk

Slot = Annotated[
    str,
    typer.Option(
        "--as",
        metavar="SLOT",
        help="Run it beside the primary under this name: it scores, on a topic of its "
        "own, and does not alert.",
    ),
]
Note = Annotated[
    str, typer.Option(help="Why; whoever reads the history will want to know.")
]
Backfill = Annotated[
    bool,
    typer.Option(
        help="Let rules that are new learn from the events that are retained."
    ),
]


def publish(
    model: Annotated[
        Path, typer.Argument(metavar="MODEL", help="A model file.", show_default=False)
    ],
    *,
    slot: Slot = PRIMARY,
    workspace: OfWorkspace = DEFAULT_WORKSPACE,
    alerts: Annotated[
        bool, typer.Option("--alerts", help="With --as: let it alert, too.")
    ] = False,
    note: Note = "",
    backfill: Backfill = True,
) -> None:
    """Bring a model into force, at once and without a restart.

    Scores that are kept apply its points and half-lives from the moment it is in
    force; rules that are new learn from the events that are retained.
    """
    from streams.learning_gate import check_gate
    from streams.model_files import read_model_text

    _check_slot(slot, alerts=alerts)
    text, compiled = read_model_text(model)
    if warning := check_gate(model, compiled):
        typer.secho(warning, err=True, fg="yellow")
    desk = _desk(workspace)
    last = desk.history.last(slot)
    if last is not None and last.model == compiled.ref and last.alerts == alerts:
        desk.mend()
        typer.echo(f"{_named(last)} is in force already: nothing was published")
        return
    version = desk.version(compiled, text, slot=slot, alerts=alerts, note=note)
    _bring(desk, version, compiled, backfill=backfill)


def rollback(
    to: Annotated[
        str,
        typer.Argument(
            metavar="VERSION",
            help="Its version or digest; the one before, if absent.",
            show_default=False,
        ),
    ] = "",
    *,
    slot: Slot = PRIMARY,
    workspace: OfWorkspace = DEFAULT_WORKSPACE,
    note: Note = "",
) -> None:
    """Bring a model that was published before into force again."""
    _check_slot(slot)
    desk = _desk(workspace)
    wanted = desk.earlier(to, slot)
    versions = desk.history.of(slot)
    if versions and versions[-1].model.digest == wanted.model.digest:
        typer.echo(f"{_named(wanted)} is in force already: nothing was published")
        return
    text, compiled = desk.text_of(wanted)
    version = desk.version(
        compiled, text, slot=slot, alerts=wanted.alerts, note=note or "rolled back"
    )
    _bring(desk, version, compiled, backfill=True)


def retire(
    slot: Annotated[str, typer.Argument(help="What it was published as.")],
    *,
    workspace: OfWorkspace = DEFAULT_WORKSPACE,
) -> None:
    """End a model beside the primary; what it knew is forgotten."""
    from streams.errors import UserError
    from streams.model_log import ending

    desk = _desk(workspace)
    last = None if slot == PRIMARY else desk.history.last(slot)
    if last is None:
        beside = [each for each in desk.history.slots() if each != PRIMARY]
        msg = f"nothing runs as {slot}; beside the primary run: " + (
            ", ".join(beside) or "none"
        )
        raise UserError(msg)
    desk.publish(ending(last, desk.now))
    typer.echo(f"{slot} has ended")


def history(
    *,
    export: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Write every version as JSON lines: `leadpulse replay --versions` "
            "reads it.",
        ),
    ] = None,
    workspace: OfWorkspace = DEFAULT_WORKSPACE,
) -> None:
    """List what was published when, and what is in force now."""
    import msgspec
    from rich.console import Console

    from schemas.time import to_instant
    from streams.cli.history_screen import history_screen
    from streams.errors import UserError

    desk = _desk(workspace)
    if export is not None:
        versions = desk.all.versions
        lines = [msgspec.json.encode(version) + b"\n" for version in versions]
        try:
            export.write_bytes(b"".join(lines))
        except OSError as error:
            msg = f"cannot write {export}: {error.strerror}"
            raise UserError(msg) from None
        typer.echo(f"{len(versions)} versions written to {export}", err=True)
        return
    versions = desk.history.versions
    if not versions:
        typer.echo("nothing was published yet: the workers' own model file is in force")
        return
    in_force = {
        versions[-1].id
        for slot in desk.history.slots()
        if (
            versions := [
                version
                for version in desk.history.of(slot)
                if to_instant(version.at) <= desk.now
            ]
        )
    }
    Console().print(history_screen(desk.history.versions, in_force))


def _desk(workspace: str) -> "ModelDesk":
    from streams.model_desk import ModelDesk
    from streams.settings import load_settings

    return ModelDesk(load_settings(), workspace)


def _bring(
    desk: "ModelDesk",
    version: "ModelVersion",
    compiled: "CompiledModel",
    *,
    backfill: bool,
) -> None:
    """Publish a version, wait until it is in force, and let it learn the past."""
    before = desk.before(version)
    desk.publish(version)
    typer.echo(
        f"{_named(version)} is published on {desk.partitions} partitions, "
        f"in force from {version.at:%Y-%m-%d %H:%M:%S} UTC"
    )
    if before is None:
        return
    from scorers.backfill import new_questions, reworded

    for name in reworded(before, compiled):
        typer.secho(
            f"rule {name} matches other events than before: what it has matched "
            "stays; give it a new name to let it learn the past anew",
            err=True,
            fg="yellow",
        )
    asked = new_questions(before, compiled)
    if asked and backfill:
        _backfill(desk, version, compiled, asked)


def _backfill(
    desk: "ModelDesk",
    version: "ModelVersion",
    compiled: "CompiledModel",
    asked: "Questions",
) -> None:
    from rich.console import Console
    from rich.progress import Progress, SpinnerColumn, TextColumn

    console = Console(stderr=True)
    with Progress(
        SpinnerColumn(),
        TextColumn("learning from the past: {task.fields[read]} events read, "),
        TextColumn("{task.fields[sent]} to learn from"),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    ) as progress:
        task = progress.add_task("", total=None, read="0", sent="0")
        done = desk.teach(
            version,
            compiled,
            asked,
            report=lambda so_far: progress.update(
                task, read=f"{so_far.read:,}", sent=f"{so_far.sent:,}"
            ),
        )
    names = ", ".join(sorted(asked.rules | asked.traits))
    typer.echo(f"{names}: {done.sent:,} of {done.read:,} retained events to learn from")


def _named(version: "ModelVersion") -> str:
    ref = version.model
    beside = "" if version.slot == PRIMARY else f" as {version.slot}"
    if version.workspace != DEFAULT_WORKSPACE:
        beside += f" in {version.workspace}"
    return f"{ref.name} {ref.version} ({ref.digest}){beside}"


def _check_slot(slot: str, *, alerts: bool = False) -> None:
    import re

    if not re.fullmatch(SLOT_PATTERN, slot):
        msg = "lower-case letters, digits and dashes, at most 40, a letter first"
        raise typer.BadParameter(msg, param_hint="--as")
    if alerts and slot == PRIMARY:
        msg = "the primary always alerts; --alerts goes with --as"
        raise typer.BadParameter(msg, param_hint="--alerts")
