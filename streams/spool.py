"""The spool: records on this machine's disk, in order, until Kafka takes them.

One SQLite file, one thread that touches it, one process that holds it (ADR 0025). What
many ask for at once is one transaction and one fsync. Nothing here knows of Kafka.
"""

import asyncio
import fcntl
import os
import queue
import sqlite3
import threading
import zlib
from collections.abc import Callable, Sequence
from contextlib import closing, suppress
from pathlib import Path
from typing import Any, ClassVar, Final, Generic, NamedTuple, TypeVar

import msgspec

from schemas.time import Instant
from streams.errors import UserError
from streams.event_log import NotDurableError, Record

T = TypeVar("T")

SPOOL_FILE: Final = "spool.sqlite3"
_LOCK_FILE: Final = "spool.lock"
_ROW_BYTES: Final = 64
"""What a row costs beside its records, about."""
_MOST_AT_ONCE: Final = 1_000
_MOST_READ: Final = 8_000_000
"""Bytes that are in memory at once on their way to Kafka."""
_FULL_RETRY_SECONDS: Final = 10
_TABLE: Final = """
CREATE TABLE IF NOT EXISTS parcels (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    at INTEGER NOT NULL,      -- instant of its receipt, ms
    events INTEGER NOT NULL,  -- how many records
    crc INTEGER NOT NULL,     -- of body
    body BLOB NOT NULL,       -- the records, MessagePack
    aside TEXT                -- why it is kept although it cannot be sent
)
"""


class SpoolFullError(NotDurableError):
    """There is no room for more until Kafka has taken some."""

    retry_seconds = _FULL_RETRY_SECONDS


class SpoolFailedError(NotDurableError):
    """The disk did not take it, or did not give it back."""

    retry_seconds = _FULL_RETRY_SECONDS


class SpoolUnusableError(UserError):
    """The spool cannot be opened; the text says why and what to do."""

    exit_code: ClassVar[int] = 2


class Parcel(msgspec.Struct, frozen=True):
    """What one request put on the spool: its records belong together."""

    id: int
    at: Instant
    size: int
    records: list[Record]


class SpoolReport(msgspec.Struct, frozen=True, kw_only=True):
    """What is on a spool, read from its file."""

    events: int
    size: int
    oldest_at: Instant | None
    aside: int
    owner: int | None
    """The process that holds it; None if none does."""


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
        self._lock = _hold(directory)
        try:
            self._connection = _open(self.path)
            found = _count(self._connection)
        except sqlite3.Error as error:
            os.close(self._lock)
            raise _damaged(self.path, error) from None
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
        size = len(body) + _ROW_BYTES
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
                size = len(body) + _ROW_BYTES
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


def look(directory: Path) -> SpoolReport | None:
    """Return what is on the spool in `directory`, None if there is no spool.

    It may be in use meanwhile; nothing is changed.

    Raises
    ------
    SpoolUnusableError
        When it cannot be read.
    """
    path = directory / SPOOL_FILE
    if not path.exists():
        return None
    try:
        with closing(_connect(path, mode="ro")) as connection:
            _, events, size, oldest_at, aside = _count(connection)
    except sqlite3.Error as error:
        raise _damaged(path, error) from None
    return SpoolReport(
        events=events,
        size=size,
        oldest_at=oldest_at,
        aside=aside,
        owner=_owner(directory),
    )


def _connect(path: Path, *, mode: str) -> sqlite3.Connection:
    return sqlite3.connect(
        f"{path.absolute().as_uri()}?mode={mode}",
        uri=True,
        isolation_level=None,
        check_same_thread=False,  # opened in one thread, used by another alone
    )


def _open(path: Path) -> sqlite3.Connection:
    connection = _connect(path, mode="rwc")
    try:
        for pragma in (
            "journal_mode = WAL",
            "synchronous = FULL",  # a commit returns when the log is on the disk
            "fullfsync = ON",  # also where fsync alone does not mean that
            "secure_delete = ON",
        ):
            connection.execute(f"PRAGMA {pragma}").fetchall()
        (verdict,) = connection.execute("PRAGMA quick_check(1)").fetchone()
        if verdict != "ok":
            raise sqlite3.DatabaseError(verdict)
        connection.execute(_TABLE)
    except BaseException:
        connection.close()
        raise
    return connection


def _count(
    connection: sqlite3.Connection,
) -> tuple[int, int, int, Instant | None, int]:
    """Return parcels, events, bytes, the oldest instant, and the events aside."""
    parcels, events, size, oldest_at = connection.execute(
        "SELECT count(*), coalesce(sum(events), 0), coalesce(sum(length(body)), 0), "
        "min(at) FROM parcels WHERE aside IS NULL"
    ).fetchone()
    (aside,) = connection.execute(
        "SELECT coalesce(sum(events), 0) FROM parcels WHERE aside IS NOT NULL"
    ).fetchone()
    return parcels, events, size + parcels * _ROW_BYTES, oldest_at, aside


def _hold(directory: Path) -> int:
    """Return the open lock file of the spool in `directory`, ours as long as open."""
    try:
        directory.mkdir(parents=True, exist_ok=True)
        lock = os.open(directory / _LOCK_FILE, os.O_RDWR | os.O_CREAT, 0o600)
        # What people did is nobody else's to read.
        os.close(os.open(directory / SPOOL_FILE, os.O_RDWR | os.O_CREAT, 0o600))
    except OSError as error:
        msg = (
            f"cannot keep a spool in {directory}: {error.strerror}; set "
            "LEADPULSE_DATA_DIR to a folder on a local disk that can be written, or "
            "LEADPULSE_SPOOL_MAX_BYTES=0 to do without"
        )
        raise SpoolUnusableError(msg) from None
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        owner = os.pread(lock, 20, 0).decode(errors="replace").strip()
        os.close(lock)
        msg = (
            f"the spool in {directory} is in use by the collector of process {owner}: "
            "give each collector a LEADPULSE_DATA_DIR of its own"
        )
        raise SpoolUnusableError(msg) from None
    os.ftruncate(lock, 0)
    os.pwrite(lock, f"{os.getpid()}\n".encode(), 0)
    return lock


def _owner(directory: Path) -> int | None:
    """Return the process that holds the spool in `directory`, None for none."""
    with suppress(OSError, ValueError):
        lock = os.open(directory / _LOCK_FILE, os.O_RDONLY)
        try:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return int(os.pread(lock, 20, 0))
        finally:
            os.close(lock)
    return None


def _damaged(path: Path, error: sqlite3.Error) -> SpoolUnusableError:
    why = " ".join(str(error).split())
    return SpoolUnusableError(
        f"the spool {path} cannot be read: {why}. It may hold events that were "
        "acknowledged: move it away, start again, and see docs/collector.md for how "
        "to save what is in it"
    )
