"""The manifests fit the product: its commands, settings, topics, probes and rules."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from schemas.topics import EVENT_TOPICS, TOPICS
from streams.app import SOURCES
from streams.cli.main import COMMANDS
from streams.settings import PREFIX, Settings, load_settings
from streams.topics_admin import strimzi_topics

ROOT = Path(__file__).parent.parent
KUBERNETES = ROOT / "deploy" / "kubernetes"
COMPONENTS = KUBERNETES / "components"


def documents(path: Path) -> list[Any]:
    return [*yaml.safe_load_all(path.read_text(encoding="utf-8"))]


def files() -> list[Path]:
    """Return the manifests with roles in them."""
    optional = [
        COMPONENTS / name / f"{name}.yaml" for name in ("delivery", "sinks", "web")
    ]
    return [*sorted((KUBERNETES / "base").glob("*.yaml")), *optional]


def workloads() -> Iterator[Any]:
    for path in files():
        for document in documents(path):
            if document["kind"] in {"Deployment", "StatefulSet"}:
                yield document


ROLES = {each["metadata"]["name"]: each for each in workloads()}


@pytest.mark.parametrize("role", sorted(ROLES))
def test_a_role_is_a_command_with_settings_that_exist(role: str) -> None:
    """What a pod starts and sets, the product knows."""
    (container,) = ROLES[role]["spec"]["template"]["spec"]["containers"]

    named = {"sinks": ["sinks", "run"], "learning": ["learn", "follow"]}
    assert container["args"] == named.get(role, [role])
    assert container["args"][0] in COMMANDS
    names = [each["name"] for each in container["env"]]
    base = documents(KUBERNETES / "base" / "kustomization.yaml")[0]
    (settings,) = base["configMapGenerator"]
    names += [literal.partition("=")[0] for literal in settings["literals"]]
    for name in names:
        setting = name.removeprefix(PREFIX).removesuffix("_FILE").lower()
        assert setting in Settings.model_fields, name


@pytest.mark.parametrize("role", sorted(ROLES))
def test_a_pod_has_no_rights_it_does_not_need(role: str) -> None:
    """Not root, nothing to write to but its volumes, no token, memory limited."""
    pod = ROLES[role]["spec"]["template"]["spec"]
    (container,) = pod["containers"]

    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["runAsUser"] == 10001
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert pod["automountServiceAccountToken"] is False
    assert container["securityContext"] == {
        "readOnlyRootFilesystem": True,
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
    }
    assert container["resources"]["limits"]["memory"]
    dockerfile = (ROOT / "deploy" / "Dockerfile").read_text(encoding="utf-8")
    assert "USER 10001:10001\n" in dockerfile


@pytest.mark.parametrize("role", sorted(ROLES))
def test_a_pod_is_asked_whether_it_lives_and_whether_it_is_ready(role: str) -> None:
    """Two questions, two answers, on the right port; and time to stop in order."""
    pod = ROLES[role]["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    port = "http" if role == "collector" else "metrics"
    numbers = {each["name"]: each["containerPort"] for each in container["ports"]}

    for probe, path in (("liveness", "/healthz"), ("readiness", "/readyz")):
        asked = container[f"{probe}Probe"]["httpGet"]
        assert asked == {"path": path, "port": port}
    assert numbers["metrics"] == Settings.model_fields["metrics_port"].default
    if role == "web":
        assert numbers["http"] == Settings.model_fields["web_port"].default
    if role == "collector":
        assert numbers["http"] == Settings.model_fields["collector_port"].default
    assert pod["terminationGracePeriodSeconds"] > 20


@pytest.mark.parametrize("role", sorted(ROLES))
def test_one_pod_of_a_role_may_be_away(role: str) -> None:
    """A drained node takes one of each role at a time, and its budget finds it."""
    budgets = {
        each["metadata"]["name"]: each["spec"]
        for path in files()
        for each in documents(path)
        if each["kind"] == "PodDisruptionBudget"
    }
    labels = ROLES[role]["spec"]["template"]["metadata"]["labels"]

    assert budgets[role]["maxUnavailable"] == 1
    assert budgets[role]["selector"]["matchLabels"] == labels
    assert ROLES[role]["spec"]["selector"]["matchLabels"] == labels
    assert ROLES[role]["spec"]["replicas"] >= 2


def test_the_app_asks_every_process_for_its_metrics() -> None:
    """Each role of the base and the app itself, by a Service that leads to its pods."""
    (container,) = ROLES["web"]["spec"]["template"]["spec"]["containers"]
    (given,) = (
        each["value"]
        for each in container["env"]
        if each["name"] == f"{PREFIX}WEB_METRICS"
    )
    found = documents(COMPONENTS / "web" / "metrics.yaml")
    services = {
        each["metadata"]["name"]: each["spec"]
        for each in found
        if each["kind"] == "Service"
    }
    asked = load_settings({}, web_metrics=given).web_metrics

    assert set(asked) == set(ROLES) - {"delivery", "sinks"}
    for role, url in asked.items():
        port = Settings.model_fields["metrics_port"].default
        assert url == f"dns+http://{role}-metrics:{port}/metrics"
        service = services[f"{role}-metrics"]
        assert service["clusterIP"] == "None"
        labels = ROLES[role]["spec"]["template"]["metadata"]["labels"]
        assert service["selector"] == labels


def test_the_topics_are_those_of_the_contract() -> None:
    """Strimzi makes what `leadpulse topics create` would make, with three replicas."""
    settings = Settings(replication_factor=3)
    found = documents(COMPONENTS / "topics" / "topics.yaml")

    assert found == strimzi_topics(settings, "leadpulse")
    assert [each["spec"]["topicName"] for each in found] == [t.name for t in TOPICS]


def test_workers_scale_by_what_waits_for_them() -> None:
    """Every source with events of people is watched, for the group that scores."""
    worker = documents(COMPONENTS / "autoscaling" / "autoscaling.yaml")[0]
    asked = [each["metadata"] for each in worker["spec"]["triggers"]]
    topics = {each["topic"] for each in asked}

    assert topics <= {topic.name for topic in SOURCES}
    assert topics >= {topic.name for topic in EVENT_TOPICS}
    assert {each["consumerGroup"] for each in asked} == {"leadpulse.scoring"}
    assert worker["spec"]["maxReplicaCount"] <= Settings().partitions


def test_the_operator_gets_the_rules_as_they_are() -> None:
    """The PrometheusRule is made of the files that promtool tests."""
    script = [sys.executable, str(KUBERNETES / "rules.py"), "--check"]

    assert subprocess.run(script, check=False).returncode == 0
