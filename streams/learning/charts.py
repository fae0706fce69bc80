"""Plots as SVG that stands in a page by itself: no scripts, no fonts from elsewhere."""

import io
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import numpy as np

from streams.learning.foretold import Figure

INK: Final = "#1f2933"
FAINT: Final = "#d5dbe1"
_CROWDED: Final = 8
_LONG: Final = 20
"""Letters of a name of which three do not stand side by side."""
COLOURS: Final = ("#2563a8", "#c2571a", "#2e8540", "#7b4fa3", "#5b6770", "#b5316f")
_NAMED: Final = {INK: "--ink", FAINT: "--line"} | {
    colour: f"--c{place}" for place, colour in enumerate(COLOURS, start=1)
}
"""What a page calls each colour: it has another form in the dark."""
_LABELLED: Final = re.compile(r'(<g) id="[^"]*"')
_WITHOUT: Final = dict.fromkeys(("Date", "Creator", "Format", "Type"))


def drawn(
    draw: Callable[[Any], None], *, width: float = 6.4, height: float = 3.6
) -> str:
    """Return what `draw` puts on axes, as an SVG element."""
    from matplotlib.backends.backend_svg import FigureCanvasSVG  # noqa: PLC0415 - heavy
    from matplotlib.figure import Figure as Canvas  # noqa: PLC0415 - heavy

    canvas = Canvas(figsize=(width, height), layout="constrained")
    FigureCanvasSVG(canvas)
    axes = canvas.add_subplot()
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    for side in ("left", "bottom"):
        axes.spines[side].set_color(FAINT)
    axes.tick_params(colors=INK, labelsize=9, length=3)
    axes.grid(visible=True, color=FAINT, linewidth=0.6)
    axes.set_axisbelow(True)
    axes.xaxis.label.set(color=INK, fontsize=9)
    axes.yaxis.label.set(color=INK, fontsize=9)
    draw(axes)
    from matplotlib import rc_context  # noqa: PLC0415 - heavy

    out = io.StringIO()
    # Text stays text: it can be read out, searched and enlarged.
    with rc_context({"svg.fonttype": "none", "svg.hashsalt": "leadpulse"}):
        canvas.savefig(out, format="svg", transparent=True, metadata=_WITHOUT)
    text = out.getvalue()
    # Ids of groups would be there once for each plot of a page; nothing points at them.
    text = _LABELLED.sub(r"\1", text[text.index("<svg") :])
    for colour, name in _NAMED.items():
        text = text.replace(colour, f"var({name},{colour})")
    return text


def _legend(axes: Any, count: int) -> None:
    """Name the lines above the plot, where nothing lies beneath the names."""
    longest = max(map(len, axes.get_legend_handles_labels()[1]), default=0)
    axes.legend(
        fontsize=9,
        loc="lower left",
        bbox_to_anchor=(0, 1),
        ncols=min(count, 2 if longest > _LONG else 3),
        frameon=False,
        labelcolor=INK,
        borderaxespad=0.2,
    )


def bars(
    figures: Mapping[str, Figure], label: str, *, even: float | None = None
) -> str:
    """Return figures with their intervals, one beneath the other."""

    def draw(axes: Any) -> None:
        names = list(figures)[::-1]
        for place, name in enumerate(names):
            figure = figures[name]
            colour = COLOURS[(len(names) - 1 - place) % len(COLOURS)]
            axes.plot(
                [figure.low, figure.high],
                [place] * 2,
                color=colour,
                linewidth=5,
                alpha=0.35,
                solid_capstyle="butt",
            )
            axes.plot([figure.value], [place], "o", color=colour, markersize=6)
            axes.annotate(
                f"{figure.value:.3f}",
                (figure.value, place),
                xytext=(0, 8),
                textcoords="offset points",
                ha="center",
                fontsize=9,
                color=INK,
            )
        axes.set_yticks(range(len(names)), names)
        axes.set_ylim(-0.6, len(names) - 0.3)
        axes.grid(visible=False, axis="y")
        if even is not None:
            axes.axvline(even, color=INK, linewidth=0.8, linestyle=":")
        axes.set_xlabel(label)

    return drawn(draw, height=0.55 * len(figures) + 0.8)


