"""Who a lead is: ids are derived from identifiers, never allocated.

Any producer can compute the key of an event by itself, so an event reaches the
worker that owns its lead in one hop.
"""

import hashlib
import re
import unicodedata
from typing import Final

from schemas.event import Event

_ILLEGAL: Final = frozenset(
    {
        "",
        "0",
        "-1",
        "none",
        "null",
        "nil",
        "nan",
        "undefined",
        "unknown",
        "anonymous",
        "anonymous_id",
        "guest",
        "distinct_id",
        "user_id",
        "userid",
        "id",
        "email",
        "not_authenticated",
        "not authenticated",
        "true",
        "false",
        "[]",
        "{}",
        "[object object]",
        "00000000-0000-0000-0000-000000000000",
    }
)
"""What broken trackers send in place of an identifier (compared in lower case)."""


def is_legal(identifier: str | None) -> bool:
    """Say whether `identifier` can name one person.

    >>> is_legal("u-17"), is_legal("[object Object]"), is_legal(None)
    (True, False, False)
    """
    if identifier is None:
        return False
    return identifier.strip().lower() not in _ILLEGAL


def normalise_email(email: str) -> str:
    """Return `email` trimmed, NFKC-normalised and in lower case.

    >>> normalise_email("  Ada@Example.COM ")
    'ada@example.com'
    """
    return unicodedata.normalize("NFKC", email).strip().casefold()


_LEAD_ID: Final = re.compile(r"ld_[0-9a-f]{32}")


def is_lead_id(text: str) -> bool:
    """Say whether `text` is written as a lead's id is.

    >>> is_lead_id(lead_id_of("user_id", "ada")), is_lead_id("ada")
    (True, False)
    """
    return _LEAD_ID.fullmatch(text) is not None


def lead_id_of(kind: str, value: str) -> str:
    """Return the id of the lead whose strongest identifier is this one.

    128 bits of BLAKE2b over kind and value, in hexadecimal, after ``ld_``: the
    same everywhere, and nobody's e-mail address can be read from it.
    """
    digest = hashlib.blake2b(
        f"{kind}\x00{value}".encode(errors="surrogatepass"),
        digest_size=16,
        person=b"leadpulse.lead",
    )
    return f"ld_{digest.hexdigest()}"


def derive_lead_id(event: Event) -> str | None:
    """Return the lead id of the strongest legal identifier in `event`.

    User id beats e-mail beats anonymous id. None when no identifier is legal: such
    an event belongs to nobody and ends as a dead letter.
    """
    if (user_id := event.user_id) is not None and is_legal(user_id):
        return lead_id_of("user_id", user_id.strip())
    if (email := event.email) is not None and is_legal(email):
        return lead_id_of("email", normalise_email(email))
    if (anonymous_id := event.anonymous_id) is not None and is_legal(anonymous_id):
        return lead_id_of("anonymous_id", anonymous_id.strip())
    return None
