"""Every page of the web app over a team's weeks: to be walked, and to be looked at.

Alone it takes pictures of all of them, in both languages, by day and by night, at a
desk and on a phone, and says which words in Persian pages are of another script::

    python -m tests.e2e.pages_of_the_app build/pages
    python -m tests.e2e.pages_of_the_app build/pages --only now lead --lang fa
"""

import argparse
import itertools
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import httpx
from confluent_kafka import Producer

from schemas.dead_letter import DeadLetter
from schemas.time import to_datetime
from schemas.topics import DEAD_LETTERS, WEB_EVENTS
from streams.clock import SystemClock
from streams.model_files import read_model_text
from streams.settings import Settings, load_settings
from streams.supervisor import Stack
from tests.streams.web import seeding
from tests.waiting import wait_until

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

KEY: Final = "web-write-key"
SIZES: Final = {
    "desk": {"width": 1440, "height": 900},
    "phone": {"width": 390, "height": 844},
}

FOREIGN: Final = """() => {
  const own =
    /\\b(CSV|CRM|Kafka|AUC|Prometheus|Redis|ID|p50|p95|p99|[a-z0-9]{1,2})\\b/gi;
  const data = "bdi, code, kbd, pre, textarea, time, [lang=en], .mono, .clip, option";
  const found = new Set();
  const look = (text, where) => {
    const left = (text ?? "").replace(own, "").replace(/\\S*[@/.]\\S*/g, "");
    if (/[A-Za-z]{2,}/.test(left)) found.add(`${where}: ${text.trim().slice(0, 80)}`);
  };
  const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walk.nextNode()) {
    const at = walk.currentNode.parentElement;
    if (at.closest(`script, style, noscript, ${data}`)) continue;
    look(walk.currentNode.data, at.tagName.toLowerCase());
  }
  for (const name of ["aria-label", "title", "placeholder", "alt"])
    for (const at of document.querySelectorAll(`[${name}]`))
      if (!at.closest(data) && !at.querySelector("bdi, .clip") && !at.dataset.lead)
        look(at.getAttribute(name), name);
  look(document.title.split(" · ").pop(), "title");
  return [...found];
}"""
"""Says what a page shows in Latin letters, but for data, codes and names of products.

What others wrote stands in elements of its own (`bdi`), so that it turns nothing.
"""


def settings_of(folder: Path) -> Settings:
    """Return the settings of a stack that lives in `folder`."""
    return load_settings(
        {},
        data_dir=folder,
        collector_port=0,
        metrics_port=0,
        web_port=0,
        web_rate_limit="",
        partitions=1,
        write_keys=f"website={KEY}",
        privacy_key="a long secret of the tests",
    )


@contextmanager
def team(folder: Path) -> Iterator[Stack]:
    """Run every role over some weeks of a team; what people did has been scored."""
    with Stack(settings_of(folder)) as stack:
        now = SystemClock().now()
        models = ("0ld0ld0ld0ld", read_model_text(None)[1].digest)
        settings = stack.settings
        seeding.put(settings, seeding.lives(54, now))
        seeding.put(settings, seeding.followed_up(40, now))
        seeding.put(settings, seeding.learnt(400, now, models))
        _bury(settings)
        with closing(httpx.Client(base_url=stack.web_url, timeout=20)) as api:
            wait_until(
                lambda: (api.get("/api/v1/leads").json()["total"] or 0) >= 54,
                within=15,
                what="the leads in the view",
            )
        yield stack


def _bury(settings: Settings) -> None:
    letter = DeadLetter(
        stage="scoring",
        reason="invalid-json",
        detail="expected an object",
        topic=settings.topic(WEB_EVENTS.name),
        partition=0,
        offset=1,
        at=to_datetime(SystemClock().now()),
    )
    producer = Producer({"bootstrap.servers": settings.bootstrap})
    topic = settings.topic(DEAD_LETTERS.name)
    producer.produce(topic, b"{", b"k", headers=letter.headers())
    assert producer.flush(20) == 0


