"""Writing into the Redis view: every write can be repeated (docs/view.md)."""

from collections.abc import Iterable, Sequence
from typing import Final

import msgspec
from redis import Redis
from redis.client import Pipeline

from schemas.account import AccountScore
from schemas.alert import Alert
from schemas.event import Event
from schemas.score import Identifiers, ScoreUpdate
from schemas.time import Instant, to_instant
from schemas.workspace import workspace_of
from scorers.identity import KINDS, Kind, derive_lead_id, lead_id_of, normalise
from streams.view_accounts import AccountsView
from streams.view_deals import DealState, deal_of
from streams.view_records import (
    Change,
    Erased,
    WorkDone,
    stored_event,
    stored_point,
    work_of,
)
from streams.view_scripts import (
    ERASE,
    PUT_ALERT,
    PUT_DEAL,
    PUT_EVENTS,
    PUT_MERGED,
    PUT_UPDATE,
    PUT_WORK,
)

RECENT_EVENTS: Final = 20
"""How many events of a lead are kept, newest by event time."""
HISTORY: Final = 120
"""How many scores of a lead are kept."""
LEAD_ALERTS: Final = 20
LEAD_WORK: Final = 20
LATEST_ALERTS: Final = 500
"""How many alerts are kept for one lead, what was done with it, alerts of all."""

_Scored = ScoreUpdate | AccountScore


_UPDATE: Final = msgspec.json.Decoder(ScoreUpdate)


