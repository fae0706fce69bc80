"""Erasing a person: asked for here, done by the owners of their leads.

In this order, so that whoever is interrupted can simply begin again: the suppression
list first, then the dead letters (while it is known what to look for), then the
commands to the owners, who forget everything else.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import msgspec

from schemas.command import Erase
from schemas.privacy import AuditRecord, Suppression
from schemas.time import Instant, to_datetime, to_instant
from schemas.topics import AUDIT, DEAD_LETTERS
from streams import codec
from streams.event_log import EventLog
from streams.person import Person, is_about
from streams.privacy_audit import audit_record
from streams.rewriting import RewriteError, take_out
from streams.suppressions import need_privacy_key, suppression_records
from streams.topic_reader import read_topic

if TYPE_CHECKING:
    from confluent_kafka import Message

    from streams.settings import Settings

_POLL_SECONDS: Final = 0.3
_decode: Final = msgspec.json.Decoder(AuditRecord).decode


@dataclass(frozen=True, slots=True, kw_only=True)
class Erased:
    """What an erasure came to."""

    asked_at: Instant
    leads: int
    """Lead ids that were put on the suppression list and told to their owners."""
    dead_letters: int
    kept_letters: str
    """Why dead letters could not be taken out; empty if they were."""


async def erase_person(
    settings: "Settings",
    log: EventLog,
    person: Person,
    *,
    now: Instant,
    by: str,
    partitions: int,
) -> Erased:
    """Return when the list and every owner of the person's leads are told.

    Raises
    ------
    NoPrivacyKeyError
        Without a key nobody can be kept from being known again.
    NotDurableError
        When the broker did not take something; doing it again does no harm.
    """
    key = need_privacy_key(settings)
    at = to_datetime(now)
    certain = {*person.named, *(state.lead_id for state in person.states)}
    await log.append(
        suppression_records(
            settings,
            [
                Suppression(subject=key.subject(each), key_id=key.id, at=at)
                for each in sorted(certain)
            ],
            partitions,
        )
    )
    letters, kept = 0, ""
    try:
        letters = _take_out_letters(settings, person)
    except RewriteError as error:
        kept = str(error)
    await log.append(
        [
            codec.command_record(
                settings, Erase(lead_id=each, at=at, by=by), partitions
            )
            for each in sorted(certain)
        ]
    )
    return Erased(
        asked_at=now, leads=len(certain), dead_letters=letters, kept_letters=kept
    )


async def lift_erasure(
    settings: "Settings",
    log: EventLog,
    person: Person,
    *,
    now: Instant,
    by: str,
    partitions: int,
) -> int:
    """Return how many lead ids may be known again, by what is received from now on.

    Raises
    ------
    NoPrivacyKeyError
        When there is no key to find them with.
    NotDurableError
        When the broker did not take something; doing it again does no harm.
    """
    key = need_privacy_key(settings)
    at = to_datetime(now)
    lifted = [
        Suppression(subject=key.subject(each), key_id=key.id, at=at, lifted_at=at)
        for each in person.named
    ]
    await log.append(
        [
            *suppression_records(settings, lifted, partitions),
            *(
                audit_record(
                    settings,
                    AuditRecord(kind="lift", subject=each.subject, at=at, by=by),
                )
                for each in lifted
            ),
        ]
    )
    return len(lifted)


def wait_until_erased(
    settings: "Settings",
    person: Person,
    asked_at: Instant,
    *,
    seconds: float,
    sleep: Callable[[float], None] = time.sleep,
) -> bool:
    """Say whether the owners of the leads that were known have erased them in time."""
    key = need_privacy_key(settings)
    awaited = {key.subject(state.lead_id) for state in person.states}
    until = time.monotonic() + seconds
    while awaited:
        for record in read_topic(settings, settings.topic(AUDIT.name)):
            audit = _decode(record.value() or b"")
            if audit.kind == "erasure" and to_instant(audit.at) >= asked_at:
                awaited.discard(audit.subject)
        if awaited and time.monotonic() > until:
            return False
        if awaited:
            sleep(_POLL_SECONDS)
    return True


def _take_out_letters(settings: "Settings", person: Person) -> int:
    marks = person.marks

    def is_theirs(message: "Message") -> bool:
        return is_about(marks, message.key(), message.value())

    return take_out(settings, settings.topic(DEAD_LETTERS.name), is_theirs)
