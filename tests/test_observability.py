"""Rules, runbooks, dashboards and docs speak of the same metrics and alerts."""

import re

import pytest
import yaml

from streams import metrics
from tests.observability import (
    ROOT,
    RUNBOOKS,
    alerts,
    dashboards,
    metric_names,
    queries,
    recorded,
    rules,
    unit_tested,
)

DOCUMENTED = set(
    re.findall(r"^\| `(\w+)`", (ROOT / "docs" / "metrics.md").read_text(), re.MULTILINE)
)
FORBIDDEN = {"lead", "lead_id", "email", "user", "user_id", "account", "account_id"}


def family(series: str) -> str:
    """Return the metric that a series is of, as the docs call it."""
    return re.sub(r"_(bucket|sum|count)$", "", series)


@pytest.mark.parametrize("alert", sorted({rule["alert"] for rule in alerts()}))
def test_an_alert_can_be_dealt_with(alert: str) -> None:
    """Each has a severity, a summary, a unit test, and a page that says what to do."""
    for rule in (each for each in alerts() if each["alert"] == alert):
        assert rule["labels"]["severity"] in {"page", "ticket"}
        assert rule["annotations"]["summary"]
        assert alert in unit_tested()
        page = ROOT / rule["annotations"]["runbook_url"]
        text = page.read_text(encoding="utf-8")
        assert text.startswith(f"# {alert}\n")
        assert re.findall(r"^## (.+)$", text, re.MULTILINE) == [
            "What it means",
            "How to see it",
            "What to do",
        ]
        assert f"[{alert}]({page.name})" in (RUNBOOKS / "README.md").read_text()


def test_no_runbook_is_of_an_alert_that_is_gone() -> None:
    """Every page is some rule's."""
    linked = {rule["annotations"]["runbook_url"] for rule in alerts()}
    pages = {str(page.relative_to(ROOT)) for page in RUNBOOKS.glob("*.md")}

    assert pages - linked == {"docs/runbooks/README.md"}


def test_rules_and_dashboards_ask_for_documented_metrics() -> None:
    """Each metric of a rule or a panel is in docs/metrics.md, each record recorded."""
    asked = {
        rule["expr"] for file in ("alerts.yml", "recording.yml") for rule in rules(file)
    }
    asked |= {query.expr for query in queries()}
    for page in RUNBOOKS.glob("*.md"):
        asked |= set(re.findall(r"`([^`]*leadpulse[_:][^`]*)`", page.read_text()))

    for expression in asked:
        for series in metric_names(expression):
            assert family(series) in DOCUMENTED, (series, expression)
        for record in re.findall(r"\bleadpulse:[a-z0-9_:]+", expression):
            if not record.endswith("ratio_rate"):
                assert record in recorded(), expression


def test_labels_are_bounded_and_name_nobody() -> None:
    """No metric has a label that could hold a person or a company."""
    for metric in vars(metrics).values():
        assert not FORBIDDEN & set(getattr(metric, "_labelnames", ()))


def test_dashboards_are_told_apart_and_served() -> None:
    """Each has its own uid and title, and every panel says what it shows."""
    found = dashboards()

    assert len({each["uid"] for each in found.values()}) == len(found)
    assert set(found) == {"sales", "pipeline", "broker", "delivery"}
    for name, dashboard in found.items():
        for panel in dashboard["panels"]:
            assert panel["type"] == "row" or panel["description"], (
                name,
                panel["title"],
            )


def test_the_rules_are_loaded() -> None:
    """Prometheus in compose evaluates the files that are tested."""
    path = ROOT / "deploy" / "prometheus" / "prometheus.yml"

    assert yaml.safe_load(path.read_text())["rule_files"] == ["rules/*.yml"]
