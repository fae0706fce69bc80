"""The AsyncAPI document tells what the topics are."""

from collections.abc import Iterator
from typing import Any

import msgspec
import pytest

from schemas import cloudevents
from schemas.asyncapi import channel_name, document
from schemas.json_schema import MESSAGES
from schemas.topics import SCORE_UPDATES, TOPICS

DOCUMENT = document(version="1.2.3", partitions=12)


def references(node: Any) -> Iterator[str]:
    match node:
        case {"$ref": str(reference)}:
            yield reference
        case dict():
            for value in node.values():
                yield from references(value)
        case list():
            for value in node:
                yield from references(value)


def resolve(reference: str) -> Any:
    node: Any = DOCUMENT
    for step in reference.removeprefix("#/").split("/"):
        node = node[step]
    return node


def test_every_topic_is_a_channel() -> None:
    """The channels are the topics, by address, in their order."""
    addresses = [channel["address"] for channel in DOCUMENT["channels"].values()]

    assert addresses == [topic.name for topic in TOPICS]


def test_a_channel_tells_how_its_topic_is_kept() -> None:
    """Partitions and cleanup are the topic's own."""
    kafka = DOCUMENT["channels"][channel_name(SCORE_UPDATES)]["bindings"]["kafka"]

    assert kafka["partitions"] == 12
    assert kafka["topicConfiguration"]["cleanup.policy"] == ["compact"]
    assert (
        kafka["topicConfiguration"]["min.compaction.lag.ms"]
        == SCORE_UPDATES.min_compaction_lag_ms
    )


def test_nothing_points_into_the_void() -> None:
    """Every reference leads somewhere inside the document."""
    found = set(references(DOCUMENT))

    assert found
    for reference in found:
        assert resolve(reference)


def test_every_channel_has_an_operation() -> None:
    """No topic is described that nobody writes."""
    written = {
        operation["channel"]["$ref"].rpartition("/")[2]
        for operation in DOCUMENT["operations"].values()
        if operation["action"] == "send"
    }

    assert written == set(DOCUMENT["channels"])


@pytest.mark.parametrize("name", sorted(MESSAGES))
def test_an_example_is_a_message_that_reads(name: str) -> None:
    """The example of each message decodes, and its headers are a CloudEvent's."""
    message = DOCUMENT["components"]["messages"][name]
    (example,) = message["examples"]

    msgspec.convert(example["payload"], type=MESSAGES[name])

    assert tuple(example["headers"]) == cloudevents.HEADERS
    assert example["headers"]["ce_type"] == message["name"]


def test_release_and_licence_are_told() -> None:
    """The document carries the version it was made for."""
    assert DOCUMENT["info"]["version"] == "1.2.3"
    assert DOCUMENT["info"]["license"] == {"name": "Apache-2.0"}
