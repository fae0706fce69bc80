"""How the pipeline runs: the figures that Prometheus has, read from the roles.

Every role is asked every few seconds; the last minutes are kept for small curves.
"""

import socket
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

import msgspec

from schemas.time import Instant
from streams.role_metrics import RoleMetrics, read_metrics

if TYPE_CHECKING:
    from prometheus_client.samples import Sample

EVERY_SECONDS: Final = 5.0
KEPT: Final = 180
"""Samples: a quarter of an hour."""
_SPAN: Final = 12
"""Rates and latencies are told over so many samples: a minute."""

ALL_OF: Final = "dns+"
_COUNTERS: Final[Mapping[str, tuple[str, dict[str, str]]]] = {
    "collected": ("leadpulse_collector_events_total", {"verdict": "accepted"}),
    "scored": ("leadpulse_events_total", {"result": "scored"}),
    "updates": ("leadpulse_score_updates_total", {}),
    "alerts": ("leadpulse_alerts_total", {"sent": "true"}),
    "dead": ("leadpulse_dead_letters_total", {}),
    "machines": ("leadpulse_machine_events_total", {}),
    "viewed": ("leadpulse_view_records_total", {}),
}
"""Counters that are told as rates, by the name that the page has for them."""

_LATENCIES: Final[Mapping[str, str]] = {
    "score": "leadpulse_score_latency_seconds",
    "alert": "leadpulse_alert_latency_seconds",
    "collector": "leadpulse_collector_request_seconds",
    "append": "leadpulse_append_seconds",
}
_LEVELS: Final = (0.5, 0.95, 0.99)

Buckets = tuple[tuple[float, float], ...]
"""Upper bounds and how many were at most that, cumulated."""


class RoleHealth(msgspec.Struct, frozen=True, kw_only=True):
    """Whether a role answers."""

    name: str
    up: bool
    version: str


class Rate(msgspec.Struct, frozen=True, kw_only=True):
    """How often something happens, now and over the last minutes."""

    name: str
    per_second: float
    total: float
    """Since the roles began."""
    points: tuple[float, ...]
    """Per second, a point for each sample, oldest first."""


class Latency(msgspec.Struct, frozen=True, kw_only=True):
    """How long something takes, over the last minute; None where nothing happened."""

    name: str
    p50: float | None
    p95: float | None
    p99: float | None
    points: tuple[float | None, ...]
    """The 95th percentile, oldest first."""


class Lag(msgspec.Struct, frozen=True, kw_only=True):
    """What a group of consumers has not done yet."""

    group: str
    topic: str
    records: float
    seconds: float


class Counted(msgspec.Struct, frozen=True, kw_only=True):
    """How often, by a label."""

    name: str
    count: float


class OperationsReport(msgspec.Struct, frozen=True, kw_only=True):
    """How the pipeline runs."""

    at: Instant
    roles: tuple[RoleHealth, ...]
    leads: float
    accounts: float
    rates: tuple[Rate, ...]
    latencies: tuple[Latency, ...]
    lag: tuple[Lag, ...]
    """The furthest behind first."""
    lag_points: tuple[float, ...]
    machine_share: float | None
    """Of all events that were scored, since the roles began."""
    machine_reasons: tuple[Counted, ...]
    dead_reasons: tuple[Counted, ...]
    spool: float
    brokers: float
    leaderless: float
    underreplicated: float
    recovering: bool
    sampled_every: float


class Shot(msgspec.Struct, frozen=True):
    """All figures at one time."""

    at: Instant
    totals: dict[str, float]
    buckets: dict[str, Buckets]
    lag: float


