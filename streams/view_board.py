"""The ranking by pages: who is next, filtered, each with what a row shows."""

from collections.abc import Iterator, Sequence
from typing import Any, Final

import msgspec
from redis import Redis

from schemas.alert import Alert
from schemas.score import ScoreUpdate
from streams.view_deals import DealState, read_deal
from streams.view_records import (
    ScorePoint,
    SeenEvent,
    WorkDone,
    read_point,
    read_work,
)
from streams.view_redis import answering, text

TREND: Final = 24
"""How many scores a row shows."""
_ALERTS: Final = 3
_WORK: Final = 3
_READ_AT_ONCE: Final = 1_000


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """Which leads are wanted; all of them if nothing is said."""

    tier: str | None = None
    owner: str | None = None
    account: str | None = None
    min_score: float | None = None


class Place(msgspec.Struct, frozen=True, array_like=True):
    """Where a page ended: the score and the id of its last lead."""

    score: float
    lead_id: str


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """What the view knows of a lead that a row of the board shows."""

    update: ScoreUpdate
    trend: tuple[ScorePoint, ...]
    last: SeenEvent | None
    alerts: tuple[Alert, ...]
    """The latest of its alerts, the latest first."""
    work: tuple[WorkDone, ...]
    """What sales did with it last, the latest first."""
    deal: DealState | None
    """The CRM's last word of its deal."""


class BoardView:
    """Reads the ranking; `streams.view` writes it."""

    def __init__(self, redis: Redis, prefix: str) -> None:
        """Read keys that start with `prefix`."""
        self._redis = redis
        self._prefix = prefix

    def count(self, wanted: Wanted) -> int:
        """Return how many leads are `wanted`."""
        keys, least = self._keys(wanted), _least(wanted)
        with answering():
            if len(keys) == 1:
                return int(self._redis.zcount(keys[0], least, "+inf"))
            return len(self._together(keys, wanted))

    def page(
        self, wanted: Wanted, *, offset: int = 0, limit: int = 50
    ) -> tuple[Place, ...]:
        """Return `limit` of the leads `wanted` from place `offset` on, best first."""
        keys = self._keys(wanted)
        with answering():
            if len(keys) > 1:
                return self._together(keys, wanted)[offset : offset + limit]
            found = self._redis.zrevrangebyscore(
                keys[0],
                "+inf",
                _least(wanted),
                start=offset,
                num=limit,
                withscores=True,
            )
        return tuple(
            Place(float(score), text(lead_id)) for lead_id, score in _pairs(found)
        )

    def offset_after(self, wanted: Wanted, place: Place) -> int:
        """Return how many of the leads `wanted` stand at or before `place`."""
        keys = self._keys(wanted)
        with answering():
            if len(keys) > 1:
                every = self._together(keys, wanted)
                return sum(_key(each) >= _key(place) for each in every)
            key, score = keys[0], repr(place.score)
            low = int(self._redis.zcount(key, f"({score}", "+inf"))
            high = low + int(self._redis.zcount(key, score, score))
            # Leads of one score stand in the order of their ids, the last first.
            while low < high:
                middle = (low + high) // 2
                found = self._redis.zrevrange(key, middle, middle)
                if found and text(found[0]) >= place.lead_id:
                    low = middle + 1
                else:
                    high = middle
        return low

    def lines(self, lead_ids: Sequence[str]) -> tuple[Line, ...]:
        """Return what rows show of these leads, without those that are gone."""
        with answering(), self._redis.pipeline(transaction=False) as pipe:
            for lead_id in lead_ids:
                own = self._lead(lead_id)
                pipe.hget(own, "update")
                pipe.zrange(f"{own}:history", -TREND, -1)
                pipe.zrevrange(f"{own}:events", 0, 0)
                pipe.zrevrange(f"{own}:alerts", 0, _ALERTS - 1)
                pipe.zrevrange(f"{own}:work", 0, _WORK - 1)
                pipe.zrevrange(f"{own}:deal", 0, 0)
            answers = pipe.execute()
            told = list(zip(*[iter(answers)] * 6, strict=True))
            for lead_id, (_, _, _, alerts, _, _) in zip(lead_ids, told, strict=True):
                if alerts:
                    pipe.hmget(f"{self._lead(lead_id)}:alerts:body", alerts)
            bodies = iter(pipe.execute())
        return tuple(_lines(told, bodies))

    def updates(self, lead_ids: Sequence[str]) -> Iterator[tuple[str, bytes]]:
        """Yield the last update of each of these leads as it stood on its topic."""
        for begin in range(0, len(lead_ids), _READ_AT_ONCE):
            some = lead_ids[begin : begin + _READ_AT_ONCE]
            with answering(), self._redis.pipeline(transaction=False) as pipe:
                for lead_id in some:
                    pipe.hget(self._lead(lead_id), "update")
                bodies = pipe.execute()
            yield from (
                (lead_id, body)
                for lead_id, body in zip(some, bodies, strict=True)
                if body is not None
            )

    def owners(self) -> tuple[str, ...]:
        """Return who owns leads."""
        begin = f"{self._prefix}rank:owner:"
        with answering():
            keys = self._redis.scan_iter(match=f"{begin}*", count=1_000)
            return tuple(sorted(text(key).removeprefix(begin) for key in keys))

    def _together(self, keys: list[str], wanted: Wanted) -> tuple[Place, ...]:
        """Return all leads that are in each of `keys`, best first."""
        found = self._redis.zinter(keys, aggregate="MAX", withscores=True)
        least = wanted.min_score or 0.0
        places = [
            Place(float(score), text(lead_id))
            for lead_id, score in _pairs(found)
            if float(score) >= least
        ]
        return tuple(sorted(places, key=_key, reverse=True))

    def _keys(self, wanted: Wanted) -> list[str]:
        keys = []
        if wanted.tier is not None:
            keys.append(f"{self._prefix}rank:tier:{wanted.tier}")
        if wanted.owner is not None:
            keys.append(f"{self._prefix}rank:owner:{wanted.owner}")
        if wanted.account is not None:
            keys.append(f"{self._prefix}account:{wanted.account}:members")
        return keys or [f"{self._prefix}rank"]

    def _lead(self, lead_id: str) -> str:
        return f"{self._prefix}lead:{lead_id}"


def _lines(
    told: Sequence[
        tuple[
            bytes | None,
            list[bytes],
            list[bytes],
            list[bytes],
            list[bytes],
            list[bytes],
        ]
    ],
    bodies: Iterator[list[bytes | None]],
) -> Iterator[Line]:
    for update, history, events, alerts, work, deals in told:
        own = next(bodies) if alerts else []
        if update is None:
            continue
        yield Line(
            update=_UPDATE.decode(update),
            trend=tuple(map(read_point, history)),
            last=_EVENT.decode(events[0]) if events else None,
            alerts=tuple(_ALERT.decode(body) for body in own if body is not None),
            work=tuple(read_work(work)),
            deal=read_deal(deals),
        )


def _pairs(found: Any) -> Iterator[tuple[bytes, float]]:
    """Return what Redis answers with scores as it is: its client does not say."""
    return iter(found)


def _least(wanted: Wanted) -> str:
    return "-inf" if wanted.min_score is None else repr(wanted.min_score)


def _key(place: Place) -> tuple[float, str]:
    return place.score, place.lead_id


_UPDATE: Final = msgspec.json.Decoder(ScoreUpdate)
_ALERT: Final = msgspec.json.Decoder(Alert)
_EVENT: Final = msgspec.json.Decoder(SeenEvent)
