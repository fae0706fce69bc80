"""How somebody likes to read: the language, its calendar and digits, light or dark."""

from collections.abc import Mapping
from typing import Any, Final, Literal, TypeVar, get_args

import msgspec

from schemas.locale import LOCALES, Locale

Calendar = Literal["gregorian", "jalali"]
Digits = Literal["latin", "persian"]
Theme = Literal["auto", "light", "dark"]
_T = TypeVar("_T", bound=str)

COOKIE: Final = "lp_{}"
YEAR_SECONDS: Final = 365 * 86_400


class Taste(msgspec.Struct, frozen=True, kw_only=True):
    """What somebody chose, or what their browser says."""

    lang: Locale = "en"
    theme: Theme = "auto"
    calendar: Calendar = "gregorian"
    digits: Digits = "latin"

    @property
    def direction(self) -> Literal["ltr", "rtl"]:
        """The direction in which the language is written."""
        return "rtl" if self.lang == "fa" else "ltr"

    @property
    def tag(self) -> str:
        """The BCP 47 tag by which browsers write numbers and dates."""
        calendar = "persian" if self.calendar == "jalali" else "gregory"
        digits = "arabext" if self.digits == "persian" else "latn"
        region = "fa-IR" if self.lang == "fa" else "en-GB"
        return f"{region}-u-ca-{calendar}-nu-{digits}"


def taste_of(cookies: Mapping[str, str], asked: str | None, accept: str) -> Taste:
    """Return what `cookies` say; `asked` is a language in the address, which wins.

    Who never chose gets the language of `accept`, the browser's header, and for
    Persian the calendar and the digits that go with it.
    """
    chosen = _one_of(LOCALES, asked) or _one_of(LOCALES, cookies.get("lp_lang"))
    lang: Locale = chosen or ("fa" if accept.lower().startswith("fa") else "en")
    calendar: Calendar = "jalali" if lang == "fa" else "gregorian"
    digits: Digits = "persian" if lang == "fa" else "latin"
    return Taste(
        lang=lang,
        theme=_one_of(get_args(Theme), cookies.get("lp_theme")) or "auto",
        calendar=_one_of(get_args(Calendar), cookies.get("lp_calendar")) or calendar,
        digits=_one_of(get_args(Digits), cookies.get("lp_digits")) or digits,
    )


CHOICES: Final[Mapping[str, tuple[Any, ...]]] = {
    "lang": LOCALES,
    "theme": get_args(Theme),
    "calendar": get_args(Calendar),
    "digits": get_args(Digits),
}
"""What can be chosen, each kept in a cookie of its own."""


def _one_of(known: tuple[_T, ...], given: str | None) -> _T | None:
    return next((each for each in known if each == given), None)
