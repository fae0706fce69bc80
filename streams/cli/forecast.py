"""`leadpulse forecast`: what open deals will bring, and how good forecasts were."""

from pathlib import Path
from typing import Annotated

import typer

from streams.cli.evaluate import Data, Dataset, ModelFile, Out

app = typer.Typer()


def _currency(text: str) -> str:
    if not (len(text) == 3 and text.isascii() and text.isalpha()):  # noqa: PLR2004 - ISO 4217
        msg = "a currency has three letters, such as EUR"
        raise typer.BadParameter(msg)
    return text.upper()


@app.command()
def forecast(
    dataset: Dataset,
    *,
    model: ModelFile = None,
    data: Data = Path(),
    out: Out = Path("reports"),
    at: Annotated[
        str | None,
        typer.Option(
            help="Foretell as of this instant; the end of the data if absent."
        ),
    ] = None,
    months: Annotated[int, typer.Option(min=1, max=24, help="How far ahead.")] = 3,
    currency: Annotated[
        str | None,
        typer.Option(
            parser=_currency,
            metavar="EUR",
            help="Foretell deals in this currency; the one that most have if absent.",
        ),
    ] = None,
    runs: Annotated[
        int, typer.Option(min=100, help="How often the future is drawn.")
    ] = 1_000,
) -> None:
    """Add up what open deals are worth times how likely they are won, by month.

    Also by owner, source, tier and stage, each with an 80 % interval. Forecasts of the
    past are held against what happened. Writes DATASET.forecast.html and .json.
    """
    from streams.learning.needs import need_learning

    need_learning()
    from schemas.time import HOUR
    from scorers.snapshots import Instants
    from streams.cli.evaluate import progress
    from streams.cli.replay import parse_at
    from streams.learning.forecast_page import about_money, forecast_page, foretold
    from streams.learning.pages import write_report
    from streams.learning.sources import source_of

    with progress() as (report, console):
        source = source_of(
            dataset,
            model=model,
            data=data,
            instants=Instants(after=HOUR),
            horizon=None,
            split=None,
            report=report,
        )
        found = foretold(
            source.name,
            source.examples,
            source.until,
            value=source.model.value,
            currency=currency,
            at=None if at is None else parse_at(at),
            months=months,
            runs=runs,
            report=lambda done, total: report("back-test", done, total),
        )
        path = write_report(
            out,
            f"{source.name}.forecast",
            forecast_page(source.title, found),
            found,
        )
    told, past = found.forecast, found.back_test
    for sentence in about_money(found):
        typer.echo(sentence, err=True)
    for month in told.months:
        typer.echo(
            f"{month.month}  {month.value.value:>14,.0f} {told.currency}  "
            f"80 %: {month.value.low:,.0f} to {month.value.high:,.0f}"
        )
    if past.forecasts:
        typer.echo(
            f"{past.forecasts} past forecasts: {past.covered:.0%} of 80 % intervals "
            f"held, bias {past.bias:+.0%}"
        )
    console.print(f"report: {path}", highlight=False, soft_wrap=True)
