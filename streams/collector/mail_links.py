"""The links of mails one sends oneself, answered: pixel, redirect, unsubscription.

What a person wants goes first: a redirect leads on even when the click cannot be
counted. An unsubscription is the other way round: nobody is told that it is done
before it is durable.
"""

import hashlib
from typing import Final

from starlette.requests import Request
from starlette.routing import Route

from schemas.workspace import split_source
from streams.collector.adapters.form import form_fields, is_form
from streams.collector.adapters.mail import Act, Mail, mail_event
from streams.collector.adapters.provider import Envelope, Incoming
from streams.collector.adapters.tracking import PIXEL
from streams.collector.client_address import address_of
from streams.collector.intake import Answer, Intake, Take
from streams.collector.pages import (
    HTML,
    PAGE_HEADERS,
    confirm_page,
    done_page,
    expired_page,
    later_page,
    unknown_page,
)
from streams.collector.verdict import RefusedError, Rejection
from streams.event_log import NotDurableError
from streams.links import (
    PATHS,
    ExpiredLinkError,
    Link,
    LinkAct,
    LinkSeal,
    UnknownLinkError,
)
from streams.settings import Settings

_ACTS: Final[dict[LinkAct, Act]] = {
    "open": "opened",
    "click": "clicked",
    "unsubscribe": "unsubscribed",
}
_LONGEST_AGENT: Final = 1_000
_ONE_CLICK: Final = ("List-Unsubscribe", "One-Click")
_FETCHED_AHEAD: Final = ("sec-purpose", "purpose", "x-moz", "x-purpose")


def link_routes(settings: Settings, intake: Intake) -> list[Route]:
    """Return the routes of links; none if there is no secret to open them with."""
    secrets = [secret.get_secret_value() for secret in settings.link_secrets]
    if not secrets:
        return []
    links = _Links(LinkSeal(secrets), intake)
    return [
        _route(intake, "open", links.opened),
        _route(intake, "click", links.clicked),
        _route(intake, "unsubscribe", links.asked),
        _route(intake, "unsubscribe", links.unsubscribed, "POST"),
    ]


def _route(intake: Intake, act: LinkAct, take: Take, method: str = "GET") -> Route:
    path = f"{PATHS[act]}/{{token}}"
    return Route(path, intake.endpoint(path, take), methods=[method])


class _Links:
    """Answers links; each method is what takes one kind of request in."""

    def __init__(self, seal: LinkSeal, intake: Intake) -> None:
        self._seal = seal
        self._intake = intake

    async def opened(self, request: Request, answer: Answer) -> None:
        """Answer with one pixel, whatever comes of it: it is part of a mail."""
        answer.content, answer.content_type = PIXEL, "image/gif"
        answer.headers = {"Cache-Control": "no-store", "X-Robots-Tag": "noindex"}
        link = self._link(request, answer, "open")
        if link is not None:
            await self._tell_if_possible(request, answer, link)

    async def clicked(self, request: Request, answer: Answer) -> None:
        """Redirect to where the link goes."""
        link = self._link(request, answer, "click")
        if link is None:
            return
        assert link.url is not None  # noqa: S101 - no click is unsealed without one
        await self._tell_if_possible(request, answer, link)
        answer.status = 302
        answer.content, answer.content_type = b"", HTML
        answer.headers = {
            "Location": link.url,
            "Cache-Control": "no-store",
            "X-Robots-Tag": "noindex, nofollow",
        }

    async def asked(self, request: Request, answer: Answer) -> None:
        """Ask whether it is meant: scanners follow links, and press no button."""
        link = self._link(request, answer, "unsubscribe")
        if link is not None:
            _show(answer, 200, confirm_page(link.email, link.purpose))

    async def unsubscribed(self, request: Request, answer: Answer) -> None:
        """Unsubscribe somebody: the button of the page, or of the mail program."""
        link = self._link(request, answer, "unsubscribe")
        if link is None:
            return
        body = await self._intake.body(request, answer)
        try:
            await self._tell(
                request, answer, link, one_click=_is_one_click(request, body)
            )
        except NotDurableError:
            _show(answer, 503, later_page())
            answer.headers["Retry-After"] = "60"
            return
        _show(answer, 200, done_page())

    def _link(self, request: Request, answer: Answer, act: LinkAct) -> Link | None:
        """Return the link of a request; without one, `answer` says why."""
        token = request.path_params["token"].removesuffix(".gif")
        try:
            link = self._seal.unseal(token, act, self._intake.clock.now())
        except UnknownLinkError:
            answer.refused = {"unknown-link": 1}
            status, page = 400, unknown_page()
        except ExpiredLinkError as error:
            answer.refused = {"expired-link": 1}
            status, page = 410, expired_page(error.link.url)
        else:
            answer.source = link.source
            return link
        if act == "open":
            answer.status = status
        else:
            _show(answer, status, page)
        return None

    async def _tell_if_possible(
        self, request: Request, answer: Answer, link: Link
    ) -> None:
        """Return when the event is durable, or cannot be: then it is only counted."""
        if request.method == "HEAD":  # nobody sees what nobody asked to see
            return
        try:
            self._intake.rates.admit(f"link {_digest(request)}")
            await self._tell(request, answer, link)
        except RefusedError as refused:
            answer.refused = {refused.reason: 1}
        except NotDurableError:
            answer.refused = {"not-durable": 1}

    async def _tell(
        self, request: Request, answer: Answer, link: Link, *, one_click: bool = False
    ) -> None:
        now = self._intake.clock.now()
        workspace, name = split_source(link.source)
        mail = Mail(
            act=_ACTS[link.act],
            email=link.email,
            user_id=link.user_id,
            at=now,
            ids=(_digest(request), now),
            email_id=link.email_id,
            campaign_id=link.campaign_id,
            link_url=link.url,
            ip=address_of(request, self._intake.client_ip),
            user_agent=request.headers.get("user-agent", "")[:_LONGEST_AGENT] or None,
            properties={
                "links": link.links,
                "honeypot": True if link.honeypot else None,
                "one_click": True if one_click else None,
                "prefetched": True if _is_ahead(request) else None,
                "purpose": link.purpose,
                "channel": "email" if link.purpose is not None else None,
            },
        )
        envelope = Envelope(source=name, workspace=workspace, received_at=now)
        event = mail_event("link", mail, envelope)
        if isinstance(event, Rejection):  # made by hand: our own name somebody
            answer.refused = {event.reason: 1}
            return
        await self._intake.store(
            request, answer, source=link.source, events=[event], refused=[], now=now
        )


def _show(answer: Answer, status: int, page: bytes) -> None:
    answer.status = status
    answer.content, answer.content_type = page, HTML
    answer.headers = dict(PAGE_HEADERS)


def _digest(request: Request) -> str:
    token: str = request.path_params["token"]
    return hashlib.blake2b(token.encode(), digest_size=16).hexdigest()


def _is_ahead(request: Request) -> bool:
    """Say whether a browser fetches it in case somebody may want to see it."""
    return any(
        request.headers.get(name, "").lower().startswith(("prefetch", "preview"))
        for name in _FETCHED_AHEAD
    )


def _is_one_click(request: Request, body: bytes) -> bool:
    """Say whether a mail program posts it (RFC 8058)."""
    incoming = Incoming(
        method="POST", url="", headers=dict(request.headers), query={}, body=body
    )
    try:
        return is_form(incoming) and _ONE_CLICK in form_fields(incoming)
    except RefusedError:
        return False
