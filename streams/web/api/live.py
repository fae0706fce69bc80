"""What changes, as it changes."""

from typing import Final

import msgspec
from starlette.responses import Response, StreamingResponse

from streams.web.asking import Ask
from streams.web.endpoint import API, Endpoint, Entry
from streams.web.live import Live


class LiveQuery(msgspec.Struct, frozen=True, kw_only=True):
    """Since when; a browser's `Last-Event-ID` header says the same."""

    last: str | None = None


async def listen(ask: Ask) -> Response:
    """Stream what changes: events `lead`, `account`, `alert`, `work`, `reset`."""
    last = ask.request.headers.get("last-event-id") or ask.query(LiveQuery).last
    return StreamingResponse(
        ask.sources.one(Live).stream(last),
        media_type="text/event-stream",
        headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"},
    )


ENDPOINTS: Final = (
    Endpoint(
        path=f"{API}/live",
        take=listen,
        least="viewer",
        summary="Server-sent events: lead, account, alert, work; reset after a gap.",
        query=LiveQuery,
        kind="text/event-stream",
    ),
)
NAVIGATION: Final[tuple[Entry, ...]] = ()
