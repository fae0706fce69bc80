"""Alerts: the latest of all leads and accounts."""

from typing import Annotated, Final

import msgspec

from schemas.alert import Alert
from schemas.time import Instant, to_instant
from streams.web.asking import Ask
from streams.web.endpoint import API, Endpoint, Entry


class AlertQuery(msgspec.Struct, frozen=True, kw_only=True):
    """Which alerts are asked for."""

    kind: str | None = None
    owner: str | None = None
    before: Instant | None = None
    """Only those decided before this instant: the next page."""
    limit: Annotated[int, msgspec.Meta(ge=1, le=500)] = 50


class AlertList(msgspec.Struct, frozen=True, kw_only=True):
    """Alerts, the latest first."""

    alerts: tuple[Alert, ...]
    next_before: Instant | None


def latest(ask: Ask) -> AlertList:
    """Return the latest alerts of those that the view keeps."""
    asked = ask.query(AlertQuery)
    found = [
        alert
        for alert in ask.sources.view.alerts(500)
        if (asked.kind is None or alert.kind == asked.kind)
        and (asked.owner is None or alert.owner == asked.owner)
        and (asked.before is None or to_instant(alert.decided_at) < asked.before)
    ]
    shown = found[: asked.limit]
    more = len(found) > asked.limit
    return AlertList(
        alerts=tuple(shown),
        next_before=to_instant(shown[-1].decided_at) if more else None,
    )


ENDPOINTS: Final = (
    Endpoint(
        path=f"{API}/alerts",
        take=latest,
        least="viewer",
        summary="The latest alerts.",
        query=AlertQuery,
        answer=AlertList,
    ),
)
NAVIGATION: Final[tuple[Entry, ...]] = ()
