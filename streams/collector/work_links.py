"""The links of messages to sales, answered: *I'm on it*, *not a fit*, no more digests.

A link only asks: scanners follow links. The button of its page, or the mail program
for a digest (RFC 8058), does it.
"""

from collections.abc import Awaitable, Callable
from typing import Final

import msgspec
from starlette.requests import Request
from starlette.routing import Route

from schemas import cloudevents
from schemas.delivery import DigestStopped
from schemas.time import to_datetime
from schemas.topics import DELIVERIES
from schemas.workspace import split_source
from streams.acknowledging import Answerable, Verdict, work_event
from streams.collector.intake import Answer, Intake
from streams.collector.pages import (
    HTML,
    PAGE_HEADERS,
    asking_page,
    expired_page,
    later_page,
    said_page,
    unknown_page,
)
from streams.event_log import NotDurableError, Record
from streams.links import (
    PATHS,
    ExpiredLinkError,
    Link,
    LinkAct,
    LinkSeal,
    UnknownLinkError,
)
from streams.settings import Settings

_ASKED: Final[dict[Verdict, tuple[str, str, str]]] = {
    "taken": (
        "Are you on it?",
        "Your colleagues will see that you deal with this lead.",
        "I'm on it",
    ),
    "unfit": (
        "Not a fit?",
        "The lead is disqualified, and loses points for it.",
        "Not a fit",
    ),
}
_STOP: Final = (
    "No more digests?",
    "You will get no more of these digests. Alerts that cannot wait still come.",
    "Stop them",
)
_PARTITION: Final = 0
"""Where delivery looks for who wants no digests."""
_encode: Final = msgspec.json.Encoder().encode


def work_routes(settings: Settings, intake: Intake) -> list[Route]:
    """Return the routes of these links; none if there is no secret to open them."""
    secrets = [secret.get_secret_value() for secret in settings.link_secrets]
    if not secrets:
        return []
    links = _WorkLinks(settings, LinkSeal(secrets), intake)
    return [
        _route(intake, "work", links.asked_work, "GET"),
        _route(intake, "work", links.work, "POST"),
        _route(intake, "digest", links.asked_digest, "GET"),
        _route(intake, "digest", links.digest, "POST"),
    ]


def _route(
    intake: Intake,
    act: LinkAct,
    take: Callable[[Request, Answer], Awaitable[None]],
    method: str,
) -> Route:
    path = f"{PATHS[act]}/{{token}}"
    return Route(path, intake.endpoint(path, take), methods=[method])


class _WorkLinks:
    """Answers links; each method is what takes one kind of request in."""

    def __init__(self, settings: Settings, seal: LinkSeal, intake: Intake) -> None:
        self._deliveries = settings.topic(DELIVERIES.name)
        self._seal = seal
        self._intake = intake

    async def asked_work(self, request: Request, answer: Answer) -> None:
        """Ask whether it is meant."""
        link = self._link(request, answer, "work")
        if link is not None and link.verdict is not None:
            _show(answer, 200, asking_page(*_ASKED[link.verdict]))

    async def work(self, request: Request, answer: Answer) -> None:
        """Take in what sales says of a lead."""
        link = self._link(request, answer, "work")
        if link is None or link.verdict is None or link.alert_id is None:
            return
        await self._intake.body(request, answer)
        now = self._intake.clock.now()
        workspace, _ = split_source(link.source)
        about = Answerable(link.alert_id, link.user_id, link.email, link.anonymous_id)
        event = work_event(
            about,
            link.verdict,
            by=link.by or "",
            via="mail",
            now=now,
            workspace=workspace,
        )
        try:
            await self._intake.store(
                request, answer, source=link.source, events=[event], refused=[], now=now
            )
        except NotDurableError:
            _later(answer)
            return
        _show(answer, 200, said_page("Thank you", "It is noted."))

    async def asked_digest(self, request: Request, answer: Answer) -> None:
        """Ask whether it is meant."""
        if self._link(request, answer, "digest") is not None:
            _show(answer, 200, asking_page(*_STOP))

    async def digest(self, request: Request, answer: Answer) -> None:
        """Note that somebody wants no more digests."""
        link = self._link(request, answer, "digest")
        if link is None or link.target is None or link.by is None:
            return
        await self._intake.body(request, answer)
        at = to_datetime(self._intake.clock.now())
        stopped = DigestStopped(target=link.target, person=link.by, at=at)
        headers = cloudevents.headers(
            type=cloudevents.DELIVERY, source="/collector", id=stopped.key, time=at
        )
        record = Record(
            self._deliveries,
            stopped.key.encode(),
            _encode(stopped),
            [*headers],
            _PARTITION,
        )
        try:
            await self._intake.append([record])
        except NotDurableError:
            _later(answer)
            return
        _show(answer, 200, said_page("You will get no more digests", "It is noted."))

    def _link(self, request: Request, answer: Answer, act: LinkAct) -> Link | None:
        """Return the link of a request; without one, `answer` says why."""
        try:
            link = self._seal.unseal(
                request.path_params["token"], act, self._intake.clock.now()
            )
        except UnknownLinkError:
            answer.refused = {"unknown-link": 1}
            _show(answer, 400, unknown_page())
        except ExpiredLinkError:
            answer.refused = {"expired-link": 1}
            _show(answer, 410, expired_page(None))
        else:
            answer.source = link.source
            return link
        return None


def _later(answer: Answer) -> None:
    _show(answer, 503, later_page())
    answer.headers["Retry-After"] = "60"


def _show(answer: Answer, status: int, page: bytes) -> None:
    answer.status = status
    answer.content, answer.content_type = page, HTML
    answer.headers = dict(PAGE_HEADERS)
