"""The model studio: the live model in words, drafts, tests, versions."""

from typing import Final

from starlette.responses import Response

from streams.web.api import studio as api
from streams.web.asking import Ask
from streams.web.endpoint import Endpoint, Entry
from streams.web.reading.model_words import AlertWords
from streams.web.reading.the_studio import studio_of


def show(ask: Ask) -> Response:
    """Show the model in force, and what can be done with it."""
    found = api.models(ask)
    if ask.may("sales"):
        ask.sources.one(studio_of).warm()
    return ask.page(
        "studio.html",
        title=ask.writing.t("nav.studio"),
        words=("studio.",),
        found=found,
        alert=lambda told: _alert(ask, told),
        boot={
            "text": found.in_force.text,
            "digest": found.in_force.digest,
            "may_try": ask.may("sales"),
            "may_publish": ask.may("admin"),
        },
    )


def _alert(ask: Ask, told: AlertWords) -> str:
    """Return when an alert is told, in a sentence."""
    w = ask.writing
    values = {
        "enter": w.number(told.enter or 0, 1),
        "leave": w.number(told.leave or 0, 1),
        "of": told.of,
        "rise": w.number(told.rise or 0, 1),
        "within": told.within,
        "stages": ", ".join(told.stages),
        "after": told.after,
    }
    key = f"studio.alert.{told.kind}"
    parts = [w.t(key, **values) if w.has(key) else told.kind]
    if told.capacity is not None:
        parts.append(w.t("studio.alert.capacity", n=told.capacity))
    if told.dwell:
        parts.append(w.t("studio.alert.dwell", span=told.dwell))
    if told.cooldown and told.kind in {"hot", "surge", "stage"}:
        parts.append(w.t("studio.alert.cooldown", span=told.cooldown))
    return w.t("studio.joint").join(parts)


ENDPOINTS: Final = (
    *api.ENDPOINTS,
    Endpoint(path="/studio", take=show, least="viewer"),
)
NAVIGATION: Final = (Entry(order=5, path="/studio", word="nav.studio", icon="studio"),)
