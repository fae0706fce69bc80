"""What is wrong with a model, in words that people use."""

import difflib
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

import msgspec
from pydantic import ValidationError

from scorers.anatomy import keys_at
from scorers.consistency import Path
from scorers.document import Document
from scorers.parts import FIELD, Part
from scorers.policy import CLOCK
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
    "multiplier": "factor",
    "engagement_multiplier": "dormancy",
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


def closest(word: str, known: Iterable[str], *, likeness: float = 0.6) -> str:
    """Return the one of `known` that `word` was probably meant to be; or nothing.

    `likeness`, from 0 to 1, is how alike they must be at least.

    >>> closest("pionts", ["points", "max"])
    'points'
    """
    choices = list(known)
    meant = _MEANT.get(word.casefold())
    if meant in choices:
        return meant
    folded = {choice.casefold(): choice for choice in choices}
    near = difflib.get_close_matches(word.casefold(), folded, n=1, cutoff=likeness)
    return folded[near[0]] if near else ""


def reword(
    error: ValidationError, document: Document, root: type[Part]
) -> list[Finding]:
    """Return what pydantic found in a `root`, with its place, in words."""
    findings = []
    for item in error.errors(include_url=False):
        if item["type"] == "inconsistent":
            continue  # found again in the text itself, each with its place
        finding = _finding(
            _Item(
                kind=item["type"],
                message=item["msg"],
                context=item.get("ctx", {}),
                value=item["input"],
                loc=item["loc"],
                path=_path(item["loc"], document.data),
                data=document.data,
                root=root,
            )
        )
        findings.append(finding)
    meant = {(*f.path[:-1], f.suggestion) for f in findings if f.about_key}
    return [finding for finding in findings if finding.path not in meant]


_RENAMED: Final = {"negated": "not", "one_of": "in", "none_of": "not_in"}


def _path(loc: Path, data: Any) -> Path:
    """Return the place in the text of a place in the model.

    The model has steps that the text has not: the names of alternatives, and the
    inner shape of a condition.
    """
    path: list[str | int] = []
    for index, inner in enumerate(loc):
        step = _RENAMED.get(inner, inner) if isinstance(inner, str) else inner
        if _has(data, step):
            path.append(step)
            data = data[step]
        elif index == len(loc) - 1 and _is_missing_key(data, step):
            path.append(step)
    return tuple(path)


def _has(data: Any, step: str | int) -> bool:
    if isinstance(data, Mapping):
        return step in data
    return isinstance(data, list) and isinstance(step, int) and step < len(data)


def _is_missing_key(data: Any, step: str | int) -> bool:
    return (
        isinstance(data, Mapping)
        and isinstance(step, str)
        and re.fullmatch(r"[a-z_]+", step) is not None
    )


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


def _is_number(value: Any) -> bool:
    if not isinstance(value, str):
        return False
    try:
        float(value)
    except ValueError:
        return False
    return True


class _Item(msgspec.Struct, frozen=True):
    """One thing that pydantic found, and where it is in the text."""

    kind: str
    message: str
    context: dict[str, Any]
    value: Any
    loc: Path
    path: Path
    data: Any
    root: type[Part]

    @property
    def told(self) -> str:
        """The value as the text shows it, with what it is."""
        return _tell(self.value)


def _unknown_key(item: _Item) -> Finding:
    key = str(item.loc[-1])
    keys = keys_at(item.root, item.loc[:-1])
    present = _value(item.path[:-1], item.data)
    free = [k for k in keys if not isinstance(present, Mapping) or k not in present]
    near = closest(key, free)
    message = f"there is no key '{key}' here"
    if not near:
        message = f"{message}; there is {', '.join(keys)}"
    return Finding(item.path, message, near, about_key=True)


def _missing(item: _Item) -> Finding:
    return Finding(item.path, f"`{item.path[-1] if item.path else ''}` is missing")


def _unknown_field(item: _Item) -> Finding:
    field = str(item.context["field"])
    place = (*item.path, field)
    head, _, rest = field.partition(".")
    if rest:
        near = closest(head, ("properties", "traits", "context"))
        meant = f"{near}.{rest}" if near else ""
        return Finding(place, item.message, meant, about_key=True)
    near = closest(field, ("type", "event", "channel", "source", "all", "any", "not"))
    meant = near or f"properties.{field}"
    return Finding(place, item.message, meant, about_key=True)


def _unknown_value(item: _Item) -> Finding:
    value = item.context["value"]
    near = closest(str(value), str(item.context["known"]).split(", "))
    place = item.path
    if "field" in item.context:
        place = (*place, str(item.context["field"]))
    found = _value(place, item.data)
    if isinstance(found, list) and value in found:
        place = (*place, found.index(value))
    return Finding(place, item.message, near)


def _decay_kind(item: _Item) -> Finding:
    near = ""
    if isinstance(item.value, Mapping) and item.value:
        near = closest(str(next(iter(item.value))), DECAY_KEYS)
    elif isinstance(item.value, str):
        near = closest(item.value, ["none"])
    message = item.message if near else f"{item.message}; this is {item.told}"
    return Finding(item.path, message, near)


