"""Regular expressions that a model may use: valid, and never catastrophic."""

import re
import re._parser as parser
import warnings

_LONGEST = 500
_UNBOUNDED = 64


def check_pattern(pattern: str) -> re.Pattern[str]:
    """Return `pattern` compiled, once it is known to be safe to run.

    A repeat inside a repeat, such as ``(a+)+``, can take longer than the age of the
    universe on a short text; a repeated choice whose branches overlap likewise.
    Both are refused, since a model is run on text that strangers send.

    Raises
    ------
    ValueError
        Saying what is wrong with the pattern, and where.
    """
    if len(pattern) > _LONGEST:
        msg = f"the pattern is longer than {_LONGEST} characters"
        raise ValueError(msg)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            compiled = re.compile(pattern)
            parsed = parser.parse(pattern)
    except (re.error, FutureWarning, DeprecationWarning) as error:
        msg = f"not a regular expression: {error}"
        raise ValueError(msg) from None
    except RecursionError:
        msg = "the pattern is nested too deeply"
        raise ValueError(msg) from None
    if _has_nested_repeat(parsed, inside=False):
        msg = (
            "the pattern repeats a repeat, such as (a+)+, and could run for ever: "
            "write it without the inner or the outer repeat"
        )
        raise ValueError(msg)
    return compiled


def _has_nested_repeat(parsed: object, *, inside: bool) -> bool:
    """Say whether an unbounded repeat or a choice stands inside an unbounded one."""
    for operator, argument in parsed:  # type: ignore[attr-defined]
        name = str(operator)
        if name in {"MAX_REPEAT", "MIN_REPEAT", "POSSESSIVE_REPEAT"}:
            low, high, body = argument
            unbounded = int(high) - int(low) > _UNBOUNDED
            if unbounded and inside:
                return True
            if _has_nested_repeat(body, inside=inside or unbounded):
                return True
        elif name == "BRANCH":
            if inside:
                return True
            if any(_has_nested_repeat(branch, inside=inside) for branch in argument[1]):
                return True
        elif name == "SUBPATTERN":
            if _has_nested_repeat(argument[-1], inside=inside):
                return True
        elif name in {"ASSERT", "ASSERT_NOT"}:
            if _has_nested_repeat(argument[1], inside=inside):
                return True
        elif name in {"GROUPREF", "GROUPREF_EXISTS"} and inside:
            return True
    return False
