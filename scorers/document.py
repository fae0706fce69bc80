"""A YAML text as plain data, with the place of everything in it.

YAML is read by version 1.2's core rules: only true and false are booleans, so NO is
Norway and not a refusal, and 10:30 is not the number 630. Keys are always text.
"""

import math
import re
from collections.abc import Iterator
from typing import Any, Final

import yaml

from scorers.consistency import Path

_LONGEST: Final = 1_000_000
_MOST_NODES: Final = 100_000
_DEEPEST: Final = 50
Place = tuple[int, int]
"""Line and column, both from 1."""


class TextProblem(Exception):  # noqa: N818 - a problem is what it is called
    """A text that cannot be read as one document."""

    def __init__(self, message: str, place: Place = (1, 1), path: Path = ()) -> None:
        """Remember what is wrong, and where."""
        super().__init__(message)
        self.message = message
        self.line, self.column = place
        self.path = path


class Document:
    """Plain data, and where each of its values and keys stands in the text."""

    def __init__(self, text: str) -> None:
        """Prepare an empty document of `text`."""
        self.data: Any = None
        self.problems: list[TextProblem] = []
        self._lines = text.splitlines()
        self._values: dict[Path, Place] = {}
        self._keys: dict[Path, Place] = {}

    def place(self, path: Path, *, key: bool = False) -> Place:
        """Return where `path` stands, or what is nearest above it if it does not."""
        while True:
            if key and path in self._keys:
                return self._keys[path]
            if path in self._values:
                return self._values[path]
            if not path:
                return (1, 1)
            path = path[:-1]

    def line(self, number: int) -> str:
        """Return a line of the text, counted from 1."""
        return self._lines[number - 1] if 0 < number <= len(self._lines) else ""

    def remember(self, path: Path, node: yaml.Node) -> None:
        """Note where the value of `path` stands."""
        self._values[path] = place_of(node)

    def remember_key(self, path: Path, node: yaml.Node) -> None:
        """Note where the key of `path` stands."""
        self._keys[path] = place_of(node)


def place_of(node: yaml.Node) -> Place:
    """Return where a node begins."""
    mark = node.start_mark
    return (mark.line + 1, mark.column + 1)


def read_document(text: str, first_keys: str = "`model:` and `version:`") -> Document:
    """Return the one document of `text`; an empty one is told what it begins with.

    Raises
    ------
    TextProblem
        If it is no YAML, or too large, or expands without end.
    """
    if len(text) > _LONGEST:
        msg = f"the file is longer than {_LONGEST:,} characters: that is no model"
        raise TextProblem(msg)
    root = _compose(text)
    document = Document(text)
    if root is None:
        msg = f"the file is empty: begin with {first_keys}"
        raise TextProblem(msg)
    _check_size(root)
    document.data = _plain(root, (), document)
    return document


def _compose(text: str) -> yaml.Node | None:
    try:
        return yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        raise _syntax(error, text) from None
    except yaml.reader.ReaderError as error:
        msg = f"there is a character that no text has: {chr(error.character)!r}"
        line = text.count("\n", 0, error.position) + 1
        raise TextProblem(msg, (line, 1)) from None
    except RecursionError:
        msg = "the file is nested too deeply"
        raise TextProblem(msg) from None


_TAB: Final = "there is a tab here: YAML is indented with spaces only"
_SYNTAX: Final = (
    (r"'\\t' that cannot start", _TAB),
    (
        r"mapping values are not allowed",
        "there is a second `: ` on this line: put the text in quotes, or break it",
    ),
    (
        r"found another document",
        "there is a second document in this file (---): one model a file",
    ),
    (
        r"did not find expected key|expected <block end>|could not find expected ':'",
        "the indentation does not fit the lines above, or a colon is missing",
    ),
    (r"undefined alias", "this alias (*) has no anchor (&) above it"),
    (r"duplicate anchor", "this anchor (&) stands twice"),
    (
        r"unexpected end of stream|found unexpected end",
        "a quote or a bracket is opened and never closed",
    ),
    (r"'[@`%]' that cannot start", "a text that begins so needs quotes"),
    (
        r"expected ',' or '[\]}]'",
        "a comma or a closing bracket is missing before this place",
    ),
    (r"unknown escape", "a \\ in double quotes is special: use 'single quotes'"),
)


