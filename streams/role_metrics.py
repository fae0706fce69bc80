"""What a running role says of itself over HTTP: its metrics, and whether it is up."""

import urllib.error
import urllib.request
from collections.abc import Iterable
from typing import Final

from prometheus_client.parser import text_string_to_metric_families

_SECONDS: Final = 2.0

# Roles are on this machine: a proxy of the environment is none of their business.
_opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def answers_ok(url: str) -> bool:
    """Return whether a GET of `url` is answered with a 2xx."""
    return _get(url) is not None


def read_metrics(urls: Iterable[str]) -> dict[str, float] | None:
    """Return each sample's sum over all labels and roles; None if one is silent."""
    sums: dict[str, float] = {}
    for url in urls:
        text = _get(url)
        if text is None:
            return None
        for family in text_string_to_metric_families(text):
            for sample in family.samples:
                sums[sample.name] = sums.get(sample.name, 0.0) + sample.value
    return sums


def _get(url: str) -> str | None:
    try:
        with _opener.open(url, timeout=_SECONDS) as answer:
            return str(answer.read(), "utf-8")
    except (OSError, urllib.error.URLError):
        return None
