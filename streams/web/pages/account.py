"""Accounts: the ranking, and one with its people, its momentum, its buying group."""

from typing import Final

import msgspec
from starlette.responses import RedirectResponse, Response

from schemas.time import Instant
from streams.web.api.accounts import AccountQuery, card_of
from streams.web.asking import Ask
from streams.web.endpoint import Endpoint, Entry
from streams.web.reading.models import Models
from streams.web.reading.rows import name_of, why_of


class AccountCourse(msgspec.Struct, frozen=True, kw_only=True):
    """What the chart draws."""

    account_id: str
    scores: list[tuple[Instant, float]]
    marks: list[tuple[Instant, str]]
    bands: list[tuple[str, float]]


def ranking(ask: Ask) -> Response:
    """Show the best accounts."""
    asked = ask.query(AccountQuery)
    models = ask.sources.one(Models)
    return ask.page(
        "accounts.html",
        title=ask.writing.t("nav.accounts"),
        cards=ask.sources.view.accounts.top(limit=asked.limit, tier=asked.tier),
        tier=asked.tier,
        tiers=models.tiers(),
    )


def show(ask: Ask) -> Response:
    """Show one account."""
    card = card_of(ask)
    update = card.update
    if update.account_id != ask.path("account_id"):
        return RedirectResponse(f"/accounts/{update.account_id}", 303)
    models = ask.sources.one(Models)
    return ask.page(
        "account.html",
        title=update.name or update.account_id,
        words=("lead.", "chart."),
        boot=AccountCourse(
            account_id=update.account_id,
            scores=[(point.at, point.score) for point in card.history],
            marks=[],
            bands=[],
        ),
        card=card,
        update=update,
        titles=models.titles(ask.taste.lang),
        name_of=name_of,
        why_of=why_of,
    )


ENDPOINTS: Final = (
    Endpoint(path="/accounts", take=ranking, least="viewer"),
    Endpoint(path="/accounts/{account_id}", take=show, least="viewer"),
)
NAVIGATION: Final = (
    Entry(order=2, path="/accounts", word="nav.accounts", icon="accounts"),
)
