"""The team page: how soon hot leads are taken up, who waits, what to talk about."""

from typing import Final

from starlette.responses import Response

from streams.web.api import team as api
from streams.web.asking import Ask
from streams.web.endpoint import Endpoint, Entry
from streams.web.reading.heard import Heard
from streams.web.reading.people import people_of
from streams.web.reading.team import Coaching

SPANS: Final = (7, 30, 90)
_NAMED: Final = 25
"""Leads of each list; of the others only the number is told."""


def show(ask: Ask) -> Response:
    """Show how the team follows up."""
    heard = ask.sources.one(Heard)
    report = api.team(ask)
    waiting = report.waiting[:_NAMED]
    escalations = report.escalations[:_NAMED]
    return ask.page(
        "team_body.html" if "part" in ask.request.query_params else "team.html",
        title=ask.writing.t("nav.team"),
        report=report,
        spans=SPANS,
        complete=heard.is_complete,
        trouble=heard.trouble,
        waiting=waiting,
        escalations=escalations,
        people=people_of(
            ask.sources.view,
            [
                *(each.lead_id for each in waiting),
                *(each.lead_id for each in escalations),
            ],
        ),
        sentence=lambda coaching: _sentence(ask, coaching),
    )


def _sentence(ask: Ask, coaching: Coaching) -> str:
    """Return what there is to say to somebody, with the figures behind it."""
    w, own = ask.writing, coaching.figures
    return w.t(
        f"team.counsel.{coaching.counsel}",
        hot=own.hot,
        waiting=own.waiting,
        longest=w.span((own.longest_ms or 0) / 1000),
        median=w.span((own.median_ms or 0) / 1000),
        escalated=own.escalated,
        unfit=own.unfit,
        hour=w.percent(own.hour_share),
        answered=own.answered,
    )


ENDPOINTS: Final = (*api.ENDPOINTS, Endpoint(path="/team", take=show, least="viewer"))
NAVIGATION: Final = (Entry(order=3, path="/team", word="nav.team", icon="team"),)
