"""Where a browser sends from: its address, as much of it as may be kept.

A browser cannot tell its own address, so the collector does. A server that sends for
people has its own, which says nothing of them: it is left alone.
"""

import ipaddress
from collections.abc import Sequence
from typing import Final, Literal

from msgspec.structs import replace
from starlette.requests import Request

from schemas.event import Event

Kept = Literal["full", "short", "off"]

_BROWSERS_SAY: Final = ("origin", "sec-fetch-mode")
_NOT_GIVEN: Final = (None, "", "$remote")
"""What trackers send in place of an address, Amplitude's word among it."""
_SHORT_BITS: Final = {4: 24, 6: 48}


def address_of(request: Request, kept: Kept) -> str | None:
    """Return who asks, as far as it is kept; None for a private or unknown address.

    Proxies that are trusted have been looked through before (uvicorn does it).
    """
    if kept == "off" or request.client is None:
        return None
    return shortened(request.client.host, kept)


def shortened(host: str, kept: Kept) -> str | None:
    """Return a public address, in short without what tells one household of another.

    >>> shortened("8.8.8.8", "short"), shortened("8.8.8.8", "full")
    ('8.8.8.0', '8.8.8.8')
    >>> shortened("2001:4860:4860::8888", "short"), shortened("10.0.0.1", "full")
    ('2001:4860:4860::', None)
    """
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return None
    if not address.is_global:
        return None
    if kept == "full":
        return str(address)
    network = (address, _SHORT_BITS[address.version])
    return str(ipaddress.ip_network(network, strict=False).network_address)


def stamped(events: Sequence[Event], request: Request, kept: Kept) -> Sequence[Event]:
    """Return the events with the sender's address where a browser could give none."""
    if not any(name in request.headers for name in _BROWSERS_SAY):
        return events
    address = address_of(request, kept)
    if address is None:
        return events
    return [
        replace(event, context={**event.context, "ip": address})
        if event.context.get("ip") in _NOT_GIVEN and "ip_address" not in event.context
        else event
        for event in events
    ]
