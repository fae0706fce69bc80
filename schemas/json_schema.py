"""JSON Schemas of the messages, generated from the types that read them.

Two shapes of one truth: a self-contained document per message (draft 2020-12), and
the components that the AsyncAPI document refers to.
"""

import inspect
from collections.abc import Iterator
from typing import Any, Final, get_args

import msgspec

from schemas import dead_letter as dl
from schemas.account import AccountCommand, AccountScore
from schemas.alert import Alert
from schemas.command import Command
from schemas.delivery import DeliveryRecord
from schemas.event import Event
from schemas.model_version import ModelVersion
from schemas.privacy import AuditRecord, Suppression
from schemas.score import ScoreUpdate
from schemas.training import TrainingRecord

JsonSchema = dict[str, Any]

DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"

MESSAGES: Final[dict[str, Any]] = {
    "Event": Event,
    "ScoreUpdate": ScoreUpdate,
    "Alert": Alert,
    "Command": Command,
    "ModelVersion": ModelVersion,
    "AccountCommand": AccountCommand,
    "AccountScore": AccountScore,
    "Suppression": Suppression,
    "AuditRecord": AuditRecord,
    "DeliveryRecord": DeliveryRecord,
    "TrainingRecord": TrainingRecord,
}
"""What travels as JSON, by the name of its schema."""

DEAD_LETTER_HEADERS: Final = "DeadLetterHeaders"

_FILES: Final = {
    "Event": "event",
    "ScoreUpdate": "score-update",
    "Alert": "alert",
    "Command": "command",
    "ModelVersion": "model-version",
    "AccountCommand": "account-command",
    "AccountScore": "account-score",
    "Suppression": "suppression",
    "AuditRecord": "audit-record",
    "DeliveryRecord": "delivery-record",
    "TrainingRecord": "training-record",
    DEAD_LETTER_HEADERS: "dead-letter-headers",
}

_COMMAND_DESCRIPTION: Final = "One of the commands; `kind` says which."
_DESCRIPTIONS: Final = {
    "DeliveryRecord": "What delivery remembers; `record` says of what."
}


def documents() -> dict[str, JsonSchema]:
    """Return one self-contained JSON Schema per message, by file name."""
    return {f"{_FILES[name]}.json": _document(name) for name in _FILES}


def components(ref_template: str) -> dict[str, JsonSchema]:
    """Return every schema by name; `ref_template` says how they refer to another.

    >>> components("#/$defs/{name}")["Alert"]["properties"]["model"]
    {'$ref': '#/$defs/ModelRef'}
    """
    roots, schemas = msgspec.json.schema_components(
        MESSAGES.values(), ref_template=ref_template
    )
    for name, root in zip(MESSAGES, roots, strict=True):
        if name not in schemas:  # a union has no name of its own
            said = _DESCRIPTIONS.get(name, _COMMAND_DESCRIPTION)
            schemas[name] = {"title": name, "description": said, **root}
    schemas[DEAD_LETTER_HEADERS] = dead_letter_headers()
    schemas["Event"]["anyOf"] = [
        {"required": [identifier], "properties": {identifier: {"type": "string"}}}
        for identifier in ("user_id", "email", "anonymous_id")
    ]
    return {name: _plain(schema) for name, schema in sorted(schemas.items())}


def dead_letter_headers() -> JsonSchema:
    """Return the schema of the headers that tell a dead letter's story.

    Header values are UTF-8 text, so numbers are digits here.
    """
    text: JsonSchema = {"type": "string"}
    digits: JsonSchema = {"type": "string", "pattern": "^[0-9]+$"}
    properties: dict[str, JsonSchema] = {
        dl.HEADER_STAGE: {"enum": sorted(get_args(dl.Stage))},
        dl.HEADER_REASON: {"enum": sorted(get_args(dl.DeadLetterReason))},
        dl.HEADER_DETAIL: {**text, "maxLength": 1024},
        dl.HEADER_TOPIC: text,
        dl.HEADER_PARTITION: digits,
        dl.HEADER_OFFSET: digits,
        dl.HEADER_TIME: {**text, "format": "date-time"},
        dl.HEADER_ATTEMPTS: digits,
    }
    return {
        "title": DEAD_LETTER_HEADERS,
        "description": "Why and where a record was set aside, beside its own headers.",
        "type": "object",
        "properties": properties,
        "required": list(properties),
    }


def _document(name: str) -> JsonSchema:
    schemas = components("#/$defs/{name}")
    root = schemas[name]
    needed = sorted(_reachable(root, schemas))
    document = {
        "$schema": DIALECT,
        "$id": f"urn:leadpulse:schema:{_FILES[name]}.v1",
        **root,
    }
    if needed:
        document["$defs"] = {other: schemas[other] for other in needed}
    return document


def _reachable(schema: JsonSchema, schemas: dict[str, JsonSchema]) -> set[str]:
    """Return the names of the components that `schema` leans on, near and far."""
    found: set[str] = set()
    waiting = [schema]
    while waiting:
        for reference in _references(waiting.pop()):
            name = reference.rpartition("/")[2]
            if name not in found:
                found.add(name)
                waiting.append(schemas[name])
    return found


def _references(node: object) -> Iterator[str]:
    match node:
        case {"$ref": str(reference)}:
            yield reference
        case dict():
            for value in node.values():
                yield from _references(value)
        case list():
            for value in node:
                yield from _references(value)


def _plain(node: Any) -> Any:  # JSON goes in and comes out
    """Return `node` without OpenAPI's discriminator, its prose in flowing lines."""
    if isinstance(node, list):
        return [_plain(item) for item in node]
    if not isinstance(node, dict):
        return node
    plain = {
        key: _plain(value) for key, value in node.items() if key != "discriminator"
    }
    if isinstance(text := plain.get("description"), str):
        plain["description"] = _flow(text)
    return plain


def _flow(docstring: str) -> str:
    paragraphs = inspect.cleandoc(docstring).split("\n\n")
    return "\n\n".join(" ".join(paragraph.split()) for paragraph in paragraphs)
