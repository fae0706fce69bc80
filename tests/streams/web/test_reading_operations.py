"""What the operations page knows: rates, latencies and lag out of roles' metrics."""

import socket
from collections.abc import Iterator

import pytest
from pydantic import SecretStr

from streams import metrics
from streams.metrics_server import start_metrics_server
from streams.processes import free_port
from streams.settings import Settings
from streams.web.reading.operations import (
    OperationsReport,
    Watch,
    _processes,
    quantile,
)

TOKEN = "a-token-of-the-scrapers"


@pytest.fixture(scope="module")
def url() -> str:
    """The metrics of this very process, which need a token."""
    tokens = {"prometheus": SecretStr(f"viewer:{TOKEN}")}
    settings = Settings(metrics_port=0).model_copy(update={"access_tokens": tokens})
    return f"http://127.0.0.1:{start_metrics_server(settings, 'tester')}/metrics"


@pytest.fixture
def instants() -> Iterator[int]:
    return iter(range(1_000_000, 9_000_000, 5_000))


def report_of(watch: Watch) -> OperationsReport:
    found = watch.report()
    assert found is not None
    return found


def test_rates_and_latencies_are_of_what_happened_meanwhile(
    url: str, instants: Iterator[int]
) -> None:
    """A counter that rises by 50 in 5 s is 10 a second; quantiles are of that time."""
    watch = Watch({"tester": url}, lambda: next(instants), token=TOKEN)
    assert watch.report() is None
    watch.look()
    metrics.EVENTS.labels("segment", "scored").inc(50)
    metrics.MACHINE_EVENTS.labels("crawler").inc(5)
    metrics.DEAD_LETTERS.labels("scoring", "invalid-json").inc(2)
    metrics.LAG_RECORDS.labels("view", "web.events.v1").set(7)
    metrics.LAG_SECONDS.labels("view", "web.events.v1").set(3)
    for _ in range(100):
        metrics.SCORE_LATENCY.observe(0.015)
    watch.look()
    report = report_of(watch)
    rates = {each.name: each for each in report.rates}
    assert rates["scored"].per_second == 10
    assert rates["scored"].points == (10,)
    assert rates["dead"].per_second == pytest.approx(0.4)
    score = next(each for each in report.latencies if each.name == "score")
    assert score.p95 is not None
    assert 0.01 < score.p95 <= 0.02
    lag = next(each for each in report.lag if each.topic == "web.events.v1")
    assert (lag.group, lag.records, lag.seconds) == ("view", 7, 3)
    assert report.machine_share
    assert ("crawler", 5) in [
        (each.name, each.count) for each in report.machine_reasons
    ]
    assert [(each.name, each.up) for each in report.roles] == [("tester", True)]


def test_a_role_that_does_not_answer_is_told(url: str, instants: Iterator[int]) -> None:
    """The others' figures stay, and without the token nobody answers."""
    away = f"http://127.0.0.1:{free_port()}/metrics"
    watch = Watch({"gone": away, "here": url}, lambda: next(instants), token=TOKEN)
    watch.look()
    roles = {each.name: each.up for each in report_of(watch).roles}
    assert roles == {"gone": False, "here": True}
    closed = Watch({"here": url}, lambda: next(instants))
    closed.look()
    assert not report_of(closed).roles[0].up


def test_a_role_that_began_anew_has_no_negative_rate(
    url: str, instants: Iterator[int]
) -> None:
    """What a counter has since its start is what happened."""
    urls = {"tester": url}
    watch = Watch(urls, lambda: next(instants), token=TOKEN)
    watch.look()
    watch._urls["tester"] = f"http://127.0.0.1:{free_port()}/metrics"
    watch.look()
    assert all(each.per_second >= 0 for each in report_of(watch).rates)
    assert report_of(watch).latencies[0].p95 is None


@pytest.mark.parametrize(
    ("buckets", "level", "expected"),
    [
        ((), 0.5, None),
        (((0.1, 0.0), (float("inf"), 0.0)), 0.5, None),
        (((0.1, 10.0), (float("inf"), 10.0)), 0.5, 0.05),
        (((0.1, 0.0), (float("inf"), 10.0)), 0.99, 0.1),
    ],
)
def test_quantiles_are_those_of_prometheus(
    buckets: tuple[tuple[float, float], ...], level: float, expected: float | None
) -> None:
    """Linear within a bucket; beyond the last bound it is that bound."""
    assert quantile(buckets, level) == expected


def test_each_process_behind_a_name_is_asked(
    url: str, instants: Iterator[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """`dns+` asks every address of a host; one that is not known is told as away."""
    port = url.split(":")[2].partition("/")[0]

    def addresses(host: str, *_: object, **__: object) -> list[object]:
        if host != "worker-metrics":
            raise socket.gaierror
        found = ("127.0.0.1", "127.0.0.2", "127.0.0.1")
        return [(0, 0, 0, "", (each, int(port))) for each in found]

    place = f":{port}/metrics"
    asked = {
        "worker": f"dns+http://worker-metrics{place}",
        "view": f"dns+http://127.0.0.3{place}",
    }
    watch = Watch(asked, lambda: next(instants), token=TOKEN)
    with monkeypatch.context() as patched:
        patched.setattr("streams.web.reading.operations.socket.getaddrinfo", addresses)
        names = [name for name, _ in _processes(asked)]
    watch.look()

    assert names == ["worker-1", "worker-2", "view"]
    assert [role.name for role in report_of(watch).roles] == ["worker", "view"]
    assert not report_of(watch).roles[0].up
