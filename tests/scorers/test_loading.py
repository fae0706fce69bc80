"""What a person is told about a model that is wrong."""

import os
import re
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scorers.document import TextProblem, read_document
from scorers.loading import ModelError, load_model
from scorers.wording import closest

GOLDEN = Path(__file__).parents[1] / "golden" / "model_errors"
SHIPPED = Path(__file__).parents[2] / "deploy" / "models"
CASES = sorted(GOLDEN.glob("*.yaml"))

MINIMAL = """\
model: shop
version: "1"
groups:
  web:
    cap: 20
    rules:
      - name: page
        when: {type: page}
        points: 5
"""


def problems_of(text: str, source: str = "model.yaml") -> ModelError:
    with pytest.raises(ModelError) as caught:
        load_model(text, source)
    return caught.value


@pytest.mark.parametrize("case", CASES, ids=lambda path: path.stem)
def test_each_mistake_is_told_with_its_place_and_a_way_out(case: Path) -> None:
    """Every mistake a person makes reads as in its golden file, to the letter.

    WRITE_GOLDEN=1 writes the files anew: review the difference.
    """
    error = problems_of(case.read_text("utf-8"), case.name)
    told = "\n\n".join(problem.picture for problem in error.problems) + "\n"
    golden = case.with_suffix(".txt")
    if os.environ.get("WRITE_GOLDEN"):
        golden.write_text(told, "utf-8")

    assert golden.read_text("utf-8") == told


@pytest.mark.parametrize("case", CASES, ids=lambda path: path.stem)
def test_no_message_speaks_of_the_machinery(case: Path) -> None:
    """No message shows a Python or pydantic word, or an inner name of the model."""
    told = str(problems_of(case.read_text("utf-8"), case.name))

    assert not re.search(
        r"pydantic|Traceback|Input should|validat|NoneType|dict|ctx|"
        r"<(number|per-unit|ladder|table|none|half_life|linear|steps|expires)>|"
        r"\bnegated\b|one_of|none_of|\bfields\b|scorers",
        told,
    )


def test_there_is_a_golden_file_for_every_mistake_that_was_foreseen() -> None:
    """The mistakes that people make most are all among the golden files."""
    assert {
        "typo",
        "points_as_text",
        "overlapping_tiers",
        "leave_above_enter",
        "zero_half_life",
        "duplicate_rule_names",
        "bad_regex",
        "catastrophic_regex",
    } <= {case.stem for case in CASES}


def test_all_problems_come_at_once_in_the_order_of_the_file() -> None:
    """Seven mistakes of every kind in one file are seven problems, top to bottom."""
    text = (GOLDEN / "everything_at_once.yaml").read_text("utf-8")
    lines = [problem.line for problem in problems_of(text).problems]

    assert len(lines) == 7
    assert lines == sorted(lines)


def test_a_problem_names_file_line_column_and_path() -> None:
    """A problem on one line begins as compilers write it, so editors can jump."""
    error = problems_of(MINIMAL.replace("points: 5", "points: five"))

    assert str(error).startswith("model.yaml:9:17: groups.web.rules[0].points: ")


def test_no_is_norway() -> None:
    """NO, on and 10:30 are texts, as YAML 1.2 has it, and not booleans or numbers."""
    document = read_document("[NO, on, yes, 10:30, 2026-01-05, 010, true, 1.5, ~]")

    assert document.data == [
        "NO",
        "on",
        "yes",
        "10:30",
        "2026-01-05",
        10,
        True,
        1.5,
        None,
    ]


def test_keys_are_always_text() -> None:
    """A table may have numbers for its values without quotes."""
    assert read_document("{1: a, true: b}").data == {"1": "a", "true": "b"}


def test_an_alias_repeats_what_its_anchor_has() -> None:
    """A model may name a condition once and use it twice."""
    text = MINIMAL.replace("{type: page}", "&page {type: page}") + (
        "      - name: again\n        when: *page\n        points: 1\n"
    )
    rules = load_model(text, "model.yaml").groups["web"].rules

    assert rules[0].when == rules[1].when


def test_deep_nesting_is_told_and_does_not_crash() -> None:
    """A text nested two thousand levels deep is one plain problem."""
    with pytest.raises(TextProblem, match="too deeply"):
        read_document("[" * 2_000)
    with pytest.raises(TextProblem, match="levels deep"):
        read_document("[" * 60 + "]" * 60)


def test_a_huge_file_is_refused_before_it_is_read() -> None:
    """A file of more than a million characters is no model."""
    with pytest.raises(TextProblem, match="longer than"):
        read_document("#" * 1_000_001)


def test_a_control_character_is_told() -> None:
    """A character that YAML does not allow is named with its line."""
    with pytest.raises(TextProblem, match="no text has") as caught:
        read_document("model: shop\nversion: \x00")
    assert caught.value.line == 2


@pytest.mark.parametrize(
    ("word", "meant"),
    [
        ("pionts", "points"),
        ("Points", "points"),
        ("weight", "points"),
        ("maximum", "max"),
        ("xyzzy", ""),
    ],
)
def test_the_closest_word_is_found(word: str, meant: str) -> None:
    """A slip of the finger and another product's word both lead to ours."""
    assert closest(word, ["points", "max", "limit"]) == meant


_LINES = (SHIPPED / "default.yaml").read_text("utf-8").splitlines()


@settings(max_examples=settings().max_examples // 2)
@given(
    st.integers(0, len(_LINES) - 1),
    st.text(st.characters(codec="utf-8"), max_size=12),
    st.integers(0, 40),
)
def test_whatever_is_typed_into_a_model_ends_in_a_model_or_a_model_error(
    line: int, typed: str, column: int
) -> None:
    """No text whatever makes loading raise anything but a ModelError."""
    lines = list(_LINES)
    lines[line] = lines[line][:column] + typed + lines[line][column:]
    with suppress(ModelError):
        load_model("\n".join(lines), "model.yaml")
