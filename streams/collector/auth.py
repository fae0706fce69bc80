"""Write keys: who may send, and under which source name."""

import base64
import hmac
from collections.abc import Mapping, Sequence
from contextlib import suppress

from pydantic import SecretStr

from streams.collector.verdict import RefusedError


class WriteKeys:
    """The keys in force, compared in constant time."""

    def __init__(self, write_keys: Mapping[str, SecretStr]) -> None:
        """Know the key of every source."""
        self._keys = [
            (source, key.get_secret_value().encode())
            for source, key in write_keys.items()
        ]

    def first_known(self, keys: Sequence[str]) -> tuple[str, str]:
        """Return the source of the first of `keys` that one has, and that key.

        Raises
        ------
        RefusedError
            401 when no source has any of them.
        """
        for key in keys[:-1]:
            with suppress(RefusedError):
                return self.source_of(key), key
        return self.source_of(keys[-1]), keys[-1]

    def source_of(self, key: object) -> str:
        """Return the source that `key` belongs to.

        Every key is compared, found or not, so that the time taken tells nothing.

        Raises
        ------
        RefusedError
            401 when there is no key, or no source has it.
        """
        if key is None:
            msg = "send the write key by basic auth, as a bearer token or `writeKey`"
            raise RefusedError(401, "missing-write-key", msg)
        found = None
        if isinstance(key, str):
            offered = key.encode(errors="replace")
            for source, known in self._keys:
                if hmac.compare_digest(known, offered):
                    found = source
        if found is None:
            msg = "no source has this write key; see LEADPULSE_WRITE_KEYS"
            raise RefusedError(401, "unknown-write-key", msg)
        return found


def keys_in_header(authorization: str | None) -> tuple[str, ...]:
    """Return the write keys that an `Authorization` header may mean.

    Who pastes a URL may give the key as the user, as the password, or take both
    together as the key.

    >>> keys_in_header("Basic dXNlcjpwYXNz"), keys_in_header("Basic a2V5Og==")
    (('user:pass', 'pass', 'user'), ('key',))
    >>> keys_in_header("Bearer key"), keys_in_header(None)
    (('key',), ())

    Raises
    ------
    RefusedError
        401 when the header is neither basic nor bearer.
    """
    credentials = _credentials(authorization)
    if credentials is None:
        return ()
    user, separator, password = credentials
    if not password:
        return (user,)
    return (f"{user}{separator}{password}", password, user)


def key_in_header(authorization: str | None) -> str | None:
    """Return the write key in an `Authorization` header, None without a header.

    Segment's SDKs send ``Basic base64(key:)``; ``Bearer key`` is taken as well.

    >>> key_in_header("Basic a2V5Og=="), key_in_header("Bearer key")
    ('key', 'key')

    Raises
    ------
    RefusedError
        401 when the header is neither.
    """
    credentials = _credentials(authorization)
    return None if credentials is None else credentials[0]


def _credentials(authorization: str | None) -> tuple[str, str, str] | None:
    """Return user, separator and password; a bearer token is a user alone."""
    if authorization is None or not authorization.strip():
        return None
    scheme, _, credentials = authorization.strip().partition(" ")
    credentials = credentials.strip()
    match scheme.lower():
        case "basic":
            try:
                decoded = base64.b64decode(credentials, validate=True).decode()
            except ValueError:
                msg = "Authorization: Basic needs base64 of `write_key:`"
                raise RefusedError(401, "malformed-authorization", msg) from None
            return decoded.partition(":")
        case "bearer":
            return credentials, "", ""
        case _:
            msg = "Authorization must be `Basic` or `Bearer`"
            raise RefusedError(401, "malformed-authorization", msg)
