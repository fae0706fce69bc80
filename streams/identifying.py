"""Under which identifiers this deployment knows people: the same for every role."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from schemas.event import Event
from scorers.identity import untagged
from scorers.pseudonyms import pseudonym, pseudonymous, without_addresses
from streams.suppressions import need_privacy_key

if TYPE_CHECKING:
    from streams.settings import Settings


def identified(settings: "Settings") -> Callable[[Event], Event]:
    """Return what gives an event the identifiers by which people are known here.

    Raises
    ------
    PrivacyKeyError
        When addresses are to be pseudonyms and there is no key to make them with.
    """
    plain = untagged if settings.ignore_plus_tags else _as_it_is
    if not settings.pseudonymous:
        return plain
    key = need_privacy_key(settings)

    def hash_of(text: str) -> str:
        return key.hash(text, kind=b"pseudonym")

    return lambda event: pseudonymous(plain(event), hash_of)


def known_email(settings: "Settings") -> Callable[[str], str]:
    """Return what gives an address the form in which it is on the topics.

    Raises
    ------
    PrivacyKeyError
        As `identified` does.
    """
    if not settings.pseudonymous:
        return _text
    key = need_privacy_key(settings)
    return lambda email: pseudonym(
        email, lambda text: key.hash(text, kind=b"pseudonym")
    )


def known_bytes(settings: "Settings") -> Callable[[bytes], bytes]:
    """Return what hides addresses in a payload that was no event.

    Raises
    ------
    PrivacyKeyError
        As `identified` does.
    """
    if not settings.pseudonymous:
        return _bytes
    key = need_privacy_key(settings)

    def hidden(raw: bytes) -> bytes:
        # Latin-1 keeps every byte, whatever the payload is.
        text = without_addresses(
            raw.decode("latin-1"), lambda text: key.hash(text, kind=b"pseudonym")
        )
        return text.encode("latin-1", "replace")

    return hidden


def _as_it_is(event: Event) -> Event:
    return event


def _text(text: str) -> str:
    return text


def _bytes(raw: bytes) -> bytes:
    return raw
