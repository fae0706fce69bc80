"""The spool: records on this machine's disk, in order, until Kafka takes them.

One SQLite file, one thread that touches it, one process that holds it (ADR 0025). What
many ask for at once is one transaction and one fsync. Nothing here knows of Kafka.
"""

import asyncio
import os
import queue
import sqlite3
import threading
import zlib
from collections.abc import Callable, Sequence
from contextlib import closing, suppress
from pathlib import Path
from typing import Any, Final, Generic, NamedTuple, TypeVar

import msgspec

from schemas.time import Instant
from streams.event_log import NotDurableError, Record
from streams.spool_file import (
    ROW_BYTES,
    SPOOL_FILE,
    count,
    damaged,
    hold,
    open_spool,
)

T = TypeVar("T")

_MOST_AT_ONCE: Final = 1_000
_MOST_READ: Final = 8_000_000
"""Bytes that are in memory at once on their way to Kafka."""
_FULL_RETRY_SECONDS: Final = 10


class SpoolFullError(NotDurableError):
    """There is no room for more until Kafka has taken some."""

    retry_seconds = _FULL_RETRY_SECONDS


class SpoolFailedError(NotDurableError):
    """The disk did not take it, or did not give it back."""

    retry_seconds = _FULL_RETRY_SECONDS


class Parcel(msgspec.Struct, frozen=True):
    """What one request put on the spool: its records belong together."""

    id: int
    at: Instant
    size: int
    records: list[Record]


class _Kept(NamedTuple):
    """A record as it is read: what is text and what is bytes, MessagePack knows."""

    topic: str
    key: bytes | None
    value: bytes | None
    headers: list[tuple[str, Any]]
    partition: int


_encode: Final = msgspec.msgpack.Encoder().encode
_decode: Final = msgspec.msgpack.Decoder(list[_Kept]).decode


class _Job(Generic[T]):
    """Something to be done with the file; its future is of the loop that asked."""

    __slots__ = ("error", "future", "loop", "result", "run")

    def __init__(
        self, loop: asyncio.AbstractEventLoop, run: Callable[[sqlite3.Connection], T]
    ) -> None:
        self.loop = loop
        self.run = run
        self.future: asyncio.Future[T] = loop.create_future()
        self.result: T | None = None
        self.error: SpoolFailedError | None = None

    def resolve(self) -> None:
        if self.future.done():
            return
        if self.error is not None:
            self.future.set_exception(self.error)
            self.future.exception()  # who asked may be gone: that is no bug
        else:
            self.future.set_result(self.result)  # type: ignore[arg-type]


