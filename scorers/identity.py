"""Who a lead is: ids are derived from identifiers, never allocated.

Any producer can compute the key of an event by itself, so an event reaches the
worker that owns its lead in one hop.
"""

import re
import unicodedata
from collections.abc import Iterable
from typing import Final, Literal

from msgspec.structs import replace

from schemas.event import Event
from schemas.workspace import DEFAULT_WORKSPACE, derived_id, workspace_of

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


_SHARED_MAILBOXES: Final = frozenset(
    {
        "abuse",
        "accounting",
        "accounts",
        "admin",
        "administrator",
        "billing",
        "careers",
        "contact",
        "enquiries",
        "feedback",
        "finance",
        "hello",
        "help",
        "helpdesk",
        "hostmaster",
        "hr",
        "info",
        "invoices",
        "jobs",
        "mail",
        "marketing",
        "newsletter",
        "no-reply",
        "noreply",
        "office",
        "orders",
        "postmaster",
        "press",
        "privacy",
        "purchasing",
        "reception",
        "root",
        "sales",
        "security",
        "service",
        "support",
        "team",
        "webmaster",
    }
)
"""Addresses of a function, not of a person (RFC 2142, and what is usual)."""

Kind = Literal["user_id", "email", "anonymous_id"]
KINDS: Final[tuple[Kind, ...]] = ("user_id", "email", "anonymous_id")
"""The kinds of identifier, the strongest first."""


def is_legal(identifier: str | None) -> bool:
    """Say whether `identifier` can name one person.

    >>> is_legal("u-17"), is_legal("[object Object]"), is_legal(None)
    (True, False, False)
    """
    return identifier is not None and _cleaned(identifier).lower() not in _ILLEGAL


def is_shared(email: str) -> bool:
    """Say whether a normalised address is a mailbox that several people read.

    Such an address names a lead, but says nothing of who a person is.

    >>> is_shared("info@example.com"), is_shared("ada@example.com")
    (True, False)
    """
    return email.partition("@")[0].partition("+")[0] in _SHARED_MAILBOXES


def normalise(kind: Kind, value: str) -> str:
    r"""Return an identifier as it is compared: one spelling for each.

    Control characters go, and space and invisible characters at the ends; the rest is
    in Unicode's NFC. Only addresses are the same in any case.

    >>> normalise("user_id", " U-17\n"), normalise("email", "Ada@Example.COM")
    ('U-17', 'ada@example.com')
    """
    return normalise_email(value) if kind == "email" else _cleaned(value)


def normalise_email(email: str) -> str:
    """Return `email` cleaned, NFKC-normalised, in lower case, its domain in Unicode.

    >>> normalise_email("  Ada@Example.COM "), normalise_email("a@xn--bcher-kva.de")
    ('ada@example.com', 'a@bücher.de')
    """
    if email.isascii() and email.isprintable() and "xn--" not in email.lower():
        return email.strip().lower()
    return _unusual_email(email)


def without_tag(email: str) -> str:
    """Return a normalised address without what follows a plus in its first part.

    >>> without_tag("ada+news@example.com"), without_tag("+1@example.com")
    ('ada@example.com', '+1@example.com')
    """
    local, sign, domain = email.rpartition("@")
    name = local.partition("+")[0]
    return f"{name}{sign}{domain}" if name and sign else email


_KEPT_INSIDE: Final = "\u200c\u200d"
"""Joiners, which Persian and Indic writing cannot do without."""


def _cleaned(identifier: str) -> str:
    """Return `identifier` in NFC, trimmed, without what cannot be seen."""
    if identifier.isascii() and identifier.isprintable():
        return identifier.strip()
    visible = "".join(
        character
        for character in unicodedata.normalize("NFC", identifier)
        if character in _KEPT_INSIDE or unicodedata.category(character) not in _UNSEEN
    )
    return visible.strip().strip(_KEPT_INSIDE).strip()


_UNSEEN: Final = frozenset({"Cc", "Cf"})


def _unusual_email(email: str) -> str:
    text = _cleaned(unicodedata.normalize("NFKC", email)).casefold()
    local, sign, domain = text.rpartition("@")
    labels = [_label(label) for label in domain.split(".")]
    return unicodedata.normalize("NFKC", f"{local}{sign}{'.'.join(labels)}")


def _label(label: str) -> str:
    """Return a label of a domain in Unicode, as it is where it is none."""
    if not label.startswith("xn--"):
        return label
    try:
        return label[4:].encode("ascii").decode("punycode").casefold()
    except (UnicodeError, OverflowError):
        return label


_LEAD_ID: Final = re.compile(r"ld_(?:[a-z][a-z0-9-]{0,39}_)?[0-9a-f]{32}")


def is_lead_id(text: str) -> bool:
    """Say whether `text` is written as a lead's id is.

    >>> is_lead_id(lead_id_of("user_id", "ada")), is_lead_id("ada")
    (True, False)
    """
    return _LEAD_ID.fullmatch(text) is not None


def lead_id_of(kind: str, value: str, workspace: str = DEFAULT_WORKSPACE) -> str:
    """Return the id of the lead whose strongest identifier is this one.

    128 bits of BLAKE2b over kind and value, in hexadecimal, after ``ld_`` and the
    workspace: the same everywhere, and nobody's e-mail address can be read from it.
    One person in two workspaces is two leads that nobody can tell to be one.
    """
    return derived_id("ld", b"leadpulse.lead", f"{kind}\x00{value}", workspace)


def lead_ids_in(event: Event) -> dict[Kind, str]:
    """Return the lead id that each legal identifier in `event` has by itself."""
    return {
        kind: lead_id_of(kind, normalise(kind, value), event.workspace)
        for kind in KINDS
        if (value := getattr(event, kind)) is not None and is_legal(value)
    }


def leads_named(kind: Kind, names: Iterable[str], *, like: str) -> list[str]:
    """Return the leads of a person's normalised identifiers, without shared mailboxes.

    They are in the workspace that `like`, one of the person's leads, is in.
    """
    workspace = workspace_of(like)
    return [
        lead_id_of(kind, name, workspace)
        for name in names
        if kind != "email" or not is_shared(name)
    ]


def derive_lead_id(event: Event) -> str | None:
    """Return the lead id of the strongest legal identifier in `event`.

    User id beats e-mail beats anonymous id. None when no identifier is legal: such
    an event belongs to nobody and ends as a dead letter.
    """
    for kind in KINDS:
        value = getattr(event, kind)
        if is_legal(value):
            return lead_id_of(kind, normalise(kind, value), event.workspace)
    return None


def weaker_lead_ids(event: Event) -> tuple[str, ...]:
    """Return the leads of the identifiers beside the strongest one in `event`.

    They are the same person's, for one event shows them together. A shared mailbox
    is nobody's in particular: it is never among them, and has none itself.
    """
    found: list[str] = []
    for kind in KINDS:
        value = getattr(event, kind)
        if not is_legal(value):
            continue
        name = normalise(kind, value)
        if kind == "email" and is_shared(name):
            if not found:  # the strongest there is
                return ()
            continue
        found.append(lead_id_of(kind, name, event.workspace))
    return tuple(found[1:])


def untagged(event: Event) -> Event:
    """Return `event` with its address without a tag: plus-addressing as one person."""
    if event.email is None or "+" not in event.email:
        return event
    return replace(event, email=without_tag(normalise_email(event.email)))
