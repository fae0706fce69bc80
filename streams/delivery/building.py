"""From the delivery file to what sends: one notifier for each target."""

from pathlib import Path
from typing import Final, assert_never

from schemas.alert import Alert
from schemas.locale import Locale
from schemas.time import DAY, SECOND, to_instant
from schemas.workspace import workspace_of
from streams.acknowledging import Verdict, answerable
from streams.delivery.language import (
    AnyTarget,
    DeliveryFile,
    EmailTarget,
    FollowUpTarget,
    PagerDutyTarget,
    SlackTarget,
    TeamsTarget,
    TerminalTarget,
    WebhookTarget,
)
from streams.delivery.routing import Router
from streams.links import LinkError, MailLinks
from streams.notifiers.followup import FollowUpNotifier, Library
from streams.notifiers.mail import Mailbox, MailNotifier
from streams.notifiers.message import Links, Message, Shown, Writer, filled
from streams.notifiers.notifier import Notifier
from streams.notifiers.pagerduty import PagerDutyNotifier
from streams.notifiers.slack import SlackNotifier
from streams.notifiers.teams import TeamsNotifier
from streams.notifiers.terminal import TerminalNotifier
from streams.notifiers.webhook import WebhookNotifier
from streams.sending_policy import SendingPolicy
from streams.settings import Settings

_LINK_DAYS: Final = 30
_SOURCE: Final = "delivery"
_NO_LINKS: Final = frozenset({"slack", "pagerduty", "followup"})
"""Kinds that have buttons of their own, or none to press."""


def mail_links(settings: Settings) -> MailLinks | None:
    """Return what makes signed links, None where the settings say nothing of them."""
    try:
        return MailLinks.of(settings, source=_SOURCE)
    except LinkError:
        return None


def build_notifier(name: str, target: AnyTarget, settings: Settings) -> Notifier:
    """Return what sends to `target`.

    Raises
    ------
    UserError
        When its secret, or a folder of templates, cannot be used.
    """
    given = settings.delivery_secrets.get(name)
    secret = "" if given is None else given.get_secret_value()
    match target:
        case SlackTarget():
            return SlackNotifier(secret, target.channel, target.api)
        case FollowUpTarget():
            library = Library(templates_of(target, settings))
            return FollowUpNotifier(
                mailbox(target, secret),
                library,
                mail_links(settings),
                reply_to=target.reply_to,
            )
        case EmailTarget():
            return MailNotifier(mailbox(target, secret))
        case TeamsTarget():
            return TeamsNotifier(secret)
        case WebhookTarget():
            return WebhookNotifier(target.url, secret)
        case PagerDutyTarget():
            return PagerDutyNotifier(secret, target.url, target.severity)
        case TerminalTarget():
            return TerminalNotifier()
        case _:
            assert_never(target)


def templates_of(target: FollowUpTarget, settings: Settings) -> Path | None:
    """Return the folder of a target's templates; None for the shipped ones."""
    if target.templates is None:
        return None
    beside = settings.delivery_path
    folder = Path(target.templates)
    return folder if beside is None else beside.parent / folder


def mailbox(target: EmailTarget, secret: str) -> Mailbox:
    """Return how a target's mails are sent."""
    return Mailbox(
        host=target.host,
        port=target.port,
        security=target.security,
        sender=target.sender,
        user=target.user,
        password=secret or None,
    )


def policy_of(target: AnyTarget) -> SendingPolicy:
    """Return what a target is spared."""
    return SendingPolicy(
        rate=target.rate or "", give_up_seconds=target.give_up_after / SECOND
    )


class Scribe:
    """Writes the messages of one target."""

    def __init__(
        self, name: str, target: AnyTarget, router: Router, settings: Settings
    ) -> None:
        """Write for `target` as the delivery file says."""
        self._name = name
        self._target = target
        self._router = router
        self._file: DeliveryFile = router.file
        self._links = mail_links(settings)

    def message(
        self,
        alert: Alert,
        people: tuple[str, ...],
        *,
        shown: Shown = "open",
        by: str = "",
    ) -> Message:
        """Return what `people` are told of `alert`."""
        writer = Writer(self._locale(people), self._router.zone(people))
        slack = (self._router.recipient(name).slack for name in people)
        person = self._router.person_of(by)
        return writer.write(
            alert,
            links=self._where(alert, people),
            shown=shown,
            by=person or by,
            mentions=tuple(filter(None, slack)),
        )

    def stop_url(self, person: str) -> str:
        """Return where `person` says that no more digests are wanted."""
        if self._links is None:
            return ""
        return self._links.digest(target=self._name, person=person)

    def _locale(self, people: tuple[str, ...]) -> Locale:
        if isinstance(self._target, EmailTarget):  # a channel is read by many
            for name in people:
                if (own := self._router.recipient(name).language) is not None:
                    return own
        return self._target.language or self._file.language

    def _where(self, alert: Alert, people: tuple[str, ...]) -> Links:
        known, account = alert.identifiers, alert.account
        lead = filled(
            self._file.links.lead,
            lead_id=alert.lead_id,
            user_id=next(iter(known.user_id), None),
            email=next(iter(known.email), None),
        )
        about = filled(
            self._file.links.account,
            account_id=alert.account_id,
            domain=None if account is None else account.domain,
        )
        may_answer = alert.kind != "cooled" and alert.recalls is None
        taken = unfit = ""
        if may_answer and self._target.kind not in _NO_LINKS:
            taken = self._answer(alert, "taken", people)
            unfit = self._answer(alert, "unfit", people)
        return Links(lead=lead, account=about, taken=taken, unfit=unfit)

    def _answer(self, alert: Alert, verdict: Verdict, people: tuple[str, ...]) -> str:
        about = answerable(alert)
        if self._links is None or not (
            about.user_id or about.email or about.anonymous_id
        ):
            return ""
        return self._links.work(
            about,
            verdict,
            by=people[0] if len(people) == 1 else "",
            workspace=workspace_of(alert.lead_id),
            expires_at=to_instant(alert.decided_at) + _LINK_DAYS * DAY,
        )
