"""Figures, instants and lists as people say them, in each language.

A text that runs from right to left keeps what does not (signed figures, foreign
names) in isolates (U+2066 … U+2069), so nothing around it changes places.
"""

import unicodedata
from collections.abc import Mapping, Sequence
from typing import Final

from persiantools.digits import en_to_fa
from persiantools.jdatetime import JalaliDate

from schemas.locale import Locale
from schemas.time import DAY, HOUR, MINUTE, SECOND, Instant, Millis, to_datetime
from scorers import speech_en, speech_fa

LEFT_TO_RIGHT: Final = "\u2066"
RIGHT_TO_LEFT: Final = "\u2067"
END: Final = "\u2069"

_AGO: Final = ((DAY, "day"), (HOUR, "hour"), (MINUTE, "minute"))
_SPANS: Final = (*_AGO, (SECOND, "second"))
_DATED: Final = 30 * DAY
"""What is longer ago has a date; nobody counts more days than that."""

_LARGE: Final = 1e15
"""From here on a figure is written as it is: it has no decimals to round."""

_STRONG: Final = {"L": LEFT_TO_RIGHT, "R": RIGHT_TO_LEFT, "AL": RIGHT_TO_LEFT}


def direction(text: str) -> str:
    """Return the isolate that fits the first letter of `text`; empty for no letter."""
    for character in text:
        found = _STRONG.get(unicodedata.bidirectional(character))
        if found is not None:
            return found
    return ""


