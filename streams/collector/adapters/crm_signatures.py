"""How CRM and form tools sign their webhooks: HubSpot's three schemes, Typeform's."""

import base64
import hashlib
import re
from typing import Final
from urllib.parse import unquote

from schemas.time import Instant
from streams.collector.adapters.provider import Guard, Incoming, Reply, Trust
from streams.collector.adapters.signatures import (
    hmac_of_body,
    hmac_sha256,
    require_recent,
    require_signature,
    same,
    signed,
)

_V3: Final = "x-hubspot-signature-v3"
_TIMESTAMP: Final = "x-hubspot-request-timestamp"
_WINDOW_SECONDS: Final = 300
_MOST_DIGITS: Final = 15
_KEPT: Final = re.compile("%(3A|2F|3F|40|21|24|27|28|29|2A|2C|3B)", re.IGNORECASE)
"""What HubSpot decodes in a URL before it signs, and nothing else."""


def signed_by_hubspot(request: Incoming, secret: str) -> bool:
    """Say whether HubSpot signed it, by the strongest scheme it offers.

    Version 3 is HMAC over method, URL, body and time; 2 and 1 are plain hashes, and
    are asked only where version 3 is not offered.
    """
    offered = request.headers.get(_V3)
    if offered is not None:
        timestamp = request.headers.get(_TIMESTAMP, "")
        message = (
            f"{request.method}{_decoded(request.url)}".encode()
            + request.body
            + timestamp.encode()
        )
        digest = hmac_sha256(secret.encode(), message)
        return same(base64.b64encode(digest).decode(), offered)
    content = secret.encode() + request.body
    if request.headers.get("x-hubspot-signature-version", "v1").lower() == "v2":
        content = (
            secret.encode() + f"{request.method}{request.url}".encode() + request.body
        )
    expected = hashlib.sha256(content).hexdigest()
    return same(expected, request.headers.get("x-hubspot-signature"))


def _decoded(url: str) -> str:
    return _KEPT.sub(lambda found: unquote(found[0]), url)


def _signed_at(request: Incoming) -> Instant | None:
    told = request.headers.get(_TIMESTAMP, "")
    if told.isascii() and told.isdecimal() and len(told) <= _MOST_DIGITS:
        return int(told)
    return None


async def _hubspot(request: Incoming, trust: Trust) -> Reply | None:
    require_signature(request, trust, signed_by_hubspot)
    # The older schemes sign no time.
    if trust.secrets and _V3 in request.headers:
        require_recent(_signed_at(request), trust, _WINDOW_SECONDS)
    return None


HUBSPOT_GUARD: Final[Guard] = _hubspot
TYPEFORM_GUARD: Final[Guard] = signed(
    hmac_of_body("typeform-signature", prefix="sha256=", encoding="base64")
)
