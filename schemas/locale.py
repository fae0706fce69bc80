"""The languages that Leadpulse speaks to people."""

from typing import Final, Literal, get_args

Locale = Literal["en", "fa"]
"""A language: English or Persian."""

LOCALES: Final[tuple[Locale, ...]] = get_args(Locale)
