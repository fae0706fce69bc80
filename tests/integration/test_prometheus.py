"""A real Prometheus on a running system: rules, alerts and dashboards do as they say.

Hours are seconds here: the durations of the rules, and the limits that are durations,
are rewritten. What a rule looks at is not.
"""

import itertools
import json
import os
import re
import signal
import subprocess
import sys
import time
import urllib.parse
import urllib.request
from base64 import b64encode
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml

from schemas.topics import WEB_EVENTS
from streams.processes import free_port
from streams.settings import load_settings
from streams.supervisor import Stack
from tests.observability import PROMETHEUS, ROOT, alerts, metric_names, queries
from tests.prometheus_tools import NoPrometheusError, Tools, prometheus_tools
from tests.waiting import wait_until
from tests.worker_harness import put_raw

pytestmark = pytest.mark.integration

WINDOWS = {
    "5m": "4s",
    "10m": "5s",
    "15m": "20s",
    "30m": "8s",
    "1h": "30s",
    "6h": "32s",
    "3d": "34s",
}
"""What rules look back on: four starts of a process must fit into a quarter hour."""
PATIENCE = {"0m": "0s", "1m": "1s", "2m": "1s", "5m": "2s"}
"""How long they wait before they fire; where it is more, that is three seconds."""
LIMITS = (("> 60", "> 3"), ("> 120", "> 3"), ("> 30", "> 3"), ("> 600", "> 3"))
"""Seconds that are waited for, shorter: the comparisons of the alert rules."""
TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"


@pytest.fixture(scope="module")
def tools() -> Tools:
    try:
        return prometheus_tools()
    except NoPrometheusError as error:
        pytest.skip(f"PROMETHEUS IS NOT TESTED HERE: {error}")


