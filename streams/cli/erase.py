"""`leadpulse erase`: forget a person, everywhere and for good."""

from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from schemas.workspace import DEFAULT_WORKSPACE
from streams.cli.viewing import OfWorkspace

_Done = TypeVar("_Done")

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from streams.erasure import Erased
    from streams.person import Person
    from streams.settings import Settings

app = typer.Typer()


@app.command()
def erase(
    lead: Annotated[
        str, typer.Argument(help="Lead id, e-mail address, user id or anonymous id.")
    ],
    *,
    workspace: OfWorkspace = DEFAULT_WORKSPACE,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    by: Annotated[
        str, typer.Option(help="Who asked, for the audit; your login name if absent.")
    ] = "",
    wait: Annotated[
        float, typer.Option(min=0, help="Seconds to wait for the workers.")
    ] = 30.0,
    lift: Annotated[
        bool,
        typer.Option(
            "--lift", help="Let the person be known again, by new events only."
        ),
    ] = False,
) -> None:
    """Forget a person: scores, states, cards, alerts, dead letters, in every identity.

    They are not known again, whatever comes, is repeated or replayed, until `--lift`.
    What stays on raw topics goes with their retention (docs/privacy.md).
    """
    import asyncio
    import getpass

    from streams.erasure import erase_person, lift_erasure
    from streams.person import find_person
    from streams.settings import load_settings
    from streams.suppressions import need_privacy_key
    from streams.topics_admin import check_topics, shared_partitions

    settings = load_settings()
    need_privacy_key(settings)
    partitions = shared_partitions(check_topics(settings))
    person = find_person(settings, lead, workspace)
    who = by or getpass.getuser()
    if not yes:
        typer.confirm(_question(person, lift=lift), abort=True)
    if lift:
        count = asyncio.run(
            _done(lift_erasure, settings, person, by=who, partitions=partitions)
        )
        typer.echo(
            f"lifted for {count} lead ids: what is received from now on counts again"
        )
        return
    erased = asyncio.run(
        _done(erase_person, settings, person, by=who, partitions=partitions)
    )
    _tell(settings, person, erased, wait)


def _question(person: "Person", *, lift: bool) -> str:
    if lift:
        return "Let this person be known again by what they do from now on?"
    if not person.states:
        return (
            "Nothing is known by this name. Erase what may still come of it, and "
            "never know it?"
        )
    known = person.identifiers
    count = len(known.email) + len(known.user_id) + len(known.anonymous_id)
    lead_ids = ", ".join(state.lead_id for state in person.states)
    return f"Erase {lead_ids}, known by {count} identifiers, for good?"


async def _done(
    do: "Callable[..., Awaitable[_Done]]", settings: "Settings", *who: Any, **how: Any
) -> "_Done":
    """Return what erasing or lifting comes to, on a log of its own."""
    from schemas.topics import TOPICS
    from streams.errors import UserError
    from streams.event_log import NotDurableError, opened_log

    try:
        async with opened_log(settings, name="privacy", topics=TOPICS) as log:
            now = settings.clock().now()
            return await do(settings, log, *who, now=now, **how)
    except NotDurableError as error:
        msg = f"not done: {error}; do it again, half of it does no harm"
        raise UserError(msg) from None


def _tell(
    settings: "Settings", person: "Person", erased: "Erased", wait: float
) -> None:
    from schemas.topics import DEAD_LETTERS, NOTIFICATIONS, SCORE_UPDATES
    from streams.erasure import wait_until_erased
    from streams.errors import UserError

    typer.echo(f"suppressed   {erased.leads} lead ids: nothing new is taken in")
    if erased.kept_letters:
        typer.echo(f"dead letters not taken out: {erased.kept_letters}", err=True)
    else:
        typer.echo(
            f"dead letters {erased.dead_letters} taken out: nobody can read them"
        )
    if not wait_until_erased(settings, person, erased.asked_at, seconds=wait):
        msg = (
            f"the workers have not erased everything within {wait:g} s; they will when "
            "they run: the commands are durable"
        )
        raise UserError(msg)
    if person.states:
        typer.echo(f"erased       {len(person.states)} leads with their identities")
    else:
        typer.echo("erased       nothing was known")
    day = 86_400_000
    typer.echo(
        "later        compacted topics: within "
        f"{(SCORE_UPDATES.max_compaction_lag_ms or 0) // day} days; alerts: within "
        f"{(NOTIFICATIONS.retention_ms or 0) // day} days; raw events and commands: "
        f"within {settings.raw_retention_days} days of their receipt; "
        f"{'dead letters' if erased.kept_letters else 'bytes of dead letters'}: within "
        f"{(DEAD_LETTERS.retention_ms or 0) // day} days; to each of these the broker "
        "adds the time until a segment is closed (segment.ms, 7 days unless set)"
    )
    if erased.kept_letters:
        raise typer.Exit(1)