def reliability(
    bins: Sequence[tuple[float, float, float, float]], label: str = "won in fact"
) -> str:
    """Return foretold chances against what happened: (foretold, share, low, high)."""

    def draw(axes: Any) -> None:
        top = max([*(each[0] for each in bins), *(each[3] for each in bins), 0.05])
        axes.plot([0, top], [0, top], color=INK, linewidth=0.8, linestyle=":")
        for foretold, _, low, high in bins:
            axes.plot(
                [foretold] * 2, [low, high], color=COLOURS[0], linewidth=4, alpha=0.35
            )
        axes.plot(
            [each[0] for each in bins],
            [each[1] for each in bins],
            "o-",
            color=COLOURS[0],
            markersize=5,
            linewidth=1,
        )
        axes.set_xlabel("foretold")
        axes.set_ylabel(label)
        axes.xaxis.set_major_formatter(_percent)
        axes.yaxis.set_major_formatter(_percent)

    return drawn(draw)


def curves(
    lines: Mapping[str, tuple[Sequence[Any], Sequence[float]]],
    x_label: str,
    y_label: str,
    *,
    diagonal: bool = False,
    percent: bool = True,
) -> str:
    """Return lines over one another."""

    def draw(axes: Any) -> None:
        if diagonal:
            axes.plot([0, 1], [0, 1], color=INK, linewidth=0.8, linestyle=":")
        for (name, (across, up)), colour in zip(
            lines.items(), COLOURS * 3, strict=False
        ):
            axes.plot(across, up, label=name, color=colour, linewidth=1.6)
        axes.set_xlabel(x_label)
        axes.set_ylabel(y_label)
        if percent:
            axes.xaxis.set_major_formatter(_percent)
            axes.yaxis.set_major_formatter(_percent)
        else:
            axes.tick_params(axis="x", rotation=30)
        if len(lines) > 1:
            _legend(axes, len(lines))

    return drawn(draw)


def ranges(
    rows: Sequence[tuple[str, float, float, float, float | None]], label: str
) -> str:
    """Return intervals over a row of names: (name, middle, low, high, in fact)."""

    def draw(axes: Any) -> None:
        for place, (_, middle, low, high, fact) in enumerate(rows):
            axes.plot(
                [place] * 2,
                [low, high],
                color=COLOURS[0],
                linewidth=7,
                alpha=0.35,
                solid_capstyle="butt",
            )
            axes.plot(
                [place],
                [middle],
                "_",
                color=COLOURS[0],
                markersize=14,
                markeredgewidth=2,
            )
            if fact is not None:
                axes.plot([place], [fact], "o", color=COLOURS[1], markersize=5)
        axes.set_xticks(
            range(len(rows)),
            [row[0] for row in rows],
            rotation=45 if len(rows) > _CROWDED else 0,
            ha="right" if len(rows) > _CROWDED else "center",
        )
        axes.set_ylabel(label)
        axes.yaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
        axes.set_xlim(-0.5, len(rows) - 0.5)
        axes.grid(visible=False, axis="x")
        axes.set_ylim(bottom=0)

    return drawn(draw, width=7.6, height=4)


def band(
    rows: Sequence[tuple[str, float, float, float]],
    facts: Sequence[float],
    label: str,
) -> str:
    """Return intervals over time as a band, and what happened as a line."""

    def draw(axes: Any) -> None:
        days = np.array([row[0] for row in rows], "datetime64[D]").astype(object)
        axes.fill_between(
            days,
            [row[2] for row in rows],
            [row[3] for row in rows],
            color=COLOURS[0],
            alpha=0.25,
            linewidth=0,
            label="80 % interval",
        )
        axes.plot(days, [row[1] for row in rows], color=COLOURS[0], label="forecast")
        axes.plot(days, facts, color=COLOURS[1], linewidth=1.8, label="what happened")
        axes.set_ylabel(label)
        axes.set_ylim(bottom=0)
        axes.yaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
        axes.tick_params(axis="x", rotation=30)
        _legend(axes, 3)

    return drawn(draw, width=7.6, height=4)


def _percent(value: float, _: Any) -> str:
    return f"{value:.0%}"


def gains(predicted: np.ndarray, won: np.ndarray) -> tuple[list[float], list[float]]:
    """Return which share of the won one meets when one follows the ranking so far."""
    order = np.argsort(-predicted, kind="stable")
    steps = np.linspace(0, len(won), 51).astype(int)
    met = np.concatenate(([0.0], np.cumsum(won[order])))[steps]
    return (steps / len(won)).tolist(), (met / max(met[-1], 1)).tolist()
