"""All words of the screens, by language; each part has its own pair of tables."""

from collections.abc import Mapping
from typing import Final

from schemas.locale import Locale
from streams.web.texts import (
    en,
    en_lead,
    en_managing,
    en_running,
    fa,
    fa_lead,
    fa_managing,
    fa_running,
)

_PARTS: Final[tuple[Mapping[Locale, Mapping[str, str]], ...]] = (
    {"en": en.WORDS, "fa": fa.WORDS},
    {"en": en_lead.WORDS, "fa": fa_lead.WORDS},
    {"en": en_managing.WORDS, "fa": fa_managing.WORDS},
    {"en": en_running.WORDS, "fa": fa_running.WORDS},
)

WORDS: Final[Mapping[Locale, Mapping[str, str]]] = {
    "en": {key: text for part in _PARTS for key, text in part["en"].items()},
    "fa": {key: text for part in _PARTS for key, text in part["fa"].items()},
}
"""Each key has words in every language: tests/streams/web holds that."""
