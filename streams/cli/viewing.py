"""What the commands that look at the view have in common."""

from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from schemas.workspace import DEFAULT_WORKSPACE, is_workspace

if TYPE_CHECKING:
    from collections.abc import Callable

    from rich.console import Console, RenderableType

    from schemas.time import Instant
    from scorers.compiled import CompiledModel
    from streams.settings import Settings
    from streams.view import LeadCard, View
    from streams.view_records import ScorePoint

_REFRESH_SECONDS = 1.0
_Card = TypeVar("_Card")

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]
Limit = Annotated[int, typer.Option(min=1, max=1000, help="How many.")]
OfTier = Annotated[
    str | None, typer.Option(help="Only this tier: gold, silver, bronze, none.")
]
Watch = Annotated[bool, typer.Option("--watch", help="Stay and follow; Ctrl-C leaves.")]


def checked_workspace(workspace: str | None) -> str | None:
    """Return `workspace` if a tenant may be called so; else the usage is wrong."""
    if workspace is not None and not is_workspace(workspace):
        msg = "lower-case letters, digits and dashes, at most 40, a letter first"
        raise typer.BadParameter(msg)
    return workspace


OfWorkspace = Annotated[
    str,
    typer.Option(
        "--workspace",
        help="Whose leads: the tenant's name.",
        callback=checked_workspace,
    ),
]


def open_view(workspace: str = DEFAULT_WORKSPACE) -> "tuple[Settings, View]":
    """Return the settings and a workspace's view that they name."""
    from streams.redis_access import redis_address
    from streams.settings import load_settings
    from streams.view import connect_view

    settings = load_settings()
    view = connect_view(redis_address(settings), prefix=settings.topic_prefix)
    return settings, view.of(workspace)


def show_ranking(
    best: "Callable[[], tuple[_Card, ...]]",
    *,
    draw: "Callable[[tuple[_Card, ...], Instant, int], RenderableType]",
    plain: "Callable[[_Card], dict[str, object]]",
    settings: "Settings",
    watch: bool,
    json: bool,
) -> None:
    """Print the `best` once, as a table or as JSON, or stay and follow them."""
    from streams.drawing import screen

    clock, console = settings.clock(), screen()

    def table() -> "RenderableType":
        return draw(best(), clock.now(), console.width)

    if json:
        typer.echo(as_json([plain(card) for card in best()]))
    elif watch:
        _follow(console, table)
    else:
        console.print(table())


def _follow(console: "Console", draw: "Callable[[], RenderableType]") -> None:
    """Redraw until Ctrl-C; an absent Redis is told and waited for."""
    import time

    from rich.live import Live

    from streams.view import ViewAwayError

    with Live(console=console, screen=console.is_terminal, auto_refresh=False) as live:
        try:
            while True:
                try:
                    live.update(draw(), refresh=True)
                except ViewAwayError as error:
                    live.update(f"{error}; trying again …", refresh=True)
                time.sleep(_REFRESH_SECONDS)
        except KeyboardInterrupt:
            return


def plain_lead(
    card: "LeadCard", model: "CompiledModel | None" = None
) -> dict[str, object]:
    """Return a lead's card as JSON knows it: the update's own fields, then the rest.

    An event that is not counted says why, in the language of `model`.
    """
    import msgspec

    from streams.uncounted import uncounted

    why_not = uncounted(card, model)
    return {
        **msgspec.to_builtins(card.update),
        "history": plain_history(card.history),
        "events": [
            {**msgspec.to_builtins(event), "not_counted": why_not.get(event.id)}
            for event in card.events
        ],
        "alerts": msgspec.to_builtins(card.alerts),
    }


def plain_history(history: "tuple[ScorePoint, ...]") -> list[dict[str, object]]:
    """Return the course of a score as JSON knows it."""
    from schemas.time import to_iso

    return [{"at": to_iso(at), "score": score} for at, score in history]


def as_json(value: object) -> str:
    """Return `value` as JSON that a person can read, too."""
    import msgspec

    return msgspec.json.format(msgspec.json.encode(value), indent=2).decode()
