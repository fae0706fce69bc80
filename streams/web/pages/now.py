"""The ranked board: whom to call now."""

from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import urlencode

import msgspec
from starlette.responses import Response

from schemas.locale import Locale
from scorers import speech_en, speech_fa
from streams.web.asking import Ask
from streams.web.endpoint import Endpoint, Entry
from streams.web.reading.leads import LeadPage, LeadQuery, Leads, cursor_after
from streams.web.reading.models import Models
from streams.web.reading.rows import standing

_FIRST: Final = 60
"""Rows that come with the page: js/rows.js reads as many at a time."""
_DRAWN: Final = 24
"""Of them, rows that are drawn before any script runs: a screen of them."""


_EVENTS: Final[Mapping[Locale, Mapping[str, str]]] = {
    "en": speech_en.EVENTS,
    "fa": speech_fa.EVENTS,
}
_KEPT: Final = {"tier", "owner", "account", "min_score", "text"}


class Begin(msgspec.Struct, frozen=True, kw_only=True):
    """What the board's script begins with."""

    me: str
    may_work: bool
    query: dict[str, Any]
    first: LeadPage
    titles: dict[str, str]
    events: Mapping[str, str]
    """What events are called, where that is not their name."""


def show(ask: Ask) -> Response:
    """Show the board."""
    leads, models = ask.sources.one(Leads), ask.sources.one(Models)
    query = ask.query(LeadQuery)
    query = msgspec.structs.replace(query, limit=_FIRST, offset=0)
    page = leads.page(query)
    # A later page is for browsers without scripts: the board has all in one.
    scripted = ask.has_assets and query.cursor is None
    titles = dict(models.titles(ask.taste.lang))
    tiers = models.tiers()
    filters = {
        name: value
        for name, value in msgspec.structs.asdict(query).items()
        if name in _KEPT and value is not None
    }
    shown = page.leads[:_DRAWN] if scripted else page.leads
    cursor = page.next_cursor if shown == page.leads else cursor_after(shown[-1])
    return ask.page(
        "now.html",
        title=ask.writing.t("nav.now"),
        words=("now.",),
        boot=Begin(
            me=ask.who,
            may_work=ask.may("sales"),
            query=filters,
            first=page,
            titles=titles,
            events=_EVENTS[ask.taste.lang],
        ),
        page=page,
        shown=shown,
        more=f"/?{urlencode({**filters, 'cursor': cursor})}" if cursor else "",
        scripted=scripted,
        filtered=bool(filters),
        standing=standing,
        query=query,
        titles=titles,
        tiers=tiers,
        owners=leads.owners(),
    )


ENDPOINTS: Final = (Endpoint(path="/", take=show, least="viewer"),)
NAVIGATION: Final = (Entry(order=1, path="/", word="nav.now", icon="now"),)
