"""How soon the board is there with 100,000 leads in the view, and how it scrolls.

Starts Redis, fills a view, starts `leadpulse web`, and opens the board in Chromium
(Playwright), each time in a browser that has seen nothing of it (cold), then once more
in the same one (warm)::

    python -m bench.first_board                           # 100,000 leads, 15 trials
    python -m bench.first_board --leads 10000 --trials 5 --lang fa

Times are from the start of navigation, by the browser's own clock: the server's answer
is in them. A row counts as visible in the frame after it stood in the document.
"""

import argparse
import os
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import msgspec
from msgspec.structs import replace

from bench.live_clients import start_web
from bench.peers.measuring import cpu_seconds
from schemas.alert import DealValue
from schemas.examples import ALERT, EVENT, SCORE_UPDATE
from schemas.score import Identifiers
from schemas.time import DAY, HOUR, MINUTE, Instant, to_datetime
from streams.clock import SystemClock
from streams.processes import LOOPBACK
from streams.redis_server import RedisServer
from streams.view import Change, View, connect_view

if TYPE_CHECKING:
    from playwright.sync_api import Browser, BrowserContext, Page

_TIERS: Final = ((60, "gold"), (40, "silver"), (20, "bronze"), (0, "none"))
_LIVELY: Final = 300
"""Leads on top that have a course, events and alerts, as such leads have."""
_POINTS: Final = 20
_AT_ONCE: Final = 2_000
_FRAME: Final = 1_000 / 60
_DESK: Final = {"width": 1440, "height": 900}
_SCROLL_SECONDS: Final = 4
_PACES: Final = {"idle": 0, "reading": 24, "wheel": 60, "fling": 240}
"""Pixels a frame: half a row, more than one, five."""

_WATCH: Final = """
const seen = { first: null, all: null, lcp: 0, cls: 0, blocked: 0 };
window.seen = seen;
const watch = (type, take) =>
  new PerformanceObserver((list) => list.getEntries().forEach(take))
    .observe({ type, buffered: true });
watch("largest-contentful-paint", (e) => { seen.lcp = e.startTime; });
watch("layout-shift", (e) => { if (!e.hadRecentInput) seen.cls += e.value; });
watch("longtask", (e) => { seen.blocked += Math.max(0, e.duration - 50); });
const look = () => {
  const board = document.getElementById("board");
  const rows = document.querySelectorAll("#board [data-lead]");
  if (rows.length) {
    const low = Math.min(innerHeight, board.getBoundingClientRect().bottom);
    const now = () => { seen.first ??= performance.now(); };
    if (seen.first === null) requestAnimationFrame(now);
    if (rows[rows.length - 1].getBoundingClientRect().top >= low || rows.length >= 40) {
      requestAnimationFrame(() => { seen.all ??= performance.now(); });
      return;
    }
  }
  requestAnimationFrame(look);
};
look();
"""
_FOUND: Final = """() => {
  const [page] = performance.getEntriesByType("navigation");
  const files = [page, ...performance.getEntriesByType("resource")]
    .filter((e) => !e.name.includes("/api/v1/live"));
  return {
    answer: page.responseStart, whole: page.responseEnd,
    paint: performance.getEntriesByName("first-contentful-paint")[0]?.startTime ?? 0,
    ...window.seen,
    bytes: files.reduce((sum, e) => sum + e.transferSize, 0),
    requests: files.filter((e) => e.transferSize > 0).length,
    files: files.map((e) =>
      [new URL(e.name).pathname, e.decodedBodySize, e.encodedBodySize]),
  };
}"""
_SCROLL: Final = """([seconds, pixels]) => new Promise((done) => {
  const board = document.getElementById("board");
  const frames = [];
  let last = null;
  const begin = performance.now();
  const step = (at) => {
    if (last !== null) frames.push(at - last);
    last = at;
    board.scrollTop += pixels;
    if (at - begin < seconds * 1000) requestAnimationFrame(step);
    else done({ frames, top: board.scrollTop, row: 48 });
  };
  requestAnimationFrame(step);
})"""


def leads(count: int, now: Instant) -> Iterator[Change]:
    """Yield a view's life: each lead's score, and more of those on top."""
    for number in range(count):
        score = round(100 - 100 * number / count, 1)
        tier = next(name for least, name in _TIERS if score >= least)
        email = f"person{number}@company{number % 5_000}.example"
        known = Identifiers(email=(email,))
        base = replace(
            SCORE_UPDATE,
            lead_id=f"ld_{number:032x}",
            score=score,
            tier=tier,
            owner=f"owner{number % 12}@sales.example",
            identifiers=known,
            next_change_at=to_datetime(now + (number % 90 + 1) * HOUR),
            account_id=f"ac_{number % 5_000:032x}",
        )
        points = _POINTS if number < _LIVELY else 1
        for point in range(points):
            back = points - point - 1
            at = to_datetime(now - back * 5 * HOUR - (number % 300) * MINUTE)
            yield _change(
                replace(
                    base,
                    sequence=point + 1,
                    as_of=at,
                    score=score if not back else max(0.0, score - 2.5 * back),
                )
            )
        if number < _LIVELY:
            yield from _life(number, base.lead_id, email, now)


def _life(number: int, lead_id: str, email: str, now: Instant) -> Iterator[Change]:
    for step in range(12):
        at = to_datetime(now - step * DAY - (number % 300) * MINUTE)
        event = replace(
            EVENT, id=f"e{number}-{step}", email=email, occurred_at=at, received_at=at
        )
        yield _change(event)
    yield _change(
        replace(
            ALERT,
            id=f"al_{number}",
            lead_id=lead_id,
            decided_at=to_datetime(now - number * MINUTE),
            identifiers=Identifiers(email=(email,)),
            deal_value=DealValue(amount=1_000.0 * (number % 40 + 2), currency="EUR"),
        )
    )


