"""Draft models: the text of a model with some of its numbers changed.

Comments, order and everything else stay as they were written.
"""

from collections.abc import Mapping
from typing import Any, Final

import yaml

Path = tuple[str | int, ...]

_MISSING: Final = None


def redrafted(text: str, changes: Mapping[Path, float | str]) -> str:
    """Return `text` with other values at the paths of `changes`.

    A path that is not in the text is passed over.

    >>> redrafted("a: {b: [1, 2]} # why", {("a", "b", 1): 5.0, ("c",): 1})
    'a: {b: [1, 5]} # why'
    """
    root = yaml.compose(text, Loader=yaml.SafeLoader)
    spots: list[tuple[int, int, str]] = []
    for path, value in changes.items():
        node = _found(root, path)
        if isinstance(node, yaml.ScalarNode):
            spots.append((node.start_mark.index, node.end_mark.index, _written(value)))
    for start, end, word in sorted(spots, reverse=True):
        text = text[:start] + word + text[end:]
    return text


def _found(node: yaml.Node | None, path: Path) -> yaml.Node | None:
    for step in path:
        match node, step:
            case yaml.SequenceNode(), int() if step < len(node.value):
                node = node.value[step]
            case yaml.MappingNode(), str():
                node = next(
                    (value for key, value in node.value if key.value == step), _MISSING
                )
            case _:
                return _MISSING
    return node


def _written(value: Any) -> str:
    if isinstance(value, float):
        return str(int(value)) if value.is_integer() else f"{value:g}"
    return f'"{value}"'
