"""A purpose of a model made ready: which words are about it, and what it holds back."""

import re
from collections.abc import Iterable, Mapping
from typing import Final

from schemas.locale import Locale
from scorers.consent_policy import Consent
from scorers.texts import said

EVERYTHING: Final = ""
"""What a word is about that names no purpose."""

NO_CONSENT: Final = "no-consent"
"""Stands for a rule in the reason why a score, or a part of it, is withheld."""

_BETWEEN: Final = re.compile(r"[\W_]+")
_LONGEST: Final = 64
_SYNONYMS: Final = {"e-mail": "email", "mail": "email", "mailing": "email"}


def fold(name: str) -> str:
    """Return the name of a purpose or channel as it is compared.

    >>> fold("E-Mail"), fold(" Targeted_Ads "), fold("C0004")
    ('email', 'targeted-ads', 'c0004')
    """
    folded = _BETWEEN.sub("-", name.casefold()).strip("-")[:_LONGEST]
    return _SYNONYMS.get(folded, folded)


class Gate:
    """What holds back points, or a way of following up, while consent is refused."""

    __slots__ = (
        "_consent",
        "channels",
        "follow_up",
        "groups",
        "levels",
        "name",
        "required",
        "title",
        "whole",
    )

    def __init__(self, consent: Consent, locale: Locale, name: str = "") -> None:
        """Prepare `consent`; its title is in `locale`."""
        self._consent = consent
        self.name = name or consent.name
        self.title = self.title_in(locale)
        self.required = consent.required
        self.groups = frozenset(consent.groups or ())
        self.channels = frozenset(consent.channels or ())
        self.follow_up = frozenset(consent.follow_up)
        self.whole = not (self.groups or self.channels or self.follow_up)
        """Whether the whole score hangs on it."""
        self.levels: Mapping[str, int] = _levels(consent)
        """What words are about it, and how special each is."""

    @property
    def withholds(self) -> bool:
        """Whether points hang on it, not only how one may follow up."""
        return bool(self.whole or self.groups or self.channels)

    def title_in(self, locale: Locale) -> str:
        """Return what people call the purpose, in `locale`."""
        consent = self._consent
        return said(consent.title, locale) or consent.purpose.replace("-", " ")

    def holds_back(
        self, group: str, channels: Iterable[str] | None, *, takes: bool
    ) -> bool:
        """Say whether a rule gives nothing while this is refused.

        `channels` are those whose events alone the rule looks at, None for any.
        """
        if self.whole:
            return True
        if takes:
            return False
        of_channel = bool(channels) and self.channels.issuperset(channels or ())
        return group in self.groups or of_channel


def _levels(consent: Consent) -> dict[str, int]:
    names = dict.fromkeys(map(fold, (consent.purpose, *consent.also)))
    levels = {EVERYTHING: 0, **dict.fromkeys(names, 1)}
    if consent.channel is not None:
        levels |= {f"{name}.{consent.channel}": 2 for name in names}
    return levels


_OWN: Final = "/email"
"""Name of the gate that every model has; no purpose's name begins so."""

EMAIL_FOLLOW_UP: Final = Consent(
    purpose="marketing", channel="email", follow_up=["email"]
)
"""What holds where a model says nothing of it: who unsubscribes gets no e-mail."""


def gates_of(consents: Iterable[Consent], locale: Locale) -> dict[str, Gate]:
    """Return the gates of a model, by name."""
    gates = {consent.name: Gate(consent, locale) for consent in consents}
    if not any("email" in gate.follow_up for gate in gates.values()):
        gates[_OWN] = Gate(EMAIL_FOLLOW_UP, locale, _OWN)
    return gates
