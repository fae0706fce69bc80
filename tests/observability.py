"""What the alert rules, their runbooks and the dashboards say, as data for tests."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import yaml

ROOT = Path(__file__).parent.parent
PROMETHEUS = ROOT / "deploy" / "prometheus"
RULES = PROMETHEUS / "rules"
RUNBOOKS = ROOT / "docs" / "runbooks"
DASHBOARDS = ROOT / "deploy" / "grafana" / "dashboards"

_NAME = re.compile(r"\bleadpulse_[a-z_]+")


class Query(NamedTuple):
    """An expression of a panel."""

    dashboard: str
    panel: str
    expr: str


def rules(file: str) -> list[dict[str, Any]]:
    document = yaml.safe_load((RULES / file).read_text(encoding="utf-8"))
    return [rule for group in document["groups"] for rule in group["rules"]]


def alerts() -> list[dict[str, Any]]:
    return rules("alerts.yml")


def recorded() -> set[str]:
    return {rule["record"] for rule in rules("recording.yml")}


def unit_tested() -> dict[str, str]:
    """Return the file of unit tests, by the alert that each test is of."""
    text = (PROMETHEUS / "tests" / "alerts.yml").read_text(encoding="utf-8")
    return {
        test["name"].partition(":")[0]: test["name"]
        for test in yaml.safe_load(text)["tests"]
    }


def dashboards() -> dict[str, dict[str, Any]]:
    return {
        path.stem: json.loads(path.read_text(encoding="utf-8"))
        for path in sorted(DASHBOARDS.glob("*.json"))
    }


def queries() -> Iterator[Query]:
    for name, dashboard in dashboards().items():
        for panel in dashboard["panels"]:
            for target in panel.get("targets", ()):
                yield Query(name, panel["title"], target["expr"])


def metric_names(expression: str) -> set[str]:
    return set(_NAME.findall(expression))
