"""How a dashboard is drawn; `pages.py` says which there are.

A dashboard here is rows of panels, a panel a title, what it says and its queries; the
rest of Grafana's JSON follows from that.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

SOURCE: Final = {"type": "prometheus", "uid": "prometheus"}
JOB: Final = 'job="leadpulse"'
WIDTH: Final = 24
FOLDER: Final = Path(__file__).parent / "dashboards"

Json = dict[str, Any]

GREEN_TO_ONE: Final = ((None, "green"), (0.5, "yellow"), (1, "red"))
ANY_IS_BAD: Final = ((None, "green"), (1, "red"))
ANY_IS_NOTED: Final = ((None, "green"), (1, "yellow"))
"""Colours, and the value each begins at."""


class Query(NamedTuple):
    """An expression, and what its lines are called."""

    expr: str
    legend: str = "__auto"


class Panel(NamedTuple):
    """One panel; `kind` is Grafana's word."""

    kind: str
    title: str
    description: str
    queries: Sequence[Query]
    unit: str = "short"
    steps: Sequence[tuple[float | None, str]] = ()
    stacked: bool = False


class Row(NamedTuple):
    """Panels side by side, of one height, as wide as there is room."""

    title: str
    panels: Sequence[Panel]
    height: int = 7


class Dashboard(NamedTuple):
    """A page of rows."""

    name: str
    title: str
    description: str
    rows: Sequence[Row]


_LINE: Final[Json] = {
    "drawStyle": "line",
    "lineWidth": 1,
    "fillOpacity": 8,
    "showPoints": "never",
    "spanNulls": True,
    "stacking": {"mode": "none", "group": "A"},
}
_STACK: Final[Json] = {
    **_LINE,
    "fillOpacity": 35,
    "stacking": {"mode": "normal", "group": "A"},
}
_OPTIONS: Final[dict[str, Json]] = {
    "stat": {
        "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False},
        "colorMode": "value",
        "graphMode": "area",
        "textMode": "auto",
        "justifyMode": "auto",
        "orientation": "auto",
    },
    "timeseries": {
        "legend": {"displayMode": "list", "placement": "bottom", "showLegend": True},
        "tooltip": {"mode": "multi", "sort": "desc"},
    },
    "table": {"showHeader": True},
    "heatmap": {
        "calculate": False,
        "color": {"mode": "scheme", "scheme": "Oranges", "steps": 64},
        "yAxis": {"unit": "s", "axisPlacement": "left"},
        "cellGap": 1,
        "tooltip": {"mode": "single", "yHistogram": True},
        "legend": {"show": False},
    },
}


def stat(
    title: str,
    description: str,
    expr: str,
    unit: str = "short",
    steps: Sequence[tuple[float | None, str]] = ((None, "text"),),
) -> Panel:
    """Return one number, coloured by its steps."""
    return Panel("stat", title, description, [Query(expr)], unit, steps)


def lines(
    title: str,
    description: str,
    *queries: Query,
    unit: str = "short",
    stacked: bool = False,
) -> Panel:
    """Return lines over time."""
    return Panel("timeseries", title, description, queries, unit, (), stacked)


def rate(metric: str, by: str = "", legend: str = "", where: str = "") -> Query:
    """Return a counter's rate per second."""
    grouped = f"sum by ({by}) " if by else "sum "
    selector = f"{JOB},{where}" if where else JOB
    expr = f"{grouped}(rate({metric}{{{selector}}}[$__rate_interval]))"
    words = ": ".join(f"{{{{{label}}}}}" for label in by.split(", ")) if by else ""
    return Query(expr, legend or words or "__auto")


def quantile(share: float, metric: str, by: str = "le", window: str = "") -> Query:
    """Return a quantile of a histogram."""
    over = window or "$__rate_interval"
    expr = (
        f"histogram_quantile({share:g}, "
        f"sum by ({by}) (rate({metric}_bucket{{{JOB}}}[{over}])))"
    )
    return Query(expr, f"p{share * 100:g}")


