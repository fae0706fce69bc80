"""The Redis view: ranked leads and accounts, their cards, alerts, a live channel.

The only owner of the layout (docs/view.md). Everything in it comes from topics and
every write is idempotent, so it can be dropped and rebuilt at any time. Where in
each topic the view stands is kept beside the data: a Redis that lost the data has
lost the positions too, and is filled again from the beginning by itself.
"""

import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, Final

import msgspec
from redis import Redis
from redis.backoff import ExponentialWithJitterBackoff
from redis.client import Pipeline
from redis.retry import Retry

from schemas.account import AccountScore
from schemas.alert import Alert
from schemas.event import Event
from schemas.score import Identifiers, ScoreUpdate
from schemas.time import Instant, to_instant
from schemas.workspace import DEFAULT_WORKSPACE, workspace_of
from scorers.identity import KINDS, Kind, derive_lead_id, lead_id_of, normalise
from streams.view_accounts import AccountsView
from streams.view_board import BoardView
from streams.view_deals import DealState, deal_of, read_deal
from streams.view_records import (
    AccountCard,
    Change,
    Erased,
    LeadCard,
    ScorePoint,
    SeenEvent,
    WorkDone,
    read_alerts,
    read_point,
    read_work,
    stored_event,
    stored_point,
    work_of,
)
from streams.view_redis import ViewAwayError, answering, text
from streams.view_scripts import (
    ADVANCE,
    ERASE,
    PUT_ALERT,
    PUT_DEAL,
    PUT_EVENTS,
    PUT_MERGED,
    PUT_UPDATE,
    PUT_WORK,
    RIGHTS,
)

RECENT_EVENTS: Final = 20
"""How many events of a lead are kept, newest by event time."""
HISTORY: Final = 120
"""How many scores of a lead are kept."""
LEAD_ALERTS: Final = 20
LEAD_WORK: Final = 20
LATEST_ALERTS: Final = 500
"""How many alerts are kept for one lead, what was done with it, alerts of all."""

__all__ = [
    "AccountCard",
    "Change",
    "Erased",
    "LeadCard",
    "Position",
    "ScorePoint",
    "View",
    "ViewAwayError",
    "connect_view",
]

Position = tuple[str, int]
"""A topic and a partition."""

_Scored = ScoreUpdate | AccountScore


