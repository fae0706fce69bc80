"""What is known of hot leads and of what was done about them, as it comes in.

Only ids, owners and instants are kept: who a lead is, the view says.
"""

import threading
from collections.abc import Iterable, Mapping
from typing import Final, Literal

import msgspec

from schemas.alert import Alert
from schemas.delivery import Delivery, DeliveryRecord
from schemas.event import Event
from schemas.time import DAY, Instant, to_instant
from schemas.topics import CRM_EVENTS, DELIVERIES, NOTIFICATIONS, Topic
from schemas.workspace import workspace_of
from scorers.identity import KINDS, lead_id_of, normalise
from scorers.outcomes import outcome_of
from streams.acknowledging import ALERT_PROPERTY, BY_PROPERTY

KEPT: Final = 100 * DAY
"""How long facts are kept: longer than the longest page asks for."""
_SWEPT_EVERY: Final = 20_000

Deed = Literal["taken", "unfit", "contact", "qualified", "won", "lost"]

DEEDS: Final[Mapping[str, Deed]] = {
    "lead acknowledged": "taken",
    "lead disqualified": "unfit",
    "call logged": "contact",
    "meeting held": "contact",
    "email replied": "contact",
    "lead qualified": "qualified",
    "deal won": "won",
    "deal lost": "lost",
}
"""What events of the CRM say that somebody did, by their names in small letters."""


class HotAlert(msgspec.Struct, frozen=True, kw_only=True):
    """A lead that became hot."""

    id: str
    lead_id: str
    owner: str
    tier: str
    score: float
    at: Instant


class Fact(msgspec.Struct, frozen=True, kw_only=True):
    """Something that was done about a lead, or became of it."""

    deed: Deed
    at: Instant
    alert_id: str = ""
    by: str = ""
    amount: float | None = None
    currency: str = ""


class FollowUpBook:
    """Hot alerts, their ends and escalations, when they were told, and what was done.

    It is written by one thread and read by others.
    """

    topics = (NOTIFICATIONS, DELIVERIES, CRM_EVENTS)

    def __init__(self) -> None:
        """Know nothing yet."""
        self._lock = threading.Lock()
        self._alerts: dict[str, HotAlert] = {}
        self._recalled: set[str] = set()
        self._ended: dict[str, list[Instant]] = {}
        self._escalated: dict[str, list[Instant]] = {}
        self._told: dict[str, Instant] = {}
        self._facts: dict[str, dict[str, Fact]] = {}
        self._same: dict[str, str] = {}
        """Other ids that a lead's identifiers derive to, and the lead's own."""
        self._taken = 0

    def take(self, topic: Topic, key: str, value: bytes | None) -> None:
        """Take in a record; what cannot be read is somebody else's dead letter."""
        with self._lock:
            try:
                if topic is DELIVERIES:
                    self._take_delivery(key, value)
                elif value is None:
                    pass
                elif topic is NOTIFICATIONS:
                    self._take_alert(_ALERT.decode(value))
                else:
                    self._take_event(key, _EVENT.decode(value))
            except (msgspec.DecodeError, UnicodeDecodeError):
                return
            self._taken += 1
            if self._taken % _SWEPT_EVERY == 0:
                self._sweep()

    def facts(self) -> "Facts":
        """Return what is known now, joined."""
        with self._lock:
            return Facts(
                alerts=sorted(
                    (
                        each
                        for each in self._alerts.values()
                        if each.id not in self._recalled
                    ),
                    key=lambda each: (each.at, each.id),
                ),
                ended={lead: sorted(at) for lead, at in self._ended.items()},
                escalated={lead: sorted(at) for lead, at in self._escalated.items()},
                told=dict(self._told),
                deeds=self._joined(),
            )

    def _take_alert(self, alert: Alert) -> None:
        at = to_instant(alert.decided_at)
        if alert.recalls is not None:
            self._recalled.add(alert.recalls)
            return
        if alert.account is not None:
            return
        if alert.kind == "cooled":
            self._ended.setdefault(alert.lead_id, []).append(at)
        elif alert.kind == "unworked":
            self._escalated.setdefault(alert.lead_id, []).append(at)
        elif alert.kind == "hot":
            self._alerts[alert.id] = HotAlert(
                id=alert.id,
                lead_id=alert.lead_id,
                owner=alert.owner or "",
                tier=alert.tier,
                score=alert.score,
                at=at,
            )
            workspace = workspace_of(alert.lead_id)
            for kind in KINDS:
                for name in getattr(alert.identifiers, kind):
                    other = lead_id_of(kind, normalise(kind, name), workspace)
                    self._same[other] = alert.lead_id

    def _take_delivery(self, key: str, value: bytes | None) -> None:
        if value is None:
            self._told.pop(key.partition("/")[2], None)
            return
        delivery = _DELIVERY.decode(value)
        if isinstance(delivery, Delivery) and delivery.standing == "told":
            at = to_instant(delivery.at)
            alert_id = delivery.alert.id
            self._told[alert_id] = min(at, self._told.get(alert_id, at))

    def _take_event(self, key: str, event: Event) -> None:
        deed = DEEDS.get(event.name.casefold())
        if deed is None or event.type != "track":
            return
        known = event.properties
        outcome = outcome_of(event)
        self._facts.setdefault(key, {})[event.id] = Fact(
            deed=deed,
            at=event.time,
            alert_id=str(known.get(ALERT_PROPERTY) or ""),
            by=str(known.get(BY_PROPERTY) or "")[:120],
            amount=None if outcome is None else outcome.amount,
            currency="" if outcome is None else outcome.currency,
        )

    def _joined(self) -> dict[str, list[Fact]]:
        """Return deeds by the lead that they are about, in their order."""
        joined: dict[str, dict[str, Fact]] = {}
        for lead, told in self._facts.items():
            joined.setdefault(self._same.get(lead, lead), {}).update(told)
        return {
            lead: sorted(told.values(), key=lambda fact: fact.at)
            for lead, told in joined.items()
        }

    def _sweep(self) -> None:
        """Forget what is too old for every page."""
        newest = max(
            _newest(each.at for each in self._alerts.values()),
            _newest(fact.at for told in self._facts.values() for fact in told.values()),
        )
        oldest = newest - KEPT
        self._alerts = {
            key: each for key, each in self._alerts.items() if each.at >= oldest
        }
        leads = {each.lead_id for each in self._alerts.values()}
        self._told = {k: at for k, at in self._told.items() if k in self._alerts}
        self._recalled &= set(self._alerts)
        self._same = {k: lead for k, lead in self._same.items() if lead in leads}
        for known in (self._ended, self._escalated):
            for lead in set(known) - leads:
                del known[lead]
        for lead, told in list(self._facts.items()):
            left = {key: fact for key, fact in told.items() if fact.at >= oldest}
            if left:
                self._facts[lead] = left
            else:
                del self._facts[lead]


class Facts(msgspec.Struct, frozen=True, kw_only=True):
    """All that was told and done, at one time."""

    alerts: list[HotAlert]
    """Hot alerts that were not withdrawn, oldest first."""
    ended: Mapping[str, list[Instant]]
    escalated: Mapping[str, list[Instant]]
    told: Mapping[str, Instant]
    """When a target first had an alert."""
    deeds: Mapping[str, list[Fact]]


def _newest(instants: Iterable[Instant]) -> Instant:
    return max(instants, default=0)


_ALERT: Final = msgspec.json.Decoder(Alert)
_EVENT: Final = msgspec.json.Decoder(Event)
_DELIVERY: Final[msgspec.json.Decoder[DeliveryRecord]] = msgspec.json.Decoder(
    DeliveryRecord
)
