"""Links for those who send their own mail: what was opened, clicked, unsubscribed from.

A link carries who it was sent to, sealed: encrypted and signed (Fernet), so that no
address stands in anybody's log, nobody can make one, and a redirect goes only where
whoever sent the mail said. `streams/collector/mail_links.py` answers them.
"""

import base64
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Final, Literal
from urllib.parse import urlsplit

import msgspec
from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from schemas.time import Instant, to_instant
from schemas.workspace import is_workspace, split_source
from streams.acknowledging import Answerable, Verdict
from streams.errors import UserError
from streams.settings import SHORTEST_SECRET, Settings

LinkAct = Literal["open", "click", "unsubscribe", "work", "digest"]
PATHS: Final[Mapping[LinkAct, str]] = {
    "open": "/o",
    "click": "/c",
    "unsubscribe": "/u",
    "work": "/w",
    "digest": "/d",
}
"""Where the collector answers each."""

LONGEST_TOKEN: Final = 8_192
_LONGEST_URL: Final = 2_000
_PURPOSE: Final = b"leadpulse mail links"


class Link(
    msgspec.Struct,
    frozen=True,
    kw_only=True,
    omit_defaults=True,
    forbid_unknown_fields=False,
    rename={
        "act": "a",
        "source": "s",
        "email": "e",
        "user_id": "i",
        "email_id": "m",
        "campaign_id": "c",
        "url": "u",
        "links": "n",
        "honeypot": "h",
        "purpose": "p",
        "expires_at": "x",
        "alert_id": "l",
        "anonymous_id": "y",
        "verdict": "v",
        "by": "b",
        "target": "t",
    },
):
    """What a link says to the collector; short names keep it short in the mail."""

    act: LinkAct
    source: str
    """Whose events they become: ``source`` or ``workspace/source``."""
    email: str | None = None
    user_id: str | None = None
    email_id: str | None = None
    campaign_id: str | None = None
    url: str | None = None
    """Where a click goes on to."""
    links: int | None = None
    """How many links the mail has: who follows all of them is a scanner."""
    honeypot: bool = False
    """Whether people cannot see it: who follows it is a scanner."""
    purpose: str | None = None
    """What an unsubscription is from, such as a newsletter; all marketing if None."""
    expires_at: Instant | None = None
    alert_id: str | None = None
    """The alert that sales answers."""
    anonymous_id: str | None = None
    verdict: Verdict | None = None
    """What sales says of its lead."""
    by: str | None = None
    """Who says it, or who wants no more digests, as the delivery file calls them."""
    target: str | None = None
    """Whose digests are wanted no more."""


class LinkError(UserError):
    """A link cannot be made; the text says why."""

    exit_code = 2


class UnknownLinkError(Exception):
    """A token was not made here, or it was changed on its way."""


class ExpiredLinkError(Exception):
    """A token was made here, and its time is over."""

    def __init__(self, link: Link) -> None:
        """Carry the link: it may still be told where it went."""
        super().__init__()
        self.link = link


class LinkSeal:
    """Seals links with the first secret, and opens what any of them sealed."""

    def __init__(self, secrets: Iterable[str]) -> None:
        """Make keys of `secrets`, the newest first."""
        keys = [Fernet(_key_of(secret)) for secret in secrets]
        if not keys:
            msg = "no secret: set LEADPULSE_LINK_SECRETS=$(openssl rand -hex 16)"
            raise LinkError(msg)
        self._fernet = MultiFernet(keys)

    def seal(self, link: Link) -> str:
        """Return the token that `link` is."""
        return self._fernet.encrypt(msgspec.json.encode(link)).decode().rstrip("=")

    def unseal(self, token: str, act: LinkAct, now: Instant) -> Link:
        """Return the link that `token` is.

        Raises
        ------
        UnknownLinkError
            When it was not sealed here, or not for this act.
        ExpiredLinkError
            When its time was over before `now`.
        """
        if len(token) > LONGEST_TOKEN or not token.isascii():
            raise UnknownLinkError
        padded = token.rstrip("=") + "=" * (-len(token.rstrip("=")) % 4)
        try:
            link = msgspec.json.decode(self._fernet.decrypt(padded), type=Link)
        except (InvalidToken, msgspec.MsgspecError):
            raise UnknownLinkError from None
        if link.act != act or (act == "click") != (link.url is not None):
            raise UnknownLinkError
        if (act == "work") != (link.verdict is not None):
            raise UnknownLinkError
        if link.expires_at is not None and link.expires_at < now:
            raise ExpiredLinkError(link)
        return link


