"""The ranked board: whom to call now."""

from typing import Final

from starlette.responses import Response

from streams.web.asking import Ask
from streams.web.endpoint import Endpoint, Entry


def show(ask: Ask) -> Response:
    """Show the board."""
    return ask.page("now.html", title=ask.writing.t("nav.now"))


ENDPOINTS: Final = (Endpoint(path="/", take=show, least="viewer"),)
NAVIGATION: Final = (Entry(order=1, path="/", word="nav.now", icon="now"),)
