"""`leadpulse accounts`: which companies to look at, and who their people are."""

from typing import TYPE_CHECKING, Annotated

import typer

from schemas.workspace import DEFAULT_WORKSPACE
from streams.cli.viewing import (
    AsJson,
    Limit,
    OfTier,
    OfWorkspace,
    Watch,
    as_json,
    open_view,
    plain_history,
    plain_lead,
    show_ranking,
)

if TYPE_CHECKING:
    from streams.view import AccountCard

app = typer.Typer(
    help="Companies: the ranked accounts, one account's card with its people.",
    no_args_is_help=True,
)


@app.command()
def top(
    *,
    tier: OfTier = None,
    limit: Limit = 20,
    watch: Watch = False,
    json: AsJson = False,
    workspace: OfWorkspace = DEFAULT_WORKSPACE,
) -> None:
    """Show the best accounts, best first, with how many people are active."""
    from streams.account_screens import accounts_table

    settings, view = open_view(workspace)
    show_ranking(
        lambda: view.accounts.top(limit=limit, tier=tier),
        draw=accounts_table,
        plain=_plain,
        settings=settings,
        watch=watch,
        json=json,
    )


@app.command()
def show(
    account: Annotated[
        str,
        typer.Argument(help="Account id, the CRM's id, mail domain or company name."),
    ],
    *,
    json: AsJson = False,
    workspace: OfWorkspace = DEFAULT_WORKSPACE,
) -> None:
    """Show all about one account: score, trend, its people, what was told."""
    from streams.account_screens import account_screen
    from streams.drawing import screen
    from streams.errors import UserError
    from streams.model_files import read_model

    settings, view = open_view(workspace)
    found = view.accounts.find(account)
    card = None if found is None else view.accounts.show(found)
    if card is None:
        msg = f"no account is known as {account}; `leadpulse accounts top` lists them"
        raise UserError(msg)
    if json:
        people = [plain_lead(person) for person in card.people]
        typer.echo(as_json({**_plain(card), "people": people}))
        return
    model = read_model(settings.model_path)
    current = model if model.ref.digest == card.update.model.digest else None
    screen().print(account_screen(card, current, settings.clock().now()))


def _plain(card: "AccountCard") -> dict[str, object]:
    """Return a card as JSON knows it: the score's own fields, then the rest."""
    import msgspec

    return {
        **msgspec.to_builtins(card.update),
        "history": plain_history(card.history),
        "alerts": msgspec.to_builtins(card.alerts),
    }
