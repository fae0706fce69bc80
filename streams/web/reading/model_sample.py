"""A sample of what really happened, for drafts of models to be tried on."""

from typing import TYPE_CHECKING, Final

import msgspec

from schemas.event import Event
from schemas.topics import EVENT_TOPICS
from streams.suppression_feed import load_suppressions
from streams.topic_reader import TopicReader

if TYPE_CHECKING:
    from streams.settings import Settings

SAMPLE_EVENTS: Final = 1_500
"""Events of a sample, at the most: tried in about a second."""
_LEAST_OF_A_PARTITION: Final = 100


def read_sample(
    settings: "Settings", workspace: str, most: int = SAMPLE_EVENTS
) -> list[Event]:
    """Return the latest events of a workspace on as many partitions as `most` holds.

    Raises
    ------
    UserError
        When a topic cannot be read.
    """
    erased = load_suppressions(settings)
    read: dict[int, list[Event]] = {}
    with TopicReader(settings) as reader:
        names = [settings.topic(topic.name) for topic in EVENT_TOPICS]
        share = most * 2 // max(len(reader.partitions(names[0])), 1)
        for name in names:
            latest = max(share, _LEAST_OF_A_PARTITION)
            for message in reader.read(name, latest=latest):
                event = _event(message.value())
                if event is not None and event.workspace == workspace:
                    event = erased.screen(event)
                    if event is not None:
                        read.setdefault(message.partition() or 0, []).append(event)
    found: list[Event] = []
    for _, events in sorted(read.items()):
        if found and len(found) + len(events) > most:
            break
        found += events
    found.sort(key=lambda event: event.now)
    return found[-most:]


def _event(value: bytes | None) -> Event | None:
    try:
        return None if value is None else _EVENT.decode(value)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None


_EVENT: Final = msgspec.json.Decoder(Event)
