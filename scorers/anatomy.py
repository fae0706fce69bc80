"""Which keys may stand where in a model, read off its types."""

import types
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel

from scorers.parts import Part
from scorers.predicate import Condition, Test


def keys_at(root: type[Part], loc: tuple[str | int, ...]) -> list[str]:
    """Return the keys that a mapping at `loc` in a `root` may have."""
    kind: Any = root
    for step in loc:
        kind = _inside(kind, step)
    kind = _unwrapped(kind, "")
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
                or step in _kinds(choice)
            ]
            if not tagged and len(choices) > 1:
                return kind
            kind = (tagged or choices)[0]
        else:
            return kind


def _kinds(choice: Any) -> tuple[Any, ...]:
    """Return what `kind` says in an alternative that is told by it."""
    fields = getattr(choice, "model_fields", {})
    return get_args(fields["kind"].annotation) if "kind" in fields else ()


def _metadata(kind: Any) -> tuple[Any, ...]:
    return getattr(kind, "__metadata__", ())