def _syntax(error: yaml.MarkedYAMLError, text: str) -> TextProblem:
    """Return what a YAML error means, in plain words."""
    said = error.problem or error.context or "this is no YAML"
    mark = error.problem_mark or error.context_mark
    place = (1, 1) if mark is None else (mark.line + 1, mark.column + 1)
    lines = text.splitlines()
    line = lines[place[0] - 1] if place[0] <= len(lines) else ""
    if "\t" in line[: len(line) - len(line.lstrip())]:
        return TextProblem(_TAB, (place[0], line.index("\t") + 1))
    for pattern, plain in _SYNTAX:
        if re.search(pattern, said):
            return TextProblem(plain, place)
    return TextProblem(f"this is not YAML: {said}", place)


def _children(node: yaml.Node) -> Iterator[yaml.Node]:
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            yield key
            yield value
    elif isinstance(node, yaml.SequenceNode):
        yield from node.value


def _check_size(root: yaml.Node) -> None:
    """Refuse what an alias would make endless, before anything is expanded."""
    sizes: dict[int, int] = {}
    open_nodes: set[int] = set()

    def size(node: yaml.Node, depth: int) -> int:
        known = sizes.get(id(node))
        if known is not None:
            return known
        if id(node) in open_nodes:
            msg = "this alias (*) stands inside what it repeats"
            raise TextProblem(msg, place_of(node))
        if depth > _DEEPEST:
            msg = f"nested more than {_DEEPEST} levels deep"
            raise TextProblem(msg, place_of(node))
        open_nodes.add(id(node))
        total = 1 + sum(size(child, depth + 1) for child in _children(node))
        open_nodes.discard(id(node))
        if total > _MOST_NODES:
            msg = f"its aliases expand to more than {_MOST_NODES:,} values"
            raise TextProblem(msg, place_of(node))
        sizes[id(node)] = total
        return total

    size(root, 0)


def _plain(node: yaml.Node, path: Path, document: Document) -> Any:
    """Return the data of `node`, and note where it stands."""
    document.remember(path, node)
    if isinstance(node, yaml.ScalarNode):
        return _scalar(node)
    if isinstance(node, yaml.SequenceNode):
        return [
            _plain(child, (*path, index), document)
            for index, child in enumerate(node.value)
        ]
    found: dict[str, Any] = {}
    for key, value in node.value:
        if not isinstance(key, yaml.ScalarNode):
            document.problems.append(
                TextProblem("a key must be a plain word", place_of(key), path)
            )
            continue
        name = str(key.value)
        here = (*path, name)
        if name == "<<" and key.style is None:
            msg = "`<<` merges are not supported: repeat the keys, or use an alias (*)"
            document.problems.append(TextProblem(msg, place_of(key), path))
            continue
        if name in found:
            first = document.place(here, key=True)[0]
            msg = f"the key '{name}' stands twice; the first is on line {first}"
            document.problems.append(TextProblem(msg, place_of(key), here))
            continue
        document.remember_key(here, key)
        found[name] = _plain(value, here, document)
    return found


_INTEGER: Final = re.compile(r"[-+]?[0-9]{1,18}")
_FLOAT: Final = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]{1,3})?")
_WORDS: Final[dict[str, Any]] = {
    "": None,
    "~": None,
    "null": None,
    "Null": None,
    "NULL": None,
    "true": True,
    "True": True,
    "TRUE": True,
    "false": False,
    "False": False,
    "FALSE": False,
}


def _scalar(node: yaml.ScalarNode) -> Any:
    text = str(node.value)
    if node.style is not None:  # quoted, or a block of text
        return text
    if text in _WORDS:
        return _WORDS[text]
    if _INTEGER.fullmatch(text):
        return int(text)
    if _FLOAT.fullmatch(text) and math.isfinite(number := float(text)):
        return number
    return text
