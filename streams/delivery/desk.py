"""The desk of one target: decides what to do with an alert, and has it done."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final, assert_never

import structlog

from schemas.alert import Alert
from schemas.delivery import Delivery, Standing
from schemas.event import Event
from schemas.time import to_datetime, to_instant
from streams import metrics
from streams.acknowledging import ALERT_PROPERTY, BY_PROPERTY, EVENT_OF
from streams.clock import Clock
from streams.delivery.building import Scribe
from streams.delivery.journal import Journal, StoppedError
from streams.delivery.language import AnyTarget, EmailTarget, FollowUpTarget
from streams.delivery.routing import Router
from streams.notifiers.message import Shown, clean
from streams.notifiers.notifier import Notifier, Parcel
from streams.sending_policy import GaveUp, Refuse, Sender, Sent, Stopped
from streams.suppressions import Suppressions

_log = structlog.get_logger(__name__)

_OTHER: Final = "other"


@dataclass(frozen=True, slots=True, kw_only=True)
class Desk:
    """All that one target needs to deal with alerts, from several threads."""

    name: str
    target: AnyTarget
    router: Router
    scribe: Scribe
    notifier: Notifier
    sender: Sender
    journal: Journal
    suppressions: Suppressions
    clock: Clock

    def take(self, alert: Alert, partition: int) -> None:
        """Return when `alert` is told, held, or needs not be told.

        Raises
        ------
        StoppedError
            When the process is to end before.
        """
        reason = self._not_for_us(alert)
        if reason:
            self._count(reason)
            return
        people = self.router.people(self.target, alert)
        if not self._addressed(alert, people):
            self._count("nobody")
            return
        earlier = self.journal.episode(alert)
        if _is_end(alert) and earlier is not None and earlier.standing == "held":
            self._settle(earlier, "dropped", "overtaken")
            self._count("overtaken")
            return
        now = self.clock.now()
        plan = self.router.plan(self.target, alert, people, now)
        due_at = max(
            [
                plan.due_at,
                *(
                    to_instant(each.due_at)
                    for each in self._held(alert)
                    if each.due_at is not None
                ),
            ]
        )
        if due_at > now:
            held = Delivery(
                target=self.name,
                standing="held",
                at=to_datetime(now),
                alert=alert,
                people=people,
                due_at=to_datetime(due_at),
                digest=plan.digest,
            )
            self.journal.record(held, partition)
            self._count("held")
            return
        self._tell((alert,), people, partition)

    def release(self, deliveries: Sequence[Delivery]) -> None:
        """Return when what waited is told; several are one digest.

        Raises
        ------
        StoppedError
            When the process is to end before.
        """
        waiting = [
            each
            for each in deliveries
            if (known := self.journal.get(each.alert.id)) is not None
            and known.standing == "held"
        ]
        kept = [each for each in waiting if not self._hidden(each.alert)]
        for each in waiting:
            if each not in kept:
                self._count("suppressed")
                self.journal.erase(each.alert.id)
        if not kept:
            return
        first = kept[0]
        partition = self.journal.partition_of(first.alert.id)
        people = first.people
        if first.digest and people:
            stopped = self.journal.no_digests_for()
            people = tuple(name for name in people if name not in stopped)
            if not people:
                for each in kept:
                    self._settle(each, "dropped", "no-digest")
                return
        self._tell(
            [each.alert for each in kept], people, partition, digest=first.digest
        )

    def worked(self, event: Event, lead_id: str) -> None:
        """Return when messages show that sales took up a lead.

        Raises
        ------
        StoppedError
            When the process is to end before.
        """
        told = event.properties.get(ALERT_PROPERTY)
        known = self.journal.get(told) if isinstance(told, str) else None
        concerned = self.journal.find(
            lambda each: (
                each.alert.lead_id == lead_id and each.standing in {"told", "held"}
            )
        )
        if known is not None and known.standing in {"told", "held"}:
            concerned = [known, *(each for each in concerned if each != known)]
        by = clean(event.properties.get(BY_PROPERTY) or "")
        shown: Shown = "unfit" if event.name == EVENT_OF["unfit"] else "taken"
        for each in concerned:
            if to_instant(each.alert.decided_at) > event.now:
                continue  # told since
            if each.standing == "held":
                self._settle(each, "dropped", "worked")
                continue
            self._note_speed(each.alert, event)
            if self.notifier.shows_state and each.handle:
                self._show(each, shown, by)
            self._settle(each, "worked", by=by)

    def hidden(self, alert: Alert) -> bool:
        """Say whether `alert` is about somebody who was erased."""
        return self._hidden(alert)

    def _not_for_us(self, alert: Alert) -> str:
        known = self.journal.get(alert.id)
        if known is not None and known.standing != "undeliverable":
            return (
                "duplicate"  # what was a dead letter is tried again when it is replayed
            )
        if self._hidden(alert):
            return "suppressed"
        if self.name not in self.router.targets(alert):
            return "not-routed"
        if isinstance(self.target, FollowUpTarget):
            return self._no_follow_up(self.target, alert)
        return ""

    def _no_follow_up(self, target: FollowUpTarget, alert: Alert) -> str:
        if alert.do_not_email:
            return "refused"
        if _is_end(alert) or alert.kind in {"unworked", "account-surge"}:
            return "not-routed"
        since = self.clock.now() - target.cap.per
        written = self.journal.find(
            lambda each: (
                each.alert.lead_id == alert.lead_id
                and each.standing in {"told", "held", "worked"}
                and to_instant(each.at) > since
            )
        )
        return "capped" if len(written) >= target.cap.count else ""

    def _addressed(
        self, alert: Alert, people: tuple[str, ...]
    ) -> list[tuple[str, str]]:
        """Return whom messages go to, and their addresses; a channel has neither."""
        if not isinstance(self.target, EmailTarget):
            return [("", "")]
        if isinstance(self.target, FollowUpTarget):
            # A pseudonym is no address.
            known = [mail for mail in alert.identifiers.email if _is_address(mail)]
            return [("", mail) for mail in known[:1]]
        found = ((name, self.router.recipient(name).email) for name in people)
        return [(name, address) for name, address in found if address is not None]

    def _held(self, alert: Alert) -> list[Delivery]:
        """Return what of the same lead waits: nothing may overtake it."""
        return self.journal.find(
            lambda each: (
                each.standing == "held"
                and each.alert.subject == alert.subject
                and not each.digest
            )
        )

    def _hidden(self, alert: Alert) -> bool:
        at = to_instant(alert.decided_at)
        people = () if alert.account is None else alert.account.people
        return any(
            self.suppressions.hides(each, at) for each in (alert.lead_id, *people)
        )

    def _tell(
        self,
        alerts: Sequence[Alert],
        people: tuple[str, ...],
        partition: int,
        *,
        digest: bool = False,
    ) -> None:
        first = alerts[0]
        earlier = None if digest else self.journal.episode(first)
        if earlier is not None and _is_end(first):
            if self.notifier.shows_state and earlier.handle:
                self._show(earlier, "ended", "")
            self._settle(earlier, "ended")
        handle = ""
        for name, address in self._addressed(first, people):
            concerned = (name,) if name else people
            parcel = Parcel(
                messages=tuple(self.scribe.message(each, concerned) for each in alerts),
                address=address,
                handle="" if earlier is None else earlier.handle,
                parent="" if earlier is None else earlier.alert.id,
                stop_url=self.scribe.stop_url(name) if digest and name else "",
            )
            result = self.sender.send(partial(self.notifier.tell, parcel))
            match result:
                case Sent():
                    handle = result.handle
                case Stopped():
                    raise StoppedError
                case Refuse() | GaveUp():
                    self._bury(alerts, people, partition, result)
                    return
                case _:
                    assert_never(result)
        self._told(alerts, people, partition, handle)

    def _told(
        self,
        alerts: Sequence[Alert],
        people: tuple[str, ...],
        partition: int,
        handle: str,
    ) -> None:
        for alert in alerts:
            known = self.journal.get(alert.id)
            if known is None:
                metrics.DELIVERY_LATENCY.labels(target=self.name).observe(
                    self.clock.seconds_since(to_instant(alert.decided_at))
                )
            self._remember(alert, people, "told", partition, handle=handle)
            self._count("told")

    def _bury(
        self,
        alerts: Sequence[Alert],
        people: tuple[str, ...],
        partition: int,
        why: Refuse | GaveUp,
    ) -> None:
        last = why if isinstance(why, Refuse) else why.last
        detail = " ".join(filter(None, (last.reason, last.detail)))
        for alert in alerts:
            self.journal.bury(alert, partition, detail, self.clock.now())
            self._remember(alert, people, "undeliverable", partition)
            self._count("undeliverable")
            _log.error(
                "undeliverable", target=self.name, alert=alert.id, why=last.reason
            )

    def _show(self, delivery: Delivery, shown: Shown, by: str) -> None:
        """Let the message that was told say how it stands; failing, it stays."""
        message = self.scribe.message(
            delivery.alert, delivery.people, shown=shown, by=by
        )
        parcel = Parcel(messages=(message,), handle=delivery.handle)
        result = self.sender.send(lambda: self.notifier.show(parcel))
        if isinstance(result, Stopped):
            raise StoppedError
        if isinstance(result, Sent):
            self._count("shown")
        else:
            _log.warning("not_shown", target=self.name, alert=delivery.alert.id)

    def _settle(
        self, delivery: Delivery, standing: Standing, result: str = "", by: str = ""
    ) -> None:
        """Remember how `delivery` stands from now on."""
        alert = delivery.alert
        self._remember(
            alert,
            delivery.people,
            standing,
            self.journal.partition_of(alert.id),
            handle=delivery.handle,
            by=by,
        )
        if result:
            self._count(result)

    def _remember(
        self,
        alert: Alert,
        people: tuple[str, ...],
        standing: Standing,
        partition: int,
        *,
        handle: str = "",
        by: str = "",
    ) -> None:
        self.journal.record(
            Delivery(
                target=self.name,
                standing=standing,
                at=to_datetime(self.clock.now()),
                alert=alert,
                people=people,
                handle=handle,
                by=by,
            ),
            self._partition(alert, partition),
        )

    def _partition(self, alert: Alert, otherwise: int) -> int:
        known = self.journal.get(alert.id)
        return otherwise if known is None else self.journal.partition_of(alert.id)

    def _note_speed(self, alert: Alert, event: Event) -> None:
        """Measure once: at the first target of the alert."""
        if next(iter(self.router.targets(alert)), None) != self.name:
            return
        if _is_end(alert):
            return
        seconds = (event.time - to_instant(alert.decided_at)) / 1000
        owner = self.router.person_of(alert.owner) or _OTHER
        metrics.SPEED_TO_LEAD.labels(tier=alert.tier, owner=owner).observe(
            max(seconds, 0.0)
        )

    def _count(self, result: str) -> None:
        metrics.DELIVERY_ALERTS.labels(target=self.name, result=result).inc()


def _is_end(alert: Alert) -> bool:
    """Say whether `alert` ends an episode."""
    return alert.kind == "cooled" or alert.recalls is not None


def _is_address(text: str) -> bool:
    local, at, domain = text.partition("@")
    return bool(local and at and "." in domain)