class Watch:
    """Asks the roles again and again, and keeps the last minutes."""

    def __init__(
        self,
        urls: Mapping[str, str],
        now: Callable[[], Instant],
        *,
        token: str | None = None,
        every: float = EVERY_SECONDS,
    ) -> None:
        """Ask the roles at `urls`, by name; with `token` where metrics need one."""
        self._urls = dict(urls)
        self._now = now
        self._token = token
        self._every = every
        self._shots: deque[Shot] = deque(maxlen=KEPT)
        self._latest: dict[str, RoleMetrics | None] = {}
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._asked = threading.Event()
        self._thread = threading.Thread(target=self._run, name="web-watch", daemon=True)

    def start(self) -> None:
        """Begin to ask."""
        if self._urls:
            self._thread.start()

    def let_go(self) -> None:
        """Return when nobody is asked any more; it may be called without a start."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join()

    def wait(self, seconds: float = 3.0) -> OperationsReport | None:
        """Return the report; the first one after `seconds` at the most."""
        if self._urls:
            self._asked.wait(seconds)
        return self.report()

    def look(self) -> None:
        """Ask every role once."""
        found = {
            name: read_metrics([url], token=self._token)
            for name, url in _processes(self._urls)
        }
        told = _together(found.values())
        at = self._now()
        shot = Shot(
            at,
            {
                name: told.total(metric, **labels)
                for name, (metric, labels) in _COUNTERS.items()
            },
            {name: _buckets(told, metric) for name, metric in _LATENCIES.items()},
            told.total("leadpulse_lag_records"),
        )
        with self._lock:
            self._latest = found
            self._shots.append(shot)
        self._asked.set()

    def report(self) -> OperationsReport | None:
        """Return how the pipeline runs; None before any role was asked."""
        with self._lock:
            shots, found = list(self._shots), dict(self._latest)
        if not shots:
            return None
        told = _together(found.values())
        events = told.total("leadpulse_events_total")
        machines = told.total("leadpulse_machine_events_total")
        return OperationsReport(
            at=shots[-1].at,
            roles=tuple(_health(name, each) for name, each in found.items()),
            leads=told.total("leadpulse_leads"),
            accounts=told.total("leadpulse_accounts"),
            rates=tuple(_rate(name, shots) for name in _COUNTERS),
            latencies=tuple(_latency(name, shots) for name in _LATENCIES),
            lag=tuple(_lag(told)),
            lag_points=tuple(shot.lag for shot in shots),
            machine_share=machines / events if events else None,
            machine_reasons=_by(told, "leadpulse_machine_events_total", "reason"),
            dead_reasons=_by(told, "leadpulse_dead_letters_total", "reason"),
            spool=told.total("leadpulse_spool_events"),
            brokers=told.total("leadpulse_brokers"),
            leaderless=told.total("leadpulse_partitions_leaderless"),
            underreplicated=told.total("leadpulse_partitions_underreplicated"),
            recovering=told.total("leadpulse_recovering") > 0,
            sampled_every=self._every,
        )

    def _run(self) -> None:
        while True:
            self.look()
            if self._stop.wait(self._every):
                return


def _processes(urls: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Yield where each process is; `dns+` before a URL names all that its host is."""
    for name, url in urls.items():
        if not url.startswith(ALL_OF):
            yield name, url
            continue
        parts = urlsplit(url.removeprefix(ALL_OF))
        try:
            found = socket.getaddrinfo(
                parts.hostname, parts.port or 80, type=socket.SOCK_STREAM
            )
        except OSError:
            yield name, url.removeprefix(ALL_OF)  # which then does not answer
            continue
        hosts = sorted({str(address[0]) for *_, address in found})
        for number, host in enumerate(hosts, 1):
            shown = f"[{host}]" if ":" in host else host
            place = parts._replace(netloc=f"{shown}:{parts.port or 80}").geturl()
            yield (f"{name}-{number}" if len(hosts) > 1 else name), place


def _together(found: Iterable[RoleMetrics | None]) -> RoleMetrics:
    samples: list[Sample] = []
    for each in found:
        samples += () if each is None else each.samples
    return RoleMetrics(tuple(samples))


