"""The Redis view: ranked leads and accounts, their cards, alerts, a live channel.

The only owner of the layout (docs/view.md), with `view_writer`. Everything in it comes
from topics and every write is idempotent, so it can be dropped and rebuilt at any time.
Where in each topic the view stands is kept beside the data: a Redis that lost the data
has lost the positions too, and is filled again from the beginning by itself.
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
from schemas.score import ScoreUpdate
from schemas.workspace import DEFAULT_WORKSPACE, workspace_of
from scorers.identity import KINDS
from streams.view_accounts import AccountsView
from streams.view_board import BoardView
from streams.view_deals import read_deal
from streams.view_records import (
    AccountCard,
    Change,
    Erased,
    LeadCard,
    ScorePoint,
    SeenEvent,
    read_alerts,
    read_point,
    read_work,
)
from streams.view_redis import ViewAwayError, answering, text
from streams.view_scripts import (
    ADVANCE,
    RIGHTS,
)
from streams.view_writer import RECENT_EVENTS, ViewWriter, derived_id, lead_key

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
        self._advance = redis.register_script(ADVANCE)
        self.accounts = AccountsView(
            redis, self._prefix, workspace, lambda leads: self._cards(leads, events=1)
        )
        self.board = BoardView(redis, self._prefix)
        self._writer = ViewWriter(redis, self._prefix, self.accounts)

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
            self.of(workspace)._writer.apply(pipe, own)  # noqa: SLF001 - of its kind

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
            bodies = self._redis.hvals(lead_key(self._prefix, lead_id, "alerts:body"))
            done = self._redis.zrevrange(lead_key(self._prefix, lead_id, "work"), 0, -1)
            deals = self._redis.zrevrange(lead_key(self._prefix, lead_id, "deal"), 0, 0)
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
            *(derived_id(kind, term, self._workspace) for kind in KINDS),
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
                    pipe.hexists(lead_key(self._prefix, lead_id), "update")
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
                pipe.hget(lead_key(self._prefix, lead_id), "update")
                pipe.zrange(lead_key(self._prefix, lead_id, "history"), 0, -1)
                pipe.zrevrange(lead_key(self._prefix, lead_id, "events"), 0, events - 1)
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


def _chunks(items: Iterable[Any], size: int) -> Iterator[list[Any]]:
    chunk: list[Any] = []
    for item in items:
        chunk.append(item)
        if len(chunk) == size:
            yield chunk
            chunk = []
    if chunk:
        yield chunk
