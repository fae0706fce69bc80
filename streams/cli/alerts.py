"""`leadpulse alerts`: say what became of an alert."""

from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from schemas.alert import Alert
    from streams.settings import Settings

app = typer.Typer(
    help="Say what became of an alert, as the buttons of its message do.",
    no_args_is_help=True,
)


@app.callback()
def alerts() -> None:
    """Say what became of an alert, as the buttons of its message do."""


@app.command()
def ack(
    alert: Annotated[
        str, typer.Argument(help="The alert's id (al_…).", show_default=False)
    ],
    *,
    unfit: Annotated[
        bool, typer.Option("--unfit", help="It is not a fit: disqualify the lead.")
    ] = False,
    by: Annotated[str, typer.Option(help="Who says so; your login if absent.")] = "",
) -> None:
    """Say that somebody is on it; the pipeline and every message hear of it."""
    import asyncio
    import getpass

    from schemas.workspace import workspace_of
    from scorers.identity import derive_lead_id
    from streams.acknowledging import answerable, work_event
    from streams.errors import UserError
    from streams.event_log import KafkaEventLog, NotDurableError, event_record
    from streams.settings import load_settings

    settings = load_settings()
    found = _alert(settings, alert)
    if found is None:
        msg = f"there is no alert {alert}; `leadpulse leads show LEAD` lists a lead's"
        raise UserError(msg)
    event = work_event(
        answerable(found),
        "unfit" if unfit else "taken",
        by=by or getpass.getuser(),
        via="cli",
        now=settings.clock().now(),
        workspace=workspace_of(found.lead_id),
    )
    lead_id = derive_lead_id(event)
    if lead_id is None:
        msg = f"the alert {alert} names nobody that an event could be about"
        raise UserError(msg)

    async def tell() -> None:
        log = KafkaEventLog(settings, name="alerts")
        try:
            await log.append(
                [event_record(event, lead_id, prefix=settings.topic_prefix)]
            )
        except NotDurableError as error:
            msg = f"not stored: {error}"
            raise UserError(msg) from None
        finally:
            await log.close()

    asyncio.run(tell())
    typer.echo(f"{event.name}: {found.lead_id}")


def _alert(settings: "Settings", alert_id: str) -> "Alert | None":
    import msgspec

    from schemas.alert import Alert
    from schemas.topics import NOTIFICATIONS
    from streams.topic_reader import read_topic

    wanted = alert_id.encode()
    decode = msgspec.json.Decoder(Alert).decode
    for record in read_topic(settings, settings.topic(NOTIFICATIONS.name)):
        value = record.value() or b""
        if wanted in value and (found := decode(value)).id == alert_id:
            return found
    return None
