"""Who asks: a token for programs, a session for browsers; and from which page.

A session is a sealed cookie that names the holder of a token. It is sealed with keys
made of the tokens themselves, so every process opens it, and a token that is taken
away takes its sessions along.
"""

import base64
import hashlib
import hmac
from collections.abc import Mapping
from ipaddress import ip_address
from typing import Final
from urllib.parse import urlsplit

from cryptography.fernet import Fernet, InvalidToken
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from streams.access import Access, AccessDeniedError, Holder
from streams.errors import UserError
from streams.settings import ROLES, Role, Settings
from streams.web.problems import ProblemError

SESSION_COOKIE: Final = "lp_session"
SESSION_SECONDS: Final = 12 * 3600
_PURPOSE: Final = b"leadpulse web session"
_SAFE: Final = frozenset({"GET", "HEAD", "OPTIONS"})
_OWN: Final = frozenset({"same-origin", "none"})


class OpenToAllError(UserError):
    """The pages would be everybody's."""

    exit_code = 2

    def __init__(self, host: str) -> None:
        """Say what to set."""
        super().__init__(
            f"{host} is not this machine alone, and there are no access tokens: set "
            "LEADPULSE_ACCESS_TOKENS=name=role:token (or LEADPULSE_HOST=127.0.0.1)"
        )


class Door:
    """Lets people and programs in, each as far as their role reaches."""

    def __init__(self, settings: Settings) -> None:
        """Know the tokens of `settings`.

        Raises
        ------
        OpenToAllError
            Where there are none and others than this machine could ask.
        """
        self.access: Final = Access(settings.access_tokens)
        if self.access.is_open and not is_loopback(settings.host):
            raise OpenToAllError(settings.host)
        self._url = urlsplit(settings.web_url)
        tokens = {
            name: given.get_secret_value()
            for name, given in settings.access_tokens.items()
        }
        self._fernet = Fernet(_key_of(tokens))
        self._digests = {
            name: hashlib.blake2b(given.encode(), digest_size=8).hexdigest()
            for name, given in tokens.items()
        }
        self._holders = {
            name: Holder(name, role)
            for name, given in tokens.items()
            for role in ROLES
            if given.partition(":")[0] == role
        }

    @property
    def is_secure(self) -> bool:
        """Whether browsers reach the app by https, so that cookies say Secure."""
        return self._url.scheme == "https"

    def sign_in(self, token: str) -> tuple[Holder, str]:
        """Return whose token it is, and the session's cookie.

        Raises
        ------
        AccessDeniedError
            When nobody has this token.
        """
        holder = self.access.admit(f"Bearer {token}", "viewer", surface="web")
        if holder is None:
            raise AccessDeniedError(401, "nobody needs to sign in here")
        sealed = f"{holder.name}\n{self._digests[holder.name]}"
        return holder, self._fernet.encrypt(sealed.encode()).decode()

    def holder_of(self, session: str | None) -> Holder | None:
        """Return whose session it is; None for none, an old or a made-up one."""
        if not session:
            return None
        try:
            opened = self._fernet.decrypt(session, ttl=SESSION_SECONDS).decode()
        except (InvalidToken, ValueError):
            return None
        name, _, digest = opened.partition("\n")
        if not hmac.compare_digest(self._digests.get(name, ""), digest):
            return None
        return self._holders.get(name)

    def admit(
        self,
        least: Role | None,
        *,
        method: str,
        headers: Mapping[str, str],
        session: str | None,
    ) -> Holder | None:
        """Return who asks, if they may do what `least` may; None where all is open.

        Raises
        ------
        AccessDeniedError
            401 without a token or session, 403 with a role that does not reach.
        ProblemError
            403 where another site's page asks by somebody's browser.
        """
        shown = headers.get("authorization")
        if shown is None:
            self._check_origin(method, headers, by_cookie=bool(session))
        if least is None:
            return self.holder_of(session)
        if self.access.is_open:
            return None
        if shown is not None:
            return self.access.admit(shown, least, surface="web")
        holder = self.holder_of(session)
        if holder is None:
            return self.access.admit(None, least, surface="web")
        if ROLES.index(holder.role) < ROLES.index(least):
            msg = f"this needs the role {least}; {holder.name} is {holder.role}"
            raise AccessDeniedError(403, msg)
        return holder

    def _check_origin(
        self, method: str, headers: Mapping[str, str], *, by_cookie: bool
    ) -> None:
        """Refuse what a page of somebody else's makes a browser do."""
        host = headers.get("host", "")
        if self.access.is_open and not self._is_ours(host):
            # A name that leads here since a moment ago reads as its own page's.
            raise ProblemError(403, "other-host", f"{host} is not where this is served")
        if method in _SAFE:
            return
        site, origin = headers.get("sec-fetch-site"), headers.get("origin")
        foreign = (site is not None and site not in _OWN) or (
            origin is not None and not self._is_origin(origin, host)
        )
        unknown = by_cookie and site is None and origin is None
        if foreign or unknown:
            raise ProblemError(403, "other-site", "this was asked by another site")

    def _is_origin(self, origin: str, host: str) -> bool:
        return urlsplit(origin).netloc in {host, self._url.netloc or host}

    def _is_ours(self, host: str) -> bool:
        name = urlsplit(f"//{host}").hostname or ""
        return is_loopback(name) or (bool(name) and name == self._url.hostname)


def is_loopback(host: str) -> bool:
    """Say whether only this machine reaches `host`."""
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def _key_of(tokens: Mapping[str, str]) -> bytes:
    text = "\n".join(f"{name}={given}" for name, given in sorted(tokens.items()))
    derived = HKDF(algorithm=SHA256(), length=32, salt=None, info=_PURPOSE)
    return base64.urlsafe_b64encode(derived.derive(text.encode()))