def test_the_unit_tests_of_the_rules_pass(tools: Tools) -> None:
    """Each alert is quiet, fires and ends on made-up series, as promtool sees it."""
    checks = [
        ["check", "config", "prometheus.yml"],
        ["test", "rules", *map(str, (PROMETHEUS / "tests").glob("*.yml"))],
    ]
    for arguments in checks:
        done = subprocess.run(
            [tools.promtool, *arguments],
            cwd=PROMETHEUS,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr


def shortened(rules: str) -> str:
    """Return rules whose hours are seconds."""

    def looked(found: re.Match[str]) -> str:
        return found[1] + WINDOWS[found[2]]

    def waited(found: re.Match[str]) -> str:
        return found[1] + PATIENCE.get(found[2], "3s")

    text = re.sub(r"(\[|offset )(\d+[mhd])", looked, rules)
    text = re.sub(r"(for: )(\d+[mhd])", waited, text)
    lines = []
    for line in text.splitlines():
        for limit, shorter in LIMITS:
            if line.endswith(limit):
                line = line.removesuffix(limit) + shorter  # noqa: PLW2901
                break
        lines.append(line)
    return "\n".join(lines)


class Server(NamedTuple):
    """A running Prometheus."""

    url: str

    def ask(self, path: str, **query: str) -> Any:
        url = f"{self.url}/api/v1/{path}?{urllib.parse.urlencode(query)}"
        with urllib.request.urlopen(url, timeout=10) as answer:  # noqa: S310
            return json.load(answer)["data"]

    def values(self, expression: str) -> list[str]:
        """Return what the first part of a comparison comes to just now."""
        query = re.split(r" [<>]|==", expression)[0]
        result = self.ask("query", query=query)["result"]
        return [each["value"][1] for each in result]

    def firing(self) -> set[str]:
        return {
            each["labels"]["alertname"]
            for each in self.ask("alerts")["alerts"]
            if each["state"] == "firing"
        }


class System:
    """Everything on this machine, what is sent into it, and what is done to it."""

    def __init__(self, stack: Stack, staged_port: int) -> None:
        self.stack = stack
        self.staged_port = staged_port
        self.staged = self._stage()
        self._numbers = itertools.count()
        key = b64encode(f"{stack.write_key}:".encode()).decode()
        self._headers = {
            "Content-Type": "application/json",
            "Authorization": f"Basic {key}",
            "traceparent": f"00-{TRACE}-00f067aa0ba902b7-01",
        }

    def send(
        self, count: int = 5, *, who: str = "", agent: str = "", padding: int = 0
    ) -> int:
        """Send events of people, or of a machine; return the status."""
        context = {"userAgent": agent} if agent else {}
        # Without ids of their own, what is alike would be duplicates.
        numbers = itertools.islice(self._numbers, count)
        batch = [
            {
                "type": "track",
                "messageId": f"m-{number}",
                "userId": who or f"u-{number % 40}",
                "event": "Demo Requested",
                "properties": {"note": "x" * padding},
                "context": context,
            }
            for number in numbers
        ]
        request = urllib.request.Request(  # noqa: S310 - loopback
            f"{self.stack.collector_url}/v1/batch",
            json.dumps({"batch": batch}).encode(),
            self._headers,
        )
        try:
            with urllib.request.urlopen(request, timeout=20) as answer:  # noqa: S310
                return int(answer.status)
        except urllib.error.HTTPError as error:
            return error.code

    def stage(self, word: str) -> None:
        assert self.staged.stdin is not None
        self.staged.stdin.write(f"{word}\n")
        self.staged.stdin.flush()

    def restage(self) -> None:
        """Start the staged role anew."""
        self.end_stage()
        self.staged = self._stage()

    def end_stage(self) -> None:
        self.staged.kill()
        self.staged.communicate()

    def _stage(self) -> "subprocess.Popen[str]":
        script = Path(__file__).with_name("staged_role.py")
        process = subprocess.Popen(
            [sys.executable, str(script), str(self.staged_port)],
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert process.stdout is not None
        assert process.stdout.readline()
        return process

    def kill_worker(self) -> None:
        (self._worker,) = (r for r in self.stack.roles if r.name == "worker")
        self._worker.child.kill()

    def start_worker(self) -> None:
        self.stack._roles.remove(self._worker)
        port = int(urllib.parse.urlsplit(self._worker.metrics_url).port or 0)
        self.stack._roles.append(self.stack._start_role("worker", port))

    def signal_broker(self, number: signal.Signals) -> None:
        broker = self.stack.broker
        assert broker is not None
        assert broker.child is not None
        assert broker.child.pid is not None
        os.kill(broker.child.pid, number)


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    settings = load_settings(
        {
            "LEADPULSE_SPOOL_MAX_BYTES": "10000000",
            "LEADPULSE_SPOOL_AFTER_SECONDS": "0.3",
            "LEADPULSE_PARTITIONS": "2",
            "LEADPULSE_DEAD_LETTER_RATIO": "1",
        },
        data_dir=tmp_path_factory.mktemp("stack"),
        collector_port=0,
        metrics_port=0,
    )
    with Stack(settings) as stack:
        system = System(stack, free_port())
        yield system
        with suppress(ProcessLookupError):
            system.signal_broker(signal.SIGCONT)
        system.end_stage()


@pytest.fixture(scope="module")
def server(
    tools: Tools, system: System, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("prometheus")
    for path in (PROMETHEUS / "rules").glob("*.yml"):
        (folder / path.name).write_text(shortened(path.read_text(encoding="utf-8")))
    targets = [
        {
            "targets": [urllib.parse.urlsplit(role.metrics_url).netloc],
            "labels": {"role": role.name},
        }
        for role in system.stack.roles
    ]
    staged = f"127.0.0.1:{system.staged_port}"
    targets.append({"targets": [staged], "labels": {"role": "delivery"}})
    config = {
        "global": {
            "scrape_interval": "500ms",
            "scrape_timeout": "500ms",
            "evaluation_interval": "500ms",
        },
        "rule_files": ["alerts.yml", "recording.yml"],
        "scrape_configs": [{"job_name": "leadpulse", "static_configs": targets}],
    }
    (folder / "prometheus.yml").write_text(yaml.safe_dump(config))
    port = free_port()
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [
                tools.prometheus,
                f"--config.file={folder}/prometheus.yml",
                f"--storage.tsdb.path={folder}/data",
                f"--web.listen-address=127.0.0.1:{port}",
                "--enable-feature=exemplar-storage",
                "--log.level=warn",
            ],
            stderr=log,
        )
    server = Server(f"http://127.0.0.1:{port}")

    def answers() -> bool:
        with suppress(OSError):
            return bool(server.ask("targets")["activeTargets"])
        assert process.poll() is None, (folder / "log").read_text()
        return False

    try:
        wait_until(answers, what="Prometheus to answer")
        yield server
    finally:
        process.terminate()
        process.wait(20)


def keep(
    doing: Callable[[], object], until: Callable[[], bool], within: float = 30.0
) -> None:
    """Do something every half second until a condition holds."""
    due = time.monotonic()

    def done() -> bool:
        nonlocal due
        if until():
            return True
        if time.monotonic() >= due:
            doing()
            due = time.monotonic() + 0.5
        return False

    try:
        wait_until(done, within)
    except AssertionError as error:
        message = f"waited for {until!r}"
        raise AssertionError(message) from error


class AllFire:
    """Whether each of some alerts has fired since it was asked first."""

    def __init__(self, server: Server, names: set[str]) -> None:
        self._server = server
        self.left = set(names)

    def __call__(self) -> bool:
        self.left -= self._server.firing()
        return not self.left

    def __repr__(self) -> str:
        about = {rule["alert"]: rule["expr"] for rule in alerts()}
        values = {name: self._server.values(about[name]) for name in self.left}
        return f"{values} to fire"


class Quiet:
    """Whether no alert fires."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self.firing: set[str] = set()

    def __call__(self) -> bool:
        self.firing = self._server.firing()
        return not self.firing

    def __repr__(self) -> str:
        return f"{sorted(self.firing)} to end"


BAD_WHILE_WORKER_AND_VIEW_ARE_AWAY = {
    "LeadpulseRoleDown",
    "LeadpulseNoWorker",
    "LeadpulseScoringLag",
    "LeadpulseViewLag",
    "LeadpulseViewFailing",
}
STAGED = {
    "LeadpulseRecoveryLong",
    "LeadpulseRebalancing",
    "LeadpulseSpoolAside",
    "LeadpulseWakeupsLate",
    "LeadpulseModelsDiffer",
    "LeadpulsePartitionsLeaderless",
    "LeadpulsePartitionsUnderreplicated",
    "LeadpulseDeliveryLag",
    "LeadpulseDeliveryCircuitOpen",
    "LeadpulseDeliveryGivingUp",
    "LeadpulseSinkLag",
    "LeadpulseLineStopped",
    "LeadpulseLostToRetention",
}
BAD_EVENTS = {"LeadpulseDeadLetters", "LeadpulseMachineTraffic"}
BAD_WHILE_KAFKA_HANGS = {
    "LeadpulseSpoolWaiting",
    "LeadpulseSpoolRefusing",
    "LeadpulseCollectorBudgetBurn",
    "LeadpulseKafkaSilent",
    "LeadpulseWorkerStuck",
}
AFTERWARDS = {"LeadpulseScoreBudgetBurn"}
SILENCE = {"LeadpulseEventsStopped"}
RESTARTS = {"LeadpulseRestarting"}


def test_every_alert_has_its_fault() -> None:
    """No alert is left out below."""
    tried = (
        BAD_WHILE_WORKER_AND_VIEW_ARE_AWAY
        | STAGED
        | BAD_EVENTS
        | BAD_WHILE_KAFKA_HANGS
        | AFTERWARDS
        | SILENCE
        | RESTARTS
    )
    assert tried == {rule["alert"] for rule in alerts()}


def test_alerts_fire_in_their_fault_and_stop_after_it(
    system: System, server: Server
) -> None:
    """Quiet in a healthy system; each fires for its fault; all end when all is well."""
    quiet = Quiet(server)

    def healthy() -> None:
        assert system.send() == 200

    started = time.monotonic()
    keep(healthy, lambda: quiet() and time.monotonic() > started + 3)

    def bad_events() -> None:
        system.stage("ill")
        system.send(8, agent="Googlebot/2.1 (+http://www.google.com/bot.html)")
        put_raw(system.stack.settings, WEB_EVENTS, b"{", partition=0)

    keep(bad_events, AllFire(server, STAGED | BAD_EVENTS))
    system.stage("well")

    redis = system.stack.redis
    assert redis is not None
    redis.stop()
    system.kill_worker()
    # The view has nothing to do while nobody scores, but for the events.
    keep(healthy, AllFire(server, BAD_WHILE_WORKER_AND_VIEW_ARE_AWAY))
    redis.start()
    system.start_worker()

    keep(lambda: None, AllFire(server, SILENCE))
    keep(system.restage, AllFire(server, RESTARTS))
    keep(healthy, quiet, within=40)

    def flood() -> None:
        for _ in range(4):
            system.send(100, padding=3_000)

    for _ in range(30):
        system.send(100)
    system.signal_broker(signal.SIGSTOP)
    keep(flood, AllFire(server, BAD_WHILE_KAFKA_HANGS), within=40)
    system.signal_broker(signal.SIGCONT)
    keep(system.send, AllFire(server, AFTERWARDS), within=40)
    keep(system.send, quiet, within=60)


def test_every_rule_and_every_panel_has_data(system: System, server: Server) -> None:
    """Rules evaluate without error, and no panel of a dashboard is empty."""
    groups = server.ask("rules")["groups"]
    for rule in (rule for group in groups for rule in group["rules"]):
        assert (rule["health"], rule.get("lastError", "")) == ("ok", ""), rule["name"]

    empty: list[str] = []

    def all_have_data() -> bool:
        # The score of somebody new moves; that of the others is at its most by now.
        system.send(who=f"new-{time.monotonic_ns()}")
        system.stage("ill")
        system.stage("seen")
        empty[:] = [
            f"{query.dashboard}: {query.panel}: {query.expr}"
            for query in queries()
            if not server.ask(
                "query", query=query.expr.replace("$__rate_interval", "1m")
            )["result"]
        ]
        return not empty

    with suppress(AssertionError):
        wait_until(all_have_data, within=10)
    assert not empty, "\n".join(empty)


def test_every_documented_metric_is_there(server: Server) -> None:
    """What the docs list is what a Prometheus has heard of, type and all."""
    docs = (ROOT / "docs" / "metrics.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `(\w+)` \| (\w+) \|", docs, re.MULTILINE)
    known = server.ask("metadata")

    assert rows
    for name, kind in rows:
        found = known.get(name) or known.get(name.removesuffix("_total"))
        assert found, name
        assert found[0]["type"] == kind, name


def test_a_slow_score_leads_to_its_trace(system: System, server: Server) -> None:
    """The latency histogram carries the trace that the sender began."""
    now = time.time()

    def exemplars() -> list[Any]:
        system.send()
        found = server.ask(
            "query_exemplars",
            query="leadpulse_score_latency_seconds_bucket",
            start=str(now - 300),
            end=str(time.time()),
        )
        return [each for series in found for each in series["exemplars"]]

    found = wait_until(exemplars, what="an exemplar")

    assert {each["labels"]["trace_id"] for each in found} == {TRACE}
    assert metric_names("leadpulse_score_latency_seconds_bucket")
