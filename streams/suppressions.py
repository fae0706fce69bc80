"""Who must not be known again: keyed hashes, asked of everything that comes in.

An erased person is known by the hashes of their identifiers' lead ids only, made with
this deployment's privacy key. The list is on a compacted topic, the same on every
partition, so a worker has it before it reads anything else of a partition.
"""

import hashlib
from collections.abc import Iterable
from datetime import datetime
from functools import lru_cache
from typing import TYPE_CHECKING, Final

import msgspec
from msgspec.structs import replace

from schemas import cloudevents
from schemas.account import MemberUpdate
from schemas.command import Absorb, Forward, Learn, Link, Release, Retract, Wakeup
from schemas.event import Event
from schemas.privacy import Suppression
from schemas.time import Instant, to_instant
from schemas.topics import SUPPRESSIONS
from scorers.identity import lead_ids_in, untagged
from scorers.mailbox import said_at
from streams.errors import UserError
from streams.event_log import Record

if TYPE_CHECKING:
    from streams.codec import Message
    from streams.settings import Settings

KEY_FILE: Final = "privacy.key"
"""Where `leadpulse up` keeps the key it made, in the data folder."""

_ALWAYS: Final[Instant] = 1 << 62
_decode: Final = msgspec.json.Decoder(Suppression).decode
_encode: Final = msgspec.json.Encoder().encode


class PrivacyKeyError(UserError):
    """There is no privacy key, or another one than people were erased with."""


class NoPrivacyKeyError(PrivacyKeyError):
    """There is no privacy key."""

    def __init__(self) -> None:
        """Say what to set."""
        super().__init__(
            "no privacy key: set LEADPULSE_PRIVACY_KEY (or LEADPULSE_PRIVACY_KEY_FILE) "
            "to a long random secret, the same for every role, and keep it for good: "
            "who was erased is known by it alone"
        )


class PrivacyKey:
    """Makes what tells a person apart for its owner only."""

    def __init__(self, secret: str) -> None:
        """Derive from `secret`, however long it is."""
        self._key = hashlib.blake2b(secret.encode(), person=b"leadpulse.privy").digest()
        self.id = self.hash("", kind=b"id")[:8]
        """Tells keys apart without giving any away."""
        self.subject = lru_cache(maxsize=65_536)(self.hash)
        """Returns what stands for a lead id."""

    def hash(self, text: str, kind: bytes = b"subject") -> str:
        """Return 128 bits over `text`, in hexadecimal; another set for each `kind`."""
        data = text.encode(errors="surrogatepass")
        return hashlib.blake2b(
            data, digest_size=16, key=self._key, person=kind
        ).hexdigest()


def privacy_key(settings: "Settings") -> PrivacyKey | None:
    """Return the key that is set, or that `leadpulse up` keeps; None for neither."""
    if settings.privacy_key is not None:
        return PrivacyKey(settings.privacy_key.get_secret_value())
    try:
        kept = (settings.data_dir / KEY_FILE).read_text("utf-8").strip()
    except OSError:
        return None
    return PrivacyKey(kept) if kept else None


def need_privacy_key(settings: "Settings") -> PrivacyKey:
    """Return the key.

    Raises
    ------
    NoPrivacyKeyError
        When there is none.
    """
    key = privacy_key(settings)
    if key is None:
        raise NoPrivacyKeyError
    return key


def suppression_records(
    settings: "Settings", suppressions: Iterable[Suppression], partitions: int
) -> list[Record]:
    """Return `suppressions` as they go on every partition of their topic."""
    topic = settings.topic(SUPPRESSIONS.name)
    return [
        Record(
            topic,
            each.subject.encode(),
            _encode(each),
            [
                *cloudevents.headers(
                    type=cloudevents.SUPPRESSION,
                    source="/privacy",
                    id=f"{each.subject}:{to_instant(each.at)}",
                    time=each.at,
                )
            ],
            partition,
        )
        for each in suppressions
        for partition in range(partitions)
    ]


