"""`leadpulse export`: everything that is held of a person, for the person."""

from pathlib import Path
from typing import Annotated

import typer

from schemas.workspace import DEFAULT_WORKSPACE
from streams.cli.viewing import OfWorkspace

app = typer.Typer()


@app.command()
def export(
    lead: Annotated[
        str, typer.Argument(help="Lead id, e-mail address, user id or anonymous id.")
    ],
    *,
    workspace: OfWorkspace = DEFAULT_WORKSPACE,
    out: Annotated[
        Path | None, typer.Option(help="Write the JSON here; standard output else.")
    ] = None,
) -> None:
    """Give everything that is held of a person as one JSON document.

    Scores, traits, consent, identifiers, accounts, alerts, retained events and dead
    letters, in all of the person's identities. Every topic is read: it takes a while.
    """
    import msgspec

    from streams.errors import UserError
    from streams.export import export_person
    from streams.person import find_person
    from streams.settings import load_settings

    settings = load_settings()
    person = find_person(settings, lead, workspace)
    document = export_person(settings, person, settings.clock().now())
    held = (value for name, value in document.items() if name not in _ABOUT)
    if not any(held):
        msg = "nothing is held of anybody who is known as that"
        raise UserError(msg)
    text = msgspec.json.format(msgspec.json.encode(document)).decode()
    if out is None:
        typer.echo(text)
        return
    try:
        out.touch(mode=0o600)
        out.write_text(text + "\n", encoding="utf-8")
    except OSError as error:
        msg = f"cannot write {out}: {error.strerror}"
        raise UserError(msg) from None
    typer.echo(f"written to {out}")


_ABOUT = frozenset({"asked_for", "exported_at", "lead_ids", "identifiers"})
