"""The model studio: the live model in words, drafts, tests, versions."""

from typing import Final

from starlette.responses import Response

from scorers.speech import END, LEFT_TO_RIGHT
from streams.web.api import studio as api
from streams.web.asking import Ask
from streams.web.endpoint import Endpoint, Entry
from streams.web.reading.model_words import AlertWords
from streams.web.reading.the_studio import studio_of
from streams.web.writing import told


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
        alert=lambda each: told(_alert(ask, each)),
        boot={
            "text": found.in_force.text,
            "digest": found.in_force.digest,
            "may_try": ask.may("sales"),
            "may_publish": ask.may("admin"),
        },
    )


def _alert(ask: Ask, words: AlertWords) -> str:
    """Return when an alert is told, in a sentence."""
    w = ask.writing
    values = {
        "enter": w.number(words.enter or 0, 1),
        "leave": w.number(words.leave or 0, 1),
        "of": f"{LEFT_TO_RIGHT}{words.of}{END}",
        "rise": w.number(words.rise or 0, 1),
        "within": words.within,
        "stages": ", ".join(words.stages),
        "after": words.after,
    }
    key = f"studio.alert.{words.kind}"
    parts = [w.t(key, **values) if w.has(key) else words.kind]
    if words.capacity is not None:
        parts.append(w.t("studio.alert.capacity", n=words.capacity))
    if words.dwell:
        parts.append(w.t("studio.alert.dwell", span=words.dwell))
    if words.cooldown and words.kind in {"hot", "surge", "stage"}:
        parts.append(w.t("studio.alert.cooldown", span=words.cooldown))
    return w.t("studio.joint").join(parts)


ENDPOINTS: Final = (
    *api.ENDPOINTS,
    Endpoint(path="/studio", take=show, least="viewer"),
)
NAVIGATION: Final = (Entry(order=5, path="/studio", word="nav.studio", icon="studio"),)
