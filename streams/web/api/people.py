"""A person's own rights: everything that is held of them, and to be forgotten."""

from typing import Any, Final

import msgspec
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from schemas.topics import TOPICS
from streams.erasure import erase_person
from streams.event_log import NotDurableError, opened_log
from streams.export import export_person
from streams.person import Person, find_person
from streams.suppressions import need_privacy_key
from streams.topics_admin import check_topics, shared_partitions
from streams.web.asking import Ask
from streams.web.endpoint import API, Endpoint, Entry
from streams.web.problems import ProblemError


class Erasing(msgspec.Struct, frozen=True, kw_only=True):
    """That it is meant: the lead's id once more."""

    confirm: str


class ErasureBegun(msgspec.Struct, frozen=True, kw_only=True):
    """What an erasure came to; the workers do the rest."""

    leads: int
    dead_letters: int
    kept_letters: str = ""


def export(ask: Ask) -> Response:
    """Return everything that is held of the person."""
    settings = ask.sources.settings
    person = _person(ask)
    document: dict[str, Any] = export_person(settings, person, ask.sources.clock.now())
    return Response(
        msgspec.json.format(msgspec.json.encode(document)),
        media_type="application/json",
        headers={
            "Content-Disposition": 'attachment; filename="person.json"',
            "Cache-Control": "no-store",
        },
    )


async def erase(ask: Ask) -> ErasureBegun:
    """Forget the person, in every identity, for good."""
    if ask.body(Erasing).confirm != ask.path("lead_id"):
        raise ProblemError(400, "unconfirmed", "confirm with the lead's id")
    settings = ask.sources.settings
    need_privacy_key(settings)
    topics = await run_in_threadpool(check_topics, settings)
    person = await run_in_threadpool(_person, ask)
    try:
        async with opened_log(settings, name="privacy", topics=TOPICS) as log:
            erased = await erase_person(
                settings,
                log,
                person,
                now=ask.sources.clock.now(),
                by=ask.who,
                partitions=shared_partitions(topics),
            )
    except NotDurableError as error:
        text = f"{error}; do it again, half of it does no harm"
        raise ProblemError(503, "not-stored", text) from None
    return ErasureBegun(
        leads=erased.leads,
        dead_letters=erased.dead_letters,
        kept_letters=erased.kept_letters,
    )


def _person(ask: Ask) -> Person:
    settings = ask.sources.settings
    return find_person(settings, ask.path("lead_id"), settings.web_workspace)


ENDPOINTS: Final = (
    Endpoint(
        path=f"{API}/leads/{{lead_id}}/export",
        take=export,
        least="admin",
        summary="Everything that is held of the person; all topics are read.",
    ),
    Endpoint(
        path=f"{API}/leads/{{lead_id}}/erase",
        take=erase,
        least="admin",
        method="POST",
        summary="Forget the person, everywhere and for good.",
        body=Erasing,
        answer=ErasureBegun,
    ),
)
NAVIGATION: Final[tuple[Entry, ...]] = ()