class Suppressions:
    """The list as far as it was heard, and what it lets pass."""

    def __init__(self, settings: "Settings") -> None:
        """Begin with nobody on the list."""
        self.key = privacy_key(settings)
        self._plain_addresses = settings.ignore_plus_tags
        self._until: dict[str, Instant] = {}
        """By subject: what was received before that is suppressed."""

    def __len__(self) -> int:
        """Return how many subjects are on the list."""
        return len(self._until)

    def read(self, value: bytes) -> None:
        """Take in a record of the topic; unreadable ones are passed over.

        Raises
        ------
        PrivacyKeyError
            When it was made with another key, or there is none here.
        """
        try:
            self.take(_decode(value))
        except (msgspec.DecodeError, UnicodeDecodeError):
            return

    def take(self, suppression: Suppression) -> None:
        """Take in an entry of the list.

        Raises
        ------
        PrivacyKeyError
            When it was made with another key, or there is none here.
        """
        if self.key is None or suppression.key_id != self.key.id:
            have = "there is none" if self.key is None else "this one is another"
            msg = (
                "people were erased here, and who they are is known by the privacy key "
                f"only; {have}: set LEADPULSE_PRIVACY_KEY (or "
                "LEADPULSE_PRIVACY_KEY_FILE) to the key that was used"
            )
            raise PrivacyKeyError(msg)
        lifted = suppression.lifted_at
        self._until[suppression.subject] = (
            _ALWAYS if lifted is None else to_instant(lifted)
        )

    def take_unless_lifted(self, lead_id: str, at: datetime) -> None:
        """Put a lead on the list, if nothing was heard of it since."""
        entry = self.entry(lead_id, at)
        if entry.subject not in self._until:
            self.take(entry)

    def entry(self, lead_id: str, at: datetime) -> Suppression:
        """Return the entry by which a lead is not known again."""
        if self.key is None:
            raise NoPrivacyKeyError
        return Suppression(subject=self.key.subject(lead_id), key_id=self.key.id, at=at)

    def hides(self, lead_id: str, received: Instant) -> bool:
        """Say whether what was received of a lead then must not count."""
        if not self._until or self.key is None:
            return False
        until = self._until.get(self.key.subject(lead_id))
        return until is not None and received < until

    def forgets(self, lead_id: str) -> bool:
        """Say whether nothing may be known of a lead: it was erased for good."""
        return self.hides(lead_id, _ALWAYS - 1)

    def screen(self, event: Event) -> Event | None:
        """Return what of `event` may be known, None where it is an erased person's.

        A user id or an address is a person's. A device may be somebody else's today:
        then the event stays, without it.
        """
        if not self._until:
            return event
        found = lead_ids_in(untagged(event) if self._plain_addresses else event)
        hidden = {
            kind for kind, lead_id in found.items() if self.hides(lead_id, event.now)
        }
        if not hidden:
            return event
        if hidden != {"anonymous_id"} or found.keys() == hidden:
            return None
        return replace(event, anonymous_id=None)

    def admit(self, message: "Message") -> "Message | None":
        """Return what of a message may reach its lead, None for nothing."""
        if not self._until:
            return message
        match message:
            case Event():
                return self.screen(message)
            case Forward():
                event = self.screen(message.event)
                if event is None or self.hides(message.lead_id, event.now):
                    return None
                return replace(message, event=event)
            case Learn():
                heard = to_instant(
                    message.event.received_at or message.event.occurred_at
                )
                return None if self.hides(message.lead_id, heard) else message
            case Link() if self.forgets(message.to):
                return None
            case Retract() | Link() | Absorb() | Release():
                hidden = self.hides(message.lead_id, said_at(message))
                return None if hidden else message
            case Wakeup():
                return None if self.forgets(message.lead_id) else message
            case MemberUpdate() if not message.erased:
                hidden = self.hides(message.lead_id, to_instant(message.as_of))
                return None if hidden else message
            case _:
                return message
