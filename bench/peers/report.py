"""The figures of all runs: a table, and what a plot is drawn from."""

import statistics
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec

from bench.peers import environments as envs
from bench.peers.measuring import Figure


class Line(msgspec.Struct):
    """What one contender came to."""

    name: str
    title: str
    median: float
    least: float
    most: float


def summed_up(name: str, title: str, figures: Sequence[Figure]) -> Line:
    """Return the median of the runs, the worst and the best."""
    rates = [figure.per_cpu_second for figure in figures]
    return Line(name, title, statistics.median(rates), min(rates), max(rates))


def table(lines: Sequence[Line], ours: Line | None) -> str:
    """Return the lines as a table in Markdown, the best first."""
    rows = [
        "| | events per CPU second | lowest–highest run | ours is |",
        "|---|---:|---:|---:|",
    ]
    for line in sorted(lines, key=lambda each: -each.median):
        ratio = f"{ours.median / line.median:.2f} ×" if ours else ""
        rows.append(
            f"| {line.title} | {line.median:,.0f} | "
            f"{line.least:,.0f}–{line.most:,.0f} | {ratio} |"
        )
    return "\n".join(rows)


def draw(lines: Sequence[Line], heading: str, path: Path) -> None:
    """Draw the lines as bars with their spans into an SVG file.

    Raises
    ------
    NotInstalledError
        When matplotlib cannot be installed.
    """
    python = envs.python_with("plot", envs.MATPLOTLIB)
    told: Mapping[str, object] = {
        "heading": heading,
        "lines": sorted(lines, key=lambda each: each.median),
        "path": str(path),
    }
    script = str(Path(__file__).with_name("plot.py"))
    subprocess.run([python, script, msgspec.json.encode(told).decode()], check=True)
