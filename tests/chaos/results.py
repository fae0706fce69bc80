"""What became of every seed of the long form, a line of JSON each, kept beside it."""

from collections import Counter
from pathlib import Path

import msgspec

COUNTED = ("worker kill", "zombie", "broker restart", "rebalance")
"""What the long form has to reach so many of."""


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """One run of a seed."""

    at: str
    seed: int
    form: str
    minutes: float | None
    rate: int
    core: str
    """Whether workers ran on the compiled core."""
    events: int
    doubles: int
    unreadable: int
    leads: int
    seconds: int
    faults: dict[str, int]
    endings: dict[str, int]
    """The last words of workers that ended by themselves."""
    findings: list[str]
    visitors: float = 0.0
    """Which share of the events were pages that anonymous visitors looked at."""
    standbys: int = 0
    """How many workers kept a copy of each partition's states."""


def keep(path: Path, line: Line) -> None:
    """Add a line to the file."""
    with path.open("ab") as file:
        file.write(msgspec.json.encode(line) + b"\n")


def read(path: Path) -> list[Line]:
    """Return every line of the file."""
    return [
        msgspec.json.decode(line, type=Line) for line in path.read_bytes().splitlines()
    ]


def told(path: Path) -> str:
    """Return what all of the file comes to."""
    lines, faults = read(path), Counter[str]()
    for each in lines:
        faults.update(each.faults)
    events = sum(each.events for each in lines)
    counted = ", ".join(f"{name} {faults[name]}" for name in COUNTED)
    bad = sum(bool(each.findings) for each in lines)
    return f"kept so far: {len(lines)} seeds, {events} events, {counted}; {bad} found"
