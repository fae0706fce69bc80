"""Whether the ranking works and what it is worth, for programs and for the page."""

from typing import Final

import msgspec

from streams.web.asking import Ask
from streams.web.endpoint import API, Endpoint
from streams.web.reading.foretold import FoundForecast, latest_forecast
from streams.web.reading.heard import Heard
from streams.web.reading.models import Models
from streams.web.reading.ranking import RankingReport


class QualityReport(msgspec.Struct, frozen=True, kw_only=True):
    """The ranking on leads of which the outcome is known, and the latest forecast."""

    ranking: RankingReport
    forecast: FoundForecast | None
    """None where none was written; `leadpulse learn report` writes one."""


def quality(ask: Ask) -> QualityReport:
    """Return how the ranking did, and what open deals are expected to bring."""
    heard = ask.sources.one(Heard)
    heard.wait()
    return QualityReport(
        ranking=heard.ranking.report(ask.sources.one(Models).tiers()),
        forecast=latest_forecast(ask.sources.settings.reports_folder),
    )


ENDPOINTS: Final = (
    Endpoint(
        path=f"{API}/quality",
        take=quality,
        least="viewer",
        summary="Conversion by tier and score, lift, reliability, models, forecast.",
        answer=QualityReport,
    ),
)
