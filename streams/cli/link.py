"""`leadpulse link`: links that tell of opens, clicks and unsubscriptions."""

from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from datetime import datetime

    from streams.links import MailLinks

app = typer.Typer(
    help="Make links for mail that you send yourself: open, click, unsubscribe.\n\n"
    "Needs LEADPULSE_LINK_SECRETS, as the collector has it, and LEADPULSE_PUBLIC_URL.",
    no_args_is_help=True,
)

Email = Annotated[
    str | None, typer.Option(help="Address that the mail goes to.", show_default=False)
]
UserId = Annotated[
    str | None,
    typer.Option("--user", help="Your id of the person.", show_default=False),
]
MailId = Annotated[
    str | None,
    typer.Option("--mail", help="Which mail it is in.", show_default=False),
]
Campaign = Annotated[
    str | None,
    typer.Option(help="Which campaign the mail is of.", show_default=False),
]
Days = Annotated[
    int | None,
    typer.Option(min=1, help="How long it works; for ever if unset."),
]
Source = Annotated[
    str,
    typer.Option(help="Whose events they become: source or workspace/source."),
]


@app.command("open")
def opened(
    *,
    email: Email = None,
    user: UserId = None,
    mail: MailId = None,
    campaign: Campaign = None,
    days: Days = None,
    source: Source = "mail",
) -> None:
    """Print the URL of the pixel that tells that a mail was opened."""
    links, expires_at = _links(source, days)
    typer.echo(
        links.open(
            email=email,
            user_id=user,
            email_id=mail,
            campaign_id=campaign,
            expires_at=expires_at,
        )
    )


@app.command()
def click(
    url: Annotated[
        str, typer.Argument(metavar="URL", help="Where it goes.", show_default=False)
    ],
    *,
    email: Email = None,
    user: UserId = None,
    mail: MailId = None,
    campaign: Campaign = None,
    links: Annotated[
        int | None,
        typer.Option(
            min=1, help="How many links the mail has: who follows all is a machine."
        ),
    ] = None,
    honeypot: Annotated[
        bool,
        typer.Option(
            "--honeypot", help="People cannot see it: who follows it is a machine."
        ),
    ] = False,
    days: Days = None,
    source: Source = "mail",
) -> None:
    """Print the URL that goes on to URL and tells that it was clicked."""
    maker, expires_at = _links(source, days)
    typer.echo(
        maker.click(
            url,
            email=email,
            user_id=user,
            email_id=mail,
            campaign_id=campaign,
            links=links,
            honeypot=honeypot,
            expires_at=expires_at,
        )
    )


@app.command()
def unsubscribe(
    *,
    email: Email = None,
    user: UserId = None,
    mail: MailId = None,
    campaign: Campaign = None,
    purpose: Annotated[
        str | None,
        typer.Option(
            help="What they unsubscribe from, e.g. newsletter; all marketing by "
            "e-mail if unset.",
            show_default=False,
        ),
    ] = None,
    headers: Annotated[
        bool,
        typer.Option(
            "--headers", help="Print the headers of the mail for one click (RFC 8058)."
        ),
    ] = False,
    source: Source = "mail",
) -> None:
    """Print the URL to unsubscribe at; it never expires."""
    from streams.links import unsubscribe_headers

    links, _ = _links(source, None)
    url = links.unsubscribe(
        email=email,
        user_id=user,
        email_id=mail,
        campaign_id=campaign,
        purpose=purpose,
    )
    if not headers:
        typer.echo(url)
        return
    for name, value in unsubscribe_headers(url).items():
        typer.echo(f"{name}: {value}")


def _links(source: str, days: int | None) -> "tuple[MailLinks, datetime | None]":
    from schemas.time import DAY, to_datetime
    from streams.links import MailLinks
    from streams.settings import load_settings

    settings = load_settings()
    links = MailLinks.of(settings, source=source)
    if days is None:
        return links, None
    return links, to_datetime(settings.clock().now() + days * DAY)
