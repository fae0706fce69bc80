"""JSON Schemas agree with the types that read the messages."""

from typing import Any

import jsonschema
import msgspec
import pytest

from schemas import examples
from schemas.command import Command, Forward, Retract
from schemas.event import Event
from schemas.json_schema import DIALECT, documents

DOCUMENTS = documents()
EXAMPLES = {
    "event.json": examples.EVENT,
    "score-update.json": examples.SCORE_UPDATE,
    "alert.json": examples.ALERT,
    "command.json": examples.COMMAND,
}
FORMATS = jsonschema.FormatChecker()


def validator(name: str) -> jsonschema.Draft202012Validator:
    return jsonschema.Draft202012Validator(DOCUMENTS[name], format_checker=FORMATS)


def wire(message: msgspec.Struct) -> Any:
    """Return a message as a consumer sees it."""
    return msgspec.json.decode(msgspec.json.encode(message))


def event(**changes: Any) -> dict[str, Any]:
    """Return the example event as JSON with some fields changed, None = left out."""
    fields = wire(examples.EVENT) | changes
    return {name: value for name, value in fields.items() if value is not None}


@pytest.mark.parametrize("name", sorted(DOCUMENTS))
def test_every_document_is_a_schema_that_stands_alone(name: str) -> None:
    """A document is valid in its dialect, has its own id, and leans on nothing else."""
    schema = DOCUMENTS[name]

    jsonschema.Draft202012Validator.check_schema(schema)

    assert schema["$schema"] == DIALECT
    assert schema["$id"] == f"urn:leadpulse:schema:{name.removesuffix('.json')}.v1"
    text = msgspec.json.encode(schema).decode()
    for reference in set(text.split('"$ref":"')[1:]):
        assert reference.split('"')[0].removeprefix("#/$defs/") in schema["$defs"]


@pytest.mark.parametrize("name", sorted(EXAMPLES))
def test_what_is_encoded_fits_its_schema(name: str) -> None:
    """A message as it goes on the wire is valid under its published schema."""
    validator(name).validate(wire(EXAMPLES[name]))


@pytest.mark.parametrize(
    "message",
    [
        Forward(lead_id="ld_1", event=examples.EVENT),
        Retract(
            lead_id="ld_1",
            event_ids=("a", "b"),
            at=examples.ALERT.decided_at,
            reason="machine traffic",
        ),
    ],
    ids=["forward", "retract"],
)
def test_every_command_fits_the_command_schema(message: Command) -> None:
    """Each member of the union is valid, and reads back as itself."""
    validator("command.json").validate(wire(message))

    assert msgspec.json.decode(msgspec.json.encode(message), type=Command) == message


def test_dead_letter_headers_fit_their_schema() -> None:
    """The headers that tell a dead letter's story are those of the schema."""
    headers = {name: value.decode() for name, value in examples.DEAD_LETTER.headers()}

    validator("dead-letter-headers.json").validate(headers)

    assert list(headers) == DOCUMENTS["dead-letter-headers.json"]["required"]


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({}, id="the example itself"),
        pytest.param(
            {"unheard_of": {"a": 1}}, id="an unknown field is kept and ignored"
        ),
        pytest.param({"received_at": None}, id="a receipt is not required"),
        pytest.param({"email": None}, id="one identifier is enough"),
        pytest.param({"occurred_at": "2026-11-21T10:09:00+03:30"}, id="any time zone"),
    ],
)
def test_reader_and_schema_accept_alike(changes: dict[str, Any]) -> None:
    """What the schema accepts, the reader accepts."""
    candidate = event(**changes)

    validator("event.json").validate(candidate)
    msgspec.convert(candidate, type=Event)


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"id": None}, id="an id is required"),
        pytest.param({"id": ""}, id="an id is not empty"),
        pytest.param({"id": "x" * 257}, id="an id is short"),
        pytest.param({"type": "screen"}, id="a type is one of five"),
        pytest.param({"channel": "fax"}, id="a channel is one of five"),
        pytest.param({"name": 7}, id="a name is text"),
        pytest.param({"properties": []}, id="properties are an object"),
        pytest.param(
            {"email": None, "anonymous_id": None}, id="an event is somebody's"
        ),
    ],
)
def test_reader_and_schema_refuse_alike(changes: dict[str, Any]) -> None:
    """What the reader refuses, the schema refuses."""
    candidate = event(**changes)

    assert list(validator("event.json").iter_errors(candidate))
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(candidate, type=Event)


@pytest.mark.parametrize("field", ["occurred_at", "received_at"])
def test_a_time_without_a_zone_is_refused(field: str) -> None:
    """An instant needs its time zone: noon is not an instant."""
    with pytest.raises(msgspec.ValidationError, match=field):
        msgspec.convert(event(**{field: "2026-11-21T12:00:00"}), type=Event)
