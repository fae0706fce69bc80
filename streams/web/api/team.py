"""How the team follows up, for programs and for the page."""

from typing import Annotated, Final

import msgspec

from streams.web.asking import Ask
from streams.web.endpoint import API, Endpoint
from streams.web.reading.heard import Heard
from streams.web.reading.team import TeamReport, team_report


class Days(msgspec.Struct, frozen=True, kw_only=True):
    """How far back."""

    days: Annotated[int, msgspec.Meta(ge=1, le=90)] = 30


def team(ask: Ask) -> TeamReport:
    """Return how hot leads of the last days were followed up."""
    heard = ask.sources.one(Heard)
    heard.wait()
    days = ask.query(Days).days
    return team_report(heard.team.facts(), ask.sources.clock.now(), days)


ENDPOINTS: Final = (
    Endpoint(
        path=f"{API}/team",
        take=team,
        least="viewer",
        summary="How hot leads were followed up: speed, funnel, who waits.",
        query=Days,
        answer=TeamReport,
    ),
)
