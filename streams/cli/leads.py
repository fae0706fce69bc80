"""`leadpulse leads`: who to call, and why, read from the view."""

from typing import TYPE_CHECKING, Annotated

import typer

from schemas.locale import Locale
from schemas.workspace import DEFAULT_WORKSPACE
from streams.cli.viewing import (
    AsJson,
    Limit,
    OfTier,
    OfWorkspace,
    Watch,
    as_json,
    open_view,
    plain_lead,
    show_ranking,
)

if TYPE_CHECKING:
    from scorers.compiled import CompiledModel
    from scorers.explanation import Explanation
    from streams.settings import Settings

app = typer.Typer(
    help="Who to call, and why: the ranked leads, one lead's card, its score in words.",
    no_args_is_help=True,
)

LeadName = Annotated[
    str, typer.Argument(help="Lead id, e-mail address, user id or anonymous id.")
]


@app.command()
def top(
    *,
    tier: OfTier = None,
    owner: Annotated[str | None, typer.Option(help="Only this owner's leads.")] = None,
    limit: Limit = 20,
    watch: Watch = False,
    json: AsJson = False,
    workspace: OfWorkspace = DEFAULT_WORKSPACE,
) -> None:
    """Show the best leads, best first, each with the reason in one line."""
    from streams.lead_screens import ranking_table

    settings, view = open_view(workspace)
    show_ranking(
        lambda: view.top(limit=limit, tier=tier, owner=owner),
        draw=ranking_table,
        plain=plain_lead,
        settings=settings,
        watch=watch,
        json=json,
    )


@app.command()
def show(
    lead: LeadName,
    *,
    locale: Annotated[
        Locale | None,
        typer.Option(help="Add the explanation of the score in this language."),
    ] = None,
    json: AsJson = False,
    workspace: OfWorkspace = DEFAULT_WORKSPACE,
) -> None:
    """Show all about one lead: who, how much, why, what happened, what was told."""
    from streams.drawing import screen
    from streams.errors import UserError
    from streams.explanation_screens import explanation_plain, explanation_screen
    from streams.lead_screens import card_screen
    from streams.model_files import read_model

    settings, view = open_view(workspace)
    found = view.find(lead)
    card = view.lead(found[0]) if found else None
    if card is None:
        raise UserError(_STRANGER.format(lead))
    model = read_model(settings.model_path)
    current = model if model.ref.digest == card.update.model.digest else None
    explained = None if locale is None else _explained(settings, found)
    if json:
        plain = plain_lead(card, current)
        if explained is not None and locale is not None:
            plain["explanation"] = explanation_plain(*explained, locale)
        typer.echo(as_json(plain))
        return
    console = screen()
    console.print(card_screen(card, current, settings.clock().now()))
    if explained is not None and locale is not None:
        console.print(explanation_screen(*explained, locale))
    if others := found[1:]:
        console.print(f"Also known under this name: {', '.join(others)}", style="dim")


@app.command()
def explain(
    lead: LeadName,
    *,
    locale: Annotated[
        Locale | None, typer.Option(help="The language; the model's own if absent.")
    ] = None,
    json: AsJson = False,
    workspace: OfWorkspace = DEFAULT_WORKSPACE,
) -> None:
    """Say why a lead scores what it does, what changed, and what would lift it.

    It is reckoned now, by the model in force, from the state that the workers keep.
    """
    from scorers.identity import is_lead_id
    from streams.drawing import screen
    from streams.errors import UserError
    from streams.explanation_screens import explanation_plain, explanation_screen
    from streams.settings import load_settings

    settings = load_settings()
    # A lead id needs no view: what follows works without Redis, too.
    found = (lead,) if is_lead_id(lead) else open_view(workspace)[1].find(lead)
    explained = _explained(settings, found)
    if explained is None:
        raise UserError(_STRANGER.format(lead))
    spoken = locale or explained[0].source.locale
    if json:
        typer.echo(as_json(explanation_plain(*explained, spoken)))
        return
    screen().print(explanation_screen(*explained, spoken))


@app.command()
def rebuild() -> None:
    """Drop the view; running delivery roles fill it again from the topics."""
    _, view = open_view()
    gone = view.drop()
    typer.echo(
        f"Dropped {gone} keys. A running `leadpulse view` fills the view again "
        "from the topics with the next record; a stopped one when it starts."
    )


_STRANGER = "no lead is known as {}; `leadpulse leads top` lists those there are"


def _explained(
    settings: "Settings", found: tuple[str, ...]
) -> "tuple[CompiledModel, Explanation] | None":
    """Return the model in force and what it says of the first of the leads.

    None where its state is unknown.
    """
    from schemas.workspace import workspace_of
    from scorers.explanation import explain_lead
    from streams.lead_states import ChangelogLeadStates
    from streams.model_files import read_model
    from streams.model_log import model_in_force

    state = ChangelogLeadStates(settings).get(found[0]) if found else None
    if state is None:
        return None
    now = settings.clock().now()
    model = model_in_force(
        settings, read_model(settings.model_path), now, workspace_of(state.lead_id)
    )
    return model, explain_lead(model, state, now)