def _change(value: Any) -> Change:
    return Change(value, msgspec.json.encode(value))


def fill(view: View, count: int, now: Instant) -> None:
    """Write `count` leads into the view."""
    build = view.build()
    changes = leads(count, now)
    while some := list(islice(changes, _AT_ONCE)):
        view.write(build, some, {})


def _visit(page: "Page", url: str) -> dict[str, Any]:
    page.goto(url, wait_until="load")
    page.wait_for_function("window.seen.all !== null")
    page.wait_for_selector("#live[data-live=true]")
    # What shifts or blocks does so by now, or it is not of the first board.
    page.wait_for_timeout(400)
    found: dict[str, Any] = page.evaluate(_FOUND)
    return found


def _context(browser: "Browser", lang: str) -> "BrowserContext":
    context = browser.new_context(
        viewport=_DESK,  # type: ignore[arg-type] # a plain dictionary
        locale="fa-IR" if lang == "fa" else "en-GB",
    )
    context.add_init_script(_WATCH)
    return context


_FIGURES: Final = {
    "answer": "answer begins",
    "whole": "answer is there",
    "paint": "first contentful paint",
    "first": "first row visible",
    "all": "all rows of the screen",
    "lcp": "largest contentful paint",
    "blocked": "total blocking time",
}


def _tell(name: str, trials: list[Mapping[str, Any]]) -> None:
    print(f"\n{name}, {len(trials)} trials (ms)      median     worst")
    for key, said in _FIGURES.items():
        values = [float(trial[key]) for trial in trials]
        print(f"  {said:28} {statistics.median(values):9.0f} {max(values):9.0f}")
    shift = max(float(trial["cls"]) for trial in trials)
    sent = statistics.median(float(trial["bytes"]) for trial in trials)
    asked = statistics.median(float(trial["requests"]) for trial in trials)
    print(f"  layout shift {shift:.3f}, {sent / 1e3:.0f} kB in {asked:.0f} requests")


def _tell_files(files: list[list[Any]]) -> None:
    print(
        "\nwhat a cold board loads                            raw    on the wire (kB)"
    )
    scripts = [0.0, 0.0]
    for path, raw, sent in files:
        name = path.split("/", 3)[-1] if path.startswith("/static/") else path
        print(f"  {name:46} {raw / 1e3:7.1f} {sent / 1e3:7.1f}")
        if name.endswith(".js"):
            scripts = [scripts[0] + raw, scripts[1] + sent]
    print(f"  {'scripts together':46} {scripts[0] / 1e3:7.1f} {scripts[1] / 1e3:7.1f}")


def _tell_scroll(pace: str, found: Mapping[str, Any]) -> None:
    frames = [float(each) for each in found["frames"]]
    cuts = statistics.quantiles(frames, n=20)
    missed = sum(max(0, round(each / _FRAME) - 1) for each in frames)
    print(
        f"  {pace:8} {sum(frames) / 1e3:.1f} s, to row"
        f" {found['top'] / found['row']:6,.0f}: {len(frames):4} frames,"
        f" median {cuts[9]:.0f} ms, p95 {cuts[18]:.0f} ms,"
        f" {missed / (len(frames) + missed):.0%} dropped"
    )


def measure(given: argparse.Namespace, url: str) -> bool:
    """Print what the first board takes; say whether a second is kept."""
    from playwright.sync_api import sync_playwright  # noqa: PLC0415 - heavy

    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    cold: list[Mapping[str, Any]] = []
    warm: list[Mapping[str, Any]] = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium)
        for _ in range(given.trials):
            context = _context(browser, given.lang)
            cold.append(_visit(context.new_page(), url))
            warm.append(_visit(context.new_page(), url))
            context.close()
        context = _context(browser, given.lang)
        page = context.new_page()
        _visit(page, url)
        scrolled = {
            name: page.evaluate(_SCROLL, [_SCROLL_SECONDS, pixels])
            for name, pixels in _PACES.items()
        }
        browser.close()
    load, cores = os.getloadavg()[0], os.cpu_count() or 1
    print(f"load average {load:.1f} on {cores} cores")
    print(f"the very first of the process: {cold[0]['all']:.0f} ms")
    _tell("cold cache", cold[1:] or cold)
    _tell("warm cache", warm)
    _tell_files(cold[-1]["files"])
    print("\nscrolling")
    for pace, found in scrolled.items():
        _tell_scroll(pace, found)
    return statistics.median(float(trial["all"]) for trial in cold) < 1_000  # noqa: PLR2004


def main() -> None:
    """Measure the first board."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--leads", type=int, default=100_000)
    parser.add_argument("--trials", type=int, default=15)
    parser.add_argument("--lang", choices=("en", "fa"), default="en")
    parser.add_argument("--keep", action="store_true", help="serve until Ctrl-C after")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        redis = RedisServer(folder / "redis", keep=False)
        redis.start()
        try:
            began = time.monotonic()
            view = connect_view(redis.url)
            fill(view, given.leads, SystemClock().now())
            view.close()
            print(f"{given.leads:,} leads written in {time.monotonic() - began:.0f} s")
            web, port = start_web(folder / "web", redis.url)
            try:
                held = measure(given, f"http://{LOOPBACK}:{port}/")
                print(f"\nthe app's own CPU time: {cpu_seconds(web.pid or 0):.1f} s")
                if given.keep:
                    input(f"http://{LOOPBACK}:{port}/ until Enter")
            finally:
                web.stop()
        finally:
            redis.stop()
    if not held:
        sys.exit(1)


if __name__ == "__main__":
    main()
