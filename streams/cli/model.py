"""`leadpulse model`: check, test, explain and compare scoring models."""

from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from schemas.locale import Locale
from streams.cli import publishing
from streams.cli.printing import print_schema

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from scorers.compiled import CompiledModel
    from scorers.explanation import Explanation
    from scorers.loading import ModelError
    from scorers.model import Model
    from streams.event_files import EventFile

_Loaded = TypeVar("_Loaded")

app = typer.Typer(
    help="Check, test, explain, compare and publish scoring models.",
    no_args_is_help=True,
)

for command in (
    publishing.publish,
    publishing.rollback,
    publishing.retire,
    publishing.history,
):
    app.command()(command)

ModelFile = Annotated[
    Path, typer.Argument(metavar="MODEL", help="A model file.", show_default=False)
]
SkipBad = Annotated[
    bool, typer.Option("--skip-bad", help="Tell bad lines and go on without them.")
]


@app.command()
def check(
    files: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="FILE…",
            help="Model files, or folders of them; the model in force if absent.",
            show_default=False,
        ),
    ] = None,
    *,
    strict: Annotated[
        bool, typer.Option("--strict", help="Take advice for a problem, too.")
    ] = False,
) -> None:
    """Say whether models are right; leave with 1 when one is not."""
    from rich.console import Console

    from scorers.advice import advice
    from scorers.loading import ModelError, load_model
    from streams.cli.model_screens import summary
    from streams.model_files import read_text

    console = Console(soft_wrap=True)
    failed = False
    for path in _models(files):
        try:
            model = load_model(read_text(path), str(path))
        except ModelError as error:
            failed = True
            _tell(error, path)
            continue
        console.print(summary(path, model))
        for sentence in advice(model):
            failed = failed or strict
            console.print(f"  [yellow]look at this:[/] {sentence}", highlight=False)
    if failed:
        raise typer.Exit(1)


@app.command()
def test(
    paths: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="PATH…",
            help="Model files, or folders of them; the model in force if absent.",
            show_default=False,
        ),
    ] = None,
    *,
    only: Annotated[
        str, typer.Option("--only", "-k", help="Only tests with this in their name.")
    ] = "",
    verbose: Annotated[
        bool, typer.Option("--verbose", "-v", help="Name the tests that hold, too.")
    ] = False,
) -> None:
    """Run the timelines beside models (MODEL.test.yaml) through the core."""
    from rich.console import Console

    from scorers.compiled import compile_model
    from scorers.timeline import load_timelines
    from scorers.timeline_run import run_timeline
    from streams.cli.model_screens import failure
    from streams.errors import UserError
    from streams.model_files import read_text, tests_of

    console = Console(soft_wrap=True)
    run = failed = 0
    for path in _models(paths):
        if not tests_of(path).is_file():
            console.print(f"{path}: no {tests_of(path).name} beside it", style="yellow")
            continue
        model = compile_model(_load(path))
        source = tests_of(path)
        timelines = _told(load_timelines, read_text(source), source)
        for timeline in timelines.tests:
            if only.casefold() not in timeline.name.casefold():
                continue
            run += 1
            outcome = run_timeline(model, timeline)
            if outcome.misses:
                failed += 1
                console.print(failure(source, outcome))
            elif verbose:
                console.print(f"[green]holds[/]  {timeline.name}", highlight=False)
    if not run:
        msg = "no test was run: a model is tested by MODEL.test.yaml beside it"
        raise UserError(msg)
    style = "bold red" if failed else "green"
    console.print(f"{run} tests, {failed} failed", style=style, highlight=False)
    if failed:
        raise typer.Exit(1)


@app.command()
def schema() -> None:
    """Print the JSON Schema of a model file: editors complete and check with it."""
    from scorers.editor import json_schema

    print_schema(json_schema())


