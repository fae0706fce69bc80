"""The AsyncAPI 3 document, generated from the topics and the message types.

Operations are told from the pipeline's own side: it *receives* events and *sends*
score updates, alerts and dead letters.
"""

from typing import Any, Final, Literal

import msgspec

from schemas import cloudevents, examples
from schemas.json_schema import DEAD_LETTER_HEADERS, MESSAGES, components
from schemas.time import to_instant
from schemas.topics import (
    ACCOUNT_MEMBERS,
    ACCOUNT_SCORES,
    ACCOUNT_STATE,
    AUDIT,
    COMMANDS,
    DEAD_LETTERS,
    DELIVERIES,
    EVENT_TOPICS,
    LEAD_STATE,
    MODEL_VERSIONS,
    NOTIFICATIONS,
    SCORE_UPDATES,
    SIDE_STATE,
    SIDE_UPDATES,
    SUPPRESSIONS,
    TOPICS,
    TRAINING,
    Topic,
)

Document = dict[str, Any]
Headers = list[tuple[str, bytes]]

ASYNCAPI_VERSION: Final = "3.0.0"
KAFKA_BINDING_VERSION: Final = "0.5.0"

_COMPONENT: Final = "#/components/schemas/{name}"
_CLOUD_EVENT: Final = "CloudEvent"
_STATES: Final = {
    LEAD_STATE.name: "LeadState",
    SIDE_STATE.name: "SideState",
    ACCOUNT_STATE.name: "AccountState",
}
_DEAD_LETTER: Final = "DeadLetter"

