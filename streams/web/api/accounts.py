"""Accounts: the ranking, and one with its people."""

from typing import Annotated, Final

import msgspec

from schemas.account import AccountScore
from schemas.alert import Alert
from streams.view import AccountCard, ScorePoint
from streams.web.asking import Ask
from streams.web.endpoint import API, Endpoint, Entry
from streams.web.problems import NotFoundError
from streams.web.reading.rows import LeadScore, score_of

_TREND: Final = 24


class AccountQuery(msgspec.Struct, frozen=True, kw_only=True):
    """Which accounts are asked for."""

    tier: str | None = None
    limit: Annotated[int, msgspec.Meta(ge=1, le=1_000)] = 100


class AccountRow(msgspec.Struct, frozen=True, kw_only=True):
    """Where an account stands, and how it came there."""

    account: AccountScore
    trend: tuple[ScorePoint, ...]


class AccountList(msgspec.Struct, frozen=True, kw_only=True):
    """The best accounts, best first."""

    accounts: tuple[AccountRow, ...]


class Account(msgspec.Struct, frozen=True, kw_only=True):
    """One account with its people and its alerts."""

    account: AccountScore
    history: tuple[ScorePoint, ...]
    people: tuple[LeadScore, ...]
    alerts: tuple[Alert, ...]


def ranking(ask: Ask) -> AccountList:
    """Return the best accounts."""
    asked = ask.query(AccountQuery)
    cards = ask.sources.view.accounts.top(limit=asked.limit, tier=asked.tier)
    return AccountList(
        accounts=tuple(
            AccountRow(account=card.update, trend=card.history[-_TREND:])
            for card in cards
        )
    )


def one(ask: Ask) -> Account:
    """Return one account."""
    card = card_of(ask)
    return Account(
        account=card.update,
        history=card.history,
        people=tuple(score_of(person.update) for person in card.people),
        alerts=card.alerts,
    )


def card_of(ask: Ask) -> AccountCard:
    """Return the card of the account that the path names: id, domain or name."""
    accounts, name = ask.sources.view.accounts, ask.path("account_id")
    card = accounts.show(accounts.find(name) or name)
    if card is None:
        raise NotFoundError("account")  # noqa: EM101 - a word
    return card


ENDPOINTS: Final = (
    Endpoint(
        path=f"{API}/accounts",
        take=ranking,
        least="viewer",
        summary="The ranked accounts, best first.",
        query=AccountQuery,
        answer=AccountList,
    ),
    Endpoint(
        path=f"{API}/accounts/{{account_id}}",
        take=one,
        least="viewer",
        summary="One account with its people, by its id, domain or name.",
        answer=Account,
    ),
)
NAVIGATION: Final[tuple[Entry, ...]] = ()
