"""`leadpulse calibrate`: what scores mean, and points that outcomes ask for."""

from pathlib import Path
from typing import Annotated

import typer

from streams.cli.evaluate import Data, Dataset, Every, Horizon, ModelFile, Out, SplitBy

app = typer.Typer()


@app.command()
def calibrate(
    dataset: Dataset,
    *,
    model: ModelFile = None,
    data: Data = Path(),
    out: Out = Path("reports"),
    draft: Annotated[
        Path | None,
        typer.Option(help="Write the draft model here; OUT/NAME.draft.yaml if absent."),
    ] = None,
    horizon: Horizon = None,
    split: SplitBy = None,
    every: Every = None,
    capacity: Annotated[
        int | None,
        typer.Option(min=1, help="How many leads the team can work in a week."),
    ] = None,
) -> None:
    """Say what scores mean, and draft the points that outcomes ask for.

    Writes DATASET.calibration.html and .json, and a draft model with what held-out
    leads say of it beside it. Publishing stays your act: `leadpulse model publish`
    refuses a draft that is not surely better. Exit code 1 says that it is not.
    """
    from streams.learning.needs import need_learning

    need_learning()
    from streams.cli.evaluate import duration, progress
    from streams.learning import calibrating
    from streams.learning.calibration_page import calibration_page
    from streams.learning.gate import write_draft
    from streams.learning.pages import write_report
    from streams.learning.sources import source_of

    with progress() as (report, console):
        source = source_of(
            dataset,
            model=model,
            data=data,
            every=duration(every),
            horizon=duration(horizon),
            split=split,
            report=report,
        )
        found, proposal = calibrating.calibrate(
            source.name,
            source.text,
            source.model,
            source.examples,
            split=source.split,
            capacity=capacity,
            report=lambda what: report(what, 0, 0),
        )
        report("report", 0, 0)
        path = write_report(
            out,
            f"{source.name}.calibration",
            calibration_page(source.title, found),
            found,
        )
    target = out / f"{source.name}.draft.yaml" if draft is None else draft
    write_draft(target, proposal.text, found.gate)
    gate = found.gate
    typer.echo(
        f"{found.examples:,} decisions, {found.won:,} won; draft: AUC {gate.auc:.3f} "
        f"against {gate.auc_present:.3f} on {gate.examples:,} held-out "
        f"({gate.low:+.3f} to {gate.high:+.3f})"
    )
    if found.idle:
        typer.echo(f"do not earn their points: {', '.join(found.idle)}")
    for each in found.suggestions[:5]:
        typer.echo(
            f"deserves a rule: {each.property} {each.value} ({each.won:,} of "
            f"{each.leads:,} won, {each.expected:.0f} expected)"
        )
    if found.chances.rolling.drifts:
        typer.echo(
            f"drift: scores began to mean something else "
            f"{len(found.chances.rolling.drifts)} times"
        )
    console.print(f"report: {path}\ndraft:  {target}", highlight=False, soft_wrap=True)
    if not gate.better:
        typer.echo(f"the draft is refused: it is {gate.why}", err=True)
        raise typer.Exit(1)
