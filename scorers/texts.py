"""Texts of a model that people read: in one language, or in each of several."""

from typing import Annotated, Any, Final

from pydantic import Discriminator, Field, Tag, model_validator

from schemas.locale import Locale
from scorers.parts import Part

_Title = Annotated[str, Field(max_length=200)]
_OneTitle = Annotated[str, Field(min_length=1, max_length=200)]
_OneText = Annotated[str, Field(min_length=1)]


class _Several(Part):
    """The same in several languages."""

    @model_validator(mode="after")
    def _says_something(self) -> "_Several":
        if not self.model_fields_set:
            msg = "needs the text in one language at least: {en: …, fa: …}"
            raise ValueError(msg)
        return self


class Titles(_Several):
    """A title in several languages."""

    en: _OneTitle = ""
    """In English."""
    fa: _OneTitle = ""
    """In Persian."""


class Texts(_Several):
    """A text in several languages."""

    en: _OneText = ""
    """In English."""
    fa: _OneText = ""
    """In Persian."""


def _kind(value: Any) -> str | None:
    """Return whether a text is meant, or one for each language; None for neither."""
    if isinstance(value, str):
        return "<text>"
    return "<texts>" if isinstance(value, dict | _Several) else None


_ONE_OR_SEVERAL: Final = Discriminator(
    _kind,
    custom_error_type="text_kind",
    custom_error_message="write a text, or one for each language: {en: …, fa: …}",
)

Title = Annotated[
    Annotated[_Title, Tag("<text>")] | Annotated[Titles, Tag("<texts>")],
    _ONE_OR_SEVERAL,
]
Text = Annotated[
    Annotated[_OneText, Tag("<text>")] | Annotated[Texts, Tag("<texts>")],
    _ONE_OR_SEVERAL,
]


def said(text: str | Titles | Texts, locale: Locale) -> str:
    """Return `text` in `locale`, or in the first language that it has.

    >>> said(Titles(en="Asked for a demo"), "fa")
    'Asked for a demo'
    """
    if isinstance(text, str):
        return text
    wanted: str = getattr(text, locale)
    return wanted or text.en or text.fa