def _health(name: str, told: RoleMetrics | None) -> RoleHealth:
    versions = [
        sample.labels.get("version", "")
        for sample in (() if told is None else told.samples)
        if sample.name == "leadpulse_build_info"
    ]
    return RoleHealth(name=name, up=told is not None, version=next(iter(versions), ""))


def _rate(name: str, shots: Sequence[Shot]) -> Rate:
    points = [_per_second(name, before, after) for before, after in pairwise(shots)]
    first = shots[max(len(shots) - 1 - _SPAN, 0)]
    return Rate(
        name=name,
        per_second=_per_second(name, first, shots[-1]),
        total=shots[-1].totals[name],
        points=tuple(points),
    )


def _per_second(name: str, before: Shot, after: Shot) -> float:
    """Return the rate between two samples; a role that began anew counts from 0."""
    seconds = (after.at - before.at) / 1000
    if seconds <= 0:
        return 0.0
    rise = after.totals[name] - before.totals[name]
    return (rise if rise >= 0 else after.totals[name]) / seconds


def _latency(name: str, shots: Sequence[Shot]) -> Latency:
    def level(place: int, level: float) -> float | None:
        first = shots[max(place - _SPAN, 0)] if place else None
        before = () if first is None else first.buckets[name]
        return quantile(_since(before, shots[place].buckets[name]), level)

    last = len(shots) - 1
    p50, p95, p99 = (level(last, each) for each in _LEVELS)
    return Latency(
        name=name,
        p50=p50,
        p95=p95,
        p99=p99,
        points=tuple(level(place, _LEVELS[1]) for place in range(len(shots))),
    )


def _since(before: Buckets, after: Buckets) -> Buckets:
    known = dict(before)
    if any(count < known.get(bound, 0.0) for bound, count in after):
        return after  # a role began anew
    return tuple((bound, count - known.get(bound, 0.0)) for bound, count in after)


def quantile(buckets: Buckets, level: float) -> float | None:
    """Return the quantile of a histogram as Prometheus reckons it; None for nothing.

    >>> quantile(((0.1, 50.0), (0.2, 100.0), (float("inf"), 100.0)), 0.75)
    0.15
    """
    total = buckets[-1][1] if buckets else 0.0
    if total <= 0:
        return None
    rank, below, floor = level * total, 0.0, 0.0
    for bound, count in buckets:
        if count >= rank:
            if bound == float("inf"):
                return floor
            share = (rank - below) / (count - below) if count > below else 1.0
            return round(floor + (bound - floor) * share, 6)
        below, floor = count, bound
    return floor


def _buckets(told: RoleMetrics, metric: str) -> Buckets:
    found: dict[float, float] = {}
    for sample in told.samples:
        if sample.name == f"{metric}_bucket":
            bound = float(sample.labels["le"])
            found[bound] = found.get(bound, 0.0) + sample.value
    return tuple(sorted(found.items()))


def _lag(told: RoleMetrics) -> list[Lag]:
    records: dict[tuple[str, str], float] = {}
    seconds: dict[tuple[str, str], float] = {}
    for sample in told.samples:
        place = sample.labels.get("group", ""), sample.labels.get("topic", "")
        if sample.name == "leadpulse_lag_records":
            records[place] = sample.value
        elif sample.name == "leadpulse_lag_seconds":
            seconds[place] = sample.value
    found = [
        Lag(group=group, topic=topic, records=count, seconds=seconds.get(place, 0.0))
        for place, count in records.items()
        for group, topic in [place]
    ]
    return sorted(found, key=lambda each: (-each.records, each.group, each.topic))


def _by(told: RoleMetrics, metric: str, label: str) -> tuple[Counted, ...]:
    found: dict[str, float] = {}
    for sample in told.samples:
        if sample.name == metric and sample.value:
            name = sample.labels.get(label, "")
            found[name] = found.get(name, 0.0) + sample.value
    return tuple(
        Counted(name=name, count=count)
        for name, count in sorted(found.items(), key=lambda pair: (-pair[1], pair[0]))
    )
