"""What changes, as server-sent events that resume after a gap.

One task reads the view's live channel for all clients. Each message gets a number;
the last ones are kept, so who was away gets what they missed, or hears that too much
was missed and reads anew.
"""

import asyncio
import contextlib
import secrets
import time
from collections import deque
from collections.abc import AsyncIterator
from typing import Final

import msgspec
import structlog
from redis.asyncio import Redis
from redis.exceptions import RedisError

from schemas.account import AccountScore
from schemas.alert import Alert
from schemas.score import ScoreUpdate
from streams.metrics import (
    WEB_LIVE_CLIENTS,
    WEB_LIVE_DROPPED,
    WEB_LIVE_MESSAGES,
    WEB_PUSH_SECONDS,
)
from streams.redis_access import redis_address
from streams.view_deals import read_deal_change
from streams.view_records import WorkChange
from streams.web.reading.rows import (
    OpenAlert,
    deal_value,
    name_of,
    open_alert,
    score_of,
)
from streams.web.sources import Sources

KEPT: Final = 2_000
"""How many messages are kept for those who were away."""
_WAITING: Final = 1_000
"""How many messages one client may be behind."""
_BEAT_SECONDS: Final = 15.0
_AGAIN_SECONDS: Final = 0.5
_log = structlog.get_logger(__name__)


def live_event(data: bytes) -> tuple[bytes, bytes]:
    """Return what a message of the view's channel is, and as screens need it.

    >>> live_event(b'{"lead_id": "ld_1", "work": {"id": "e", "at": 1, "name": "x"}}')
    (b'work', b'{"lead_id":"ld_1","work":{"id":"e","at":1,"name":"x"}}')
    """
    kind = _kind(data)
    if bytes(kind.work):
        return b"work", _encode(_work(data))
    if bytes(kind.deal):
        change = read_deal_change(data)
        value = deal_value(change.deal, ())
        return b"deal", _encode({"lead_id": change.lead_id, "deal_value": value})
    if kind.alert is not None:
        alert = _alert(data)
        told = LiveAlert(
            lead_id=alert.lead_id,
            account_id=None if alert.account is None else alert.account_id,
            name=name_of(alert.identifiers, alert.lead_id),
            score=alert.score,
            tier=alert.tier,
            owner=alert.owner,
            alert=open_alert(alert),
        )
        return b"alert", _encode(told)
    if kind.members is not None:
        account = _account(data)
        return b"account", _encode(
            LiveAccount(
                account_id=account.account_id, score=account.score, tier=account.tier
            )
        )
    update = _update(data)
    if update.merged_into is not None:
        return b"gone", _encode({"lead_id": update.lead_id})
    return b"lead", _encode(score_of(update))


class LiveAlert(msgspec.Struct, frozen=True, kw_only=True):
    """Somebody should hear of a lead."""

    lead_id: str
    account_id: str | None
    name: str
    score: float
    tier: str
    owner: str | None
    alert: OpenAlert


class LiveAccount(msgspec.Struct, frozen=True, kw_only=True):
    """An account stands elsewhere."""

    account_id: str
    score: float
    tier: str


class _Kind(msgspec.Struct):
    work: msgspec.Raw = msgspec.Raw()
    deal: msgspec.Raw = msgspec.Raw()
    alert: str | None = None
    members: int | None = None


_kind: Final = msgspec.json.Decoder(_Kind).decode
_work: Final = msgspec.json.Decoder(WorkChange).decode
_alert: Final = msgspec.json.Decoder(Alert).decode
_account: Final = msgspec.json.Decoder(AccountScore).decode
_update: Final = msgspec.json.Decoder(ScoreUpdate).decode
_encode: Final = msgspec.json.Encoder().encode

Message = tuple[int, bytes, float]
"""Its number, what goes to every client, and when it came."""