@app.command()
def explain(
    model: Annotated[
        Path | None,
        typer.Argument(
            metavar="MODEL",
            help="A model file; the model in force if absent.",
            show_default=False,
        ),
    ] = None,
    *,
    lead: Annotated[
        str | None,
        typer.Option(
            "--lead",
            metavar="EVENTS.ndjson",
            help="Explain the leads of these events instead; - is stdin.",
        ),
    ] = None,
    locale: Annotated[
        Locale | None, typer.Option(help="The language; the model's own if absent.")
    ] = None,
    only: Annotated[
        str, typer.Option(help="Only the lead with this id or identifier.")
    ] = "",
    at: Annotated[
        str | None, typer.Option(help="As of this instant; the last receipt if absent.")
    ] = None,
    skip_bad: SkipBad = False,
) -> None:
    """Say in words what gives how much; with --lead, where a score comes from."""
    from streams.cli.model_screens import lead_heading, model_screen
    from streams.drawing import screen
    from streams.explanation_screens import explanation_screen

    console = screen()
    path = _models(None if model is None else [model])[0]
    if lead is None:
        loaded = _load(path)
        console.print(model_screen(loaded, locale or loaded.locale))
        return

    from streams.errors import UserError

    found = _explained(path, lead, only, at, skip_bad=skip_bad)
    if not found:
        msg = f"no lead is known as {only}" if only else f"there is no event in {lead}"
        raise UserError(msg)
    for name, compiled, told in found:
        spoken = locale or compiled.source.locale
        console.print(lead_heading(name, compiled, told))
        console.print(explanation_screen(compiled, told, spoken))


@app.command()
def diff(
    a: ModelFile,
    b: ModelFile,
    *,
    events: Annotated[
        str,
        typer.Option(
            metavar="EVENTS.ndjson", help="What happened; plain or gzip, - is stdin."
        ),
    ],
    as_json: Annotated[
        bool, typer.Option("--json", help="Print JSON, for programs.")
    ] = False,
    skip_bad: SkipBad = False,
) -> None:
    """Run two models over the same events and say what would be different."""
    from scorers.comparison import compare, live
    from scorers.compiled import compile_model
    from streams.cli.model_screens import comparison_json, comparison_screen
    from streams.drawing import screen

    models = [compile_model(_load(path)) for path in (a, b)]
    with _events(events, skip_bad=skip_bad) as source:
        before, after = (live(model, source.in_order_of_receipt()) for model in models)
    comparison = compare(before, after)
    if as_json:
        typer.echo(comparison_json(comparison))
    else:
        screen().print(comparison_screen((a, b), comparison))


def _models(paths: list[Path] | None) -> list[Path]:
    from streams.model_files import model_paths, shipped_model
    from streams.settings import load_settings

    if paths:
        return model_paths(paths)
    return [load_settings().model_path or shipped_model()]


def _load(path: Path) -> "Model":
    from scorers.loading import load_model
    from streams.model_files import read_text

    return _told(load_model, read_text(path), path)


def _told(load: "Callable[[str, str], _Loaded]", text: str, path: Path) -> "_Loaded":
    """Return what `load` makes of `text`, or tell its problems and leave with 1."""
    from scorers.loading import ModelError

    try:
        return load(text, str(path))
    except ModelError as error:
        _tell(error, path)
        raise typer.Exit(1) from None


def _tell(error: "ModelError", path: Path) -> None:
    for problem in error.problems:
        typer.echo(problem.picture, err=True)
    count = len(error.problems)
    text = f"{path}: {count} problem{'s' if count > 1 else ''}"
    typer.secho(text, err=True, fg="red", bold=True)


@contextmanager
def _events(path: str, *, skip_bad: bool) -> "Iterator[EventFile]":
    from rich.console import Console

    from streams.cli.replay import check as check_events
    from streams.cli.replay import progress_on
    from streams.event_files import EventFile

    with EventFile.open(path) as source:
        with progress_on(Console(stderr=True)) as progress:
            check_events(source, progress, skip_bad=skip_bad)
        yield source


def _explained(
    path: Path, events: str, only: str, at: str | None, *, skip_bad: bool
) -> "list[tuple[str, CompiledModel, Explanation]]":
    """Return the leads of a file of events explained, the highest score first."""
    from scorers.compiled import compile_model
    from scorers.explanation import explain_lead
    from scorers.replay import Replay
    from streams.cli.replay import parse_at

    model = compile_model(_load(path))
    until = None if at is None else parse_at(at)
    replay = Replay(model, wake=False)
    with _events(events, skip_bad=skip_bad) as source:
        for event in source.in_order_of_receipt():
            if until is not None and event.now > until:
                break
            for _ in replay.take(event):
                pass
    if until is not None:
        for _ in replay.until(until):
            pass
    found = []
    for state, reading in replay.readings():
        names = [*state.emails, *state.user_ids, *state.anonymous_ids]
        if not only or only in {state.lead_id, *names}:
            name = names[0] if names else state.lead_id
            found.append((name, model, explain_lead(model, state, reading.as_of)))
    return sorted(found, key=lambda item: -item[2].score)
