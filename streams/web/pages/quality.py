"""The page of ranking quality and money."""

from typing import Final

from starlette.responses import Response

from streams.web.api import quality as api
from streams.web.asking import Ask
from streams.web.endpoint import Endpoint, Entry
from streams.web.reading.heard import Heard
from streams.web.reading.the_studio import studio_of


def show(ask: Ask) -> Response:
    """Show whether the ranking works, and what it is worth."""
    heard = ask.sources.one(Heard)
    found = api.quality(ask)
    studio = ask.sources.one(studio_of)
    names = {row.digest: f"{row.name} {row.version}" for row in studio.versions()}
    w = ask.writing
    forecast = None if found.forecast is None else found.forecast.told.forecast
    return ask.page(
        "quality.html",
        title=w.t("nav.quality"),
        words=("quality.",),
        found=found,
        complete=heard.is_complete,
        trouble=heard.trouble,
        names=names,
        boot={
            "gains": found.ranking.gains,
            "reliability": found.ranking.reliability,
            "bands": found.ranking.bands,
            "months": [] if forecast is None else forecast.months,
        },
    )


ENDPOINTS: Final = (
    *api.ENDPOINTS,
    Endpoint(path="/quality", take=show, least="viewer"),
)
NAVIGATION: Final = (
    Entry(order=4, path="/quality", word="nav.quality", icon="quality"),
)
