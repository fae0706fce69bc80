"""Real clients and a real browser: where they are, and what they talk to."""

import os
import shutil
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import httpx
import pytest

from streams.settings import Settings
from streams.supervisor import Stack
from tests.conftest import MakeTopics
from tests.e2e.pages_of_the_app import team
from tests.streams.collector.conftest import running

if TYPE_CHECKING:
    from playwright.sync_api import Browser

KEY = "wk-site"
MODULES = Path(__file__).parent / "node_modules"
_TYPES = {".js": "text/javascript", ".html": "text/html; charset=utf-8"}


def missing(what: str) -> NoReturn:
    """Skip, and say so; in CI nothing may be missing."""
    reason = f"REAL CLIENTS ARE NOT TESTED HERE: {what}; `make e2e` says how to get it"
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(reason)


@pytest.fixture(scope="session")
def modules() -> Path:
    """Where npm put the clients of the lock file."""
    if not (MODULES / ".package-lock.json").is_file():
        missing("npm has not installed the clients")
    return MODULES


@pytest.fixture(scope="session")
def node(modules: Path) -> str:
    """The node that runs them."""
    assert modules
    found = shutil.which("node")
    return found or missing("there is no node")


@pytest.fixture(scope="session")
def browser() -> "Iterator[Browser]":
    """Debian's Chromium, without a window."""
    try:
        from playwright.sync_api import sync_playwright
    except ModuleNotFoundError:
        missing("Playwright is not installed")
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None:
        missing("there is no chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium)
        yield browser
        browser.close()


class Site:
    """A web site on an origin of its own: HTML by path, and what npm installed."""

    def __init__(self) -> None:
        """Serve on a free port, from a thread."""
        self.pages: dict[str, str] = {}
        site = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                site._serve(self)

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002
                """Say nothing: the test says what is wrong."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop serving."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(10)

    def _serve(self, request: BaseHTTPRequestHandler) -> None:
        path = request.path.partition("?")[0]
        file = MODULES / path.removeprefix("/modules/")
        if path.startswith("/modules/") and file.is_file():
            content, kind = file.read_bytes(), _TYPES.get(file.suffix, "text/plain")
        elif path in self.pages:
            content, kind = self.pages[path].encode(), _TYPES[".html"]
        else:
            request.send_error(404)
            return
        request.send_response(200)
        request.send_header("Content-Type", kind)
        request.send_header("Content-Length", str(len(content)))
        request.end_headers()
        request.wfile.write(content)


@pytest.fixture(scope="session")
def site() -> Iterator[Site]:
    """A web site that the collector lists among those that may send."""
    site = Site()
    yield site
    site.close()


class Collector:
    """A running collector, and where its events are."""

    def __init__(self, http: httpx.Client, settings: Settings) -> None:
        """Know both."""
        self.url = str(http.base_url).rstrip("/")
        self.settings = settings


StartCollector = Callable[..., Collector]


@pytest.fixture
def collector(make_topics: MakeTopics, site: Site) -> Iterator[Collector]:
    """A collector with topics of its own, which takes events of the site's pages."""
    settings = make_topics(
        partitions=1,
        write_keys=f"site={KEY}",
        collector_port=0,
        cors_origins=site.url,
        link_secrets="a secret for links",
    )
    with running(settings) as (http, _):
        yield Collector(http, settings)


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> "Iterator[Stack]":
    """Every role on this machine, over some weeks of a sales team."""
    with team(tmp_path_factory.mktemp("team")) as stack:
        yield stack
