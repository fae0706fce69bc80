"""The few pages that people see: plain HTML that loads nothing and keeps nothing."""

from html import escape
from typing import Final

HTML: Final = "text/html; charset=utf-8"
PAGE_HEADERS: Final = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; "
        "base-uri 'none'; frame-ancestors 'none'"
    ),
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Robots-Tag": "noindex, nofollow",
}

_PAGE: Final = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>
:root {{ color-scheme: light dark }}
body {{
  font: 1.0625rem/1.6 system-ui, sans-serif; max-width: 30rem; margin: 14vh auto 0;
  padding: 0 1.5rem; overflow-wrap: anywhere;
}}
h1 {{ font-size: 1.5rem; line-height: 1.3; margin: 0 0 .75rem }}
p {{ margin: 0 0 1.25rem }}
button {{
  font: inherit; font-weight: 600; padding: .7rem 1.4rem; cursor: pointer;
  color: #fff; background: #1d4ed8; border: 0; border-radius: .4rem;
}}
button:focus-visible {{ outline: 3px solid; outline-offset: 3px }}
</style>
<main>
<h1>{title}</h1>
{content}
</main>
</html>
"""


def confirm_page(person: str | None, purpose: str | None) -> bytes:
    """Return the page that asks whether somebody really wants to unsubscribe."""
    mails = "these e-mails" if purpose is None else f"“{escape(purpose)}”"
    to = "" if person is None else f" to <strong>{escape(masked(person))}</strong>"
    return _page(
        "Unsubscribe?",
        f"<p>You will get no more of {mails}{to}.</p>\n"
        '<form method="post"><input type="hidden" name="confirm" value="yes">'
        "<button>Unsubscribe</button></form>",
    )


def asking_page(title: str, text: str, button: str) -> bytes:
    """Return a page that asks, with one button to say so."""
    return _page(
        title,
        f"<p>{escape(text)}</p>\n"
        '<form method="post"><input type="hidden" name="confirm" value="yes">'
        f"<button>{escape(button)}</button></form>",
    )


def said_page(title: str, text: str) -> bytes:
    """Return a page that says something."""
    return _page(title, f"<p>{escape(text)}</p>")


def done_page() -> bytes:
    """Return the page that says that somebody is unsubscribed."""
    return _page("You are unsubscribed", "<p>You can close this page.</p>")


def later_page() -> bytes:
    """Return the page that asks to try again, since nothing could be kept."""
    return _page(
        "Please try again in a minute",
        "<p>We could not save this just now, and do not want to lose it. "
        "Nothing has changed yet.</p>",
    )


def unknown_page() -> bytes:
    """Return the page for a link that was not made here, or was changed."""
    return _page(
        "This link does not work",
        "<p>Part of it is missing or was changed on its way. Please open it from the "
        "e-mail again, or copy all of it.</p>",
    )


def expired_page(url: str | None) -> bytes:
    """Return the page for a link whose time is over, and where it went."""
    onward = ""
    if url is not None:
        onward = f'<p>It led to <a href="{escape(url)}">{escape(url)}</a>.</p>'
    return _page("This link has expired", onward)


def masked(address: str) -> str:
    """Return an address that its owner knows again, and nobody else.

    >>> masked("ada@example.com"), masked("a@example.com"), masked("u-17")
    ('a…@example.com', 'a…@example.com', 'u…')
    """
    name, at, domain = address.partition("@")
    return f"{name[:1]}…{at}{domain}"


def _page(title: str, content: str) -> bytes:
    return _PAGE.format(title=escape(title), content=content).encode()
