"""An endpoint, declared once: its route, its least role, its place in the document."""

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, Final, Literal

import msgspec

from streams.settings import Role

if TYPE_CHECKING:
    from streams.web.asking import Ask

API: Final = "/api/v1"

Take = Callable[["Ask"], Any | Awaitable[Any]]
"""Answers one request: with a Response, or with what is encoded as JSON.

A plain function runs in a thread of its own and may block; a coroutine may not.
"""


class Endpoint(msgspec.Struct, frozen=True, kw_only=True):
    """One method of one path."""

    path: str
    take: Take
    least: Role | None
    """The least role that may ask; None where everybody may."""
    method: Literal["GET", "POST"] = "GET"
    summary: str = ""
    """What it is, for the document of the API; empty for a page."""
    query: type[msgspec.Struct] | None = None
    """The parameters of its query; `Ask.query` reads them."""
    body: type[msgspec.Struct] | None = None
    """The JSON it takes; `Ask.body` reads it."""
    answer: Any = None
    """The type of its JSON."""
    kind: str = "application/json"
    """The content type of what the API answers."""

    @property
    def is_api(self) -> bool:
        """Whether programs are meant: errors are JSON, nobody is sent elsewhere."""
        return self.path.startswith("/api/")


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """A page's place in the navigation."""

    order: int
    path: str
    word: str
    """The key of its name in the texts."""
    icon: str
    """The name of its drawing in templates/icons.html."""
    least: Role = "viewer"
