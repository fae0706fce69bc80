"""Models: read, checked, tried, published and rolled back."""

from collections.abc import Callable
from typing import Annotated, Final, TypeVar

import msgspec
import structlog

from schemas.locale import Locale
from scorers.loading import ModelError, Problem
from streams.model_log import MAX_MODEL_BYTES
from streams.web.asking import Ask
from streams.web.endpoint import API, Endpoint
from streams.web.problems import ProblemError
from streams.web.reading.drafts import (
    Checked,
    Effect,
    TimelinesRun,
    Tried,
    adjusted,
    check,
)
from streams.web.reading.model_words import ModelWords, model_words
from streams.web.reading.shadows import Shadow, held_against, read_shadows
from streams.web.reading.studio import (
    InForce,
    Learning,
    Published,
    Studio,
    VersionRow,
)
from streams.web.reading.the_studio import studio_of

_COMPARED: Final = 2_000
"""Leads of the view that shadows are held against, the best ones."""
_Text = Annotated[str, msgspec.Meta(min_length=1, max_length=MAX_MODEL_BYTES)]
_Note = Annotated[str, msgspec.Meta(max_length=500)]
_T = TypeVar("_T")

_log = structlog.get_logger(__name__)


class Models(msgspec.Struct, frozen=True, kw_only=True):
    """What is in force, what it says in words, and everything before it."""

    in_force: InForce
    words: ModelWords
    versions: tuple[VersionRow, ...]
    learning: Learning | None
    """How far rules that were new have been told of the past."""


class ModelText(msgspec.Struct, frozen=True, kw_only=True):
    """A model's text."""

    digest: str
    text: str


