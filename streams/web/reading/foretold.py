"""Forecasts that `leadpulse learn report` or `leadpulse forecast` wrote into a folder.

They take minutes and libraries that the web app does without, so it only reads them.
"""

from pathlib import Path
from typing import Final

import msgspec
import structlog

from schemas.time import Instant
from streams.learning.foretold import Foretold

PATTERN: Final = "*.forecast.json"

_log = structlog.get_logger(__name__)


class FoundForecast(msgspec.Struct, frozen=True, kw_only=True):
    """The latest forecast of a folder."""

    written_at: Instant
    told: Foretold


def latest_forecast(folder: Path | None) -> FoundForecast | None:
    """Return the forecast that was written last; None where none can be read."""
    if folder is None:
        return None
    try:
        found = sorted(
            ((path.stat().st_mtime_ns // 1_000_000, path) for path in _files(folder)),
            reverse=True,
        )
        for written_at, path in found:
            told = _read(path)
            if told is not None:
                return FoundForecast(written_at=written_at, told=told)
    except OSError as error:
        _log.warning("forecast_unread", error=str(error))
    return None


def _files(folder: Path) -> list[Path]:
    return [path for path in folder.glob(PATTERN) if path.is_file()]


def _read(path: Path) -> Foretold | None:
    try:
        return msgspec.json.decode(path.read_bytes(), type=Foretold)
    except msgspec.DecodeError as error:
        _log.warning("forecast_unread", file=path.name, error=str(error))
        return None