class Spool:
    """Parcels of records on disk: the oldest goes first, and is then removed.

    Its methods are called on one event loop and never block it. The numbers count what
    was asked to be put as well: who sees none is behind nobody.
    """

    def __init__(self, directory: Path, *, limit: int) -> None:
        """Open the spool in `directory`, for at most `limit` bytes, and hold it.

        Raises
        ------
        SpoolUnusableError
            When another process holds it, when it is damaged, or the disk says no.
        """
        self.path = directory / SPOOL_FILE
        self.limit = limit
        self._lock = hold(directory)
        try:
            self._connection = open_spool(self.path)
            found = count(self._connection)
        except sqlite3.Error as error:
            os.close(self._lock)
            raise damaged(self.path, error) from None
        self.parcels, self.events, self.size, self.oldest_at, self.aside = found
        self._sent = 0
        self._last_refusal: NotDurableError | None = None
        self._jobs: queue.SimpleQueue[_Job[Any] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._serve, name="spool", daemon=True)
        self._thread.start()

    @property
    def refusal(self) -> NotDurableError | None:
        """Why nothing more was taken when it was tried last, None if it was."""
        return self._last_refusal

    def put(self, records: Sequence[Record], at: Instant) -> asyncio.Future[None]:
        """Return what is done when the records are on disk, behind all put before.

        Raises
        ------
        SpoolFullError
            At once, when there is no room. The future raises SpoolFailedError.
        """
        body = _encode(records)
        size = len(body) + ROW_BYTES
        if self.size + size > self.limit:
            msg = f"the spool is full: {self.size} of {self.limit} bytes"
            self._last_refusal = SpoolFullError(msg)
            raise self._last_refusal
        if not self.parcels:
            self.oldest_at = at
        count = len(records)
        self._account(1, count, size)
        row = (at, count, zlib.crc32(body), body)

        def insert(connection: sqlite3.Connection) -> None:
            connection.execute(
                "INSERT INTO parcels (at, events, crc, body) VALUES (?, ?, ?, ?)", row
            )

        future = self._ask(insert)

        def settle(done: asyncio.Future[None]) -> None:
            error = None if done.cancelled() else done.exception()
            if isinstance(error, NotDurableError):
                self._account(-1, -count, -size)
                self._last_refusal = error
            elif error is None:
                self._last_refusal = None

        future.add_done_callback(settle)
        return future

    async def first(self, *, events: int) -> list[Parcel]:
        """Return the oldest parcels, one at least if there is any, of about `events`.

        What cannot be read any more is set aside, and told by `aside`.

        Raises
        ------
        SpoolFailedError
            When the file cannot be read.
        """
        rows, broken = await self._ask(
            lambda connection: self._read(connection, events)
        )
        for one in broken:
            await self._put_aside(one.id, one.events, one.size, None, "damaged on disk")
        return rows

    async def remove(self, parcels: Sequence[Parcel]) -> None:
        """Return when the first `parcels` will not be given again.

        They are gone even if the disk cannot be told: after a restart they would be
        given a second time, which ids make harmless.
        """
        last = parcels[-1].id
        self._sent = last
        self._account(
            -len(parcels),
            -sum(len(one.records) for one in parcels),
            -sum(one.size for one in parcels),
        )

        def delete(connection: sqlite3.Connection) -> Instant | None:
            connection.execute(
                "DELETE FROM parcels WHERE id <= ? AND aside IS NULL", (last,)
            )
            oldest: Instant | None = connection.execute(
                "SELECT min(at) FROM (SELECT at FROM parcels WHERE aside IS NULL "
                "ORDER BY id LIMIT 1)"
            ).fetchone()[0]
            return oldest

        with suppress(SpoolFailedError):
            oldest = await self._ask(delete)
            if self.parcels:
                self.oldest_at = oldest or self.oldest_at

    async def set_aside(
        self, parcel: Parcel, refused: Sequence[Record], why: str
    ) -> None:
        """Return when the `refused` records of the first parcel stand aside for good.

        They stay in the file; the rest of the parcel counts as sent.

        Raises
        ------
        SpoolFailedError
            When the disk does not take that; the parcel stays the first then.
        """
        await self._put_aside(parcel.id, len(parcel.records), parcel.size, refused, why)
        self._sent = parcel.id

    async def close(self) -> None:
        """Return when what was asked is done and the spool is free for others."""
        self._jobs.put(None)
        await asyncio.to_thread(self._thread.join)
        os.close(self._lock)

    async def _put_aside(
        self,
        number: int,
        events: int,
        size: int,
        refused: Sequence[Record] | None,
        why: str,
    ) -> None:
        def update(connection: sqlite3.Connection) -> None:
            connection.execute(
                "UPDATE parcels SET aside = ? WHERE id = ?", (why, number)
            )
            if refused is not None:
                body = _encode(refused)
                connection.execute(
                    "UPDATE parcels SET events = ?, crc = ?, body = ? WHERE id = ?",
                    (len(refused), zlib.crc32(body), body, number),
                )

        await self._ask(update)
        self._account(-1, -events, -size)
        self.aside += events if refused is None else len(refused)

    def _account(self, parcels: int, events: int, size: int) -> None:
        self.parcels += parcels
        self.events += events
        self.size += size
        if not self.parcels:
            self.oldest_at = None

    def _ask(self, run: Callable[[sqlite3.Connection], T]) -> asyncio.Future[T]:
        job = _Job(asyncio.get_running_loop(), run)
        self._jobs.put(job)
        return job.future

    def _read(
        self, connection: sqlite3.Connection, events: int
    ) -> tuple[list[Parcel], list["_Broken"]]:
        parcels: list[Parcel] = []
        broken: list[_Broken] = []
        found = weight = 0
        rows = connection.execute(
            "SELECT id, at, events, crc, body FROM parcels "
            "WHERE id > ? AND aside IS NULL ORDER BY id",
            (self._sent,),
        )
        with closing(rows):
            for number, at, count, crc, body in rows:
                size = len(body) + ROW_BYTES
                if zlib.crc32(body) != crc:
                    broken.append(_Broken(number, count, size))
                    continue
                records = [Record(*kept) for kept in _decode(body)]
                parcels.append(Parcel(number, at, size, records))
                found += count
                weight += size
                if found >= events or weight >= _MOST_READ:
                    break
        return parcels, broken

    def _serve(self) -> None:
        """Do what is asked, all that waits in one transaction, until closed."""
        open_ = True
        while open_:
            jobs = []
            job = self._jobs.get()
            while job is not None:
                jobs.append(job)
                if len(jobs) >= _MOST_AT_ONCE:
                    break
                try:
                    job = self._jobs.get_nowait()
                except queue.Empty:
                    break
            open_ = job is not None
            if jobs:
                self._do(jobs)
            if self._jobs.empty() and not self.parcels:
                self._tidy()
        with suppress(sqlite3.Error):
            self._connection.close()

    def _do(self, jobs: Sequence[_Job[Any]]) -> None:
        connection = self._connection
        try:
            connection.execute("BEGIN IMMEDIATE")
            for job in jobs:
                job.result = job.run(connection)
            connection.execute("COMMIT")
        except sqlite3.Error as error:
            with suppress(sqlite3.Error):
                connection.execute("ROLLBACK")
            if len(jobs) > 1:  # a disk that is full can still be read
                for job in jobs:
                    self._do([job])
                return
            jobs[0].error = SpoolFailedError(f"{self.path}: {error}")

        def resolve() -> None:
            for job in jobs:
                job.resolve()

        with suppress(RuntimeError):  # the loop is closed: nobody waits any more
            jobs[0].loop.call_soon_threadsafe(resolve)

    def _tidy(self) -> None:
        """Give the disk back; nothing of anybody stays in a spool that is empty."""
        with suppress(sqlite3.Error):
            self._connection.execute("VACUUM")
            self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")


class _Broken(msgspec.Struct, frozen=True):
    id: int
    events: int
    size: int
