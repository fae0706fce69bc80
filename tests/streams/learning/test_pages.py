"""Reports: pages that need nothing else, in light, in the dark and on paper."""

import re

from streams.learning.charts import COLOURS, FAINT, INK, bars, curves, ranges
from streams.learning.foretold import Figure
from streams.learning.pages import Page


def page() -> str:
    made = Page("A <report>", "of something")
    made.verdict("It comes to nothing.")
    made.plot(bars({"one": Figure(0.7, 0.6, 0.8)}, "AUC", even=0.5), "figures")
    lines = {name: ([0.0, 1.0], [0.0, 1.0]) for name in ("here", "there")}
    made.plot(curves(lines, "across", "up", diagonal=True), "lines")
    made.plot(ranges([("2026-01", 5, 1, 9, 4.0)], "EUR"), "months")
    made.table(["month", "expected"], [["2026-01", "5 & more"]])
    return made.text()


def test_a_page_asks_for_nothing() -> None:
    """No script, no picture, no font and no style sheet comes from elsewhere."""
    text = page()

    assert text.count("<svg") == 3
    assert not re.search(r"<script|<link|<img|<iframe|@import|@font-face", text)
    assert not re.search(r"""(?:src|href)\s*=\s*["']?(?!["']?#)""", text)
    assert not re.search(r"url\((?!#)", text)
    namespaces = set(re.findall(r"https?://[^\s\"'<]+", text))
    assert all(name.startswith("http://www.w3.org/") for name in namespaces), (
        "names of a language's parts, which nobody fetches"
    )
    assert "A &lt;report&gt;" in text


def test_every_colour_has_a_dark_form() -> None:
    """What a plot is drawn in is named, and each name is told for light and dark."""
    text = page()
    style, body = text.split("</style>", 1)

    used = set(re.findall(r"var\((--[a-z0-9]+)", body))
    assert {"--ink", "--line", "--c1"} <= used
    dark = style[style.index("prefers-color-scheme:dark") :].split("}}")[0]
    assert all(f"{name}:" in dark and style.count(f"{name}:") == 2 for name in used)
    for colour in (INK, FAINT, *COLOURS):
        assert not re.search(rf"(?<!,){colour}", body), "drawn in that alone"
    assert "#000" not in body, "what is not named is black on black in the dark"
    for each in re.findall(r"<text[^>]*>", body):
        assert "fill: var(" in each
