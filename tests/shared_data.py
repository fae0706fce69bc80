"""Real payloads that are not part of the repository; tests of them skip without."""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

VARIABLE = "LEADPULSE_SHARED_DATA"
_BESIDE_THE_REPOSITORY = Path(__file__).parent.parent.parent / "shared" / "data"
DATA = Path(os.environ.get(VARIABLE) or _BESIDE_THE_REPOSITORY)
"""Where the shared data are, if they are present."""


def shared_data(*parts: str) -> Path:
    """Return a file or folder of the shared data; skip, and say so, without it."""
    path = DATA.joinpath(*parts)
    if not path.exists():
        pytest.skip(f"SHARED DATA ABSENT: no {path}; set {VARIABLE} to their folder")
    return path


def shared_lines(*parts: str) -> Iterator[dict[str, Any]]:
    """Yield every object of a shared NDJSON file."""
    with shared_data(*parts).open(encoding="utf-8") as lines:
        yield from map(json.loads, lines)
