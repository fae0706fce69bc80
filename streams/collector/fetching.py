"""Fetching what a provider publishes: by HTTPS, briefly, no more than was asked for."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

import urllib3

_SECONDS: Final = 5.0
_MOST_BYTES: Final = 100_000
_MOST_KEPT: Final = 64

Get = Callable[[str], Awaitable[bytes]]


class Fetching:
    """Gets what is at a URL, and keeps what never changes."""

    def __init__(self, get: Get) -> None:
        """Get by `get`, which raises OSError when it fails."""
        self.get = get
        self._kept: dict[str, bytes] = {}

    async def kept(self, url: str) -> bytes:
        """Return what is at `url`, which is asked for once.

        Raises
        ------
        OSError
            When it cannot be had.
        """
        if (body := self._kept.get(url)) is None:
            body = await self.get(url)
            while len(self._kept) >= _MOST_KEPT:
                del self._kept[next(iter(self._kept))]
            self._kept[url] = body
        return body


async def get_https(url: str) -> bytes:
    """Return what `url` answers with 200; redirects are not followed.

    Raises
    ------
    OSError
        When it is not HTTPS, does not answer in time, or answers anything else.
    """
    if not url.startswith("https://"):
        msg = "only https is fetched"
        raise OSError(msg)
    return await asyncio.to_thread(_get, url)


def _get(url: str) -> bytes:
    try:
        answer = urllib3.request(
            "GET",
            url,
            timeout=_SECONDS,
            retries=False,
            redirect=False,
            preload_content=False,
        )
        body = answer.read(_MOST_BYTES + 1)
        answer.release_conn()
    except urllib3.exceptions.HTTPError as error:
        raise OSError(type(error).__name__) from None
    if answer.status != 200 or len(body) > _MOST_BYTES:  # noqa: PLR2004 - OK
        msg = f"answered {answer.status} with {len(body)} bytes"
        raise OSError(msg)
    return body
