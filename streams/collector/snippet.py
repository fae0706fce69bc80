"""The first-party snippet, `/lp.js`: for sites that have no tracker of their own."""

import gzip
import hashlib
from collections.abc import Awaitable, Callable
from importlib.resources import files
from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from streams.metrics import COLLECTOR_REQUESTS

SNIPPET_PATH: Final = "/lp.js"
_CACHED: Final = "public, max-age=3600, stale-while-revalidate=86400"


def snippet_endpoint() -> Callable[[Request], Awaitable[Response]]:
    """Return what serves the snippet: read and packed once, the same for everybody."""
    plain = files("streams.collector").joinpath("lp.js").read_bytes()
    packed = gzip.compress(plain, mtime=0)
    # Weak: it stands for the content, packed or not.
    tag = f'W/"{hashlib.sha256(plain).hexdigest()[:20]}"'
    headers = {
        "Cache-Control": _CACHED,
        "ETag": tag,
        "Vary": "Accept-Encoding",
        "Cross-Origin-Resource-Policy": "cross-origin",
        "X-Content-Type-Options": "nosniff",
    }

    async def serve(request: Request) -> Response:
        known = request.headers.get("if-none-match", "")
        if tag in {each.strip() for each in known.split(",")}:
            return _counted(Response(status_code=304, headers=headers))
        takes_gzip = "gzip" in request.headers.get("accept-encoding", "").lower()
        return _counted(
            Response(
                packed if takes_gzip else plain,
                headers={**headers, "Content-Encoding": "gzip"}
                if takes_gzip
                else headers,
                media_type="text/javascript",
            )
        )

    return serve


def _counted(response: Response) -> Response:
    COLLECTOR_REQUESTS.labels(SNIPPET_PATH, str(response.status_code)).inc()
    return response