class MailLinks:
    """Makes the links of mails.

    >>> links = MailLinks("https://collect.example.com", ["a secret of 16 letters"])
    >>> links.open(email="ada@example.com", email_id="spring")[:30]
    'https://collect.example.com/o/'
    """

    def __init__(
        self, collector_url: str, secrets: Sequence[str], *, source: str = "mail"
    ) -> None:
        """Make links to the collector, for events of `source`.

        `secrets` are those of LEADPULSE_LINK_SECRETS; the first one seals.

        Raises
        ------
        LinkError
            When the URL, a secret or the source cannot be used.
        """
        self._url = _checked_url(collector_url, "the collector's URL").rstrip("/")
        workspace, name = split_source(source)
        if not (is_workspace(workspace) and name):
            msg = f"{source!r} is no source: write it as source or workspace/source"
            raise LinkError(msg)
        self._source = source
        self._seal = LinkSeal(secrets)

    @classmethod
    def of(cls, settings: Settings, *, source: str = "mail") -> "MailLinks":
        """Return what makes links as `settings` say, for the collector to answer.

        Raises
        ------
        LinkError
            Without LEADPULSE_PUBLIC_URL or LEADPULSE_LINK_SECRETS.
        """
        if not settings.public_url:
            msg = (
                "set LEADPULSE_PUBLIC_URL, the URL by which people reach the collector"
            )
            raise LinkError(msg)
        secrets = [secret.get_secret_value() for secret in settings.link_secrets]
        return cls(settings.public_url, secrets, source=source)

    def open(
        self,
        *,
        email: str | None = None,
        user_id: str | None = None,
        email_id: str | None = None,
        campaign_id: str | None = None,
        expires_at: datetime | None = None,
    ) -> str:
        """Return the URL of the pixel that tells that a mail was opened."""
        return self.url_of(
            Link(
                act="open",
                source=self._source,
                email=email,
                user_id=user_id,
                email_id=email_id,
                campaign_id=campaign_id,
                expires_at=_instant(expires_at),
            )
        )

    def click(
        self,
        url: str,
        *,
        email: str | None = None,
        user_id: str | None = None,
        email_id: str | None = None,
        campaign_id: str | None = None,
        links: int | None = None,
        honeypot: bool = False,
        expires_at: datetime | None = None,
    ) -> str:
        """Return the URL that goes on to `url` and tells that it was clicked.

        Of a mail with `links` links, following all at once is a scanner's way; so is
        following one that is a `honeypot`, which people cannot see.
        """
        return self.url_of(
            Link(
                act="click",
                source=self._source,
                email=email,
                user_id=user_id,
                email_id=email_id,
                campaign_id=campaign_id,
                url=_checked_url(url, "the link's target"),
                links=links,
                honeypot=honeypot,
                expires_at=_instant(expires_at),
            )
        )

    def unsubscribe(
        self,
        *,
        email: str | None = None,
        user_id: str | None = None,
        email_id: str | None = None,
        campaign_id: str | None = None,
        purpose: str | None = None,
    ) -> str:
        """Return the URL to unsubscribe at: a page, or one click by RFC 8058.

        It never expires: who wants no mail should not have to look for a newer one.
        """
        return self.url_of(
            Link(
                act="unsubscribe",
                source=self._source,
                email=email,
                user_id=user_id,
                email_id=email_id,
                campaign_id=campaign_id,
                purpose=purpose,
            )
        )

    def work(
        self,
        about: Answerable,
        verdict: Verdict,
        *,
        by: str,
        workspace: str,
        expires_at: Instant,
    ) -> str:
        """Return the URL at which sales says `verdict` of the lead of an alert."""
        link = Link(
            act="work",
            source=f"{workspace}/{self._source}",
            user_id=about.user_id,
            email=about.email,
            anonymous_id=about.anonymous_id,
            alert_id=about.alert_id,
            verdict=verdict,
            by=by or None,
            expires_at=expires_at,
        )
        return self._sealed(link)

    def digest(self, *, target: str, person: str) -> str:
        """Return the URL at which `person` stops the digests of `target`."""
        return self._sealed(
            Link(act="digest", source=self._source, target=target, by=person)
        )

    def _sealed(self, link: Link) -> str:
        return f"{self._url}{PATHS[link.act]}/{self._seal.seal(link)}"

    def url_of(self, link: Link) -> str:
        """Return the URL of `link`.

        Raises
        ------
        LinkError
            When it names nobody.
        """
        if not link.user_id and not (link.email and "@" in link.email):
            msg = "a link needs the person it is sent to: an e-mail address or user id"
            raise LinkError(msg)
        return self._sealed(link)


def unsubscribe_headers(url: str) -> dict[str, str]:
    """Return the headers of a mail by which its reader unsubscribes with one click.

    >>> unsubscribe_headers("https://collect.example.com/u/x")["List-Unsubscribe"]
    '<https://collect.example.com/u/x>'
    """
    return {
        "List-Unsubscribe": f"<{url}>",
        "List-Unsubscribe-Post": "List-Unsubscribe=One-Click",
    }


def _key_of(secret: str) -> bytes:
    if len(secret) < SHORTEST_SECRET:
        msg = f"a secret for links has at least {SHORTEST_SECRET} characters"
        raise LinkError(msg)
    # Of whatever text an operator has: the 32 bytes that Fernet wants.
    derived = HKDF(algorithm=SHA256(), length=32, salt=None, info=_PURPOSE)
    return base64.urlsafe_b64encode(derived.derive(secret.encode()))


def _checked_url(url: str, what: str) -> str:
    try:
        parts = urlsplit(url)
        right = parts.scheme in {"http", "https"} and bool(parts.hostname)
    except ValueError:
        right = False
    if not right or len(url) > _LONGEST_URL or not url.isprintable() or " " in url:
        msg = (
            f"{what} must be an http or https URL of at most {_LONGEST_URL} characters"
        )
        raise LinkError(msg)
    return url


def _instant(moment: datetime | None) -> Instant | None:
    return None if moment is None else to_instant(moment)
