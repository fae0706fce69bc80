"""The JSON Schema of a model: what an editor completes, explains and underlines."""

from typing import Any, Final

from schemas.event import CHANNELS
from scorers.model import Condition, Model

_SCALAR: Final[dict[str, Any]] = {"type": ["string", "number", "boolean"]}
_ITSELF: Final[dict[str, Any]] = {"$ref": "#/$defs/Condition"}
_DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"


def json_schema() -> dict[str, Any]:
    """Return the JSON Schema of a model file, with a description of every key."""
    schema = Model.model_json_schema(by_alias=True)
    schema["$defs"]["Condition"] = _condition()
    return {
        "$schema": _DIALECT,
        **schema,
        "title": "Leadpulse scoring model",
    }


def _condition() -> dict[str, Any]:
    """Return a condition as it is written, which is not how it is kept."""
    value: dict[str, Any] = {
        "description": "A value it equals, a list that it is in, or operators.",
        "anyOf": [
            _SCALAR,
            {"type": "array", "items": _SCALAR, "minItems": 1},
            {"$ref": "#/$defs/Test"},
        ],
    }
    several = {"type": "array", "items": _ITSELF, "minItems": 1}
    return {
        "title": "Condition",
        "description": (Condition.__doc__ or "").partition("\n\n")[0],
        "type": "object",
        "minProperties": 1,
        "additionalProperties": False,
        "properties": {
            "type": {
                **value,
                "description": "Kind of event: page, track, identify, group or alias.",
            },
            "event": {**value, "description": "Name of the event."},
            "channel": {
                **value,
                "description": f"Channel: {', '.join(CHANNELS)}.",
            },
            "source": {**value, "description": "Where the event came from."},
            "all": {**several, "description": "Every one of these holds."},
            "any": {**several, "description": "At least one of these holds."},
            "not": {**_ITSELF, "description": "This does not hold."},
        },
        "patternProperties": {r"^(properties|traits|context)(\.[^.\s]+)+$": value},
    }
