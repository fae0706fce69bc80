"""The layouts of mails and of plain text: templates in which all is escaped."""

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape

from streams.notifiers.message import Message

_FOLDER: Final = Path(__file__).parent / "templates"


def environment(folder: Path) -> Environment:
    """Return what fills the templates of `folder`: HTML is escaped, nothing is lax."""
    return Environment(
        loader=FileSystemLoader(folder),
        autoescape=select_autoescape(("html.j2", "html")),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


@lru_cache(maxsize=1)
def _own() -> Environment:
    return environment(_FOLDER)


def as_text(messages: Sequence[Message], **given: Any) -> str:
    """Return messages as plain text."""
    return _filled("alerts.txt.j2", messages, given)


def as_html(messages: Sequence[Message], **given: Any) -> str:
    """Return messages as a page that every mail program shows."""
    return _filled("alerts.html.j2", messages, given)


def _filled(name: str, messages: Sequence[Message], given: dict[str, Any]) -> str:
    first = messages[0]
    values = {"heading": "", "stop_url": "", **given}
    return (
        _own()
        .get_template(name)
        .render(messages=messages, words=first.words, first=first, **values)
    )
