"""One lead: who, how much, why, what happened, and who did what about it."""

from typing import Any, Final, NamedTuple

import msgspec
from starlette.responses import RedirectResponse, Response

from schemas.alert import Alert
from schemas.locale import Locale
from schemas.time import Instant, to_instant
from scorers.sentences import sections, summary
from scorers.withholding import mark
from streams.errors import UserError
from streams.explanation_screens import explanation_plain
from streams.uncounted import uncounted
from streams.view import LeadCard
from streams.view_records import WorkDone
from streams.web.api.leads import card_of
from streams.web.asking import Ask
from streams.web.endpoint import API, Endpoint, Entry
from streams.web.problems import NotFoundError
from streams.web.reading.explaining import Explaining
from streams.web.reading.leads import Leads
from streams.web.reading.models import Models
from streams.web.reading.rows import deal_value, name_of, open_alert, standing, worked
from streams.web.reading.waterfall import waterfall


class Told(NamedTuple):
    """An alert, or what somebody did about it."""

    at: Instant
    alert: Alert | None
    work: WorkDone | None


class Course(msgspec.Struct, frozen=True, kw_only=True):
    """What the chart draws."""

    lead_id: str
    me: str
    scores: list[tuple[Instant, float]]
    marks: list[tuple[Instant, str]]
    """What happened meanwhile."""
    bands: list[tuple[str, float]]
    """The tiers, and where each begins."""


class LocaleQuery(msgspec.Struct, frozen=True, kw_only=True):
    """In which language it is said."""

    locale: Locale | None = None


def show(ask: Ask) -> Response:
    """Show one lead."""
    card = card_of(ask)
    update = card.update
    if update.lead_id != ask.path("lead_id"):
        return RedirectResponse(f"/leads/{update.lead_id}", 303)
    models = ask.sources.one(Models)
    model = models.in_force()
    current = model if model.ref.digest == update.model.digest else None
    name = name_of(update.identifiers, update.lead_id)
    marks = [
        (to_instant(each.at), ask.writing.event(each.name)) for each in card.events
    ]
    return ask.page(
        "lead.html",
        title=name,
        words=("lead.", "chart.", "now."),
        boot=Course(
            lead_id=update.lead_id,
            me=ask.who,
            scores=[(point.at, point.score) for point in card.history],
            marks=marks,
            bands=list(model.tiers),
        ),
        card=card,
        update=update,
        told=_told(card),
        why_not=uncounted(card, current, ask.taste.lang),
        mark=lambda each: mark(current, each, ask.taste.lang),
        deal=deal_value(card.deal, card.alerts),
        traits=next((each.traits for each in card.alerts if each.traits), {}),
        advice=lambda text: models.advice(text, ask.taste.lang),
        fall=waterfall(update),
        titles=models.titles(ask.taste.lang),
        groups=models.groups(ask.taste.lang),
        owners=ask.sources.one(Leads).owners() if ask.may("sales") else (),
        standing=standing(
            next(map(open_alert, card.alerts), None),
            worked(card.work),
            ask.writing.now,
        ),
    )


def why(ask: Ask) -> Response:
    """Show the explanation: a part of the page, which takes a while to reckon."""
    card, lang = card_of(ask), ask.taste.lang
    models = ask.sources.one(Models)
    told, trouble = None, ""
    try:
        told = ask.sources.one(Explaining).of(card.update.lead_id, card.update.sequence)
    except UserError as error:
        trouble = str(error)
    return ask.page(
        "lead_why.html",
        title="",
        trouble=trouble,
        summary="" if told is None else summary(*told, lang),
        sections=() if told is None else sections(*told, lang),
        fall=waterfall(card.update, () if told is None else told[1].grounds),
        titles=models.titles(lang),
        groups=models.groups(lang),
    )


def explanation(ask: Ask) -> dict[str, Any]:
    """Return the explanation as data, with its sentences."""
    card = card_of(ask)
    found = ask.sources.one(Explaining).of(card.update.lead_id, card.update.sequence)
    if found is None:
        msg = "state of this lead"
        raise NotFoundError(msg)
    locale = ask.query(LocaleQuery).locale or ask.taste.lang
    plain: dict[str, Any] = msgspec.to_builtins(explanation_plain(*found, locale))
    return plain


def _told(card: LeadCard) -> list[Told]:
    """Return alerts and what was done about them, the latest first."""
    alerts = [Told(to_instant(each.decided_at), each, None) for each in card.alerts]
    work = [Told(each.at, None, each) for each in card.work]
    return sorted([*alerts, *work], key=lambda each: each.at, reverse=True)


ENDPOINTS: Final = (
    Endpoint(path="/leads/{lead_id}", take=show, least="viewer"),
    Endpoint(path="/leads/{lead_id}/why", take=why, least="viewer"),
    Endpoint(
        path=f"{API}/leads/{{lead_id}}/explanation",
        take=explanation,
        least="viewer",
        summary="Why the score is what it is, and what would lift it.",
        query=LocaleQuery,
        answer=dict[str, Any],
    ),
)
NAVIGATION: Final[tuple[Entry, ...]] = ()
