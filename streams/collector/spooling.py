"""The collector's event log: Kafka, and the disk while Kafka is away.

An append returns when its records are acknowledged by Kafka or fsynced on the spool
(ADR 0025). As long as the spool holds anything, everything new goes behind it, so that
what was acknowledged first is on the topic first.
"""

import asyncio
import time
from collections.abc import Sequence
from contextlib import suppress
from typing import Final, Literal, Protocol

import msgspec
import structlog

from streams.clock import Clock
from streams.event_log import (
    LARGEST_RECORD,
    EventLog,
    MissingTopicsError,
    NotDurableError,
    Record,
    RecordRefusedError,
)
from streams.metrics import (
    SPOOL_ASIDE,
    SPOOL_BYTES,
    SPOOL_DRAINED,
    SPOOL_EVENTS,
    SPOOL_OLDEST,
    SPOOL_REFUSED,
    SPOOL_SPOOLED,
)
from streams.spool import Parcel, Spool, SpoolFailedError, SpoolFullError

State = Literal["ready", "spooling", "draining", "not ready"]

_AT_ONCE: Final = 10_000
"""Records that are sent from the spool before the next are read."""
_OF_AN_APPEND: Final = 1_000
"""Of these, how many are handed to the producer without letting others go on."""
_WAITS: Final = (0.1, 2.0)
"""Seconds between attempts to send: at first, at most."""

_log: Final = structlog.get_logger("spool")


class PatientLog(EventLog, Protocol):
    """An event log that can be told how long to wait."""

    async def append(
        self, records: Sequence[Record], *, within: float | None = None
    ) -> None:
        """Return when every record is durable, within so many seconds."""
        ...


