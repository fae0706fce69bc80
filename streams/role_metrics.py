"""What a running role says of itself over HTTP: its metrics, and whether it is up."""

import http.client
import urllib.request
from collections.abc import Iterable
from typing import Final, NamedTuple

from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample

_SECONDS: Final = 2.0

# Roles are on this machine: a proxy of the environment is none of their business.
_opener: Final = urllib.request.build_opener(urllib.request.ProxyHandler({}))


class RoleMetrics(NamedTuple):
    """The samples of one or several roles at one time."""

    samples: tuple[Sample, ...]

    def total(self, name: str, **labels: str) -> float:
        """Return the sum of the samples of this name that have these labels."""
        return sum(
            sample.value
            for sample in self.samples
            if sample.name == name and labels.items() <= sample.labels.items()
        )


def answers_ok(url: str) -> bool:
    """Return whether a GET of `url` is answered with a 2xx."""
    return _get(url) is not None


def read_metrics(
    urls: Iterable[str], *, token: str | None = None
) -> RoleMetrics | None:
    """Return the samples of all `urls` together; None if one does not answer.

    With a `token` it is shown to them: metrics need one where there are any.
    """
    samples: list[Sample] = []
    for url in urls:
        text = _get(url, token)
        if text is None:
            return None
        for family in text_string_to_metric_families(text):
            samples += family.samples
    return RoleMetrics(tuple(samples))


def _get(url: str, token: str | None = None) -> str | None:
    shown = {} if token is None else {"Authorization": f"Bearer {token}"}
    try:
        request = urllib.request.Request(url, headers=shown)  # noqa: S310 - settings'
        with _opener.open(request, timeout=_SECONDS) as answer:
            return str(answer.read(), "utf-8")
    except (OSError, ValueError, http.client.HTTPException):
        return None
