"""The pages of guarantees and of security name tests: each of them is there."""

import re
from pathlib import Path

import pytest

TESTS = Path(__file__).parent
DOCS = TESTS.parent / "docs"
PAGES = (DOCS / "guarantees.md", DOCS / "security.md")
_NAMED = re.compile(r"`([\w/]+\.py)::(test_\w+)`")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_the_tests_that_hold_a_promise_exist(page: Path) -> None:
    """Whoever renames a test that holds a promise has to say so on the page."""
    named = _NAMED.findall(page.read_text(encoding="utf-8"))

    assert len(named) > 10
    for file, test in named:
        text = (TESTS / file).read_text(encoding="utf-8")
        assert f"def {test}(" in text, f"{page.name} names {file}::{test}"
