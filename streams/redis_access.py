"""How every client of ours reaches Redis: where, over TLS or not, as whom.

What the settings say beside the URL is put into it, in the words of Redis's own client;
so there is one address, and nothing of ours between that client and its options.
"""

from typing import TYPE_CHECKING
from urllib.parse import quote, urlencode, urlsplit, urlunsplit

from redis.exceptions import (
    AuthenticationError,
    AuthorizationError,
    NoPermissionError,
    RedisError,
)

if TYPE_CHECKING:
    from streams.settings import Settings

_SCRIPTS_REFUSAL = "can't run this command"


def redis_address(settings: "Settings") -> str:
    """Return the URL of Redis with the user, the password and the authority in it.

    It is a secret.
    """
    parts = urlsplit(settings.redis_url.get_secret_value())
    network, query = parts.netloc, parts.query
    if settings.redis_password is not None:
        whom = quote(settings.redis_username or "", safe="")
        password = quote(settings.redis_password.get_secret_value(), safe="")
        network = f"{whom}:{password}@{network.rpartition('@')[2]}"
    if settings.redis_ca_path is not None:
        named = urlencode({"ssl_ca_certs": str(settings.redis_ca_path)})
        query = f"{query}&{named}" if query else named
    return urlunsplit(parts._replace(netloc=network, query=query))


def refusal(error: RedisError) -> str | None:
    """Return what Redis does not let us do and where to look, None if it is away."""
    said = str(error)
    if isinstance(error, NoPermissionError) or "NOPERM" in said:
        return f"its user may not do this ({said}): see the rights in docs/security.md"
    if _SCRIPTS_REFUSAL in said:
        return f"its user may not do this ({said}): see the rights in docs/security.md"
    if isinstance(error, AuthenticationError | AuthorizationError) or "NOAUTH" in said:
        return (
            "it refuses who we are: look at LEADPULSE_REDIS_USERNAME and "
            "LEADPULSE_REDIS_PASSWORD"
        )
    if "CERTIFICATE_VERIFY_FAILED" in said or "SSL" in said:
        return (
            f"TLS fails ({said}): look at LEADPULSE_REDIS_CA_PATH, and whether the URL "
            "begins with rediss://"
        )
    return None
