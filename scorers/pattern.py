"""Regular expressions that a model may use: valid, and never catastrophic.

A model is run on text that strangers send, and Python's engine backtracks: on
``(a+)+b`` forty letters take longer than the age of the universe. So a pattern is
let in only where the number of ways to match it, which bounds the work, is known to
be small. An engine without backtracking (RE2) was measured at ten times the cost of
a match, on the hottest path there is.
"""

import re
import warnings
from collections.abc import Iterator, Sequence

# The parser is the standard library's own; it has no public name since 3.11.
from re import _constants as op  # type: ignore[attr-defined]
from re import _parser as parser  # type: ignore[attr-defined]
from typing import Any, Final

LONGEST_TEXT: Final = 1_024
"""Patterns look at so many characters of a text and no further."""

_LONGEST_PATTERN: Final = 500
_WIDE: Final = 16
"""A repeat of more than so many is taken for one without end."""
_MOST_STEPS: Final = 16 * LONGEST_TEXT**2
"""About a tenth of a second at the very worst."""
_REPEATS: Final = (op.MAX_REPEAT, op.MIN_REPEAT, op.POSSESSIVE_REPEAT)
_NESTED: Final = (
    "the pattern repeats a repeat or a choice, such as (a+)+, and could run for ever "
    "on a text made for it: write it without the inner or the outer repeat"
)
_TOO_MANY: Final = (
    "the pattern has so many ways to match that a long text would hold everything up: "
    "begin it with ^, or use fewer * and +"
)
_CATEGORIES: Final = {
    op.CATEGORY_DIGIT: re.compile(r"\d"),
    op.CATEGORY_NOT_DIGIT: re.compile(r"\D"),
    op.CATEGORY_SPACE: re.compile(r"\s"),
    op.CATEGORY_NOT_SPACE: re.compile(r"\S"),
    op.CATEGORY_WORD: re.compile(r"\w"),
    op.CATEGORY_NOT_WORD: re.compile(r"\W"),
}

_Parsed = Sequence[tuple[Any, Any]]


def check_pattern(pattern: str) -> re.Pattern[str]:
    """Return `pattern` compiled, once it is known to be safe to run.

    It is safe on texts of at most `LONGEST_TEXT` characters.

    Raises
    ------
    ValueError
        Saying what is wrong with the pattern, and where.
    """
    if len(pattern) > _LONGEST_PATTERN:
        msg = f"the pattern is longer than {_LONGEST_PATTERN} characters"
        raise ValueError(msg)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            compiled = re.compile(pattern)
            parsed: _Parsed = parser.parse(pattern)
    except (re.error, FutureWarning, DeprecationWarning) as error:
        msg = f"not a regular expression: {error}"
        raise ValueError(msg) from None
    except (RecursionError, OverflowError):
        msg = "the pattern is nested too deeply or repeats too often"
        raise ValueError(msg) from None
    anchored = not compiled.flags & re.MULTILINE and _is_anchored(parsed)
    starts = 1 if anchored else LONGEST_TEXT
    if _work(_that_can_fail(list(parsed))) * starts > _MOST_STEPS:
        raise ValueError(_TOO_MANY)
    return compiled


def _that_can_fail(parsed: _Parsed) -> _Parsed:
    """Return the pattern without a repeat at its very end: that is never retried."""
    if parsed and parsed[-1][0] in _REPEATS:
        low, _, body = parsed[-1][1]
        if _ways(body) == 1:
            return [*parsed[:-1], (op.MAX_REPEAT, (low, low, body))]
    return parsed


def _is_anchored(parsed: _Parsed) -> bool:
    """Say whether the pattern can match at the beginning of a text only."""
    beginnings = ((op.AT, op.AT_BEGINNING), (op.AT, op.AT_BEGINNING_STRING))
    return len(parsed) > 0 and parsed[0] in beginnings


def _work(parsed: _Parsed) -> int:
    """Return a bound of the steps to match `parsed` from one place of a text."""
    runs = any(
        operator in _REPEATS and _stops(argument[2], follower)
        for (operator, argument), follower in _followed(parsed)
    )
    return _ways(parsed) * (LONGEST_TEXT if runs else 1)


def _ways(parsed: _Parsed) -> int:
    """Return a bound of the ways to match `parsed` from one place of a text."""
    ways = 1
    for (operator, argument), follower in _followed(parsed):
        if operator in _REPEATS:
            each = _repeated(*argument)
            ways *= 1 if _stops(argument[2], follower) else each
        elif operator is op.BRANCH:
            ways *= _chosen(argument[1])
        elif operator in {op.SUBPATTERN, op.ATOMIC_GROUP}:
            ways *= _ways(argument[-1] if operator is op.SUBPATTERN else argument)
        elif operator in {op.ASSERT, op.ASSERT_NOT}:
            ways *= _ways(argument[1])
        elif operator is op.GROUPREF_EXISTS:
            ways *= sum(_ways(part) for part in argument[1:] if part is not None)
    return ways


def _followed(parsed: _Parsed) -> Iterator[tuple[tuple[Any, Any], Any]]:
    """Return each item of a pattern with the letter that must follow, if any."""
    for index, item in enumerate(parsed):
        after: tuple[Any, Any] = (None, None)
        if index + 1 < len(parsed):
            after = parsed[index + 1]
        yield item, chr(after[1]) if after[0] is op.LITERAL else None


def _stops(body: _Parsed, follower: str | None) -> bool:
    """Say whether a repeat of one letter's class can end in one place only."""
    if follower is None or len(body) != 1:
        return False
    operator, argument = body[0]
    if operator is op.LITERAL:
        return chr(argument).casefold() != follower.casefold()
    if operator is op.NOT_LITERAL:
        return chr(argument) == follower
    if operator is not op.IN:
        return False
    negated = argument[0][0] is op.NEGATE
    return _is_in(argument, follower) is negated


def _is_in(items: _Parsed, letter: str) -> bool:
    """Say whether a class of letters, its negation aside, holds `letter`."""
    for operator, argument in items:
        if operator is op.LITERAL and chr(argument).casefold() == letter.casefold():
            return True
        if operator is op.RANGE and any(
            argument[0] <= ord(each) <= argument[1]
            for each in (letter.lower(), letter.upper())
            if len(each) == 1
        ):
            return True
        if operator is op.CATEGORY and _CATEGORIES[argument].match(letter):
            return True
    return False


def _repeated(low: int, high: int, body: _Parsed) -> int:
    each = _ways(body)
    low, high = int(low), min(int(high), LONGEST_TEXT)
    if each == 1:
        return max(1, high - low + 1)
    if high > _WIDE:
        raise ValueError(_NESTED)
    return sum(each**times for times in range(low, high + 1))


def _chosen(branches: Sequence[_Parsed]) -> int:
    """Return the ways of a choice; where the first letter decides, there is one."""
    ways = [_ways(branch) for branch in branches]
    firsts = [
        chr(branch[0][1]).casefold()
        for branch in branches
        if len(branch) and branch[0][0] is op.LITERAL
    ]
    decided = len(firsts) == len(branches) == len(set(firsts))
    return max(ways) if decided else sum(ways)
