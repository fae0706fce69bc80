"""What a user agent says of who is there: a person's browser, or which machine.

A text is looked at once and then remembered; a list that others keep knows the
crawlers. Ordinary browsers are known by their form, without asking that list.
"""

import re
from collections.abc import Callable
from functools import cache, lru_cache
from typing import Final, Literal

AgentKind = Literal[
    "", "privacy-proxy", "image-proxy", "automation", "crawler", "list-unsubscribe"
]
"""Who is there; empty for what may be a person."""

_LONGEST: Final = 512
_MEMORY: Final = 16_384

_PRIVACY_PROXY: Final = "Mozilla/5.0"
"""Apple's Mail Privacy Protection says this and no more."""

_IMAGE_PROXY: Final = re.compile(
    r"GoogleImageProxy|YahooMailProxy|ggpht\.com"
    # Gmail's proxy where the provider cuts off who sent it, and when it prefetches.
    r"|^Mozilla/5\.0 \(Windows NT 5\.1; rv:11\.0\) Gecko Firefox/11\.0$"
    r"|Edge/12\.246 Mozilla/5\.0$"
)

_AUTOMATION: Final = re.compile(
    r"^(python|curl|wget|java|ruby|php|node|perl|go|axios|got|libwww|guzzle|scrapy"
    r"|undici|httpie|powershell|postmanruntime|insomnia)\b"
    r"|headless|phantomjs|puppeteer|playwright|selenium|webdriver"
    r"|(python-(requests|urllib|httpx)|aiohttp|go-http-client|apache-httpclient"
    r"|guzzlehttp|node-fetch|libwww-perl|winhttp)"
    # What looks into mails before people do.
    r"|barracuda|mimecast|proofpoint|fireeye|trend ?micro|symantec|sophos|ironport"
    r"|cloudmark|existence discovery|skypeuripreview|urlscan",
    re.IGNORECASE,
)

_ORDINARY: Final = re.compile(
    r"Mozilla/5\.0"
    r" \((?:Windows NT|Macintosh|X11|Wayland|iPhone|iPad|Linux|Android)"
    r"(?:(?!bot|crawl|spider|http|preview|scan|fetch|compatible|-agent|datanyze|rigor"
    r"|tsm-)[\w ;:,./-])*\)"
    r" (?:AppleWebKit/[\d.]+ \(KHTML, like Gecko\)|Gecko/[\d.]+)"
    r"(?: (?:Chrome|CriOS|Firefox|FxiOS|Edge|Edg|EdgA|EdgiOS|OPR|SamsungBrowser"
    r"|Version|Mobile|Safari)(?:/[\w.]+)?)*",
    re.IGNORECASE,
)
"""Browsers as they come by the million; none of them is on the list of crawlers."""


@lru_cache(maxsize=_MEMORY)
def kind_of(agent: str) -> AgentKind:
    """Return who `agent` stands for.

    >>> kind_of("Mozilla/5.0 (via ggpht.com GoogleImageProxy)")
    'image-proxy'
    >>> kind_of("python-requests/2.31"), kind_of("Outlook-iOS/2.0")
    ('automation', '')
    """
    text = agent.strip()[:_LONGEST]
    if not text or _is_ordinary(text):
        return ""
    if text == _PRIVACY_PROXY:
        return "privacy-proxy"
    if text.casefold() == "list-unsubscribe":
        return "list-unsubscribe"
    if _IMAGE_PROXY.search(text):
        return "image-proxy"
    if _AUTOMATION.search(text):
        return "automation"
    return "crawler" if _crawlers()(text) else ""


def _is_ordinary(text: str) -> bool:
    return _ORDINARY.fullmatch(text) is not None and _IMAGE_PROXY.search(text) is None


@cache
def _crawlers() -> Callable[[str], bool]:
    """Return the test of the list; it is large, so it is read when first needed."""
    from crawleruseragents import is_crawler  # noqa: PLC0415 - half a megabyte

    def is_listed(text: str) -> bool:
        return bool(is_crawler(text))

    return is_listed
