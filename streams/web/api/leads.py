"""Leads: the ranking, one lead with its ledger and history, what people do with it."""

import csv
import io
from collections.abc import Iterator
from typing import Annotated, Any, Final

import msgspec
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from schemas.alert import Alert
from schemas.score import ScoreUpdate
from schemas.time import Instant, to_iso
from streams.acknowledging import Verdict
from streams.view import LeadCard, ScorePoint
from streams.view_records import SeenEvent, WorkDone
from streams.web.asking import Ask
from streams.web.endpoint import API, Endpoint, Entry
from streams.web.reading.leads import LeadPage, LeadQuery, Leads
from streams.web.reading.rows import LeadRow
from streams.web.work import Work

_MOST_ROWS: Final = 10_000
_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r")
_LONGEST_SNOOZE: Final = 60 * 24 * 30


class Lead(msgspec.Struct, frozen=True, kw_only=True):
    """One lead: its last update with the ledger, its history, events, alerts, work."""

    update: ScoreUpdate
    history: tuple[ScorePoint, ...]
    events: tuple[SeenEvent, ...]
    alerts: tuple[Alert, ...]
    work: tuple[WorkDone, ...]


class Answered(msgspec.Struct, frozen=True, kw_only=True):
    """What somebody says of a lead."""

    verdict: Verdict = "taken"


class Snooze(msgspec.Struct, frozen=True, kw_only=True):
    """For how long nobody has to look."""

    minutes: Annotated[int, msgspec.Meta(ge=1, le=_LONGEST_SNOOZE)] = 60


class Assignment(msgspec.Struct, frozen=True, kw_only=True):
    """Whose the lead is from now on."""

    owner: Annotated[str, msgspec.Meta(min_length=1, max_length=256)]


class Told(msgspec.Struct, frozen=True, kw_only=True):
    """What was told to the pipeline; the screens hear of it when it comes back."""

    event_id: str
    name: str


class ListQuery(LeadQuery, frozen=True, kw_only=True):
    """The same, for a file."""

    limit: int = 1_000


def ranking(ask: Ask) -> LeadPage:
    """Return a page of the ranking."""
    return ask.sources.one(Leads).page(ask.query(LeadQuery))


def one(ask: Ask) -> Lead:
    """Return one lead."""
    card = card_of(ask)
    return Lead(
        update=card.update,
        history=card.history,
        events=card.events,
        alerts=card.alerts,
        work=card.work,
    )


async def answer(ask: Ask) -> Told:
    """Say that somebody is on it, or that the lead is unfit."""
    said = ask.body(Answered)
    card = await run_in_threadpool(card_of, ask)
    event = await ask.sources.one(Work).answer(card, said.verdict, by=ask.who)
    return Told(event_id=event.id, name=event.name)


async def snooze(ask: Ask) -> Told:
    """Say that nobody has to look for a while."""
    said = ask.body(Snooze)
    card = await run_in_threadpool(card_of, ask)
    event = await ask.sources.one(Work).snooze(card, minutes=said.minutes, by=ask.who)
    return Told(event_id=event.id, name=event.name)


async def assign(ask: Ask) -> Told:
    """Say whose the lead is."""
    said = ask.body(Assignment)
    card = await run_in_threadpool(card_of, ask)
    event = await ask.sources.one(Work).assign(card, owner=said.owner, by=ask.who)
    return Told(event_id=event.id, name=event.name)


def card_of(ask: Ask) -> LeadCard:
    """Return the card of the lead that the path names, by any of its names."""
    leads = ask.sources.one(Leads)
    name = ask.path("lead_id")
    return leads.card(leads.found(name) or name)


def as_csv(ask: Ask) -> Response:
    """Return the ranking as a file for a spreadsheet."""
    given = ask.query(ListQuery)
    leads, rows = ask.sources.one(Leads), 0
    most = min(max(given.limit, 1), _MOST_ROWS)
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(_HEAD)
    query = msgspec.structs.replace(given, limit=min(most, 200))
    while rows < most:
        page = leads.page(msgspec.convert(msgspec.structs.asdict(query), LeadQuery))
        for row in page.leads[: most - rows]:
            writer.writerow(map(neutral, _cells(row)))
            rows += 1
        if page.next_cursor is None:
            break
        query = msgspec.structs.replace(query, cursor=page.next_cursor)
    return Response(
        # The mark by which spreadsheets know that it is UTF-8.
        "\ufeff" + text.getvalue(),
        media_type="text/csv; charset=utf-8",
        headers={"Content-Disposition": 'attachment; filename="leads.csv"'},
    )


def neutral(value: Any) -> Any:
    """Return a cell that no spreadsheet takes for a formula.

    >>> neutral("=1+1"), neutral("ada"), neutral(-3.5)
    ("'=1+1", 'ada', -3.5)
    """
    if isinstance(value, str) and value.lstrip().startswith(_FORMULA):
        return f"'{value}"
    return value


_HEAD: Final = (
    "lead_id",
    "name",
    "score",
    "tier",
    "grade",
    "owner",
    "account_id",
    "why",
    "last_event",
    "last_at",
    "next_change_at",
    "deal_value",
    "currency",
    "alert",
    "work",
    "work_by",
)


def _cells(row: LeadRow) -> Iterator[Any]:
    deal, work = row.deal_value, row.work
    yield from (row.lead_id, row.name, row.score, row.tier, row.grade)
    yield from (row.owner or "", row.account_id or "")
    yield "; ".join(why.text for why in row.why)
    yield from (row.last_event, _iso(row.last_at), _iso(row.next_change_at))
    yield from ("", "") if deal is None else (deal.amount, deal.currency)
    yield "" if row.alert is None else row.alert.alert
    yield from ("", "") if work is None else (work.name, work.by)


def _iso(at: Instant | None) -> str:
    return "" if at is None else to_iso(at)


ENDPOINTS: Final = (
    Endpoint(
        path=f"{API}/leads",
        take=ranking,
        least="viewer",
        summary="The ranked leads, best first.",
        query=LeadQuery,
        answer=LeadPage,
    ),
    Endpoint(
        path=f"{API}/leads.csv",
        take=as_csv,
        least="viewer",
        summary="The ranked leads as a file for a spreadsheet.",
        query=ListQuery,
        kind="text/csv",
    ),
    Endpoint(
        path=f"{API}/leads/{{lead_id}}",
        take=one,
        least="viewer",
        summary="One lead, by its id or any identifier.",
        answer=Lead,
    ),
    Endpoint(
        path=f"{API}/leads/{{lead_id}}/acknowledge",
        take=answer,
        least="sales",
        method="POST",
        summary="Say that you are on it, or that it is unfit.",
        body=Answered,
        answer=Told,
    ),
    Endpoint(
        path=f"{API}/leads/{{lead_id}}/snooze",
        take=snooze,
        least="sales",
        method="POST",
        summary="Say that you look at it again later.",
        body=Snooze,
        answer=Told,
    ),
    Endpoint(
        path=f"{API}/leads/{{lead_id}}/assign",
        take=assign,
        least="sales",
        method="POST",
        summary="Say whose it is.",
        body=Assignment,
        answer=Told,
    ),
)
NAVIGATION: Final[tuple[Entry, ...]] = ()