def paths(url: str) -> dict[str, str]:
    """Return every page by a name: of leads and accounts, the best."""
    with closing(httpx.Client(base_url=url, timeout=20)) as api:
        lead = api.get("/api/v1/leads").json()["leads"][0]["lead_id"]
        accounts = api.get("/api/v1/accounts").json()["accounts"]
    found = {
        "now": "/",
        "lead": f"/leads/{lead}",
        "accounts": "/accounts",
        "team": "/team",
        "quality": "/quality",
        "studio": "/studio",
        "operations": "/operations",
        "nowhere": "/nowhere",
    }
    if accounts:
        found["account"] = f"/accounts/{accounts[0]['account']['account_id']}"
    return found


def settled(page: "Page", name: str) -> "Page":
    """Return the page once all that comes after it is there."""
    waits = {
        "now": "#live[data-live=true]",
        "lead": "#why[data-ready]",
        "operations": "#letters tbody tr, #letters .empty",
        "team": ".counsels, .empty, .stats",
    }
    if name in waits:
        page.wait_for_selector(waits[name], state="attached", timeout=30_000)
    page.wait_for_load_state("load")
    page.evaluate("document.fonts.ready.then(() => null)")
    return page


def tasted(browser: "Browser", url: str, *, size: str, **taste: str) -> "Page":
    """Return a page of somebody who likes to read like this."""
    context = browser.new_context(
        viewport=SIZES[size],  # type: ignore[arg-type] # a plain dictionary
        bypass_csp=True,  # axe is a script of somebody else's
        reduced_motion="reduce",
    )
    for name, value in taste.items():
        context.add_cookies([{"name": f"lp_{name}", "value": value, "url": url}])
    return context.new_page()


def _photograph(browser: "Browser", url: str, given: Any) -> list[str]:
    odd: list[str] = []
    wanted = {n: p for n, p in paths(url).items() if not given.only or n in given.only}
    for lang, theme, size in itertools.product(given.lang, given.theme, given.size):
        page = tasted(browser, url, size=size, lang=lang, theme=theme)
        for name, path in wanted.items():
            settled(page, name) if page.goto(f"{url}{path}") else None
            whole = size == "desk" and name not in {"now", "studio"}
            target = given.folder / f"{name}-{lang}-{theme}-{size}.png"
            if whole:  # as tall as it is, so that its sides are, too
                tall = page.evaluate("document.documentElement.scrollHeight")
                page.set_viewport_size({"width": SIZES[size]["width"], "height": tall})
            page.screenshot(path=target)
            if whole:
                page.set_viewport_size(SIZES[size])  # type: ignore[arg-type]
            if lang == "fa" and theme == "light":
                odd += [f"{name} {size}: {each}" for each in page.evaluate(FOREIGN)]
        page.context.close()
    return odd


def main() -> None:
    """Take the pictures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--only", nargs="*")
    parser.add_argument("--lang", nargs="*", default=["en", "fa"])
    parser.add_argument("--theme", nargs="*", default=["light", "dark"])
    parser.add_argument("--size", nargs="*", default=list(SIZES))
    parser.add_argument("--stay", action="store_true", help="serve until Enter after")
    parser.add_argument("--url", help="of an app that runs already")
    given = parser.parse_args()
    given.folder.mkdir(parents=True, exist_ok=True)
    from playwright.sync_api import sync_playwright

    def photograph(url: str) -> None:
        with sync_playwright() as playwright:
            chromium = shutil.which("chromium") or shutil.which("chromium-browser")
            browser = playwright.chromium.launch(executable_path=chromium)
            odd = _photograph(browser, url, given)
            browser.close()
        for each in odd:
            sys.stderr.write(f"{each}\n")

    if given.url:
        photograph(given.url)
        return
    with tempfile.TemporaryDirectory() as name, team(Path(name)) as stack:
        if given.stay:
            sys.stderr.write(f"{stack.web_url}\n")
        photograph(stack.web_url)
        if given.stay:
            sys.stdin.readline()


if __name__ == "__main__":
    main()
