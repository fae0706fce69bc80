"""The page of operations: the figures of Prometheus, for those without Grafana."""

from typing import Final

from starlette.responses import Response

from streams.errors import UserError
from streams.web.api import operations as api
from streams.web.asking import Ask
from streams.web.endpoint import Endpoint, Entry

_BEHIND: Final = 20


def show(ask: Ask) -> Response:
    """Show how the pipeline runs."""
    report = ask.sources.one(api.watch_of).wait()
    w = ask.writing
    return ask.page(
        "operations_body.html"
        if "part" in ask.request.query_params
        else "operations.html",
        title=w.t("nav.operations"),
        words=("operations.",),
        report=report,
        behind=() if report is None else report.lag[:_BEHIND],
        figure=lambda value: _figure(ask, value),
        latency=lambda seconds: _latency(ask, seconds),
        reason=lambda name: _worded(ask, "operations.reason", name),
    )


def letters(ask: Ask) -> Response:
    """Show the newest dead letters."""
    trouble, found = "", api.LetterList(letters=())
    try:
        found = api.dead_letters(ask)
    except UserError as error:
        trouble = str(error)
    return ask.page(
        "operations_letters.html",
        title=ask.writing.t("operations.letters"),
        letters=found.letters,
        trouble=trouble,
    )


def _figure(ask: Ask, value: float) -> str:
    """Return a rate or a count with as many decimals as it needs."""
    small = 0 < abs(value) < 10  # noqa: PLR2004 - one digit is too few
    return ask.writing.number(value, 2 if small else 0)


def _latency(ask: Ask, seconds: float | None) -> str:
    if seconds is None:
        return "–"
    w = ask.writing
    if seconds < 1:
        return w.t("operations.ms", n=w.number(seconds * 1000))
    return w.t("operations.s", n=w.number(seconds, 1))


def _worded(ask: Ask, prefix: str, name: str) -> str:
    key = f"{prefix}.{name}"
    return ask.writing.t(key) if ask.writing.has(key) else name


ENDPOINTS: Final = (
    *api.ENDPOINTS,
    Endpoint(path="/operations", take=show, least="viewer"),
    Endpoint(path="/operations/letters", take=letters, least="admin"),
)
NAVIGATION: Final = (
    Entry(order=6, path="/operations", word="nav.operations", icon="operations"),
)
