"""What is wrong with a model, in words that people use."""

import difflib
import re
import types
from collections.abc import Iterable, Mapping
from typing import Annotated, Any, Final, Literal, Union, get_args, get_origin

import msgspec
from pydantic import BaseModel, ValidationError

from scorers.consistency import Path
from scorers.document import Document
from scorers.model import Model
from scorers.predicate import Condition, Test
from scorers.worth import DECAY_KEYS


class Finding(msgspec.Struct, frozen=True):
    """Something wrong at a path of a model."""

    path: Path
    message: str
    suggestion: str = ""
    about_key: bool = False
    """Whether it is the key that is wrong, not its value."""


_MEANT: Final = {
    "score": "points",
    "value": "points",
    "weight": "points",
    "if": "when",
    "event": "when",
    "trait": "where",
    "traits": "where",
    "condition": "when",
    "max_points": "max",
    "maximum": "max",
    "minimum": "min",
    "ttl": "expires",
    "threshold": "enter",
    "tier": "enter",
    "label": "title",
    "inactivity": "silence",
    "equals": "eq",
    "regex": "matches",
    "regexp": "matches",
    "startswith": "starts_with",
    "prefix": "starts_with",
    "endswith": "ends_with",
    "suffix": "ends_with",
    "min": "gte",
    "id": "name",
    "action": "next_action",
}
"""Keys from other products, and what they are called here."""


def closest(word: str, known: Iterable[str]) -> str:
    """Return the one of `known` that `word` was probably meant to be; or nothing.

    >>> closest("pionts", ["points", "max"])
    'points'
    """
    choices = list(known)
    meant = _MEANT.get(word.casefold())
    if meant in choices:
        return meant
    folded = {choice.casefold(): choice for choice in choices}
    near = difflib.get_close_matches(word.casefold(), folded, n=1, cutoff=0.6)
    return folded[near[0]] if near else ""


def reword(error: ValidationError, document: Document) -> list[Finding]:
    """Return what pydantic found, where it stands in the document and in words."""
    findings = []
    for item in error.errors(include_url=False):
        if item["type"] == "inconsistent":
            continue  # found again in the text itself, each with its place
        path = _path(item["loc"], document.data)
        finding = _finding(dict(item), path, document.data)
        if finding is not None:
            findings.append(finding)
    meant = {(*f.path[:-1], f.suggestion) for f in findings if f.about_key}
    return [f for f in findings if f.path not in meant]


_RENAMED: Final = {"negated": "not", "one_of": "in", "none_of": "not_in"}


def _path(loc: Iterable[str | int], data: Any) -> Path:
    """Return the place in the text of a place in the model.

    The model has steps that the text has not: the names of alternatives, and the
    inner shape of a condition.
    """
    path: list[str | int] = []
    steps = [
        _RENAMED.get(step, step) if isinstance(step, str) else step for step in loc
    ]
    for index, step in enumerate(steps):
        if isinstance(data, Mapping) and step in data:
            path.append(step)
            data = data[step]
        elif isinstance(data, list) and isinstance(step, int) and step < len(data):
            path.append(step)
            data = data[step]
        elif index == len(steps) - 1 and isinstance(data, Mapping):
            if isinstance(step, str) and re.fullmatch(r"[a-z_]+", step):
                path.append(step)  # a key that is missing
    return tuple(path)


def _value(path: Path, data: Any) -> Any:
    for step in path:
        try:
            data = data[step]
        except (KeyError, IndexError, TypeError):
            return None
    return data


def _tell(value: Any) -> str:
    """Return a value as the text shows it, with what it is."""
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        shown = value if len(value) <= 40 else value[:39] + "…"  # noqa: PLR2004 a line
        return f"the text '{shown}'"
    if isinstance(value, int | float):
        return f"the number {value:g}"
    return "a list" if isinstance(value, list) else "a mapping (key: value)"


def _number(value: Any) -> str:
    return f"{value:g}" if isinstance(value, int | float) else str(value)


