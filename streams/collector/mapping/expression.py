"""JMESPath expressions, checked when a mapping is loaded."""

import re
from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import Any, Final

import jmespath
from jmespath.exceptions import JMESPathError, LexerError, ParseError
from jmespath.functions import Functions
from jmespath.visitor import TreeInterpreter
from pydantic_core import PydanticCustomError

Search = Callable[[Any], Any]
"""Returns what an expression finds in a record; None where there is nothing."""

_NAME: Final = re.compile(r'([A-Za-z_][A-Za-z0-9_]*)|"([^"\\]+)"')
_IS: Final = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)\s*(==|!=)\s*'([^'\\]*)'")
_UNKNOWN: Final = "unknown_value"
_NO_FUNCTION: Final = "JMESPath has no function '{value}'"
_KNOWN: Final = tuple(sorted(Functions.FUNCTION_TABLE))


class ExpressionError(Exception):
    """An expression cannot be worked out for this record."""


def check_expression(text: str) -> str:
    """Return `text` if it is JMESPath whose functions all exist.

    Raises
    ------
    ValueError
        Saying what is wrong, and at which character.
    PydanticCustomError
        For a function that JMESPath does not have.
    """
    try:
        tree = jmespath.compile(text).parsed
    except LexerError as error:
        msg = f"is no JMESPath: {error.message} (character {error.lex_position + 1})"
        raise ValueError(msg) from None
    except ParseError as error:
        place = max(error.lex_position, 0)
        near = text[place : place + 20]
        what = f"'{near}' does not fit there" if near else "something is missing"
        msg = f"is no JMESPath: {what} (character {place + 1})"
        raise ValueError(msg) from None
    except (JMESPathError, RecursionError) as error:
        msg = f"is no JMESPath: {error}"
        raise ValueError(msg) from None
    for name in _functions(tree):
        if name not in _KNOWN:
            told = {"value": name, "known": ", ".join(_KNOWN)}
            raise PydanticCustomError(_UNKNOWN, _NO_FUNCTION, told)
    return text


def _functions(node: Any) -> Iterator[str]:
    if not isinstance(node, dict):
        return
    if node.get("type") == "function_expression":
        yield node["value"]
    for child in node.get("children", ()):
        yield from _functions(child)


@lru_cache(maxsize=4096)
def compile_expression(text: str) -> Search:
    """Return what searches a record for `text`; it raises ExpressionError only.

    >>> compile_expression("customer.email || email")({"email": "ada@example.com"})
    'ada@example.com'
    """
    if name := _NAME.fullmatch(text):
        return _field(name[1] or name[2])
    if test := _IS.fullmatch(text.strip()):
        return _comparison(_field(test[1]), test[3], wanted=test[2] == "==")
    tree = jmespath.compile(text).parsed
    # Made once: what `search` does besides is make another for every record.
    interpreter = TreeInterpreter()

    def find(record: Any) -> Any:
        try:
            return interpreter.visit(tree, record)
        except JMESPathError as error:
            raise ExpressionError(_flat(error)) from None
        except (ArithmeticError, LookupError, TypeError, ValueError) as error:
            raise ExpressionError(_flat(error)) from None
        except RecursionError:
            msg = "nested too deeply"
            raise ExpressionError(msg) from None

    return find


def _field(name: str) -> Search:
    """Return a search for one key: most expressions are no more, and it is fast."""

    def find(record: Any) -> Any:
        return record.get(name) if isinstance(record, dict) else None

    return find


def _comparison(find: Search, text: str, *, wanted: bool) -> Search:
    """Return whether a field is a text: most conditions are no more."""
    return lambda record: (find(record) == text) is wanted


def _flat(error: Exception) -> str:
    return " ".join(str(error).split())[:200]
