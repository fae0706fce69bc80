"""A sample of what really happened, for drafts of models to be tried on."""

from typing import TYPE_CHECKING, Final

import msgspec

from schemas.event import Event
from schemas.topics import EVENT_TOPICS
from streams.suppression_feed import load_suppressions
from streams.topic_reader import TopicReader

if TYPE_CHECKING:
    from streams.settings import Settings

SAMPLE_EVENTS: Final = 4_000
"""Events of a sample, at the most: tried in about a second."""


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
    found: list[Event] = []
    with TopicReader(settings) as reader:
        names = [settings.topic(topic.name) for topic in EVENT_TOPICS]
        for partition in sorted(reader.partitions(names[0])):
            read = [
                event
                for name in names
                for message in reader.read(name, only={partition}, latest=most)
                if (event := _event(message.value())) is not None
                and event.workspace == workspace
                and (event := erased.screen(event)) is not None
            ]
            if found and len(found) + len(read) > most:
                break
            found += read
    found.sort(key=lambda event: event.now)
    return found[-most:]


def _event(value: bytes | None) -> Event | None:
    try:
        return None if value is None else _EVENT.decode(value)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None


_EVENT: Final = msgspec.json.Decoder(Event)