_OPERATIONS: Final[dict[str, tuple[Literal["send", "receive"], str]]] = {
    "collect": ("send", "The collector publishes what it accepted."),
    "score": ("receive", "A worker applies it to its lead."),
    "command": ("send", "A timer came due, or an event was re-keyed."),
    "obey": ("receive", "The lead's owner acts on it."),
    "remember": ("send", "Written before the input is acknowledged."),
    "recover": ("receive", "Read once, when a worker takes a partition over."),
    "publish": ("send", "A worker tells CRMs and dashboards of a change."),
    "alert": ("send", "A worker tells sales, once per episode."),
    "tell": ("send", "A lead tells its account where it stands, or a timer came due."),
    "addUp": ("receive", "The account's owner adds its people up."),
    "install": ("send", "Somebody publishes a model: from then on it is in force."),
    "adopt": ("receive", "A worker scores by it as soon as its instant has come."),
    "compare": ("send", "A worker tells what a model beside the primary scores."),
    "suppress": ("send", "Somebody is erased, or may be known again."),
    "ignore": ("receive", "Nothing is taken in of who is on the list."),
    "learn": ("send", "`leadpulse learn follow` tells how a lead stood, and fared."),
    "account": ("send", "Written when somebody was erased."),
    "note": ("send", "Delivery tells itself what was told, and what waits."),
    "recall": ("receive", "Read once, when a target takes a partition over."),
    "setAside": ("send", "Any stage puts here what it cannot process."),
}
_OPERATIONS_OF: Final[dict[str, tuple[str, ...]]] = {
    **{topic.name: ("collect", "score") for topic in EVENT_TOPICS},
    COMMANDS.name: ("command", "obey"),
    LEAD_STATE.name: ("remember", "recover"),
    SCORE_UPDATES.name: ("publish",),
    MODEL_VERSIONS.name: ("install", "adopt"),
    SIDE_STATE.name: ("remember", "recover"),
    SIDE_UPDATES.name: ("compare",),
    ACCOUNT_MEMBERS.name: ("tell", "addUp"),
    ACCOUNT_STATE.name: ("remember", "recover"),
    ACCOUNT_SCORES.name: ("publish",),
    NOTIFICATIONS.name: ("alert",),
    SUPPRESSIONS.name: ("suppress", "ignore"),
    AUDIT.name: ("account",),
    DELIVERIES.name: ("note", "recall"),
    TRAINING.name: ("learn",),
    DEAD_LETTERS.name: ("setAside",),
}
_EXAMPLES: Final[dict[str, tuple[msgspec.Struct, Headers]]] = {
    "Event": (
        examples.EVENT,
        cloudevents.headers(
            type=cloudevents.EVENT,
            source="/collector/segment",
            id=examples.EVENT.id,
            time=examples.EVENT.occurred_at,
        ),
    ),
    "ScoreUpdate": (
        examples.SCORE_UPDATE,
        cloudevents.headers(
            type=cloudevents.SCORE_UPDATE,
            source="/scoring/default",
            id=f"{examples.SCORE_UPDATE.lead_id}:{examples.SCORE_UPDATE.sequence}",
            time=examples.SCORE_UPDATE.as_of,
        ),
    ),
    "Alert": (
        examples.ALERT,
        cloudevents.headers(
            type=cloudevents.ALERT,
            source="/scoring/default",
            id=examples.ALERT.id,
            time=examples.ALERT.occurred_at,
        ),
    ),
    "Command": (
        examples.COMMAND,
        cloudevents.headers(
            type=cloudevents.COMMAND,
            source="/timers",
            id=f"{examples.COMMAND.lead_id}:{to_instant(examples.COMMAND.at)}",
            time=examples.COMMAND.at,
        ),
    ),
    "ModelVersion": (
        examples.MODEL_VERSION,
        cloudevents.headers(
            type=cloudevents.MODEL_VERSION,
            source="/models",
            id=examples.MODEL_VERSION.id,
            time=examples.MODEL_VERSION.published_at,
        ),
    ),
    "AccountCommand": (
        examples.MEMBER,
        cloudevents.headers(
            type=cloudevents.ACCOUNT_COMMAND,
            source="/worker",
            id=f"{examples.MEMBER.lead_id}:{examples.MEMBER.sequence}",
            time=examples.MEMBER.as_of,
        ),
    ),
    "AccountScore": (
        examples.ACCOUNT_SCORE,
        cloudevents.headers(
            type=cloudevents.ACCOUNT_SCORE,
            source="/worker",
            id=f"{examples.ACCOUNT_SCORE.account_id}:{examples.ACCOUNT_SCORE.sequence}",
            time=examples.ACCOUNT_SCORE.as_of,
        ),
    ),
    "Suppression": (
        examples.SUPPRESSION,
        cloudevents.headers(
            type=cloudevents.SUPPRESSION,
            source="/privacy",
            id=f"{examples.SUPPRESSION.subject}:{to_instant(examples.SUPPRESSION.at)}",
            time=examples.SUPPRESSION.at,
        ),
    ),
    "DeliveryRecord": (
        examples.DELIVERY,
        cloudevents.headers(
            type=cloudevents.DELIVERY,
            source="/delivery",
            id=examples.DELIVERY.key,
            time=examples.DELIVERY.at,
        ),
    ),
    "AuditRecord": (
        examples.AUDIT,
        cloudevents.headers(
            type=cloudevents.AUDIT,
            source="/privacy",
            id=f"erasure:{examples.AUDIT.subject}:{to_instant(examples.AUDIT.at)}",
            time=examples.AUDIT.at,
        ),
    ),
    "TrainingRecord": (
        examples.TRAINING,
        cloudevents.headers(
            type=cloudevents.TRAINING,
            source="/learning",
            id=f"{examples.TRAINING.lead_id}:{examples.TRAINING.sequence}",
            time=examples.TRAINING.snapshots[0].at,
        ),
    ),
}


def document(*, version: str, partitions: int) -> Document:
    """Return the whole document for a release and its default partition count."""
    return {
        "asyncapi": ASYNCAPI_VERSION,
        "id": "urn:leadpulse",
        "info": {
            "title": "Leadpulse",
            "version": version,
            "description": (
                "Events of people become one score per lead; crossings become "
                "alerts. Values are JSON (UTF-8); CloudEvents attributes are in the "
                "headers. Unknown fields are to be ignored, and are never dropped."
            ),
            "license": {"name": "Apache-2.0"},
        },
        "defaultContentType": cloudevents.CONTENT_TYPE,
        "servers": {
            "kafka": {
                "host": "{bootstrap}",
                "protocol": "kafka",
                "variables": {"bootstrap": {"default": "127.0.0.1:9092"}},
            }
        },
        "channels": {
            channel_name(topic): _channel(topic, partitions) for topic in TOPICS
        },
        "operations": dict(_operations()),
        "components": {
            "messages": _messages(),
            "messageTraits": {_CLOUD_EVENT: _cloud_event_trait()},
            "schemas": components(_COMPONENT),
        },
    }