def _finding(item: dict[str, Any], path: Path, data: Any) -> Finding | None:
    kind, context, value = item["type"], item.get("ctx", {}), item["input"]
    told = _tell(value)
    if kind == "extra_forbidden":
        return _unknown_key(str(item["loc"][-1]), item["loc"], path, data)
    if kind == "missing":
        return Finding(path, f"`{path[-1] if path else ''}` is missing")
    if kind == "unknown_field":
        return _unknown_field(str(context["field"]), path, str(item["msg"]))
    if kind == "unknown_value":
        near = closest(str(context["value"]), str(context["known"]).split(", "))
        return Finding(_nearest(path, context, data), str(item["msg"]), near)
    if kind == "decay_kind":
        near = ""
        if isinstance(value, Mapping) and value:
            near = closest(str(next(iter(value))), DECAY_KEYS)
        elif isinstance(value, str):
            near = closest(value, ["none"])
        return Finding(path, f"{item['msg']}; this is {told}", near)
    if kind == "points_kind":
        message = f"{item['msg']}; this is {told}"
        if isinstance(value, str) and _is_number(value):
            message = f"must be a number, not {told}: write it without quotes"
        return Finding(path, message)
    if kind == "value_error":
        return _value_error(str(context["error"]), path, value)
    if kind == "string_pattern_mismatch":
        return _wrong_spelling(path, value, str(context["pattern"]))
    if kind == "literal_error":
        known = re.findall(r"'([^']*)'", str(context["expected"]))
        message = f"must be {' or '.join(known)}, not {told}"
        return Finding(path, message, closest(str(value), known))
    return Finding(path, _plain_message(kind, context, told, value))


_LIMITS: Final = {
    "greater_than": ("gt", "must be more than {}"),
    "greater_than_equal": ("ge", "must be at least {}"),
    "less_than": ("lt", "must be less than {}"),
    "less_than_equal": ("le", "must be at most {}"),
}
_SHAPES: Final = {
    "list_type": "must be a list: lines that begin with `- `, or [a, b]",
    "dict_type": "must be a mapping: lines of `key: value`",
    "model_type": "must be a mapping: lines of `key: value`",
    "model_attributes_type": "must be a mapping: lines of `key: value`",
    "bool_type": "must be true or false",
    "finite_number": "must be a finite number",
}


def _plain_message(kind: str, context: dict[str, Any], told: str, value: Any) -> str:
    if kind in _LIMITS:
        name, words = _LIMITS[kind]
        return f"{words.format(_number(context[name]))}, not {_number(value)}"
    if kind in _SHAPES:
        return f"{_SHAPES[kind]}; this is {told}"
    if kind in {"float_type", "float_parsing", "int_type", "int_parsing"}:
        whole = "a whole number" if kind.startswith("int") else "a number"
        hint = ": write it without quotes" if _is_number(value) else ""
        return f"must be {whole}, not {told}{hint}"
    if kind == "int_from_float":
        return f"must be a whole number, not {_number(value)}"
    if kind == "string_type":
        hint = "" if isinstance(value, list | dict) or value is None else ": quote it"
        return f"must be a text, not {told}{hint}"
    if kind == "too_short":
        return "must not be empty"
    if kind == "string_too_short":
        return "must not be empty"
    if kind == "string_too_long":
        return f"is longer than {context['max_length']} characters"
    return "is not understood here"


def _is_number(value: Any) -> bool:
    if not isinstance(value, str):
        return False
    try:
        float(value)
    except ValueError:
        return False
    return True


def _value_error(message: str, path: Path, value: Any) -> Finding:
    if not message.startswith("write a duration"):
        return Finding(path, message)
    if isinstance(value, int | float) and not isinstance(value, bool):
        message = f"{_number(value)} of what? {message}"
        return Finding(path, message, f"{_number(value)}d")
    if isinstance(value, str):
        match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([A-Za-z]+)\s*", value)
        if match and (unit := match[2].lower()[0]) in "smhdw":
            unit = "30d" if match[2].lower().startswith("mo") else unit
            if unit != "30d":
                return Finding(path, f"{message}, not '{value}'", f"{match[1]}{unit}")
    return Finding(path, f"{message}; this is {_tell(value)}")


