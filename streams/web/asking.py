"""One request, as the endpoints see it."""

from typing import Any, Final, TypeVar

import msgspec
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from streams.access import Holder
from streams.settings import ROLES, Role
from streams.web.access import SESSION_COOKIE
from streams.web.problems import ProblemError
from streams.web.sources import Sources
from streams.web.taste import Taste
from streams.web.templating import Templates
from streams.web.writing import ANYBODY, SIGNS, Writing

_Struct = TypeVar("_Struct", bound=msgspec.Struct)


class Ask:
    """A request that was let in, with what its answer needs."""

    def __init__(
        self,
        request: Request,
        sources: Sources,
        templates: Templates,
        *,
        holder: Holder | None,
        is_open: bool,
        taste: Taste,
        content: bytes,
    ) -> None:
        """Know who asks what, and how they like to read the answer."""
        self.request: Final = request
        self.sources: Final = sources
        self.holder: Final = holder
        self.is_open: Final = is_open
        self.taste: Final = taste
        self.content: Final = content
        """The bytes of the request's body."""
        self.writing: Final = Writing(taste, sources.clock.now())
        self._templates = templates

    @property
    def who(self) -> str:
        """Who asks, as logs and events call them."""
        return ANYBODY if self.holder is None else self.holder.name

    def may(self, least: Role) -> bool:
        """Say whether whoever asks may do what `least` may."""
        if self.is_open:
            return True
        if self.holder is None:
            return False
        return ROLES.index(self.holder.role) >= ROLES.index(least)

    def path(self, name: str) -> str:
        """Return a part of the path, such as the id of a lead."""
        return str(self.request.path_params[name])

    def query(self, kind: type[_Struct]) -> _Struct:
        """Return the query as `kind` declares it.

        Raises
        ------
        ProblemError
            400 naming what is wrong.
        """
        given = {name: text for name, text in self.request.query_params.items() if text}
        try:
            return msgspec.convert(given, kind, strict=False)
        except msgspec.ValidationError as error:
            raise ProblemError(400, "bad-query", str(error)) from None

    def body(self, kind: type[_Struct]) -> _Struct:
        """Return the JSON body as `kind` declares it.

        Raises
        ------
        ProblemError
            400 naming what is wrong.
        """
        try:
            return msgspec.json.decode(self.content or b"{}", type=kind)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise ProblemError(400, "bad-body", str(error)) from None

    def page(
        self,
        template: str,
        *,
        title: str,
        status: int = 200,
        words: tuple[str, ...] = (),
        boot: Any = None,
        **values: Any,
    ) -> Response:
        """Return a page: a template of `templates/`, which extends `base.html`.

        `title` is the page's, in words. Its scripts find the words whose keys begin
        with one of `words`, and `boot` (anything that JSON has), by `js/page.js`.
        """
        text = self._templates.fill(
            template,
            writing=self.writing,
            ask=self,
            title=title,
            path=self.request.url.path,
            boot={
                "lang": self.taste.lang,
                "tag": self.taste.tag,
                "now": self.writing.now,
                "role": self.role,
                "signs": SIGNS,
                "words": dict(
                    self.writing.words("app.", "ago.", "in.", "tier.", "money", *words)
                ),
                "data": msgspec.to_builtins(boot),
            },
            **values,
        )
        return HTMLResponse(text, status_code=status)

    @property
    def has_assets(self) -> bool:
        """Whether scripts and fonts of others were put beside the pages."""
        return self._templates.has_assets

    @property
    def role(self) -> Role | None:
        """What whoever asks may do at most; None for who has not signed in."""
        if self.is_open:
            return "admin"
        return None if self.holder is None else self.holder.role

    @property
    def session(self) -> str | None:
        """The session's cookie."""
        return self.request.cookies.get(SESSION_COOKIE)
