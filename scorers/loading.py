"""Reading a model's text: every mistake at once, each with its place and a way out."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, TypeVar

import msgspec
from pydantic import ValidationError

from scorers.consistency import Inconsistency, Path, inconsistencies
from scorers.document import Document, TextProblem, read_document
from scorers.model import Model, Part
from scorers.wording import Finding, closest, reword


class Problem(msgspec.Struct, frozen=True, order=True):
    """One mistake in a model: where it is, what it is, and what to write instead."""

    source: str
    line: int
    column: int
    path: str
    """The place as keys: ``groups.web.rules[2].points``."""
    message: str
    suggestion: str = ""
    """What was probably meant."""
    excerpt: str = ""
    """The line of the file that it stands on."""

    def __str__(self) -> str:
        """Return it on one line, as compilers write it."""
        place = f"{self.source}:{self.line}:{self.column}"
        return ": ".join(filter(None, (place, self.path, self.advice)))

    @property
    def picture(self) -> str:
        """The problem with the line that it stands on, and a mark under the place."""
        head = f"{self.source}:{self.line}:{self.column}"
        lines = [f"{head}  {self.path}" if self.path else head, f"  {self.advice}"]
        if self.excerpt.strip():
            number = str(self.line)
            # Tabs count as one column for YAML, so they must take one here too.
            excerpt = self.excerpt.replace("\t", "→")
            lines.append(f"  {number} | {excerpt}")
            lines.append(f"  {' ' * len(number)} | {' ' * (self.column - 1)}^")
        return "\n".join(lines)

    @property
    def advice(self) -> str:
        """The message, and what was probably meant."""
        if not self.suggestion:
            return self.message
        return f"{self.message}: did you mean '{self.suggestion}'?"


class ModelError(Exception):
    """A model cannot be used; `problems` says everything that is wrong with it."""

    def __init__(self, problems: list[Problem]) -> None:
        """Collect `problems`, in the order of the file."""
        self.problems = sorted(problems)
        super().__init__("\n".join(map(str, self.problems)))


def load_model(text: str, source: str) -> Model:
    """Return the model that `text` describes; `source` is its name in messages.

    Raises
    ------
    ModelError
        With every problem there is, not only the first.
    """
    return load_part(Model, text, source, check=inconsistencies)


_Loaded = TypeVar("_Loaded", bound=Part)


def load_part(
    kind: type[_Loaded],
    text: str,
    source: str,
    *,
    check: Callable[[Mapping[str, Any]], Iterable[Inconsistency]] | None = None,
) -> _Loaded:
    """Return the `kind` that `text` describes; `source` is its name in messages.

    `check` finds what contradicts itself, in the plain data.

    Raises
    ------
    ModelError
        With every problem there is, not only the first.
    """
    try:
        document = read_document(text, _first_keys(kind))
    except TextProblem as problem:
        raise ModelError([_in_text(problem, text, source)]) from None
    findings: list[Finding] = []
    loaded = None
    try:
        loaded = kind.model_validate(document.data)
    except ValidationError as error:
        findings += reword(error, document, kind)
    if check is not None and isinstance(document.data, Mapping):
        findings += _contradictions(check(document.data))
    problems = [
        *(_in_text(problem, text, source) for problem in document.problems),
        *(_at(finding, document, source) for finding in _distinct(findings)),
    ]
    if problems or loaded is None:
        raise ModelError(problems)
    return loaded


def _first_keys(kind: type[Part]) -> str:
    """Return the keys that must be there, as a file begins with them."""
    needed = [name for name, field in kind.model_fields.items() if field.is_required()]
    return " and ".join(f"`{name}:`" for name in needed[:2])


def _contradictions(problems: Iterable[Inconsistency]) -> Iterator[Finding]:
    for problem in problems:
        suggestion = closest(problem.wanted, problem.known) if problem.wanted else ""
        message = problem.message
        if problem.wanted and not suggestion and problem.known:
            message = f"{message}; there is {', '.join(problem.known)}"
        yield Finding(problem.path, message, suggestion)


def _distinct(findings: list[Finding]) -> Iterator[Finding]:
    """Yield each finding once; of several at one place only the first."""
    met: set[Path] = set()
    for finding in findings:
        if finding.path not in met:
            met.add(finding.path)
            yield finding


def _at(finding: Finding, document: Document, source: str) -> Problem:
    line, column = document.place(finding.path, key=finding.about_key)
    return Problem(
        source,
        line,
        column,
        spell_path(finding.path),
        finding.message,
        finding.suggestion,
        document.line(line),
    )


def _in_text(problem: TextProblem, text: str, source: str) -> Problem:
    lines = text.splitlines()
    return Problem(
        source,
        problem.line,
        problem.column,
        spell_path(problem.path),
        problem.message,
        excerpt=lines[problem.line - 1] if problem.line <= len(lines) else "",
    )


def spell_path(path: Path) -> str:
    """Return a path as people write it.

    >>> spell_path(("groups", "web", "rules", 2, "points"))
    'groups.web.rules[2].points'
    """
    spelt = ""
    for part in path:
        if isinstance(part, int):
            spelt += f"[{part}]"
        else:
            spelt += f".{part}" if spelt else part
    return spelt
