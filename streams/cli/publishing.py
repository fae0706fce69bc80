"""`leadpulse model publish | rollback | retire | history`: which model is in force."""

import time
from collections.abc import Coroutine
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from schemas.model_version import PRIMARY, SLOT_PATTERN
from schemas.workspace import DEFAULT_WORKSPACE
from streams.cli.viewing import OfWorkspace

if TYPE_CHECKING:
    from contextlib import AbstractAsyncContextManager

    from schemas.model_version import ModelVersion
    from scorers.backfill import Questions
    from scorers.compiled import CompiledModel
    from streams.event_log import KafkaEventLog
    from streams.model_log import History
    from streams.settings import Settings

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
    desk = _Desk(workspace)
    last = desk.history.last(slot)
    if last is not None and last.model == compiled.ref and last.alerts == alerts:
        desk.run(desk.mended())
        typer.echo(f"{_named(last)} is in force already: nothing was published")
        return
    version = desk.version(compiled, text, slot=slot, alerts=alerts, note=note)
    desk.bring(version, compiled, backfill=backfill)


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
    from scorers.compiled import compile_model
    from scorers.loading import load_model
    from streams.errors import UserError

    _check_slot(slot)
    desk = _Desk(workspace)
    versions = desk.history.of(slot)
    digests = [each.model.digest for each in versions]
    if to:
        wanted = desk.history.find(to)
    else:
        earlier = [each for each in versions if each.model.digest != digests[-1]]
        wanted = earlier[-1] if earlier else None
    if wanted is None:
        what = f"no version {to} was" if to else "no other version was"
        msg = f"{what} ever published; `leadpulse model history` lists them"
        raise UserError(msg)
    if versions and versions[-1].model.digest == wanted.model.digest:
        typer.echo(f"{_named(wanted)} is in force already: nothing was published")
        return
    text = desk.history.text(wanted.model.digest) or ""
    compiled = compile_model(load_model(text, wanted.id))
    version = desk.version(
        compiled, text, slot=slot, alerts=wanted.alerts, note=note or "rolled back"
    )
    desk.bring(version, compiled, backfill=True)


def retire(
    slot: Annotated[str, typer.Argument(help="What it was published as.")],
    *,
    workspace: OfWorkspace = DEFAULT_WORKSPACE,
) -> None:
    """End a model beside the primary; what it knew is forgotten."""
    from streams.errors import UserError
    from streams.model_log import ending

    desk = _Desk(workspace)
    last = None if slot == PRIMARY else desk.history.last(slot)
    if last is None:
        beside = [each for each in desk.history.slots() if each != PRIMARY]
        msg = f"nothing runs as {slot}; beside the primary run: " + (
            ", ".join(beside) or "none"
        )
        raise UserError(msg)
    desk.run(desk.published(ending(last, desk.now)))
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

    desk = _Desk(workspace)
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


class _Desk:
    """What every one of these commands needs: the topics, the history, the time."""

    def __init__(self, workspace: str) -> None:
        from streams.model_log import read_history
        from streams.settings import load_settings
        from streams.topics_admin import check_topics, shared_partitions

        self.settings: Settings = load_settings()
        self.partitions = shared_partitions(check_topics(self.settings))
        self.all: History = read_history(self.settings, self.partitions)
        self.history = self.all.within(workspace)
        self.workspace = workspace
        self._clock = self.settings.clock()

    @property
    def now(self) -> int:
        return self._clock.now()

    def version(
        self,
        compiled: "CompiledModel",
        text: str,
        *,
        slot: str,
        alerts: bool,
        note: str,
    ) -> "ModelVersion":
        from streams.model_log import version_of

        return version_of(
            compiled,
            text,
            now=self.now,
            slot=slot,
            workspace=self.workspace,
            alerts=alerts,
            note=note,
        )

    def bring(
        self, version: "ModelVersion", compiled: "CompiledModel", *, backfill: bool
    ) -> None:
        """Publish a version, wait until it is in force, and let it learn the past."""
        before = self._before(version)
        self.run(self.published(version))
        typer.echo(
            f"{_named(version)} is published on {self.partitions} partitions, "
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
            self._backfill(version, compiled, asked)

    def run(self, work: Coroutine[Any, Any, None]) -> None:
        import asyncio

        from streams.errors import UserError
        from streams.event_log import NotDurableError

        try:
            asyncio.run(work)
        except NotDurableError as error:
            msg = f"Kafka did not take it ({error}); run the same command again"
            raise UserError(msg) from None

    async def published(self, version: "ModelVersion") -> None:
        from streams.model_log import mend, publish

        async with self._log() as log:
            await mend(self.settings, log, self.all)
            await publish(self.settings, log, version, self.partitions)

    async def mended(self) -> None:
        from streams.model_log import mend

        async with self._log() as log:
            await mend(self.settings, log, self.all)

    def _log(self) -> "AbstractAsyncContextManager[KafkaEventLog]":
        from schemas.topics import COMMANDS, MODEL_VERSIONS
        from streams.event_log import opened_log

        return opened_log(
            self.settings, name="models", topics=(MODEL_VERSIONS, COMMANDS)
        )

    def _before(self, version: "ModelVersion") -> "CompiledModel | None":
        """Return the model whose memory the version takes over."""
        from scorers.compiled import compile_model
        from scorers.loading import load_model

        last = (
            self.history.last(version.slot)
            or self.history.last(PRIMARY)
            # Who has published nothing yet has what everything began with.
            or next(iter(self.all.within(DEFAULT_WORKSPACE).of(PRIMARY)), None)
        )
        text = None if last is None else self.all.text(last.model.digest)
        if last is None or text is None:
            return None
        return compile_model(load_model(text, last.id))

    def _backfill(
        self, version: "ModelVersion", compiled: "CompiledModel", asked: "Questions"
    ) -> None:
        from rich.console import Console
        from rich.progress import Progress, SpinnerColumn, TextColumn

        from schemas.time import to_instant
        from streams.backfill import Taught, backfill

        done = Taught()

        async def work() -> None:
            nonlocal done
            async with self._log() as log:
                done = await backfill(
                    self.settings,
                    log,
                    version,
                    (compiled, asked),
                    self.partitions,
                    report=lambda so_far: progress.update(
                        task, read=f"{so_far.read:,}", sent=f"{so_far.sent:,}"
                    ),
                )

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
            # What comes until then the new rules have not seen: it is the past, too.
            while self.now < to_instant(version.at):
                time.sleep(_LOOK_SECONDS)
            self.run(work())
        names = ", ".join(sorted(asked.rules | asked.traits))
        typer.echo(
            f"{names}: {done.sent:,} of {done.read:,} retained events to learn from"
        )


_LOOK_SECONDS: Final = 0.05


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