class Draft(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A draft."""

    text: _Text


class Adjusting(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A draft, and other points for some of its rules."""

    text: _Text
    points: dict[str, Annotated[float, msgspec.Meta(ge=-100, le=100)]]


class Adjusted(msgspec.Struct, frozen=True, kw_only=True):
    """The draft with those points, and whether it is right."""

    text: str
    checked: Checked


class Trying(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A draft, and a lead: its id, or an identifier that the view knows."""

    text: _Text
    lead: Annotated[str, msgspec.Meta(min_length=1, max_length=512)]
    locale: Locale | None = None
    """The language of what is said; the reader's if absent."""


class Testing(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A draft and its timelines; those beside the model's file if absent."""

    text: _Text
    timelines: Annotated[str, msgspec.Meta(max_length=MAX_MODEL_BYTES)] | None = None


class Publishing(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A draft that is to come into force, and why."""

    text: _Text
    note: _Note


class RollingBack(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True
):
    """What is to come into force again, and why."""

    to: Annotated[str, msgspec.Meta(max_length=128)] = ""
    """A version or digest; the one before if empty."""
    note: _Note = ""


class Shadows(msgspec.Struct, frozen=True, kw_only=True):
    """Models that run beside the primary, held against it."""

    shadows: tuple[Shadow, ...]


def models(ask: Ask) -> Models:
    """Return what is in force, in words, and what was published when."""
    studio = _studio(ask)
    in_force, compiled = studio.in_force()
    return Models(
        in_force=in_force,
        words=model_words(compiled.source, ask.taste.lang),
        versions=tuple(studio.versions()),
        learning=studio.learning,
    )


def text(ask: Ask) -> ModelText:
    """Return the text of a model that was published, or is in force."""
    studio, digest = _studio(ask), ask.path("digest")
    found = studio.text_of(digest)
    if found is None:
        present, _ = studio.in_force()
        if present.digest != digest:
            msg = f"no model {digest} was published"
            raise ProblemError(404, "not-found", msg)
        found = present.text
    return ModelText(digest=digest, text=found)


def shadows(ask: Ask) -> Shadows:
    """Return the models beside the primary, and who they put elsewhere."""
    found = read_shadows(ask.sources.settings, _studio(ask).desk().history)
    present = {
        card.update.lead_id: (card.update.score, card.update.tier)
        for card in (ask.sources.view.top(limit=_COMPARED) if found else ())
    }
    return Shadows(shadows=tuple(held_against(each, present) for each in found))


def check_draft(ask: Ask) -> Checked:
    """Return whether a draft is right, every problem with its line."""
    present, _ = _studio(ask).in_force()
    return check(ask.body(Draft).text, present.digest)


def adjust(ask: Ask) -> Adjusted:
    """Return a draft with other points for some rules; its comments stay."""
    wanted = ask.body(Adjusting)
    changed = _right(lambda: adjusted(wanted.text, wanted.points))
    present, _ = _studio(ask).in_force()
    return Adjusted(text=changed, checked=check(changed, present.digest))


def effect(ask: Ask) -> Effect:
    """Return what a draft changes on a sample of what happened."""
    wanted = ask.body(Draft)
    return _right(lambda: _studio(ask).effect(wanted.text))


def try_on(ask: Ask) -> Tried:
    """Return how a lead stands by a draft and by what is in force."""
    wanted = ask.body(Trying)
    named = ask.sources.view.find(wanted.lead)
    lead_id = named[0] if named else wanted.lead
    locale = wanted.locale or ask.taste.lang
    return _right(lambda: _studio(ask).try_on(lead_id, wanted.text, locale))


def timelines(ask: Ask) -> TimelinesRun:
    """Return what came of the timelines of a draft."""
    wanted, studio = ask.body(Testing), _studio(ask)
    tests = wanted.timelines
    if tests is None:
        tests = studio.own_timelines()
        if not tests:
            msg = "there are no timelines beside the model's file"
            raise ProblemError(404, "not-found", msg)
    return _right(lambda: studio.timelines(wanted.text, tests))


def publish(ask: Ask) -> Published:
    """Bring a draft into force."""
    wanted, settings = ask.body(Publishing), ask.sources.settings
    if not wanted.note.strip():
        raise ProblemError(400, "no-note", "say why, in a note")
    folders = [settings.reports_folder]
    if settings.model_path is not None:
        folders.append(settings.model_path.parent)
    found = _right(
        lambda: _studio(ask).publish(
            wanted.text, wanted.note.strip(), drafts=tuple(folders)
        )
    )
    _log.info("published_by", by=ask.who, digest=found.digest, already=found.already)
    return found


def roll_back(ask: Ask) -> Published:
    """Bring what was published before into force again."""
    wanted = ask.body(RollingBack)
    found = _studio(ask).roll_back(wanted.to, wanted.note.strip())
    _log.info("rolled_back_by", by=ask.who, digest=found.digest)
    return found


def _studio(ask: Ask) -> Studio:
    return ask.sources.one(studio_of)


def _right(work: Callable[[], _T]) -> _T:
    """Return what `work` does with a model that must be right."""
    try:
        return work()
    except ModelError as error:
        raise ProblemError(422, "no-model", _first(error.problems)) from None


def _first(problems: list[Problem]) -> str:
    first = problems[0]
    rest = f" (and {len(problems) - 1} more)" if problems[1:] else ""
    return f"line {first.line}: {first.advice}{rest}"


def _post(
    path: str, take: Callable[[Ask], msgspec.Struct], summary: str,
    body: type[msgspec.Struct], answer: type[msgspec.Struct], *, admin: bool = False,
) -> Endpoint:  # fmt: skip
    return Endpoint(
        path=f"{API}/models/{path}",
        take=take,
        least="admin" if admin else "sales",
        method="POST",
        summary=summary,
        body=body,
        answer=answer,
    )


ENDPOINTS: Final = (
    Endpoint(
        path=f"{API}/models",
        take=models,
        least="viewer",
        summary="The model in force, in words, and everything published before.",
        answer=Models,
    ),
    Endpoint(
        path=f"{API}/models/shadows",
        take=shadows,
        least="viewer",
        summary="Models beside the primary, and the leads they put elsewhere.",
        answer=Shadows,
    ),
    Endpoint(
        path=f"{API}/models/{{digest}}/text",
        take=text,
        least="viewer",
        summary="The text of a model that was published.",
        answer=ModelText,
    ),
    _post("check", check_draft, "Whether a draft is right.", Draft, Checked),
    _post("adjust", adjust, "A draft with other points.", Adjusting, Adjusted),
    _post("effect", effect, "What a draft changes on a sample.", Draft, Effect),
    _post("try", try_on, "One lead by a draft and as it is.", Trying, Tried),
    _post("timelines", timelines, "Run timelines.", Testing, TimelinesRun),
    _post("publish", publish, "Bring into force.", Publishing, Published, admin=True),
    _post("rollback", roll_back, "Bring back.", RollingBack, Published, admin=True),
)
