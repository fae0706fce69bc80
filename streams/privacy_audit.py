"""The audit topic: what was done to people's data, without their data."""

from typing import TYPE_CHECKING

import msgspec

from schemas import cloudevents
from schemas.privacy import AuditRecord
from schemas.time import to_instant
from schemas.topics import AUDIT
from streams.event_log import Record

if TYPE_CHECKING:
    from streams.settings import Settings


def audit_record(settings: "Settings", audit: AuditRecord) -> Record:
    """Return what was done as it goes on the audit topic."""
    return Record(
        settings.topic(AUDIT.name),
        audit.subject.encode(),
        msgspec.json.encode(audit),
        [
            *cloudevents.headers(
                type=cloudevents.AUDIT,
                source="/privacy",
                id=f"{audit.kind}:{audit.subject}:{to_instant(audit.at)}",
                time=audit.at,
            )
        ],
    )
