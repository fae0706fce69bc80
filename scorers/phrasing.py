"""How the parts of a phrase are said: fields, values, numbers, spans, in a language."""

from collections.abc import Iterable, Sequence
from typing import Final

from schemas.event import CHANNELS
from schemas.locale import Locale
from schemas.time import Millis
from scorers.parts import tell_duration
from scorers.phrase_words import PERSIAN_FIELDS, WORDS
from scorers.speech import SPEECH


class Phrasing:
    """Says a model's rules as its file spells them, in English."""

    def __init__(self, locale: Locale) -> None:
        """Speak `locale`."""
        self._words = WORDS[locale]
        self.speech: Final = SPEECH[locale]

    def say(self, key: str, **values: str) -> str:
        """Return the words of `key` with the values in place."""
        return self._words[key].format_map(values)

    def joined(self, parts: Iterable[str], by: str) -> str:
        """Return `parts` with the words of `by` between them."""
        return self._words[by].join(parts)

    def field(self, path: str) -> str:
        """Return what people call a field: the last part of its path."""
        head, _, rest = path.partition(".")
        return {"properties": rest, "traits": rest, "context": rest}.get(head, head)

    def value(self, value: object, path: str = "") -> str:
        """Return a value that `path` is held against, or a plain one."""
        del path
        if isinstance(value, bool):
            return "true" if value else "false"
        return self.number(value) if isinstance(value, int | float) else str(value)

    def number(self, value: float) -> str:
        """Return a number in full."""
        return f"{value:,.10g}"

    def points(self, value: float) -> str:
        """Return points with their sign."""
        return f"{value:+g}"

    def share(self, value: float) -> str:
        """Return a share of one."""
        return f"{value:.0%}"

    def span(self, millis: Millis) -> str:
        """Return a duration."""
        return tell_duration(millis)

    def event(self, name: str) -> str:
        """Return what an event is called."""
        return self.speech.event(name)

    def channels(self, names: Sequence[str]) -> str:
        """Return what channels are called."""
        return self.joined((self.value(name, "channel") for name in names), "and")

    def tier(self, name: str) -> str:
        """Return what a tier is called."""
        return name


class _Persian(Phrasing):
    """Says them in Persian, what is not Persian from left to right."""

    def field(self, path: str) -> str:
        name = super().field(path)
        known = PERSIAN_FIELDS.get(name) or self.speech.traits.get(name)
        return known or self.speech.name(name)

    def value(self, value: object, path: str = "") -> str:
        if isinstance(value, str) and path == "channel" and value in CHANNELS:
            return self.speech.say(f"channel.{value}")
        if isinstance(value, str) and path == "event":
            return self.event(value)
        if isinstance(value, bool | int | float):
            return self.speech.value(value)
        return self.speech.name(str(value))

    def number(self, value: float) -> str:
        return self.speech.figure(value, 2)

    def points(self, value: float) -> str:
        return self.speech.signed(value, 2)

    def share(self, value: float) -> str:
        return self.speech.share(value)

    def span(self, millis: Millis) -> str:
        return self.speech.span(millis)

    def tier(self, name: str) -> str:
        return self.speech.tier(name)


PHRASING: Final = {"en": Phrasing("en"), "fa": _Persian("fa")}
