"""Fetching what a provider publishes: over HTTPS, briefly, and not more than asked."""

import asyncio
from typing import Final

import urllib3

_SECONDS: Final = 5.0
_MOST_BYTES: Final = 100_000


async def fetch_https(url: str) -> bytes:
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
