"""Pseudonyms: the same event with keyed hashes in place of e-mail addresses.

The domain stays, for rules read it; and so does a mailbox that several people read,
for it is nobody's. Everything derived from an address — the lead's id, links, the
account — is derived from its pseudonym in the same way.
"""

import re
from collections.abc import Callable
from typing import Any, Final

from msgspec.structs import replace

from schemas.event import Event
from scorers.identity import is_shared, normalise_email

Hash = Callable[[str], str]
"""Makes 32 hexadecimal digits of a text, with a key."""

_MARK: Final = "pseudonym-"
_PSEUDONYM: Final = re.compile(rf"{_MARK}[0-9a-f]{{32}}")
_ADDRESS: Final = re.compile(r"[\w.+'-]+(?:@|%40)[\w-]+(?:\.[\w-]+)+", re.UNICODE)
_DEPTH: Final = 32


def pseudonym(email: str, hash_of: Hash) -> str:
    """Return what stands for an address; of a pseudonym, itself.

    >>> pseudonym(" Ada@Example.com", lambda text: "0" * 32)
    'pseudonym-00000000000000000000000000000000@example.com'
    >>> pseudonym("info@example.com", lambda text: "0" * 32)
    'info@example.com'
    """
    address = normalise_email(email)
    local, sign, domain = address.rpartition("@")
    if not sign or is_shared(address) or _PSEUDONYM.fullmatch(local):
        return address
    return f"{_MARK}{hash_of(address)}@{domain}"


def pseudonymous(event: Event, hash_of: Hash) -> Event:
    """Return `event` without any e-mail address, wherever it stands."""

    def hidden(value: Any, depth: int = 0) -> Any:
        match value:
            case str():
                return without_addresses(value, hash_of)
            case dict() if depth < _DEPTH:
                return {
                    without_addresses(key, hash_of)
                    if isinstance(key, str)
                    else key: hidden(item, depth + 1)
                    for key, item in value.items()
                }
            case list() if depth < _DEPTH:
                return [hidden(item, depth + 1) for item in value]
            case dict() | list():
                return None  # deeper than anybody looks
            case _:
                return value

    def named(identifier: str | None) -> str | None:
        return None if identifier is None else without_addresses(identifier, hash_of)

    return replace(
        event,
        name=without_addresses(event.name, hash_of),
        email=None if event.email is None else pseudonym(event.email, hash_of),
        user_id=named(event.user_id),
        anonymous_id=named(event.anonymous_id),
        properties=hidden(event.properties),
        traits=hidden(event.traits),
        context=hidden(event.context),
    )


def without_addresses(text: str, hash_of: Hash) -> str:
    """Return `text` with every address in it replaced by its pseudonym.

    >>> without_addresses("to: ada@example.com", lambda text: "0" * 32)
    'to: pseudonym-00000000000000000000000000000000@example.com'
    """
    if "@" not in text and "%40" not in text:
        return text
    return _ADDRESS.sub(
        lambda found: pseudonym(found[0].replace("%40", "@"), hash_of), text
    )