class View:
    """Reads and writes the view under one key prefix of one Redis."""

    def __init__(
        self, redis: Redis, *, prefix: str = "", workspace: str = DEFAULT_WORKSPACE
    ) -> None:
        """Use the keys that start with ``<prefix>lp:``, show those of `workspace`."""
        self._redis = redis
        self._root = f"{prefix}lp:"
        self._prefix = self._root
        if workspace != DEFAULT_WORKSPACE:
            self._prefix = f"{self._root}ws:{workspace}:"
        self._workspace = workspace
        self._of = {workspace: self}
        self._make = partial(View, redis, prefix=prefix)
        self._put_update = redis.register_script(PUT_UPDATE)
        self._put_merged = redis.register_script(PUT_MERGED)
        self._put_events = redis.register_script(PUT_EVENTS)
        self._put_alert = redis.register_script(PUT_ALERT)
        self._put_work = redis.register_script(PUT_WORK)
        self._put_deal = redis.register_script(PUT_DEAL)
        self._erase = redis.register_script(ERASE)
        self._advance = redis.register_script(ADVANCE)
        self.accounts = AccountsView(
            redis, self._prefix, workspace, lambda leads: self._cards(leads, events=1)
        )
        self.board = BoardView(redis, self._prefix)

    @property
    def live_channel(self) -> str:
        """The pub/sub channel on which accepted updates and new alerts appear."""
        return self._key("live")

    def of(self, workspace: str) -> "View":
        """Return the view of a workspace: its keys, its channel, nobody else's."""
        if workspace not in self._of:
            self._of[workspace] = self._make(workspace=workspace)
        return self._of[workspace]

    def close(self) -> None:
        """Let go of the connection to Redis."""
        self._redis.close()

    # -- writing ---------------------------------------------------------------

    def build(self) -> str:
        """Return the id of the present build, beginning one when there is none."""
        with answering():
            self._redis.set(self._shared("build"), uuid.uuid4().hex, nx=True)
            return text(self._redis.get(self._shared("build")))

    def positions(self) -> dict[Position, int]:
        """Return the next offset to read of every partition the view has read."""
        with answering():
            stored = self._redis.hgetall(self._shared("positions"))
        positions: dict[Position, int] = {}
        for field, offset in stored.items():
            topic, _, partition = text(field).rpartition(":")
            positions[topic, int(partition)] = int(offset)
        return positions

    def write(
        self, build: str, changes: Iterable[Change], positions: Mapping[Position, int]
    ) -> bool:
        """Apply `changes` and move to `positions`, in one round trip.

        False when the view is no longer the `build` the caller read for: the
        changes are in, the positions are not, and the caller must begin again from
        `positions()`.
        """
        fields: list[str | int] = []
        for (topic, partition), offset in positions.items():
            fields += (f"{topic}:{partition}", offset)
        with answering(), self._redis.pipeline(transaction=False) as pipe:
            self._apply(pipe, changes)
            self._advance(
                keys=(self._shared("build"), self._shared("positions")),
                args=(build, *fields),
                client=pipe,
            )
            return bool(pipe.execute()[-1])

    def try_rights(self) -> None:
        """Return if Redis lets us do what feeding the view takes; nothing is left.

        Raises
        ------
        ViewAwayError
            When it refuses something, or does not answer.
        """
        probe = self._shared("probe")
        with answering(), self._redis.pipeline() as pipe:
            pipe.script_exists("0" * 40)
            pipe.script_load(RIGHTS)
            pipe.eval(RIGHTS, 2, probe, f"{self._root}live")
            pipe.scan(match=probe)
            pipe.unlink(probe)
            pipe.execute()

    def drop(self) -> int:
        """Delete the whole view and return how many keys went.

        The build and the positions go last: whoever writes meanwhile then reads
        everything again, after the last key is gone.
        """
        last = [self._shared("positions"), self._shared("build")]
        gone = 0
        with answering():
            keys = self._redis.scan_iter(match=f"{self._root}*", count=1000)
            for some in _chunks(keys, 500):
                doomed = [key for key in some if text(key) not in last]
                gone += self._redis.unlink(*doomed) if doomed else 0
            return gone + self._redis.unlink(*last)

    def _apply(self, pipe: Pipeline, changes: Iterable[Change]) -> None:
        """Queue the changes, each into the view of its workspace."""
        apart: dict[str, list[Change]] = {}
        for change in changes:
            apart.setdefault(_workspace_of(change), []).append(change)
        for workspace, own in apart.items():
            self.of(workspace)._apply_own(pipe, own)  # noqa: SLF001 - of its kind

    def _apply_own(self, pipe: Pipeline, changes: Iterable[Change]) -> None:
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
        body = self._redis.hget(self._lead(lead_id), "update")
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
            own, place = self.accounts.key(subject), f"{self._prefix}account-"
            owner = account = None
            aliases = list(self.accounts.aliases(update))
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
            own, place = self._lead(subject), self._prefix
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
        own = self._lead(alert.lead_id)
        if alert.account is not None:
            own = self.accounts.key(alert.subject)
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

    # -- reading ---------------------------------------------------------------

    def top(
        self, *, limit: int, tier: str | None = None, owner: str | None = None
    ) -> tuple[LeadCard, ...]:
        """Return the `limit` best leads, of one tier or owner if given, best first."""
        keys = [self._key("rank")]
        if tier is not None:
            keys.append(self._key(f"rank:tier:{tier}"))
        if owner is not None:
            keys.append(self._key(f"rank:owner:{owner}"))
        with answering():
            if tier is not None and owner is not None:
                ranked = self._redis.zinter(keys, aggregate="MAX")[::-1][:limit]
            else:
                ranked = self._redis.zrevrange(keys[-1], 0, limit - 1)
            return self._cards([text(lead_id) for lead_id in ranked], events=1)

    def lead(self, lead_id: str) -> LeadCard | None:
        """Return all about one lead, or None when the view has never seen it."""
        with answering():
            cards = self._cards([lead_id], events=RECENT_EVENTS)
            bodies = self._redis.hvals(self._lead(lead_id, "alerts:body"))
            done = self._redis.zrevrange(self._lead(lead_id, "work"), 0, -1)
            deals = self._redis.zrevrange(self._lead(lead_id, "deal"), 0, 0)
        if not cards:
            return None
        return msgspec.structs.replace(
            cards[0],
            alerts=read_alerts(bodies),
            work=read_work(done),
            deal=read_deal(deals),
        )

    def find(self, term: str) -> tuple[str, ...]:
        """Return the leads that `term` names, the strongest identifier's first.

        A term is a lead id, a user id, an e-mail address or an anonymous id.
        """
        derived = [
            term.strip(),
            *(_derive(kind, term, self._workspace) for kind in KINDS),
        ]
        with answering():
            aliases = self._redis.hmget(self._key("aliases"), derived)
            candidates = [
                *derived,
                *(text(alias) for alias in aliases if alias is not None),
            ]
            unique = list(dict.fromkeys(candidates))
            with self._redis.pipeline(transaction=False) as pipe:
                for lead_id in unique:
                    pipe.hexists(self._lead(lead_id), "update")
                there = pipe.execute()
        return tuple(
            lead_id for lead_id, exists in zip(unique, there, strict=True) if exists
        )

    def tiers(self, names: Sequence[str]) -> dict[str, int]:
        """Return how many leads stand in each of the tiers named."""
        with answering(), self._redis.pipeline(transaction=False) as pipe:
            for name in names:
                pipe.zcard(self._key(f"rank:tier:{name}"))
            return dict(zip(names, map(int, pipe.execute()), strict=True))

    def alerts(self, limit: int) -> tuple[Alert, ...]:
        """Return the latest `limit` alerts of all leads, newest first."""
        with answering():
            newest = self._redis.zrevrange(self._key("alerts"), 0, limit - 1)
            ids = [text(alert_id) for alert_id in newest]
            bodies = self._redis.hmget(self._key("alerts:body"), ids) if ids else []
        return tuple(_ALERT.decode(body) for body in bodies if body is not None)

    def _cards(self, lead_ids: Sequence[str], *, events: int) -> tuple[LeadCard, ...]:
        with self._redis.pipeline(transaction=False) as pipe:
            for lead_id in lead_ids:
                pipe.hget(self._lead(lead_id), "update")
                pipe.zrange(self._lead(lead_id, "history"), 0, -1)
                pipe.zrevrange(self._lead(lead_id, "events"), 0, events - 1)
            answers = iter(pipe.execute())
        return tuple(
            LeadCard(
                update=_UPDATE.decode(body),
                history=tuple(map(read_point, history)),
                events=tuple(map(_EVENT.decode, recent)),
            )
            for body, history, recent in zip(answers, answers, answers, strict=True)
            if body is not None
        )

    def _shared(self, name: str) -> str:
        return f"{self._root}{name}"

    def _key(self, name: str) -> str:
        return f"{self._prefix}{name}"

    def _lead(self, lead_id: str, part: str = "") -> str:
        return f"{self._prefix}lead:{lead_id}{':' if part else ''}{part}"


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