class Live:
    """Hands what changes to everybody who listens."""

    def __init__(self, sources: Sources) -> None:
        """Follow the view's live channel; nothing is read before `following`."""
        self._url = redis_address(sources.settings)
        self._channel = sources.view.live_channel
        self._epoch = secrets.token_hex(4)
        self._number = 0
        self._kept: deque[Message] = deque(maxlen=KEPT)
        self._clients: set[asyncio.Queue[Message | None]] = set()

    @contextlib.asynccontextmanager
    async def following(self) -> AsyncIterator[None]:
        """Read the channel for as long as the context lasts."""
        task = asyncio.create_task(self._follow())
        try:
            yield
        finally:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task

    def end(self) -> None:
        """End every stream: whoever listened comes again, to another process."""
        for client in tuple(self._clients):
            _tell(client, None)

    async def stream(self, last: str | None) -> AsyncIterator[bytes]:
        """Yield what changes from now on, or since the message with the id `last`."""
        queue: asyncio.Queue[Message | None] = asyncio.Queue(_WAITING)
        missed = self._missed(last)
        self._clients.add(queue)
        WEB_LIVE_CLIENTS.set(len(self._clients))
        try:
            yield b"retry: 1000\n\n"
            if missed is None:
                yield self._event(self._number, b"reset", b"{}")
            for _, text, _ in missed or ():
                yield text
            if last is None:
                yield self._event(self._number, b"hello", b"{}")
            while True:
                try:
                    found = await asyncio.wait_for(queue.get(), _BEAT_SECONDS)
                except TimeoutError:
                    yield b": beat\n\n"
                    continue
                if found is None:
                    return
                yield found[1]
                WEB_PUSH_SECONDS.observe(time.monotonic() - found[2])
        finally:
            self._clients.discard(queue)
            WEB_LIVE_CLIENTS.set(len(self._clients))

    def _missed(self, last: str | None) -> list[Message] | None:
        """Return what came since `last`; None when that is known no longer."""
        if last is None:
            return []
        epoch, _, text = last.partition("-")
        number = int(text) if text.isdecimal() else -1
        oldest = self._kept[0][0] if self._kept else self._number + 1
        if epoch != self._epoch or not oldest - 1 <= number <= self._number:
            return None
        return [each for each in self._kept if each[0] > number]

    async def _follow(self) -> None:
        redis = Redis.from_url(self._url, socket_connect_timeout=2.0)
        try:
            while True:
                try:
                    async with redis.pubsub() as channel:
                        await channel.subscribe(self._channel)
                        self._begin_again()
                        async for message in channel.listen():
                            if message["type"] == "message":
                                self._hand_out(*live_event(message["data"]))
                except (RedisError, OSError, msgspec.MsgspecError) as error:
                    _log.warning("live_away", error=str(error))
                    await asyncio.sleep(_AGAIN_SECONDS)
        finally:
            await redis.aclose()

    def _begin_again(self) -> None:
        """Forget what was kept: between it and what comes now something may lack."""
        self._kept.clear()
        self._epoch = secrets.token_hex(4)
        self._hand_out(b"reset", b"{}")

    def _hand_out(self, kind: bytes, data: bytes) -> None:
        self._number += 1
        text = self._event(self._number, kind, data)
        message = (self._number, text, time.monotonic())
        self._kept.append(message)
        WEB_LIVE_MESSAGES.labels(kind.decode()).inc()
        for client in tuple(self._clients):
            _tell(client, message)

    def _event(self, number: int, kind: bytes, data: bytes) -> bytes:
        name = f"{self._epoch}-{number}".encode()
        return b"id: %b\nevent: %b\ndata: %b\n\n" % (name, kind, data)


def _tell(client: asyncio.Queue[Message | None], message: Message | None) -> None:
    """Let a client have a message; one that is too far behind is let go."""
    try:
        client.put_nowait(message)
    except asyncio.QueueFull:
        WEB_LIVE_DROPPED.inc()
        while not client.empty():
            client.get_nowait()
        client.put_nowait(None)
