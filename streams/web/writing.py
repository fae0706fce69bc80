"""Words, numbers and instants as somebody reads them; foreign text made harmless."""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

from jinja2 import StrictUndefined
from markupsafe import Markup, escape
from persiantools import digits as persian
from persiantools.jdatetime import JalaliDate

from schemas.time import DAY, HOUR, MINUTE, SECOND, Instant, to_datetime, to_instant
from scorers import speech_en
from scorers.speech import SPEECH
from streams.web.taste import Taste
from streams.web.texts.words import WORDS

_CONTROLS: Final = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\ufeff]"
)
"""What no name needs, and with which text can be made to look like another."""
_PERSIAN_MARKS: Final = str.maketrans({",": "\u066c", ".": "\u066b"})
SIGNS: Final[Mapping[str, str]] = {
    "EUR": "€",
    "USD": "$",
    "GBP": "£",
    "JPY": "¥",
    "INR": "₹",
    "TRY": "₺",
    "IRR": "﷼",
}
"""Currencies that have a sign; others are written by their three letters."""
ANYBODY: Final = "anybody"
"""Who acts where there are no tokens, so that nobody has a name."""
_MILLION: Final = 1_000_000
_STEPS: Final = (("days", DAY), ("hours", HOUR), ("minutes", MINUTE))


def shown(text: str) -> str:
    """Return text of others without what turns or hides it; each is seen as U+FFFD."""
    return _CONTROLS.sub("\ufffd", text)


def finished(value: Any) -> Any:
    """Return what a template puts out, made harmless; markup of ours passes."""
    if isinstance(value, str) and not isinstance(value, Markup):
        return shown(value)
    if value is None or isinstance(value, StrictUndefined):
        return "" if value is None else value
    return value


_ISOLATES: Final = re.compile("([\u2066\u2067\u2069])")
_BEGINS: Final = {"\u2066": '<bdi dir="ltr">', "\u2067": '<bdi dir="rtl">'}


def told(text: str) -> Markup:
    """Return a sentence of the core: what it isolates is an element of its own.

    Whoever's text opens or ends an isolate turns nothing that stands outside of it.
    """
    depth, parts = 0, []
    for part in _ISOLATES.split(text):
        if part in _BEGINS:
            depth += 1
            parts.append(_BEGINS[part])
        elif part == "\u2069" and depth:
            depth -= 1
            parts.append("</bdi>")
        else:
            parts.append(str(escape(shown(part))))
    return Markup("".join(parts) + "</bdi>" * depth)  # noqa: S704 - escaped above


class Writing:
    """Writes for one taste: every page and mail of the app speaks through it."""

    def __init__(self, taste: Taste, now: Instant) -> None:
        """Write as `taste` says, at the present instant `now`."""
        self.taste = taste
        self.now = now
        self._words = WORDS[taste.lang]

    def t(self, key: str, **values: Any) -> str:
        """Return the words of `key` with the values in place; numbers are written."""
        text = self._words[key]
        if not values:
            return text
        written = {
            name: self.number(value, 1)
            if isinstance(value, float)
            else self.digits(value)
            for name, value in values.items()
        }
        return text.format_map(written)

    def has(self, key: str) -> bool:
        """Say whether there are words for `key`."""
        return key in self._words

    def words(self, *prefixes: str) -> Mapping[str, str]:
        """Return the words whose keys begin with one of `prefixes`, for scripts."""
        return {
            key: text for key, text in self._words.items() if key.startswith(prefixes)
        }

    def digits(self, value: Any) -> str:
        """Return text with its digits in those that were chosen."""
        text = str(value)
        return persian.en_to_fa(text) if self.taste.digits == "persian" else text

    def number(self, value: float, places: int = 0) -> str:
        """Return a number with its thousands apart and at most `places` decimals."""
        text = f"{value:,.{places}f}"
        if places:
            text = text.rstrip("0").rstrip(".")
        text = text.replace("-", "−")
        if self.taste.digits == "persian":
            text = persian.en_to_fa(text.translate(_PERSIAN_MARKS))
        return text

    def signed(self, value: float, places: int = 1) -> str:
        """Return a number with its sign."""
        return (
            f"+{self.number(value, places)}"
            if value > 0
            else self.number(value, places)
        )

    def percent(self, share: float, places: int = 0) -> str:
        """Return a share of one in percent."""
        mark = "٪" if self.taste.digits == "persian" else "%"
        return f"{self.number(share * 100, places)}{mark}"

    def money(self, amount: float, currency: str) -> str:
        """Return an amount, millions with one decimal (js/page.js does the same)."""
        much = abs(amount) >= _MILLION
        written = self.number(amount / _MILLION, 1) if much else self.number(amount)
        sign = SIGNS.get(currency, f"{currency}\u00a0" if currency else "")
        return self.t("money.much" if much else "money", n=written, sign=sign).strip()

    def tier(self, name: str) -> str:
        """Return a tier's name: the model's own where it is none of ours."""
        return self.t(f"tier.{name}") if self.has(f"tier.{name}") else name

    def who(self, name: str) -> str:
        """Return who did something; without tokens nobody has a name."""
        return self.t("app.anybody") if name == ANYBODY else name

    def event(self, name: str) -> str:
        """Return what an event is called; one of somebody's own as it is."""
        known = speech_en.EVENTS.get(name) if self.taste.lang == "en" else None
        return known or _ISOLATES.sub("", SPEECH[self.taste.lang].event(name))

    def trait(self, name: str) -> str:
        """Return what is known of people as people call it."""
        speech = SPEECH[self.taste.lang]
        return _ISOLATES.sub("", speech.beginning(speech.trait(name)))

    def date(self, at: datetime | Instant) -> str:
        """Return the day, as the calendar that was chosen calls it (UTC)."""
        moment = _moment(at)
        if self.taste.calendar == "jalali":
            # The library is typed, all but this method.
            day = JalaliDate.to_jalali(moment)  # type: ignore[no-untyped-call]
            return self.digits(f"{day.year:04}/{day.month:02}/{day.day:02}")
        return self.digits(f"{moment:%Y-%m-%d}")

    def time(self, at: datetime | Instant) -> str:
        """Return the day and the minute (UTC)."""
        return f"{self.date(at)} {self.digits(f'{_moment(at):%H:%M}')}"

    def ago(self, at: datetime | Instant) -> str:
        """Return how long ago it was, or how soon it will be."""
        instant = at if isinstance(at, int) else to_instant(at)
        apart = self.now - instant
        way = "ago" if apart >= 0 else "in"
        for name, length in _STEPS:
            if abs(apart) >= length:
                return self.t(f"{way}.{name}", n=abs(apart) // length)
        return self.t(f"{way}.now")

    def span(self, seconds: float) -> str:
        """Return how long something takes, in its two largest parts at the most."""
        rest = int(seconds * SECOND)
        parts: list[str] = []
        for name, length in (*_STEPS, ("seconds", SECOND)):
            if rest >= length and len(parts) < 2:  # noqa: PLR2004 - see above
                parts.append(self.t(f"span.{name}", n=rest // length))
                rest %= length
        return " ".join(parts) or self.t("span.seconds", n=0)


def iso(at: datetime | Instant) -> str:
    """Return an instant for the machine-readable half of a `time` element."""
    return _moment(at).isoformat()


def _moment(at: datetime | Instant) -> datetime:
    return (to_datetime(at) if isinstance(at, int) else at).astimezone(UTC)
