"""What people do with leads, told to the pipeline as events of the CRM."""

import asyncio
from typing import Final

from schemas.event import Event
from schemas.workspace import workspace_of
from scorers.identity import derive_lead_id
from streams.acknowledging import (
    Answerable,
    Verdict,
    answerable_as,
    assign_event,
    snooze_event,
    work_event,
)
from streams.event_log import KafkaEventLog, NotDurableError, event_record
from streams.view import LeadCard
from streams.web.problems import ProblemError
from streams.web.sources import Sources

_VIA: Final = "web"


class Work:
    """Writes what people do; one producer for the process, made when first needed."""

    def __init__(self, sources: Sources) -> None:
        """Write to the broker of `sources`, once there is something to write."""
        self._settings = sources.settings
        self._clock = sources.clock
        self._log: KafkaEventLog | None = None
        self._lock = asyncio.Lock()

    async def answer(self, card: LeadCard, verdict: Verdict, *, by: str) -> Event:
        """Return the event once it is durable that `by` is on it, or that it is unfit.

        Raises
        ------
        ProblemError
            503 when it is not, 409 when nothing names the lead.
        """
        about, now = _about(card), self._clock.now()
        space = workspace_of(card.update.lead_id)
        return await self._tell(
            work_event(about, verdict, by=by, via=_VIA, now=now, workspace=space)
        )

    async def snooze(self, card: LeadCard, *, minutes: int, by: str) -> Event:
        """Return the event once it is durable that `by` comes back in `minutes`.

        Raises
        ------
        ProblemError
            As `answer` does.
        """
        about, now = _about(card), self._clock.now()
        until = now + minutes * 60_000
        space = workspace_of(card.update.lead_id)
        return await self._tell(
            snooze_event(about, until=until, by=by, via=_VIA, now=now, workspace=space)
        )

    async def assign(self, card: LeadCard, *, owner: str, by: str) -> Event:
        """Return the event once it is durable that the lead is `owner`'s.

        Raises
        ------
        ProblemError
            As `answer` does.
        """
        about, now = _about(card), self._clock.now()
        space = workspace_of(card.update.lead_id)
        return await self._tell(
            assign_event(about, owner=owner, by=by, via=_VIA, now=now, workspace=space)
        )

    async def close(self) -> None:
        """Let go of the producer."""
        if self._log is not None:
            await self._log.close()

    async def _tell(self, event: Event) -> Event:
        lead_id = derive_lead_id(event)
        if lead_id is None:
            raise ProblemError(409, "nobody", "nothing names this lead")
        record = event_record(event, lead_id, prefix=self._settings.topic_prefix)
        async with self._lock:
            if self._log is None:
                self._log = KafkaEventLog(self._settings, name="web")
        try:
            await self._log.append([record])
        except NotDurableError as error:
            told = {"Retry-After": str(error.retry_seconds)}
            raise ProblemError(503, "not-stored", str(error), told) from None
        return event


def _about(card: LeadCard) -> Answerable:
    """Return what names the lead, and its latest alert or, without, its last change."""
    update = card.update
    named = next((alert.id for alert in card.alerts), "")
    try:
        return answerable_as(
            named or f"{update.lead_id}/{update.sequence}", update.identifiers
        )
    except ValueError:
        raise ProblemError(409, "nobody", "nothing names this lead") from None
