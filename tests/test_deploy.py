"""What operators are given fits the product: compose file, Prometheus, Grafana."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client.metrics import MetricWrapperBase

from streams import metrics
from streams.cli.main import COMMANDS
from streams.settings import Settings
from tests.observability import dashboards

ROOT = Path(__file__).parent.parent
COMPOSE = yaml.safe_load((ROOT / "docker-compose.yml").read_text(encoding="utf-8"))
SERVICES: dict[str, Any] = COMPOSE["services"]
OURS = {
    name: service
    for name, service in SERVICES.items()
    if service["image"].startswith("leadpulse:")
}


def exposed_metrics() -> dict[str, tuple[str, ...]]:
    """Return every series name that a scrape can show, with its labels."""
    series: dict[str, tuple[str, ...]] = {}
    for metric in vars(metrics).values():
        if isinstance(metric, MetricWrapperBase):
            (family,) = metric.describe()
            endings = {
                "counter": ("_total",),
                "histogram": ("_bucket", "_sum", "_count"),
            }.get(family.type, ("",))
            for ending in endings:
                series[family.name + ending] = metric._labelnames
    return series


def panels() -> list[Any]:
    return [
        panel
        for dashboard in dashboards().values()
        for panel in dashboard["panels"]
        if panel["type"] != "row"
    ]


def test_images_are_pinned_to_a_version() -> None:
    """The same file starts the same software tomorrow."""
    for name, service in SERVICES.items():
        tag = service["image"].partition(":")[2]

        assert re.match(r"v?\d+\.\d+\.\d+|\$\{LEADPULSE_VERSION", tag), name


def test_compose_runs_the_kafka_that_is_tested() -> None:
    """The broker in compose is the release that the integration tests run on."""
    pom = (ROOT / "deploy/kafka/pom.xml").read_text(encoding="utf-8")
    version = re.search(r"<kafka.version>(.+)</kafka.version>", pom)

    assert version is not None
    assert SERVICES["kafka"]["image"] == f"apache/kafka:{version[1]}"


@pytest.mark.parametrize("name", sorted(OURS))
def test_a_role_is_a_command_with_settings_that_exist(name: str) -> None:
    """What compose starts and sets, the product knows."""
    service = OURS[name]

    assert service["command"][0] in COMMANDS
    for variable in service["environment"]:
        setting = variable.removeprefix("LEADPULSE_").lower()
        assert setting in Settings.model_fields, variable


@pytest.mark.parametrize("name", sorted(SERVICES))
def test_no_service_can_fill_the_machine(name: str) -> None:
    """Every service has a memory limit and logs that rotate."""
    service = SERVICES[name]

    assert service["mem_limit"]
    assert service["logging"]["options"]["max-size"]
    assert name == "topics" or "healthcheck" in service or name in OURS


@pytest.mark.parametrize("name", sorted(SERVICES))
def test_nothing_is_published_beyond_this_machine(name: str) -> None:
    """Ports are open on the loopback address alone."""
    for port in SERVICES[name].get("ports", []):
        assert port.startswith("127.0.0.1:")


def test_prometheus_scrapes_every_role() -> None:
    """Each running role of the product is a target, on its metrics port."""
    config = yaml.safe_load((ROOT / "deploy/prometheus/prometheus.yml").read_text())
    jobs = {each["job_name"]: each for each in config["scrape_configs"]}
    job = jobs["leadpulse"]
    static = (*job["static_configs"], *jobs["leadpulse-web"]["static_configs"])
    targets = {t for group in static for t in group["targets"]}
    port = Settings.model_fields["metrics_port"].default
    for group in job["dns_sd_configs"]:  # those of a profile, once they are there
        assert all("profiles" in OURS[name] for name in group["names"])
        targets |= {f"{name}:{group['port']}" for name in group["names"]}

    assert targets == {f"{name}:{port}" for name in OURS if name != "topics"}


def test_panels_ask_for_metrics_that_exist() -> None:
    """No panel stays empty because a metric or a label has another name."""
    known = exposed_metrics()

    for panel, target in ((p, t) for p in panels() for t in p["targets"]):
        labels = {"job", "instance", "role", "le"}
        expression = target["expr"]
        names = set(re.findall(r"leadpulse_[a-z_]+", expression))
        for name in names:
            assert name in known, panel["title"]
            labels |= set(known[name])
        for grouping in re.findall(r"by \(([^)]*)\)", expression):
            assert set(grouping.split(", ")) <= labels, panel["title"]


def test_the_dashboards_are_as_drawn() -> None:
    """Nobody has changed a dashboard's JSON beside what it is drawn from."""
    draw = [sys.executable, str(ROOT / "deploy/grafana/pages.py"), "--check"]

    assert subprocess.run(draw, check=False).returncode == 0


def test_the_image_is_built_from_all_that_the_wheel_holds() -> None:
    """What the wheel takes from outside the packages is in the image's build, too."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    wheel = project["tool"]["hatch"]["build"]["targets"]["wheel"]
    copied = (ROOT / "deploy" / "Dockerfile").read_text(encoding="utf-8")
    allowed = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()

    assert wheel["force-include"]
    for path in wheel["force-include"]:
        assert f"COPY {path} {path}\n" in copied
        assert f"!{path}" in allowed
