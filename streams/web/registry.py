"""All pages and all of the API: a module is part of the app once it is named here."""

from typing import Final

from streams.web.api import accounts, alerts, leads, live, people
from streams.web.endpoint import Endpoint, Entry
from streams.web.pages import (
    account,
    lead,
    now,
    operations,
    quality,
    sign_in,
    studio,
    team,
)

_MODULES: Final = (
    now,
    lead,
    account,
    team,
    quality,
    studio,
    operations,
    sign_in,
    leads,
    people,
    accounts,
    alerts,
    live,
)
"""Each has ENDPOINTS and NAVIGATION."""

ENDPOINTS: Final[tuple[Endpoint, ...]] = tuple(
    endpoint for module in _MODULES for endpoint in module.ENDPOINTS
)
NAVIGATION: Final[tuple[Entry, ...]] = tuple(
    entry for module in _MODULES for entry in module.NAVIGATION
)