class Standing(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How the way to Kafka is: what `/readyz` answers."""

    status: State
    kafka: str = ""
    missing_topics: list[str] = []
    spool: dict[str, object] = {}

    @property
    def takes_events(self) -> bool:
        """Whether what is sent now has a place to stay."""
        return self.status != "not ready"


class SpooledEventLog:
    """Appends to Kafka, or to a spool in front of it. Use it on one event loop."""

    def __init__(
        self, kafka: PatientLog, spool: Spool | None, clock: Clock, *, patience: float
    ) -> None:
        """Give Kafka `patience` seconds before the spool; for ever without a spool."""
        self._kafka = kafka
        self._spool = spool
        self._clock = clock
        self._patience = patience
        self._under_way: dict[_Append, None] = {}
        self._filled = asyncio.Event()
        self._handover: asyncio.Event | None = None
        self._drainer: asyncio.Task[None] | None = None
        self._trouble = ""
        self._damage: SpoolFailedError | None = None
        self._since = time.monotonic()

    def start(self) -> None:
        """Have what an earlier process left sent, and what is spooled from now on."""
        if (spool := self._spool) is None:
            return
        SPOOL_EVENTS.set_function(lambda: spool.events)
        SPOOL_BYTES.set_function(lambda: spool.size)
        SPOOL_ASIDE.set_function(lambda: spool.aside)
        SPOOL_OLDEST.set_function(self._oldest_seconds)
        if spool.parcels:
            _log.warning("left_on_spool", events=spool.events, bytes=spool.size)
            self._filled.set()
        self._drainer = asyncio.create_task(self._drain(spool), name="spool")

    async def append(self, records: Sequence[Record]) -> None:
        """Return when every record is on Kafka or on disk.

        Raises
        ------
        NotDurableError
            When any may not be: the spool is full, it fails, or there is none.
        """
        if not records:
            return
        spool = self._spool
        if spool is None:
            await self._kafka.append(records)
            return
        while self._handover is not None:
            try:
                async with asyncio.timeout(self._patience):
                    await self._handover.wait()
            except TimeoutError:
                break  # behind it, then
        if spool.parcels:
            stored = self._put(spool, records)
        else:
            appended = await self._send(spool, records)
            if appended is None:
                return
            stored = appended
        # A request that is given up does not take its place on the spool with it.
        await asyncio.shield(stored)

    async def missing_topics(self) -> list[str]:
        """Return the topics that are not there; NotDurableError without a broker."""
        return await self._kafka.missing_topics()

    async def standing(self) -> Standing:
        """Return how things are: never an exception."""
        spool = self._spool
        held: dict[str, object] = {}
        if spool is not None:
            held = {
                "events": spool.events,
                "bytes": spool.size,
                "oldest_seconds": round(self._oldest_seconds(), 1),
            }
            if spool.aside:
                held["aside"] = spool.aside
        has_room = spool is not None and self._has_room(spool)
        try:
            missing = await self.missing_topics()
        except NotDurableError as failure:
            status: State = "spooling" if has_room else "not ready"
            return Standing(status=status, kafka=str(failure), spool=held)
        if missing:
            return Standing(status="not ready", missing_topics=missing, spool=held)
        if spool is None or not spool.parcels:
            return Standing(status="ready")
        return Standing(status="draining" if has_room else "not ready", spool=held)

    async def close(self) -> None:
        """Stop draining, leave the rest on disk, close the way to Kafka."""
        if self._drainer is not None:
            self._drainer.cancel()
            with suppress(asyncio.CancelledError):
                await self._drainer
        if self._spool is not None:
            if self._spool.parcels:
                _log.warning("left_on_spool", events=self._spool.events)
            await self._spool.close()
        await self._kafka.close()

    async def _send(
        self, spool: Spool, records: Sequence[Record]
    ) -> "asyncio.Future[None] | None":
        """Return None when Kafka has the records, else when the spool will."""
        append = _Append(records)
        self._under_way[append] = None
        try:
            await self._kafka.append(records, within=self._patience)
        except (MissingTopicsError, RecordRefusedError):
            raise  # waiting would not help: somebody has to do something
        except NotDurableError as failure:
            if append.stored is None and append.refusal is None:
                self._turn(spool, str(failure))
            if append.refusal is not None:
                raise append.refusal from None
            return append.stored
        finally:
            del self._under_way[append]
        return None

    def _turn(self, spool: Spool, why: str) -> None:
        """Put everything under way on the spool, in the order in which it came.

        Some of it Kafka may have: then it is there twice, with the same ids.
        """
        for append in self._under_way:
            try:
                append.stored = self._put(spool, append.records)
            except NotDurableError as refusal:
                append.refusal = refusal
        self._tell(spool, why)

    def _put(self, spool: Spool, records: Sequence[Record]) -> asyncio.Future[None]:
        if any(size_of(record) > LARGEST_RECORD for record in records):
            msg = f"a record is over {LARGEST_RECORD} bytes"
            raise RecordRefusedError(msg)
        try:
            if self._damage is not None:
                raise self._damage
            stored = spool.put(records, self._clock.now())
        except (SpoolFullError, SpoolFailedError) as refusal:
            self._refused(refusal)
            raise
        count = len(records)

        def told(done: asyncio.Future[None]) -> None:
            error = None if done.cancelled() else done.exception()
            if isinstance(error, NotDurableError):
                self._refused(error)
            elif error is None:
                SPOOL_SPOOLED.inc(count)

        stored.add_done_callback(told)
        self._filled.set()
        return stored

    def _refused(self, refusal: NotDurableError) -> None:
        reason = "full" if isinstance(refusal, SpoolFullError) else "failed"
        SPOOL_REFUSED.labels(reason).inc()
        self._say_trouble(f"spool_{reason}", str(refusal))

    def _say_trouble(self, what: str, why: str) -> None:
        """Log what is wrong when it begins, not at every request."""
        if self._trouble != what:
            self._trouble = what
            _log.error(what, why=why)

    def _tell(self, spool: Spool, why: str) -> None:
        self._since = time.monotonic()
        _log.warning("spooling", why=why, events=spool.events)

    def _has_room(self, spool: Spool) -> bool:
        return (
            self._damage is None
            and spool.size + LARGEST_RECORD <= spool.limit
            and not isinstance(spool.refusal, SpoolFailedError)
        )

    def _oldest_seconds(self) -> float:
        spool = self._spool
        if spool is None or spool.oldest_at is None:
            return 0.0
        return max(0.0, (self._clock.now() - spool.oldest_at) / 1000)

    async def _drain(self, spool: Spool) -> None:
        """Send what is on the spool, oldest first, whenever there is something."""
        first_wait, longest_wait = _WAITS
        wait = first_wait
        while True:
            await self._filled.wait()
            try:
                await self._send_oldest(spool)
            except SpoolFailedError as failure:
                # Nothing may overtake what cannot be read: the order would go.
                self._damage = failure
                self._say_trouble("spool_unreadable", str(failure))
                await asyncio.sleep(longest_wait)
                continue
            except NotDurableError as failure:
                _log.debug("not_drained", why=str(failure), events=spool.events)
                await asyncio.sleep(wait)
                wait = min(2 * wait, longest_wait)
                continue
            wait = first_wait
            self._damage = None
            if not spool.parcels:
                self._filled.clear()
                self._trouble = ""
                seconds = round(time.monotonic() - self._since, 1)
                _log.info("drained", seconds=seconds)

    async def _send_oldest(self, spool: Spool) -> None:
        parcels = await spool.first(events=_AT_ONCE)
        if not parcels:
            return
        if len(parcels) < spool.parcels:
            await self._deliver(spool, parcels)
            return
        # These are all. Who comes now waits a while for them, not behind them:
        # otherwise the spool would never be empty under load.
        handover = self._handover = asyncio.Event()
        try:
            await self._deliver(spool, parcels)
        finally:
            self._handover = None
            handover.set()

    async def _deliver(self, spool: Spool, parcels: Sequence[Parcel]) -> None:
        """Send the first parcels and take what Kafka has of them off the spool."""
        groups = _grouped(parcels)
        # All at once, for a round trip each would not keep up with the senders; the
        # producer keeps them in order.
        outcomes = await asyncio.gather(
            *(self._kafka.append(_records(group)) for group in groups),
            return_exceptions=True,
        )
        failures = [one for one in outcomes if one is not None]
        sent = next(
            (at for at, one in enumerate(outcomes) if one is not None), len(groups)
        )
        if sent:
            done = [parcel for group in groups[:sent] for parcel in group]
            await spool.remove(done)
            SPOOL_DRAINED.inc(sum(len(parcel.records) for parcel in done))
        if not failures:
            return
        for failure in failures:
            if not isinstance(failure, RecordRefusedError):
                raise failure
        suspects = groups[sent]
        if len(suspects) == 1:
            await self._set_aside(spool, suspects[0])
            return
        for parcel in suspects:
            await self._deliver(spool, [parcel])

    async def _set_aside(self, spool: Spool, parcel: Parcel) -> None:
        """Send what Kafka takes of a parcel; what it will never take stays on disk."""
        refused = []
        why = ""
        for record in parcel.records:
            try:
                await self._kafka.append([record])
            except RecordRefusedError as refusal:
                refused.append(record)
                why = str(refusal)
        SPOOL_DRAINED.inc(len(parcel.records) - len(refused))
        if not refused:
            await spool.remove([parcel])
            return
        await spool.set_aside(parcel, refused, why)
        _log.error("set_aside", events=len(refused), why=why)


def _grouped(parcels: Sequence[Parcel]) -> list[list[Parcel]]:
    """Return the parcels in their order, in groups of one append each."""
    groups: list[list[Parcel]] = []
    room = 0
    for parcel in parcels:
        count = len(parcel.records)
        if not groups or count > room:
            groups.append([])
            room = _OF_AN_APPEND
        groups[-1].append(parcel)
        room -= count
    return groups


def _records(parcels: Sequence[Parcel]) -> list[Record]:
    return [record for parcel in parcels for record in parcel.records]


class _Append:
    """One append that Kafka was asked for, and what became of it on the spool."""

    __slots__ = ("records", "refusal", "stored")

    def __init__(self, records: Sequence[Record]) -> None:
        self.records = records
        self.stored: asyncio.Future[None] | None = None
        self.refusal: NotDurableError | None = None


def size_of(record: Record) -> int:
    """Return what a record weighs on its way, about."""
    size = len(record.key or b"") + len(record.value or b"")
    for name, value in record.headers:
        size += len(name) + len(value or "")
    return size