def _points_kind(item: _Item) -> Finding:
    if _is_number(item.value):
        message = f"must be a number, not {item.told}: write it without quotes"
        return Finding(item.path, message)
    return Finding(item.path, f"{item.message}; this is {item.told}")


def _literal(item: _Item) -> Finding:
    known = re.findall(r"'([^']*)'", str(item.context["expected"]))
    choice = " or ".join(known) if len(known) < 3 else f"one of {', '.join(known)}"  # noqa: PLR2004 two are an either-or
    message = f"must be {choice}, not {item.told}"
    return Finding(item.path, message, closest(str(item.value), known))


def _unknown_tag(item: _Item) -> Finding:
    key = str(item.context["discriminator"]).strip("'")
    known = re.findall(r"'([^']*)'", str(item.context["expected_tags"]))
    tag = str(item.context["tag"])
    message = f"must be one of {', '.join(known)}, not {_tell(tag)}"
    return Finding((*item.path, key), message, closest(tag, known))


def _said(item: _Item) -> Finding:
    """Return what a validator of ours said; of a duration, also what was meant."""
    message, value = str(item.context["error"]), item.value
    if not message.startswith("write a duration"):
        return Finding(item.path, message)
    if isinstance(value, int | float) and not isinstance(value, bool):
        message = f"{_number(value)} of what? {message}"
        return Finding(item.path, message, f"{_number(value)}d")
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([A-Za-z]*)\s*", str(value))
    message = f"{message}; this is {item.told}"
    if match is None or match[2].lower().startswith("mo"):
        return Finding(item.path, message)
    unit = match[2].lower()[:1] or "d"
    return Finding(item.path, message, f"{match[1]}{unit}" if unit in "smhdw" else "")


def _spelling(item: _Item) -> Finding:
    value, pattern = str(item.value), str(item.context["pattern"])
    if pattern == FIELD.pattern:
        head, _, rest = value.partition(".")
        near = closest(head, ("properties", "traits", "context"))
        return Finding(
            item.path,
            f"there is no field '{value}': use type, event, channel, source, "
            "properties.<name>, traits.<name> or context.<name>",
            f"{near}.{rest}" if near and rest else f"properties.{value}",
        )
    if pattern.startswith("^[A-Z]"):
        message = "must be a currency of three capital letters, such as EUR"
        return Finding(item.path, message)
    if pattern == CLOCK:
        near = f"0{value}" if re.fullmatch(r"\d:[0-5]\d", value) else ""
        return Finding(item.path, 'must be a time of day such as "08:00"', near)
    slug = re.sub(r"[^a-z0-9]+", "-", value.lower()).strip("-")
    return Finding(
        item.path,
        "must be small letters, digits and dashes, beginning with a letter",
        slug if re.match(r"[a-z]", slug) else "",
    )


def _bound(item: _Item) -> Finding:
    name, words = _LIMITS[item.kind]
    bound, value = _number(item.context[name]), _number(item.value)
    return Finding(item.path, f"{words} {bound}, not {value}")


def _shape(item: _Item) -> Finding:
    wanted = _SHAPES[item.kind]
    hint = ""
    if _is_number(item.value) and "number" in wanted:
        hint = ": write it without quotes"
    elif wanted.startswith("a text") and isinstance(item.value, int | float):
        hint = ": put it in quotes"
    return Finding(item.path, f"must be {wanted}, not {item.told}{hint}")


def _length(item: _Item) -> Finding:
    if item.kind == "string_too_long":
        most = item.context["max_length"]
        return Finding(item.path, f"must not be longer than {most} characters")
    return Finding(item.path, "must not be empty")


_LIMITS: Final = {
    "greater_than": ("gt", "must be more than"),
    "greater_than_equal": ("ge", "must be at least"),
    "less_than": ("lt", "must be less than"),
    "less_than_equal": ("le", "must be at most"),
}
_MAPPING: Final = "a mapping (lines of `key: value`)"
_SHAPES: Final = {
    "list_type": "a list (lines that begin with `- `, or [a, b])",
    "dict_type": _MAPPING,
    "model_type": _MAPPING,
    "model_attributes_type": _MAPPING,
    "bool_type": "true or false",
    "float_type": "a number",
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "finite_number": "a finite number",
    "string_type": "a text",
    "text_kind": "a text, or one for each language ({en: …, fa: …})",
    "value_kind": "a text, or a mapping with `path` or `value`",
}
_REWORDED: Final[dict[str, Callable[[_Item], Finding]]] = {
    "extra_forbidden": _unknown_key,
    "missing": _missing,
    "unknown_field": _unknown_field,
    "unknown_value": _unknown_value,
    "decay_kind": _decay_kind,
    "points_kind": _points_kind,
    "literal_error": _literal,
    "union_tag_invalid": _unknown_tag,
    "value_error": _said,
    "string_pattern_mismatch": _spelling,
    "too_short": _length,
    "string_too_short": _length,
    "string_too_long": _length,
    **dict.fromkeys(_LIMITS, _bound),
    **dict.fromkeys(_SHAPES, _shape),
}


def _finding(item: _Item) -> Finding:
    reworded = _REWORDED.get(item.kind)
    if reworded is None:
        return Finding(item.path, f"is not understood: {item.message}")
    return reworded(item)
