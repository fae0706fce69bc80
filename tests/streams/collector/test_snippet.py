"""The snippet as it is served."""

import gzip
from collections.abc import Iterator

import httpx
import pytest

from streams.settings import Settings
from tests.streams.collector.conftest import running

LARGEST = 4_000


@pytest.fixture(scope="module")
def http(broker: str) -> Iterator[httpx.Client]:
    """A client of a running collector."""
    settings = Settings.model_validate(
        {
            "bootstrap": broker,
            "metrics_port": 0,
            "collector_port": 0,
            "write_keys": "website=wk-1",
            "cors_origins": "https://shop.example",
        }
    )
    with running(settings) as (client, _):
        yield client


def test_it_is_small_on_the_wire(http: httpx.Client) -> None:
    """Packed it stays under 4 kB; who cannot unpack gets the same text plain."""
    with http.stream("GET", "/lp.js") as answer:
        packed = b"".join(answer.iter_raw())
    plain = http.get("/lp.js", headers={"Accept-Encoding": "identity"})

    assert answer.headers["content-encoding"] == "gzip"
    assert answer.headers["content-type"].startswith("text/javascript")
    assert len(packed) < LARGEST
    assert "content-encoding" not in plain.headers
    assert gzip.decompress(packed) == plain.content


def test_it_is_cached_until_it_changes(http: httpx.Client) -> None:
    """Caches may keep it for an hour, apart by encoding, and ask with its tag."""
    first = http.get("/lp.js")

    again = http.get("/lp.js", headers={"If-None-Match": first.headers["etag"]})
    changed = http.get("/lp.js", headers={"If-None-Match": 'W/"older"'})

    assert "max-age=3600" in first.headers["cache-control"]
    assert first.headers["vary"].startswith("Accept-Encoding")
    assert (again.status_code, again.content) == (304, b"")
    assert again.headers["etag"] == first.headers["etag"]
    assert changed.status_code == 200
    assert http.head("/lp.js").status_code == 200


def test_other_origins_are_answered_by_the_list(http: httpx.Client) -> None:
    """A page on the list may read it (`crossorigin`), another one may only run it."""
    listed = http.get("/lp.js", headers={"Origin": "https://shop.example"})
    other = http.get("/lp.js", headers={"Origin": "https://evil.example"})

    allowed = "access-control-allow-origin"
    assert listed.headers[allowed] == "https://shop.example"
    assert allowed not in other.headers
    assert listed.headers["cross-origin-resource-policy"] == "cross-origin"
