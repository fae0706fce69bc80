"""The spool's file: made, opened, held by one process, looked at from outside."""

import fcntl
import os
import sqlite3
from contextlib import closing, suppress
from pathlib import Path
from typing import ClassVar, Final

import msgspec

from schemas.time import Instant
from streams.errors import UserError

SPOOL_FILE: Final = "spool.sqlite3"
_LOCK_FILE: Final = "spool.lock"
ROW_BYTES: Final = 64
"""What a row costs beside its records, about."""
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


class SpoolUnusableError(UserError):
    """The spool cannot be opened; the text says why and what to do."""

    exit_code: ClassVar[int] = 2


class SpoolReport(msgspec.Struct, frozen=True, kw_only=True):
    """What is on a spool, read from its file."""

    events: int
    size: int
    oldest_at: Instant | None
    aside: int
    owner: int | None
    """The process that holds it; None if none does."""


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
        with closing(connect(path, mode="ro")) as connection:
            _, events, size, oldest_at, aside = count(connection)
    except sqlite3.Error as error:
        raise damaged(path, error) from None
    return SpoolReport(
        events=events,
        size=size,
        oldest_at=oldest_at,
        aside=aside,
        owner=_owner(directory),
    )


def connect(path: Path, *, mode: str) -> sqlite3.Connection:
    """Return a connection to the file as it is; `mode` is SQLite's, such as ``ro``."""
    return sqlite3.connect(
        f"{path.absolute().as_uri()}?mode={mode}",
        uri=True,
        isolation_level=None,
        check_same_thread=False,  # opened in one thread, used by another alone
    )


def open_spool(path: Path) -> sqlite3.Connection:
    """Return a connection that writes for good, to a file that was found whole.

    Raises
    ------
    sqlite3.Error
        When the file is damaged, or the disk takes nothing.
    """
    connection = connect(path, mode="rwc")
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


def count(
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
    return parcels, events, size + parcels * ROW_BYTES, oldest_at, aside


def hold(directory: Path) -> int:
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


def damaged(path: Path, error: sqlite3.Error) -> SpoolUnusableError:
    """Return what is said of a file that cannot be read, and what to do."""
    why = " ".join(str(error).split())
    return SpoolUnusableError(
        f"the spool {path} cannot be read: {why}. It may hold events that were "
        "acknowledged: move it away, start again, and see docs/collector.md for how "
        "to save what is in it"
    )