class Speech:
    """English, and what the other languages do alike."""

    locale: Locale = "en"
    own: str = LEFT_TO_RIGHT
    """The direction of the language."""
    templates: Mapping[str, str] = speech_en.TEMPLATES
    tiers: Mapping[str, str] = speech_en.TIERS
    traits: Mapping[str, str] = speech_en.TRAITS

    def say(self, key: str, count: float | None = None, /, **values: str) -> str:
        """Return the sentence `key`, in the form that goes with `count`."""
        template = self.templates[key]
        if count is not None:
            template = self.templates.get(f"{key}.{count:g}", template)
            values["count"] = self.figure(count)
        return template.format_map(values)

    def figure(self, value: float, decimals: int = 1) -> str:
        """Return a figure with at most so many decimals.

        >>> SPEECH["en"].figure(12500), SPEECH["fa"].figure(8.55)
        ('12,500', '۸٫۶')
        """
        if not abs(value) < _LARGE:
            return str(value)
        text = f"{_rounded(value, decimals):,.{decimals}f}"
        return text.rstrip("0").rstrip(".") if "." in text else text

    def signed(self, points: float, decimals: int = 1) -> str:
        """Return points with their sign.

        >>> SPEECH["en"].signed(-3.25, 2), SPEECH["en"].signed(5)
        ('−3.25', '+5')
        """
        value = _rounded(points, decimals)
        sign = "−" if value < 0 else "+"
        return f"{sign}{self.figure(abs(value), decimals)}"

    def share(self, share: float) -> str:
        """Return a share as a percentage.

        >>> SPEECH["en"].share(0.5), SPEECH["fa"].share(0.125)
        ('50 %', '۱۲٫۵ درصد')
        """
        return self.say("share", percent=self.figure(100 * share))

    def date(self, at: Instant) -> str:
        """Return the day (UTC) of an instant.

        >>> SPEECH["fa"].date(1795255200000), SPEECH["en"].date(1795255200000)
        ('۳۰ آبان ۱۴۰۵', '21 Nov 2026')
        """
        moment = to_datetime(at)
        return f"{moment.day} {_MONTHS[moment.month - 1]} {moment.year}"

    def moment(self, at: Instant) -> str:
        """Return an instant to the minute, in UTC."""
        time = f"{to_datetime(at):%H:%M}"
        return self.say("moment", date=self.date(at), time=self.digits(time))

    def digits(self, text: str) -> str:
        """Return `text` with the digits of the language."""
        return text

    def ago(self, at: Instant, now: Instant) -> str:
        """Return how long before `now` it was, or when, if that is long ago."""
        age = now - at
        if age >= _DATED:
            return self.say("on", date=self.date(at))
        for unit, name in _AGO:
            if age >= unit:
                return self.say(f"ago.{name}", age // unit)
        return self.say("now")

    def span(self, millis: Millis) -> str:
        """Return a span of time in its largest whole unit."""
        for unit, name in _SPANS:
            if millis >= unit and millis % unit == 0:
                return self.say(f"span.{name}", millis // unit)
        return self.say("span.second", round(millis / SECOND, 1))

    def times(self, count: int) -> str:
        """Return how often."""
        return self.say("times", count)

    def listed(self, items: Sequence[str]) -> str:
        """Return items as a list in a sentence.

        >>> SPEECH["en"].listed(["a", "b", "c"])
        'a, b and c'
        """
        if len(items) < 2:  # noqa: PLR2004 one is no list
            return "".join(items)
        rest = self.templates["list.comma"].join(items[:-1])
        return self.say("list.last", rest=rest, last=items[-1])

    def value(self, value: object) -> str:
        """Return a trait's value as people read it."""
        if isinstance(value, bool):
            return self.say("value.yes" if value else "value.no")
        if isinstance(value, int | float):
            return self.figure(value, 2)
        return self.name(str(value))

    def name(self, text: str) -> str:
        """Return a text as it is, isolated where it runs the other way."""
        runs = direction(text)
        return text if runs in {"", self.own} else f"{runs}{text}{END}"

    def tier(self, name: str) -> str:
        """Return what a tier is called."""
        return self.tiers.get(name) or self.name(name)

    def trait(self, name: str) -> str:
        """Return what a trait is called."""
        return self.traits.get(name) or self.name(name.replace("_", " "))

    def event(self, name: str) -> str:
        """Return what an event is called.

        >>> SPEECH["en"].event("Demo Requested"), SPEECH["fa"].event("Demo Requested")
        ('Demo Requested', 'درخواست دمو')
        """
        return name

    def beginning(self, text: str) -> str:
        """Return `text` as a sentence begins."""
        return text[:1].upper() + text[1:]


class Persian(Speech):
    """Persian: its digits, its calendar (Jalali), from right to left."""

    locale: Locale = "fa"
    own = RIGHT_TO_LEFT
    templates = speech_fa.TEMPLATES
    tiers = speech_fa.TIERS
    traits = speech_fa.TRAITS

    def figure(self, value: float, decimals: int = 1) -> str:
        """Return a figure in Persian digits."""
        text = super().figure(value, decimals)
        return self.digits(text.replace(",", "٬").replace(".", "٫"))

    def signed(self, points: float, decimals: int = 1) -> str:
        """Return points with their sign before them, whatever is around."""
        return f"{LEFT_TO_RIGHT}{super().signed(points, decimals)}{END}"

    def date(self, at: Instant) -> str:
        """Return the day (UTC) of an instant in the Jalali calendar."""
        # The library is typed, all but this method.
        day = JalaliDate.to_jalali(to_datetime(at))  # type: ignore[no-untyped-call]
        month = day.strftime("%B", locale="fa")
        return f"{self.digits(str(day.day))} {month} {self.digits(str(day.year))}"

    def event(self, name: str) -> str:
        """Return what an event is called; one of somebody's own as it is."""
        return speech_fa.EVENTS.get(name) or self.name(name)

    def digits(self, text: str) -> str:
        """Return `text` with Persian digits."""
        return en_to_fa(text)

    def beginning(self, text: str) -> str:
        """Return `text`: Persian has no capitals."""
        return text


def _rounded(value: float, decimals: int) -> float:
    """Return `value` rounded half away from zero, as people round; never −0."""
    scale = float(10**decimals)
    nearest = int(abs(value) * scale + 0.5 + 1e-9) / scale
    return -nearest if value < 0 < nearest else nearest


_MONTHS: Final = (
    "Jan", "Feb", "Mar", "Apr", "May", "Jun",
    "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
)  # fmt: skip

SPEECH: Final[Mapping[Locale, Speech]] = {"en": Speech(), "fa": Persian()}
"""How each language is spoken."""
