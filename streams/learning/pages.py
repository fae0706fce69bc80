"""Reports: one HTML page that needs nothing else, and the same figures as JSON."""

import re
from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import Any, Final

import msgspec

from streams.errors import UserError

_INTERVAL: Final = re.compile(r"\(?[-+\d][\d.,%]* (?:–|to) [-+\d][\d.,%]*\)?")
_STYLE: Final = """
:root{color-scheme:light dark;--paper:#fff;--ink:#1f2933;--soft:#52606d;--line:#d5dbe1;
--good:#2e8540;--good-paper:#f1f7f2;--bad:#b3261e;--bad-paper:#fbf1f0;
--c1:#2563a8;--c2:#c2571a;--c3:#2e8540;--c4:#7b4fa3;--c5:#5b6770;
--c6:#b5316f}
@media screen and (prefers-color-scheme:dark){:root{--paper:#14191f;--ink:#e4e9ee;
--soft:#a3b0ba;--line:#39434d;--good:#62bd78;--good-paper:#17261c;--bad:#f2867e;
--bad-paper:#2d1a19;--c1:#6aa5e8;--c2:#f0935b;--c3:#62bd78;--c4:#b994e0;--c5:#a3b0ba;
--c6:#ef86b6}}
body{font:16px/1.5 system-ui,-apple-system,"Segoe UI",sans-serif;color:var(--ink);
background:var(--paper);max-width:60rem;margin:2.5rem auto;padding:0 1.25rem}
h1{font-size:1.7rem;line-height:1.25;margin:0 0 .25rem}
h2{font-size:1.2rem;margin:2.25rem 0 .5rem;border-top:1px solid var(--line);
padding-top:1.25rem}
p{margin:.5rem 0;max-width:44rem}
.what{color:var(--soft)}
.verdict{padding:.75rem 1rem;border-left:4px solid var(--good);
background:var(--good-paper);font-weight:600}
.verdict.no{border-color:var(--bad);background:var(--bad-paper)}
.verdict.plain{border-color:var(--c1);background:none}
.scroll{overflow-x:auto}
table{border-collapse:collapse;font-size:.875rem;margin:.75rem 0;
font-variant-numeric:tabular-nums}
th,td{text-align:right;padding:.3rem .7rem .3rem 0;border-bottom:1px solid var(--line);
white-space:nowrap}
th:first-child,td:first-child{text-align:left;position:sticky;left:0;
background:var(--paper);white-space:normal;min-width:6rem}
th:last-child,td:last-child{padding-right:0}
th{font-weight:600;color:var(--soft)}
.whole{white-space:nowrap}
figure{margin:0}
svg{max-width:100%;height:auto;display:block;margin:.75rem 0}
svg text{font-family:inherit!important}
@media screen and (max-width:40rem){body{margin:1.25rem auto;padding:0 1rem}
h1{font-size:1.35rem}svg{min-width:33rem}
th:first-child,td:first-child{max-width:9rem}}
@media print{@page{margin:15mm}body{margin:0;padding:0;max-width:none;font-size:10.5pt}
.scroll{overflow:visible}table{font-size:8pt}
th,td{padding-right:.5rem;white-space:normal}
th:first-child,td:first-child{position:static;background:none}
h1,h2{break-after:avoid}figure,tr,.verdict{break-inside:avoid}
.verdict{print-color-adjust:exact;-webkit-print-color-adjust:exact}}
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

    def verdict(self, text: str, *, good: bool | None = None) -> None:
        """Add what it all comes to; None where it is neither good nor bad."""
        kind = {None: "verdict plain", True: "verdict", False: "verdict no"}[good]
        self._parts.append(f'<p class="{kind}">{escape(text)}</p>')

    def table(self, heads: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
        """Add a table."""
        top = "".join(f"<th scope=col>{escape(head)}</th>" for head in heads)
        body = "".join(
            "<tr>" + "".join(f"<td>{_whole(str(cell))}</td>" for cell in row) + "</tr>"
            for row in rows
        )
        self._parts.append(
            f'<div class="scroll" tabindex="0"><table><thead><tr>{top}</tr></thead>'
            f"<tbody>{body}</tbody></table></div>"
        )

    def plot(self, svg: str, what: str) -> None:
        """Add a plot; `what` is said to those who cannot see it."""
        label = escape(what, quote=True)
        self._parts.append(
            f'<figure class="scroll" tabindex="0" role="img" aria-label="{label}">'
            f"{svg}</figure>"
        )

    def text(self) -> str:
        """Return the whole page."""
        return (
            '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
            '<meta name="viewport" content="width=device-width,initial-scale=1">'
            f"<title>{escape(self._title)}</title><style>{_STYLE}</style></head>"
            f"<body>{''.join(self._parts)}</body></html>\n"
        )


def _whole(cell: str) -> str:
    """Return a cell in which no interval is broken over two lines."""
    return _INTERVAL.sub(r'<span class="whole">\g<0></span>', escape(cell))


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