def _wrong_spelling(path: Path, value: Any, pattern: str) -> Finding:
    if pattern.startswith("^(type"):
        near = closest(str(value).split(".", maxsplit=1)[0], ("properties", "traits"))
        rest = str(value).partition(".")[2]
        return Finding(
            path,
            f"there is no field '{value}': use type, event, channel, source, "
            "properties.<name>, traits.<name> or context.<name>",
            f"{near}.{rest}" if near and rest else f"properties.{value}",
        )
    if pattern == "^[A-Z]{3}$":
        return Finding(path, "must be a currency of three letters, such as EUR")
    slug = re.sub(r"[^a-z0-9]+", "-", str(value).lower()).strip("-")
    near = slug if re.match(r"[a-z]", slug) else ""
    return Finding(
        path, "must be small letters, digits and dashes, beginning with a letter", near
    )


def _unknown_field(field: str, path: Path, message: str) -> Finding:
    head, _, rest = field.partition(".")
    place = (*path, field)
    if rest:
        near = closest(head, ("properties", "traits", "context"))
        return Finding(place, message, f"{near}.{rest}" if near else "", about_key=True)
    near = closest(field, ("type", "event", "channel", "source", "all", "any", "not"))
    return Finding(place, message, near or f"properties.{field}", about_key=True)


def _nearest(path: Path, context: dict[str, Any], data: Any) -> Path:
    """Return the path of the odd value itself where it can be found below `path`."""
    field = context.get("field")
    here = (*path, str(field)) if field is not None else path
    found = _value(here, data)
    if isinstance(found, list) and context["value"] in found:
        return (*here, found.index(context["value"]))
    return here if found is not None else path


def _unknown_key(
    key: str, loc: tuple[str | int, ...], path: Path, data: Any
) -> Finding:
    keys = _keys_at(loc[:-1])
    present = _value(path[:-1], data)
    free = [k for k in keys if not isinstance(present, Mapping) or k not in present]
    near = closest(key, free)
    message = f"there is no key '{key}' here"
    if not near:
        message = f"{message}; there is {', '.join(keys)}"
    return Finding(path, message, near, about_key=True)


def _keys_at(loc: tuple[str | int, ...]) -> list[str]:
    """Return the keys that a mapping at `loc` may have."""
    kind: Any = Model
    for step in loc:
        kind = _inside(kind, step)
    if not (isinstance(kind, type) and issubclass(kind, BaseModel)):
        return []
    return [field.alias or name for name, field in kind.model_fields.items()]


def _inside(kind: Any, step: str | int) -> Any:
    """Return the type of what stands at `step` in a value of type `kind`."""
    kind = _unwrapped(kind, step)
    if kind is Condition and isinstance(step, str):
        return Test if step not in {"all", "any", "not", "negated", "fields"} else kind
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        for name, field in kind.model_fields.items():
            if step in {name, field.alias}:
                return field.annotation
        return kind  # the name of an alternative: already chosen
    arguments = get_args(kind)
    if get_origin(kind) is dict:
        return arguments[1]
    if get_origin(kind) is list:
        return arguments[0] if isinstance(step, int) else kind
    return kind


def _unwrapped(kind: Any, step: str | int) -> Any:
    """Return `kind` without Annotated and None; of alternatives the one meant."""
    while True:
        if get_origin(kind) is Annotated:
            kind = get_args(kind)[0]
        elif get_origin(kind) in {Union, types.UnionType}:
            choices = [choice for choice in get_args(kind) if choice is not type(None)]
            tagged = [
                choice
                for choice in choices
                if any(getattr(meta, "tag", None) == step for meta in _metadata(choice))
            ]
            if not tagged and len(choices) > 1:
                return kind
            kind = (tagged or choices)[0]
        elif get_origin(kind) is Literal:
            return kind
        else:
            return kind


def _metadata(kind: Any) -> tuple[Any, ...]:
    return getattr(kind, "__metadata__", ())
