"""Request bodies: read as they stream in, unzipped, never beyond the limit."""

import zlib
from collections.abc import AsyncIterable
from typing import Final

from streams.collector.verdict import RefusedError

_GZIP_MAGIC: Final = b"\x1f\x8b"
_WBITS: Final = {"gzip": 31, "x-gzip": 31, "deflate": 47}
_MOST_MEMBERS: Final = 16
_BOM: Final = b"\xef\xbb\xbf"


async def read_body(
    chunks: AsyncIterable[bytes],
    *,
    declared: str | None,
    encoding: str | None,
    limit: int,
) -> bytes:
    """Return the whole body, unzipped, of at most `limit` bytes.

    `declared` and `encoding` are the headers Content-Length and Content-Encoding.
    The content type is not looked at: browsers call JSON ``text/plain`` and some
    SDKs send gzip without saying so, so gzip is known by its first two bytes too.

    Raises
    ------
    RefusedError
        413 as soon as the limit is passed, before the rest is read; 415 for an
        encoding that is not gzip or deflate; 400 for gzip that cannot be read.
    """
    if declared is not None and declared.isdecimal() and int(declared) > limit:
        raise _too_large(limit)
    parts: list[bytes] = []
    size = 0
    async for chunk in chunks:
        size += len(chunk)
        if size > limit:
            raise _too_large(limit)
        parts.append(chunk)
    body = b"".join(parts)
    name = (encoding or "identity").strip().lower()
    if body.startswith(_GZIP_MAGIC):
        name = "gzip"
    if name not in {"identity", ""}:
        body = _unzip(body, name, limit)
    return body.removeprefix(_BOM)


def unzip_if_gzip(body: bytes, limit: int) -> bytes:
    """Return `body` unzipped if it is gzip, else as it is.

    Raises
    ------
    RefusedError
        413 when it is larger than `limit` then; 400 when it is broken.
    """
    return _unzip(body, "gzip", limit) if body.startswith(_GZIP_MAGIC) else body


def _unzip(body: bytes, encoding: str, limit: int) -> bytes:
    if encoding not in _WBITS:
        msg = f"Content-Encoding {encoding[:40]!r} is not known here; send gzip"
        raise RefusedError(415, "unknown-encoding", msg)
    parts: list[bytes] = []
    left = limit
    members = 0
    while body:  # gzip may be several members, one after the other
        members += 1
        if members > _MOST_MEMBERS:
            msg = f"the body is more than {_MOST_MEMBERS} gzip members"
            raise RefusedError(400, "invalid-encoding", msg)
        unzip = zlib.decompressobj(_WBITS[encoding])
        try:
            part = unzip.decompress(body, left + 1)
        except zlib.error as error:
            msg = f"the body is not {encoding}: {error}"
            raise RefusedError(400, "invalid-encoding", msg) from None
        left -= len(part)
        if left < 0:
            raise _too_large(limit)
        if not unzip.eof:
            msg = f"the {encoding} body ends too early"
            raise RefusedError(400, "invalid-encoding", msg)
        parts.append(part)
        body = unzip.unused_data
    return b"".join(parts)


def _too_large(limit: int) -> RefusedError:
    msg = f"the body exceeds {limit} bytes; see LEADPULSE_MAX_BODY_BYTES"
    return RefusedError(413, "too-large", msg)