def quantiles(metric: str) -> tuple[Query, ...]:
    """Return the middle and the slow ends of a histogram."""
    return tuple(quantile(share, metric) for share in (0.5, 0.95, 0.99))


def gauge(metric: str, by: str = "instance", how: str = "") -> Query:
    """Return a gauge, each or put together."""
    expr = f"{how} by ({by}) ({metric}{{{JOB}}})" if how else f"{metric}{{{JOB}}}"
    return Query(expr, ": ".join(f"{{{{{label}}}}}" for label in by.split(", ")))


def draw(dashboard: Dashboard) -> Json:
    """Return a dashboard as Grafana reads it."""
    panels: list[Json] = []
    top = 0
    for row in dashboard.rows:
        panels.append(_row(len(panels) + 1, row.title, top))
        top += 1
        width = WIDTH // len(row.panels)
        for place, panel in enumerate(row.panels):
            at = {"x": place * width, "y": top, "w": width, "h": row.height}
            panels.append(_panel(len(panels) + 1, panel, at))
        top += row.height
    return {
        "uid": f"leadpulse-{dashboard.name}",
        "title": dashboard.title,
        "description": dashboard.description,
        "tags": ["leadpulse"],
        "schemaVersion": 39,
        "version": 1,
        "editable": False,
        "graphTooltip": 1,
        "refresh": "5s",
        "time": {"from": "now-30m", "to": "now"},
        "timezone": "browser",
        "templating": {"list": []},
        "annotations": {"list": []},
        "links": [
            {
                "type": "dashboards",
                "title": "Leadpulse",
                "tags": ["leadpulse"],
                "asDropdown": True,
            }
        ],
        "panels": panels,
    }


def _row(number: int, title: str, top: int) -> Json:
    at = {"x": 0, "y": top, "w": WIDTH, "h": 1}
    empty: Json = {"collapsed": False, "gridPos": at, "panels": []}
    return {"id": number, "type": "row", "title": title, **empty}


def _panel(number: int, panel: Panel, at: Json) -> Json:
    defaults: Json = {"unit": panel.unit, "min": 0}
    if panel.kind == "timeseries":
        defaults["custom"] = _STACK if panel.stacked else _LINE
    if panel.steps:
        steps = [{"color": colour, "value": value} for value, colour in panel.steps]
        defaults["thresholds"] = {"mode": "absolute", "steps": steps}
    drawn: Json = {
        "id": number,
        "type": panel.kind,
        "title": panel.title,
        "description": panel.description,
        "datasource": SOURCE,
        "gridPos": at,
        "fieldConfig": {"defaults": defaults, "overrides": []},
        "options": _OPTIONS[panel.kind],
        "targets": [
            _target(query, panel.kind, chr(ord("A") + place))
            for place, query in enumerate(panel.queries)
        ],
    }
    if panel.kind == "table":
        drawn["transformations"] = [
            {"id": "merge", "options": {}},
            {"id": "organize", "options": {"excludeByName": {"Time": True}}},
        ]
    return drawn


def _target(query: Query, kind: str, letter: str) -> Json:
    target: Json = {
        "datasource": SOURCE,
        "expr": query.expr,
        "legendFormat": query.legend,
        "refId": letter,
    }
    if kind == "timeseries" and "_bucket" in query.expr:
        target["exemplar"] = True
    if kind == "table":
        target |= {"format": "table", "instant": True}
    if kind == "heatmap":
        target["format"] = "heatmap"
    return target


def write(dashboards: Sequence[Dashboard], *, check: bool = False) -> int:
    """Write every dashboard's file; return how many were not as they should be.

    With `check` nothing is written.
    """
    stale = 0
    for dashboard in dashboards:
        path = FOLDER / f"{dashboard.name}.json"
        text = json.dumps(draw(dashboard), indent=2, ensure_ascii=False) + "\n"
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            stale += 1
            if not check:
                path.write_text(text, encoding="utf-8")
    return stale
