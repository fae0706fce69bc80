"""The page of metrics, written from the metrics themselves.

Names, labels and meanings live in `streams.metrics` alone; a page that is made from
them cannot tell another story.
"""

from collections.abc import Iterator
from typing import Final

from prometheus_client.metrics import MetricWrapperBase

from streams import metrics

_HEAD: Final = """\
# Metrics

Every role serves these on `/metrics` of its own port (`LEADPULSE_METRICS_PORT`).
Base units; labels are bounded, never a lead or an e-mail address. This page is
generated from `streams/metrics.py` by `leadpulse schema metrics`.

| metric | type | labels | meaning |
|---|---|---|---|
"""


def render() -> str:
    """Return the page in Markdown, one row per metric in the order of the module."""
    return _HEAD + "".join(f"{row}\n" for row in _rows())


def _rows() -> Iterator[str]:
    for metric in vars(metrics).values():
        if not isinstance(metric, MetricWrapperBase):
            continue
        (family,) = metric.describe()
        name = f"{family.name}_total" if family.type == "counter" else family.name
        labels = ", ".join(f"`{label}`" for label in metric._labelnames)  # noqa: SLF001 - the library has no public name for it
        meaning = family.documentation.replace("|", "\\|")
        yield f"| `{name}` | {family.type} | {labels} | {meaning} |"
