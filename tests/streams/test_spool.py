"""The spool: what it took it gives back, in order, whatever becomes of the disk."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, closing
from pathlib import Path

import pytest

from streams.event_log import Record
from streams.spool import Parcel, Spool, SpoolFailedError, SpoolFullError
from streams.spool_file import SPOOL_FILE, SpoolUnusableError, look

LIMIT = 1_000_000


def record(number: int) -> Record:
    headers: list[tuple[str, str | bytes | None]] = [
        ("ce_id", b"\x00\xff"),
        ("ce_type", "t"),
        ("empty", None),
    ]
    key = None if number % 2 else b"key"
    return Record("t.web", key, f"{number}".encode(), headers)


@asynccontextmanager
async def opened(path: Path, limit: int = LIMIT) -> AsyncIterator[Spool]:
    spool = Spool(path, limit=limit)
    try:
        yield spool
    finally:
        await spool.close()


def values(parcels: list[Parcel]) -> list[int]:
    return [int(one.value or b"") for parcel in parcels for one in parcel.records]


async def test_a_life(tmp_path: Path) -> None:
    """Records come back byte for byte and in order, also after a restart."""
    async with opened(tmp_path / "new") as spool:
        await asyncio.gather(
            *(spool.put([record(n), record(n + 1)], at=n) for n in range(0, 200, 2))
        )
        assert (spool.parcels, spool.events, spool.oldest_at) == (100, 200, 0)
        some = await spool.first(events=50)
        assert values(some) == list(range(50))
        await spool.remove(some)
        assert (spool.events, spool.oldest_at) == (150, 50)

    assert (found := look(tmp_path / "new")) is not None
    assert (found.events, found.oldest_at, found.owner) == (150, 50, None)
    async with opened(tmp_path / "new") as spool:
        assert spool.size == found.size
        await spool.put([record(200)], at=200)
        parcels = await spool.first(events=10_000)
        assert values(parcels) == list(range(50, 201))
        assert parcels[-1].records == [record(200)]
        await spool.remove(parcels)
        assert (spool.parcels, spool.size, spool.oldest_at) == (0, 0, None)
        assert await spool.first(events=1) == []

    assert b"t.web" not in (tmp_path / "new" / SPOOL_FILE).read_bytes()
    assert (tmp_path / "new" / SPOOL_FILE).stat().st_mode & 0o077 == 0


async def test_a_full_spool(tmp_path: Path) -> None:
    """What would pass the limit is refused; there is room again for what was sent."""
    async with opened(tmp_path, limit=400) as spool:
        await spool.put([record(1)], at=1)
        await spool.put([record(2)], at=2)
        await spool.put([record(3)], at=3)
        with pytest.raises(SpoolFullError) as refused:
            await spool.put([record(4)], at=4)
        assert refused.value.retry_seconds > 1
        kept = await spool.first(events=100)
        assert values(kept) == [1, 2, 3]
        await spool.remove(kept[:1])
        await spool.put([record(99)], at=99)
        assert spool.refusal is None


async def test_a_full_disk(tmp_path: Path) -> None:
    """A disk that is full refuses the new, and still gives back what it took."""
    async with opened(tmp_path) as spool:
        await spool.put([record(1)], at=1)
        limit_pages(spool)
        large = Record("t", None, b"x" * 100_000, [])
        tried = await asyncio.gather(
            spool.put([large], at=2), spool.first(events=9), return_exceptions=True
        )
        assert isinstance(tried[0], SpoolFailedError)
        assert "full" in str(tried[0])
        assert values(tried[1]) == [1]  # type: ignore[arg-type]
        assert spool.events == 1
        assert isinstance(spool.refusal, SpoolFailedError)


def limit_pages(spool: Spool) -> None:
    """Have SQLite find the disk full."""
    spool._connection.execute("PRAGMA max_page_count = 4")


async def test_only_one_process_at_a_time(tmp_path: Path) -> None:
    """A spool in use is refused with the process that has it; others may look."""
    async with opened(tmp_path) as spool:
        await spool.put([record(1)], at=1)
        with pytest.raises(SpoolUnusableError, match="in use by the collector of"):
            Spool(tmp_path, limit=LIMIT)
        assert (found := look(tmp_path)) is not None
        assert (found.events, found.owner is not None) == (1, True)


@pytest.fixture
def kept(tmp_path: Path) -> Iterator[Path]:
    """A spool with three parcels that nobody holds."""

    async def fill() -> None:
        async with opened(tmp_path) as spool:
            for number in range(3):
                await spool.put([record(number)], at=number)

    asyncio.run(fill())
    return tmp_path


def test_a_damaged_file(kept: Path) -> None:
    """A file that is no database any more is one clear line, and is not touched."""
    damaged = b"no database" * 1_000
    (kept / SPOOL_FILE).write_bytes(damaged)

    with pytest.raises(SpoolUnusableError, match="move it away"):
        Spool(kept, limit=LIMIT)
    with pytest.raises(SpoolUnusableError):
        look(kept)
    assert (kept / SPOOL_FILE).read_bytes() == damaged


def test_a_damaged_parcel(kept: Path) -> None:
    """A parcel whose bytes have changed is set aside; the others are given."""
    with closing(sqlite3.connect(kept / SPOOL_FILE)) as connection, connection:
        connection.execute("UPDATE parcels SET body = x'9190' WHERE id = 2")

    async def read() -> None:
        async with opened(kept) as spool:
            assert values(await spool.first(events=9)) == [0, 2]
            assert (spool.events, spool.aside) == (2, 1)

    asyncio.run(read())
    assert (found := look(kept)) is not None
    assert (found.events, found.aside) == (2, 1)


def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    """A folder that is none is one line that names the settings."""
    (tmp_path / "file").touch()
    with pytest.raises(SpoolUnusableError, match="LEADPULSE_DATA_DIR"):
        Spool(tmp_path / "file", limit=LIMIT)
