"""The page of settings, written from the settings themselves.

Names, defaults and meanings live in `streams.settings` alone; a page that is made
from them cannot tell another story.
"""

from collections.abc import Iterator
from typing import Any, Final

from pydantic import SecretStr
from pydantic_core import PydanticUndefined

from streams.settings import PREFIX, Settings

_HEAD: Final = """\
# Settings

Every role reads them from the environment when it starts. Each may also be given as a
file: `LEADPULSE_<NAME>_FILE` is the path of a file that holds the value, and wins over
the variable itself; that is the way for secrets. A wrong setting is one line on
standard error that names it, and exit code 2. This page is generated from
`streams/settings.py` by `leadpulse schema settings`.

| setting | default | accepts | meaning |
|---|---|---|---|
"""

_BOUNDS: Final = (
    ("minimum", "at least"),
    ("exclusiveMinimum", "above"),
    ("maximum", "at most"),
)
_KINDS: Final = {
    "array": "list",
    "boolean": "true or false",
    "integer": "whole number",
    "number": "number",
    "object": "list",
    "string": "text",
}


def render() -> str:
    """Return the page in Markdown, one row per setting in the order of the class."""
    return _HEAD + "".join(f"{row}\n" for row in _rows())


def _rows() -> Iterator[str]:
    for name, schema in Settings.model_json_schema()["properties"].items():
        cells = (
            f"`{PREFIX}{name.upper()}`",
            _default(Settings.model_fields[name].get_default()),
            _accepted(schema),
            schema["description"],
        )
        yield "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _default(value: Any) -> str:
    match value:
        case None | "":
            return ""
        case bool():
            return f"`{str(value).lower()}`"
        case [*items]:
            return f"`{','.join(items)}`"
        case SecretStr():  # a default is no secret
            return f"`{value.get_secret_value()}`"
        case _ if value is PydanticUndefined:
            return ""
        case _:
            return f"`{value}`"


def _accepted(schema: dict[str, Any]) -> str:
    """Return in words what a setting may be."""
    if "anyOf" in schema:  # or unset
        schema = schema["anyOf"][0]
    if "enum" in schema:
        return ", ".join(f"`{choice}`" for choice in schema["enum"])
    words = [_KINDS[schema["type"]]]
    words += [f"{word} {schema[key]:g}" for key, word in _BOUNDS if key in schema]
    if "pattern" in schema:
        words.append(f"matching `{schema['pattern']}`")
    return " ".join(words)
