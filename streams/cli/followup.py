"""`leadpulse followup`: see what a lead would be written."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from schemas.locale import Locale

if TYPE_CHECKING:
    from schemas.alert import Alert
    from streams.settings import Settings

app = typer.Typer(
    help="Follow-up mails to leads, by stage and tier: see them before they go out.",
    no_args_is_help=True,
)


@app.callback()
def followup() -> None:
    """Follow-up mails to leads, by stage and tier: see them before they go out."""


@app.command()
def preview(
    lead: Annotated[
        str | None,
        typer.Argument(
            help="Lead id of somebody who was alerted on; a sample lead if absent.",
            show_default=False,
        ),
    ] = None,
    *,
    stage: Annotated[str, typer.Option(help="Stage of the sample lead.")] = "intent",
    tier: Annotated[str, typer.Option(help="Tier of the sample lead.")] = "gold",
    locale: Annotated[Locale, typer.Option(help="Language.")] = "en",
    folder: Annotated[
        Path | None,
        typer.Option(help="Folder of templates; the shipped ones if absent."),
    ] = None,
    html: Annotated[bool, typer.Option("--html", help="Show the page, too.")] = False,
) -> None:
    """Show the mail that a lead would get; nothing is sent."""
    from zoneinfo import ZoneInfo

    from streams.errors import UserError
    from streams.notifiers.followup import Library
    from streams.notifiers.message import Links, Writer
    from streams.settings import load_settings

    if lead is None:
        alert = _sample(stage, tier)
    else:
        found = _latest(load_settings(), lead)
        if found is None:
            msg = f"there is no alert on {lead}; without a lead a sample is shown"
            raise UserError(msg)
        alert = found
    message = Writer(locale, ZoneInfo("UTC")).write(alert, links=Links())
    letter = Library(folder).letter(message)
    typer.echo(f"Template: {letter.template}")
    if alert.do_not_email:
        typer.echo("NOT SENT: this person wants no mail.")
    typer.echo(f"To:       {next(iter(alert.identifiers.email), 'no known address')}")
    typer.echo(f"Subject:  {letter.subject}\n")
    typer.echo(letter.text)
    if html:
        typer.echo(letter.as_html())


def _sample(stage: str, tier: str) -> "Alert":
    from msgspec.structs import replace

    from schemas.examples import ALERT

    traits = {"name": "Ada Lovelace", "first_name": "Ada", "company": "Analytical"}
    return replace(ALERT, stage=stage, tier=tier, traits=traits)


def _latest(settings: "Settings", lead_id: str) -> "Alert | None":
    import msgspec

    from schemas.alert import Alert
    from schemas.topics import NOTIFICATIONS
    from streams.topic_reader import read_topic

    found = None
    decode = msgspec.json.Decoder(Alert).decode
    key = lead_id.encode()
    for record in read_topic(settings, settings.topic(NOTIFICATIONS.name), key=key):
        if record.key() == key and (value := record.value()):
            found = decode(value)
    return found
