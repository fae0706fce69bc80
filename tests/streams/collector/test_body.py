"""Bodies: unzipped whatever they are called, never beyond the limit."""

import gzip
import tracemalloc
import zlib
from collections.abc import AsyncIterator

import pytest

from streams.collector.body import read_body
from streams.collector.verdict import RefusedError

LIMIT = 10_000


def gzipped(body: bytes) -> bytes:
    """The same bytes each time: they name the test."""
    return gzip.compress(body, mtime=0)


async def chunks(*parts: bytes) -> AsyncIterator[bytes]:
    for part in parts:
        yield part


async def read(
    *parts: bytes, declared: str | None = None, encoding: str | None = None
) -> bytes:
    return await read_body(
        chunks(*parts), declared=declared, encoding=encoding, limit=LIMIT
    )


@pytest.mark.parametrize(
    ("body", "encoding"),
    [
        (b"{}", None),
        (b"{}", "identity"),
        (gzipped(b"{}"), "gzip"),
        (gzipped(b"{}"), "GZIP"),
        # Some SDKs send gzip without saying so.
        (gzipped(b"{}"), None),
        (gzipped(b"{") + gzipped(b"}"), "gzip"),
        (zlib.compress(b"{}"), "deflate"),
        (b"\xef\xbb\xbf{}", None),
    ],
)
async def test_encodings(body: bytes, encoding: str | None) -> None:
    """A body is plain, gzip or deflate, in one piece or many."""
    assert await read(body, encoding=encoding) == b"{}"
    assert await read(*(body[i : i + 1] for i in range(len(body)))) in (b"{}", body)


@pytest.mark.parametrize(
    ("body", "encoding", "status", "reason"),
    [
        (b"{}", "br", 415, "unknown-encoding"),
        (b"{}", "gzip", 400, "invalid-encoding"),
        (gzipped(b"{}")[:-9], "gzip", 400, "invalid-encoding"),
        (gzipped(b"{}") + b"rest", "gzip", 400, "invalid-encoding"),
        (gzipped(b"") * 20, "gzip", 400, "invalid-encoding"),
        (b"x" * (LIMIT + 1), None, 413, "too-large"),
        (gzipped(b"x" * (LIMIT + 1)), "gzip", 413, "too-large"),
        (gzipped(b"x" * LIMIT) * 2, "gzip", 413, "too-large"),
    ],
)
async def test_refusals(
    body: bytes, encoding: str | None, status: int, reason: str
) -> None:
    """A body that is too large or not what it says it is gets a clear refusal."""
    with pytest.raises(RefusedError) as refused:
        await read(body, encoding=encoding)

    assert (refused.value.status, refused.value.reason) == (status, reason)


async def test_exactly_the_limit() -> None:
    """A body of exactly the limit is taken, zipped or not."""
    whole = b"x" * LIMIT

    assert await read(whole) == whole
    assert await read(gzipped(whole)) == whole


async def test_a_declared_length_is_believed_early() -> None:
    """A body that says it is too large is refused before a byte of it is read."""

    async def never() -> AsyncIterator[bytes]:
        pytest.fail("the body was read")
        yield b""

    with pytest.raises(RefusedError):
        await read_body(never(), declared="99999", encoding=None, limit=LIMIT)


async def test_reading_stops_at_the_limit() -> None:
    """An endless body is refused at the limit; the rest is not asked for."""
    asked = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal asked
        while True:
            asked += 1
            yield b"x" * 1_000

    with pytest.raises(RefusedError):
        await read_body(endless(), declared=None, encoding=None, limit=LIMIT)

    assert asked == 11


async def test_a_bomb_takes_no_memory() -> None:
    """Fifty megabytes of zeros in a few kilobytes are never unpacked."""
    bomb = gzipped(bytes(5_000_000))
    assert len(bomb) < LIMIT
    tracemalloc.start()
    with pytest.raises(RefusedError):
        await read(bomb, encoding="gzip")
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert peak < 500_000
