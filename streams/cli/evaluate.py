"""`leadpulse evaluate`: does the ranking work, and what would work better."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

if TYPE_CHECKING:
    from collections.abc import Callable

app = typer.Typer()

Dataset = Annotated[
    str,
    typer.Argument(
        metavar="DATASET",
        help="Events with outcomes (*.ndjson), a shipped funnel by name, or a folder "
        "with funnel.yaml, mapping.yaml and model.yaml.",
        show_default=False,
    ),
]
ModelFile = Annotated[
    Path | None, typer.Option(help="Model file; the funnel's or the shipped one.")
]
Data = Annotated[
    Path, typer.Option(help="The folder with a funnel's tables, or its table.")
]
Out = Annotated[Path, typer.Option(help="The folder to write the report into.")]
Horizon = Annotated[
    str | None,
    typer.Option(
        metavar="DURATION",
        help="Won within this time, such as 90d; at any time if absent.",
    ),
]
SplitBy = Annotated[
    Literal["cross-validated", "time-ordered"] | None,
    typer.Option(help="How what is judged is kept apart from what is learnt from."),
]
Every = Annotated[
    str | None,
    typer.Option(
        metavar="DURATION",
        help="Look at every lead at this distance while it is open; 0s for not at "
        "all. If absent what the funnel says; of events 7d, beside alerts and entries "
        "into tiers.",
    ),
]


def duration(text: str | None) -> int | None:
    """Return the milliseconds that `text` says, None for None."""
    from scorers.parts import parse_duration

    if text is None:
        return None
    try:
        return parse_duration(text)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None


@contextmanager
def progress() -> "Iterator[tuple[Callable[[str, int, int], None], Any]]":
    """Show how far the work is, on a terminal only."""
    from rich.console import Console

    from streams.cli.replay import progress_on

    console = Console(stderr=True)
    with progress_on(console) as bar:
        task = bar.add_task("", total=None)

        def report(what: str, done: int = 0, total: int = 0) -> None:
            bar.update(task, description=what, completed=done, total=total or None)

        yield report, console


@app.command()
def evaluate(
    dataset: Dataset,
    *,
    model: ModelFile = None,
    data: Data = Path(),
    out: Out = Path("reports"),
    horizon: Horizon = None,
    split: SplitBy = None,
    every: Every = None,
) -> None:
    """Judge a model's ranking by what became of people, beside other rankings.

    It is held against its own points recalibrated, naive Bayes, logistic regression and
    gradient boosting, on leads that none of them has learnt from. Writes
    DATASET.evaluation.html and .json.
    """
    from streams.learning.needs import need_learning

    need_learning()
    from streams.learning import evaluating
    from streams.learning.evaluation_page import evaluation_page
    from streams.learning.pages import write_report
    from streams.learning.sources import source_of

    span = duration(horizon)
    with progress() as (report, console):
        source = source_of(
            dataset,
            model=model,
            data=data,
            every=duration(every),
            horizon=span,
            split=split,
            report=report,
        )
        found, held, won = evaluating.evaluate(
            source.name,
            source.text,
            source.model,
            source.examples,
            split=source.split,
            report=lambda what: report(what, 0, 0),
        )
        report("report", 0, 0)
        page = evaluation_page(source.title, found, held, won)
        path = write_report(out, f"{source.name}.evaluation", page, found)
    from rich.table import Table

    table = Table(
        title=f"{source.title}: {found.examples:,} decisions, {found.won:,} won, "
        f"{found.split}",
        title_justify="left",
    )
    for head in ("", "AUC", "Brier", "lift at 10 %", "lift at 20 %"):
        table.add_column(head, justify="right" if head else "left")
    for name, q in found.qualities.items():
        table.add_row(name, *map(str, (q.auc, q.brier, q.lift_10, q.lift_20)))
    from streams.drawing import screen

    screen().print(table)
    typer.echo(
        f"recalibrated points reach {found.share_of_ceiling:.3f} of the AUC of "
        f"gradient boosting; over naive Bayes {found.over_naive_bayes.value:+.3f} "
        f"({found.over_naive_bayes.low:+.3f} to {found.over_naive_bayes.high:+.3f})"
    )
    console.print(f"report: {path}", highlight=False, soft_wrap=True)
