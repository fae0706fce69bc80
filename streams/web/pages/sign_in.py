"""Signing in and out, and how somebody likes to read."""

from typing import Final
from urllib.parse import parse_qs

from starlette.responses import RedirectResponse, Response

from streams.access import AccessDeniedError
from streams.web.access import SESSION_COOKIE, SESSION_SECONDS, Door
from streams.web.asking import Ask
from streams.web.endpoint import Endpoint, Entry
from streams.web.problems import ProblemError
from streams.web.sources import Sources
from streams.web.taste import CHOICES, COOKIE, YEAR_SECONDS


def show(ask: Ask) -> Response:
    """Ask for the token."""
    if ask.is_open or ask.holder is not None:
        return RedirectResponse(_own(ask.request.query_params.get("next")), 303)
    return _asking(ask, _own(ask.request.query_params.get("next")))


def sign_in(ask: Ask) -> Response:
    """Begin a session for the holder of the token."""
    form = _form(ask)
    onward, door = _own(form.get("next")), ask.sources.one(_door)
    try:
        _, session = door.sign_in(form.get("token", "").strip())
    except AccessDeniedError:
        return _asking(ask, onward, wrong=True)
    answer = RedirectResponse(onward, 303)
    answer.set_cookie(
        SESSION_COOKIE,
        session,
        max_age=SESSION_SECONDS,
        httponly=True,
        samesite="strict",
        secure=door.is_secure,
    )
    return answer


def sign_out(_: Ask) -> Response:
    """End the session."""
    answer = RedirectResponse("/sign-in", 303)
    answer.delete_cookie(SESSION_COOKIE, httponly=True, samesite="strict")
    return answer


def prefer(ask: Ask) -> Response:
    """Keep what somebody chose, and go on where they were."""
    form = _form(ask)
    answer = RedirectResponse(_own(form.get("next")), 303)
    for name, known in CHOICES.items():
        if (chosen := form.get(name)) is None:
            continue
        if chosen not in known:
            text = f"{name} is one of {', '.join(known)}"
            raise ProblemError(400, "bad-choice", text)
        answer.set_cookie(
            COOKIE.format(name), chosen, max_age=YEAR_SECONDS, samesite="lax"
        )
    return answer


def _asking(ask: Ask, onward: str, *, wrong: bool = False) -> Response:
    return ask.page(
        "sign_in.html",
        title=ask.writing.t("sign_in.title"),
        status=401 if wrong else 200,
        onward=onward,
        wrong=wrong,
    )


def _form(ask: Ask) -> dict[str, str]:
    try:
        given = parse_qs(ask.content.decode(), max_num_fields=20)
    except ValueError:
        raise ProblemError(400, "bad-form", "this is no form") from None
    return {name: values[0] for name, values in given.items()}


def _own(path: str | None) -> str:
    """Return a path of this app: nobody is sent anywhere else."""
    fine = path is not None and path.startswith("/") and path.isprintable()
    if path is None or not fine or path.startswith(("//", "/\\")) or "\\" in path:
        return "/"
    return path


def _door(sources: Sources) -> Door:
    return Door(sources.settings)


ENDPOINTS: Final = (
    Endpoint(path="/sign-in", take=show, least=None),
    Endpoint(path="/sign-in", take=sign_in, least=None, method="POST"),
    Endpoint(path="/sign-out", take=sign_out, least=None, method="POST"),
    Endpoint(path="/preferences", take=prefer, least=None, method="POST"),
)
NAVIGATION: Final[tuple[Entry, ...]] = ()