def channel_name(topic: Topic) -> str:
    """Return a topic's name as an identifier, without its version.

    >>> channel_name(SCORE_UPDATES)
    'leadScoreUpdates'
    """
    first, *rest = topic.name.rpartition(".")[0].replace("-", ".").split(".")
    return first + "".join(word.capitalize() for word in rest)


def message_name(topic: Topic) -> str:
    """Return the name of the message that a topic holds."""
    if topic.name in _STATES:
        return _STATES[topic.name]
    if topic is DEAD_LETTERS:
        return _DEAD_LETTER
    return next(name for name, kind in MESSAGES.items() if kind == topic.message)


def _channel(topic: Topic, partitions: int) -> Document:
    configuration: Document = {
        name: int(value) if value.lstrip("-").isdigit() else [value]
        for name, value in topic.config().items()
    }
    kafka: Document = {"topic": topic.name}
    if topic.co_partitioned:
        kafka["partitions"] = partitions
    kafka["topicConfiguration"] = configuration
    kafka["bindingVersion"] = KAFKA_BINDING_VERSION
    name = message_name(topic)
    return {
        "address": topic.name,
        "description": topic.description,
        "messages": {name: {"$ref": f"#/components/messages/{name}"}},
        "bindings": {"kafka": kafka},
    }


def _operations() -> list[tuple[str, Document]]:
    operations = []
    for topic in TOPICS:
        channel = channel_name(topic)
        for verb in _OPERATIONS_OF[topic.name]:
            action, summary = _OPERATIONS[verb]
            operation = {
                "action": action,
                "channel": {"$ref": f"#/channels/{channel}"},
                "summary": summary,
            }
            operations.append((f"{verb}{channel[0].upper()}{channel[1:]}", operation))
    return operations


def _messages() -> Document:
    messages: Document = {}
    for topic in TOPICS:
        name = message_name(topic)
        messages.setdefault(
            name,
            _bytes_message(topic, name)
            if topic.ce_type is None
            else _json_message(topic.ce_type, topic, name),
        )
    return messages


def _json_message(ce_type: str, topic: Topic, name: str) -> Document:
    value, headers = _EXAMPLES[name]
    return {
        "name": ce_type,
        "title": name,
        "payload": {"$ref": _COMPONENT.format(name=name)},
        "bindings": {"kafka": _key(topic)},
        "traits": [{"$ref": f"#/components/messageTraits/{_CLOUD_EVENT}"}],
        "examples": [
            {
                "headers": _text(headers),
                "payload": msgspec.json.decode(msgspec.json.encode(value)),
            }
        ],
    }


def _bytes_message(topic: Topic, name: str) -> Document:
    message: Document = {
        "name": name,
        "title": name,
        "contentType": "application/octet-stream",
        "payload": {"type": "string", "format": "binary"},
        "bindings": {"kafka": _key(topic)},
    }
    if topic is DEAD_LETTERS:
        message["headers"] = {"$ref": _COMPONENT.format(name=DEAD_LETTER_HEADERS)}
        message["examples"] = [
            {
                "headers": _text(examples.DEAD_LETTER.headers()),
                "payload": '{"id": "ajs-9f2c44d1"}',
            }
        ]
    return message


def _text(headers: Headers) -> dict[str, str]:
    return {name: value.decode() for name, value in headers}


def _key(topic: Topic) -> Document:
    return {
        "key": {"type": "string", "description": topic.key},
        "bindingVersion": KAFKA_BINDING_VERSION,
    }


def _cloud_event_trait() -> Document:
    text = {"type": "string", "minLength": 1}
    return {
        "contentType": cloudevents.CONTENT_TYPE,
        "headers": {
            "type": "object",
            "description": "CloudEvents 1.0, Kafka binary mode.",
            "properties": {
                cloudevents.HEADER_SPEC_VERSION: {"const": cloudevents.SPEC_VERSION},
                cloudevents.HEADER_ID: text,
                cloudevents.HEADER_SOURCE: {**text, "format": "uri-reference"},
                cloudevents.HEADER_TYPE: {
                    **text,
                    "description": "The message's name in this document.",
                },
                cloudevents.HEADER_TIME: {"type": "string", "format": "date-time"},
                cloudevents.HEADER_CONTENT_TYPE: {"const": cloudevents.CONTENT_TYPE},
            },
            "required": list(cloudevents.HEADERS),
        },
    }