class ViewWriter:
    """Queues changes of one workspace; whoever owns the pipe sends them."""

    def __init__(self, redis: Redis, prefix: str, accounts: AccountsView) -> None:
        """Write the keys that start with `prefix`; nothing is sent yet."""
        self._redis = redis
        self._prefix = prefix
        self._accounts = accounts
        self._put_update = redis.register_script(PUT_UPDATE)
        self._put_merged = redis.register_script(PUT_MERGED)
        self._put_events = redis.register_script(PUT_EVENTS)
        self._put_alert = redis.register_script(PUT_ALERT)
        self._put_work = redis.register_script(PUT_WORK)
        self._put_deal = redis.register_script(PUT_DEAL)
        self._erase = redis.register_script(ERASE)

    def apply(self, pipe: Pipeline, changes: Iterable[Change]) -> None:
        """Queue the changes, those of one lead and kind together: fewer commands."""
        updates: dict[str, list[tuple[_Scored, bytes]]] = {}
        events: dict[str, dict[bytes, Instant]] = {}
        works: list[tuple[str, WorkDone]] = []
        deals: dict[str, DealState] = {}
        for change in changes:
            match change.value:
                case ScoreUpdate() as update:
                    updates.setdefault(update.lead_id, []).append((update, change.raw))
                case AccountScore() as score:
                    updates.setdefault(score.account_id, []).append((score, change.raw))
                case Event() as event:
                    _sort_event(event, events, works, deals)
                case Alert() as alert:
                    self._apply_alert(pipe, alert, change.raw)
                case Erased(lead_id):
                    # What came before it must not come back after it.
                    updates.pop(lead_id, None)
                    events.pop(lead_id, None)
                    works = [each for each in works if each[0] != lead_id]
                    deals.pop(lead_id, None)
                    self._apply_erasure(pipe, lead_id)
        for subject, given in updates.items():
            self._apply_updates(pipe, subject, given)
        for lead_id, members in events.items():
            scored = [part for event, at in members.items() for part in (at, event)]
            self._put_events(
                args=(self._prefix, lead_id, RECENT_EVENTS, *scored), client=pipe
            )
        self._apply_work(pipe, works)
        for lead_id, deal in deals.items():
            body = msgspec.json.encode(deal)
            self._put_deal(args=(self._prefix, lead_id, deal.at, body), client=pipe)

    def _apply_work(
        self, pipe: Pipeline, works: Iterable[tuple[str, WorkDone]]
    ) -> None:
        for lead_id, work in works:
            body, name = map(msgspec.json.encode, (work, work.id))
            self._put_work(
                args=(self._prefix, lead_id, LEAD_WORK, work.at, body, name),
                client=pipe,
            )

    def _apply_erasure(self, pipe: Pipeline, lead_id: str) -> None:
        """Queue the end of everything about a lead, also under its other ids."""
        body = self._redis.hget(lead_key(self._prefix, lead_id), "update")
        if body is not None:
            known = _aliases(_UPDATE.decode(body).identifiers, lead_id)
            if known:
                pipe.hdel(self._key("aliases"), *known)
        self._erase(args=(self._prefix, lead_id), client=pipe)

    def _apply_updates(
        self, pipe: Pipeline, subject: str, given: Sequence[tuple[_Scored, bytes]]
    ) -> None:
        """Queue a lead's or an account's: all points of its history, the newest card.

        An account is ranked beside the leads, as somebody whom nobody owns.
        """
        update, raw = max(given, key=lambda pair: pair[0].sequence)
        if isinstance(update, AccountScore):
            own, place = self._accounts.key(subject), f"{self._prefix}account-"
            owner = account = None
            aliases = list(self._accounts.aliases(update))
        elif update.merged_into is not None:
            self._put_merged(
                args=(
                    self._prefix,
                    subject,
                    update.sequence,
                    update.merged_into,
                    RECENT_EVENTS,
                    raw,
                ),
                client=pipe,
            )
            return
        else:
            own, place = lead_key(self._prefix, subject), self._prefix
            owner, account = update.owner, update.account_id
            aliases = _aliases(update.identifiers, subject)
        points: list[int | str] = []
        for each, _ in given:
            points += (each.sequence, stored_point(each))
        self._put_update(
            keys=(
                own,
                f"{place}rank",
                f"{own}:history",
                f"{place}aliases",
                self._key("live"),
            ),
            args=(
                place,
                subject,
                update.sequence,
                repr(update.score),
                update.tier,
                owner or "",
                account or "",
                HISTORY,
                raw,
                len(points),
                *points,
                *aliases,
            ),
            client=pipe,
        )

    def _apply_alert(self, pipe: Pipeline, alert: Alert, raw: bytes) -> None:
        own = lead_key(self._prefix, alert.lead_id)
        if alert.account is not None:
            own = self._accounts.key(alert.subject)
        self._put_alert(
            keys=(
                self._key("alerts"),
                self._key("alerts:body"),
                f"{own}:alerts",
                f"{own}:alerts:body",
                self._key("live"),
            ),
            args=(
                alert.id,
                to_instant(alert.decided_at),
                raw,
                LATEST_ALERTS,
                LEAD_ALERTS,
            ),
            client=pipe,
        )

    def _key(self, name: str) -> str:
        return f"{self._prefix}{name}"


def lead_key(prefix: str, lead_id: str, part: str = "") -> str:
    """Return the key of a lead, or of a part of what is known of it."""
    return f"{prefix}lead:{lead_id}{':' if part else ''}{part}"


def _sort_event(
    event: Event,
    events: dict[str, dict[bytes, Instant]],
    works: list[tuple[str, WorkDone]],
    deals: dict[str, DealState],
) -> None:
    """Put an event to those of its lead, and to what else it says."""
    lead = derive_lead_id(event)
    if lead is None:
        return
    events.setdefault(lead, {})[stored_event(event)] = event.time
    if (work := work_of(event)) is not None:
        works.append((lead, work))
    before, deal = deals.get(lead), deal_of(event)
    if deal is not None and (before is None or deal.at >= before.at):
        deals[lead] = deal


def derived_id(kind: Kind, value: str, workspace: str) -> str:
    """Return the id of the lead whom this identifier names."""
    return lead_id_of(kind, normalise(kind, value), workspace)


def _aliases(identifiers: Identifiers, lead_id: str) -> list[str]:
    """Return the ids that weaker identifiers of this lead would derive to."""
    derived = (
        derived_id(kind, value, workspace_of(lead_id))
        for kind in KINDS
        for value in getattr(identifiers, kind)
    )
    return [alias for alias in derived if alias != lead_id]
