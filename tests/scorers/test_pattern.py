"""Regular expressions of a model are right, and never catastrophic."""

import re
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scorers.pattern import LONGEST_TEXT, check_pattern

SAFE = [
    r"^/pricing",
    r"(?i)^(/[a-z]{2})?/pricing",
    r"@(gmail|yahoo)\.com$",
    r"^[\w.+-]+@[\w-]+\.[\w.-]+$",
    r"^/[^/]+/[^/]+/pricing",
    r"^/blog/.*/pricing.*",
    r"(foo|bar)+",
    r"\d{4}-\d{2}-\d{2}",
    r"a.*b",
    r"(?i)\b(chief|vp|head|director)\b",
    r"x*+y",
    r"(?>a+)b",
    r"(a)(?(1)b|c)",
    r"(?<=/)pricing(?!-old)",
]
CATASTROPHIC = [
    r"(a+)+$",
    r"(a*)*b",
    r"(a|a)*b",
    r"(a|ab)+c",
    r"(x+x+)+y",
    r"^(([a-z])+.)+[A-Z]([a-z])+$",
    r"(?:a?){60}a{60}",
    r"(?:a|aa){30}b",
    r"(a{1,60})*b",
    r"(?=a+)+b",
    r"((a)|b)+\2",
    r".*a.*b",
    r"(.*)(.*)(.*)c",
    r"(?m)^.*a.*b",
    r"^a|.*x.*y",
    r"(?i)a*A*a*b",
]
WRONG = [r"(a", r"[z-a]", r"*a", r"a{2,1}", r"(?P<x>a)(?P<x>b)", r"[[a]", r"\1"]


@pytest.mark.parametrize("pattern", SAFE)
def test_a_pattern_that_people_write_is_let_in(pattern: str) -> None:
    """What a model needs of regular expressions is allowed."""
    assert check_pattern(pattern).pattern == pattern


@pytest.mark.parametrize("pattern", CATASTROPHIC)
def test_a_pattern_that_could_run_for_ever_is_refused(pattern: str) -> None:
    """A pattern with too many ways to match is refused, in words."""
    with pytest.raises(ValueError, match=r"repeats a repeat|so many ways"):
        check_pattern(pattern)


@pytest.mark.parametrize("pattern", WRONG)
def test_a_pattern_that_is_none_is_refused(pattern: str) -> None:
    """What is no regular expression says why."""
    with pytest.raises(ValueError, match="not a regular expression"):
        check_pattern(pattern)


def test_a_pattern_as_long_as_a_page_is_refused() -> None:
    """Nobody can read a pattern of more than 500 characters."""
    with pytest.raises(ValueError, match="longer than 500"):
        check_pattern("a" * 501)


_PIECES = st.sampled_from(
    ["a", "b", "[ab]", "[^a]", ".", r"\w", "(a|b)", "(a|ab)", "(?:ab)", "^", "$", "a?"]
)
_REPEATS = st.sampled_from(["", "*", "+", "?", "{2}", "{1,3}", "{0,40}", "*?", "{3,}"])


@st.composite
def patterns(draw: st.DrawFn) -> str:
    pieces = st.lists(st.tuples(_PIECES, _REPEATS), min_size=1, max_size=5)
    inner = "".join(piece + repeat for piece, repeat in draw(pieces))
    outer = "".join(piece + repeat for piece, repeat in draw(pieces))
    return f"{outer}({inner}){draw(_REPEATS)}{outer}"


@settings(deadline=None, max_examples=150)
@given(patterns(), st.sampled_from(["a", "b", "ab", "aab", "ba"]))
def test_whatever_is_let_in_is_quick_on_the_longest_text(
    pattern: str, motif: str
) -> None:
    """No pattern that passes needs a second on a text made to hold it up."""
    try:
        compiled = check_pattern(pattern)
    except ValueError:
        return
    text = (motif * LONGEST_TEXT)[: LONGEST_TEXT - 1] + "!"
    before = time.process_time()
    re.search(compiled, text)

    assert time.process_time() - before < 1.0
