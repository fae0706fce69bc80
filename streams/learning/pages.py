"""Reports: one HTML page that needs nothing else, and the same figures as JSON."""

from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import Any, Final

import msgspec

from streams.errors import UserError

_STYLE: Final = """
:root{color-scheme:light}
body{font:16px/1.5 system-ui,-apple-system,"Segoe UI",sans-serif;color:#1f2933;
background:#fff;max-width:60rem;margin:2.5rem auto;padding:0 1.25rem}
h1{font-size:1.7rem;line-height:1.25;margin:0 0 .25rem}
h2{font-size:1.2rem;margin:2.25rem 0 .5rem;border-top:1px solid #d5dbe1;
padding-top:1.25rem}
p{margin:.5rem 0;max-width:44rem}
.what{color:#52606d}
.verdict{padding:.75rem 1rem;border-left:4px solid #2e8540;background:#f1f7f2;
font-weight:600}
.verdict.no{border-color:#b3261e;background:#fbf1f0}
.scroll{overflow-x:auto}
table{border-collapse:collapse;font-size:.875rem;margin:.75rem 0;
font-variant-numeric:tabular-nums}
th,td{text-align:right;padding:.3rem .8rem .3rem 0;border-bottom:1px solid #e4e7eb;
white-space:nowrap}
th:first-child,td:first-child{text-align:left}
th{font-weight:600;color:#52606d}
svg{max-width:100%;height:auto;display:block;margin:.75rem 0}
@media print{body{margin:0}}
"""


class Page:
    """A report in the making."""

    def __init__(self, title: str, what: str) -> None:
        """Begin with a title and what the report is about, in one sentence."""
        self._title = title
        self._parts = [
            f"<h1>{escape(title)}</h1>",
            f'<p class="what">{escape(what)}</p>',
        ]

    def head(self, text: str) -> None:
        """Begin a section."""
        self._parts.append(f"<h2>{escape(text)}</h2>")

    def say(self, text: str) -> None:
        """Add a paragraph."""
        self._parts.append(f"<p>{escape(text)}</p>")

    def verdict(self, text: str, *, good: bool) -> None:
        """Add what it all comes to."""
        kind = "verdict" if good else "verdict no"
        self._parts.append(f'<p class="{kind}">{escape(text)}</p>')

    def table(self, heads: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
        """Add a table."""
        top = "".join(f"<th scope=col>{escape(head)}</th>" for head in heads)
        body = "".join(
            "<tr>" + "".join(f"<td>{escape(str(cell))}</td>" for cell in row) + "</tr>"
            for row in rows
        )
        self._parts.append(
            f"<div class=scroll><table><thead><tr>{top}</tr></thead>"
            f"<tbody>{body}</tbody></table></div>"
        )

    def plot(self, svg: str, what: str) -> None:
        """Add a plot; `what` is said to those who cannot see it."""
        label = escape(what, quote=True)
        self._parts.append(
            f'<figure style="margin:0" role="img" aria-label="{label}">{svg}</figure>'
        )

    def text(self) -> str:
        """Return the whole page."""
        return (
            '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
            '<meta name="viewport" content="width=device-width,initial-scale=1">'
            f"<title>{escape(self._title)}</title><style>{_STYLE}</style></head>"
            f"<body>{''.join(self._parts)}</body></html>\n"
        )


def _plain(value: Any) -> Any:
    """Return a number of numpy's as one of Python's."""
    return value.item() if hasattr(value, "item") else str(value)


def write_report(folder: Path, name: str, page: Page, figures: object) -> Path:
    """Write NAME.html and NAME.json into `folder`; return where the page is.

    Raises
    ------
    UserError
        When they cannot be written.
    """
    encoded = msgspec.json.format(
        msgspec.json.encode(figures, enc_hook=_plain), indent=2
    )
    html = folder / f"{name}.html"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        html.write_text(page.text(), "utf-8")
        (folder / f"{name}.json").write_bytes(encoded + b"\n")
    except OSError as error:
        msg = f"cannot write into {folder}: {error.strerror}"
        raise UserError(msg) from None
    return html
