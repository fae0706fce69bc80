"""Draws the figures; runs in an environment of its own that has matplotlib."""

import json
import sys

import matplotlib as mpl
from matplotlib.figure import Figure

_INK = "#333333"
_OURS = "#2a6f97"
_THEIRS = "#b8c4cc"


def main() -> None:
    """Draw what the first argument tells."""
    told = json.loads(sys.argv[1])
    lines = told["lines"]
    # The same file for the same figures, with letters that stay letters.
    mpl.rcParams.update({"svg.hashsalt": "leadpulse", "svg.fonttype": "none"})
    figure = Figure(figsize=(8, 0.9 + 0.45 * len(lines)), layout="constrained")
    axes = figure.add_subplot()
    middle = [line["median"] for line in lines]
    spans = [
        [line["median"] - line["least"] for line in lines],
        [line["most"] - line["median"] for line in lines],
    ]
    bars = axes.barh(
        [line["title"] for line in lines],
        middle,
        xerr=spans,
        color=[_OURS if line["name"] == "ours" else _THEIRS for line in lines],
        error_kw={"ecolor": _INK, "elinewidth": 1, "capsize": 3},
    )
    labels = [f"{value:,.0f}" for value in middle]
    axes.bar_label(bars, labels, padding=8, color=_INK)
    axes.margins(x=0.15)
    axes.set_xlabel("events per CPU second of the worker's process")
    axes.set_title(told["heading"], loc="left")
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
    axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(told["path"], metadata={"Date": None})


if __name__ == "__main__":
    main()