def _workspace_of(change: Change) -> str:
    match change.value:
        case AccountScore(account_id=subject):
            return workspace_of(subject)
        case Event(workspace=workspace):
            return workspace
        case ScoreUpdate() | Alert() | Erased() as of_lead:
            return workspace_of(of_lead.lead_id)


def connect_view(url: str, *, prefix: str = "") -> View:
    """Return the view in the Redis at `url`; nothing is sent before its first use."""
    redis = Redis.from_url(
        url,
        socket_connect_timeout=2.0,
        socket_timeout=5.0,
        # One quick second try hides a connection that a restart left behind; longer
        # absences are the caller's to wait out.
        retry=Retry(ExponentialWithJitterBackoff(cap=0.2, base=0.05), retries=1),
    )
    return View(redis, prefix=prefix)


_UPDATE: Final = msgspec.json.Decoder(ScoreUpdate)
_ALERT: Final = msgspec.json.Decoder(Alert)
_EVENT: Final = msgspec.json.Decoder(SeenEvent)


def _derive(kind: Kind, value: str, workspace: str) -> str:
    return lead_id_of(kind, normalise(kind, value), workspace)


def _aliases(identifiers: Identifiers, lead_id: str) -> list[str]:
    """Return the ids that weaker identifiers of this lead would derive to."""
    derived = (
        _derive(kind, value, workspace_of(lead_id))
        for kind in KINDS
        for value in getattr(identifiers, kind)
    )
    return [alias for alias in derived if alias != lead_id]


def _chunks(items: Iterable[Any], size: int) -> Iterator[list[Any]]:
    chunk: list[Any] = []
    for item in items:
        chunk.append(item)
        if len(chunk) == size:
            yield chunk
            chunk = []
    if chunk:
        yield chunk
