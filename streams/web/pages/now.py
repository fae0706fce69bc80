"""The ranked board: whom to call now."""

from typing import Any, Final

import msgspec
from starlette.responses import Response

from streams.web.asking import Ask
from streams.web.endpoint import Endpoint, Entry
from streams.web.reading.leads import LeadPage, LeadQuery, Leads
from streams.web.reading.models import Models

_FIRST: Final = 60
"""Rows that come with the page: js/rows.js reads as many at a time."""


class Begin(msgspec.Struct, frozen=True, kw_only=True):
    """What the board's script begins with."""

    me: str
    may_work: bool
    query: dict[str, Any]
    first: LeadPage
    titles: dict[str, str]
    tiers: tuple[str, ...]


def show(ask: Ask) -> Response:
    """Show the board."""
    leads, models = ask.sources.one(Leads), ask.sources.one(Models)
    query = ask.query(LeadQuery)
    query = msgspec.structs.replace(query, limit=_FIRST, offset=0, cursor=None)
    page = leads.page(query)
    titles = dict(models.titles(ask.taste.lang))
    tiers = models.tiers()
    kept = {"tier", "owner", "account", "min_score", "text"}
    return ask.page(
        "now.html",
        title=ask.writing.t("nav.now"),
        words=("now.",),
        boot=Begin(
            me=ask.who,
            may_work=ask.may("sales"),
            query={
                name: value
                for name, value in msgspec.structs.asdict(query).items()
                if name in kept and value is not None
            },
            first=page,
            titles=titles,
            tiers=tiers,
        ),
        page=page,
        query=query,
        titles=titles,
        tiers=tiers,
        owners=leads.owners(),
    )


ENDPOINTS: Final = (Endpoint(path="/", take=show, least="viewer"),)
NAVIGATION: Final = (Entry(order=1, path="/", word="nav.now", icon="now"),)
