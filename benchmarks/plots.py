"""Plots on white. Those of the report are SVG, whose lightness the page turns in the dark."""

import io
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import matplotlib as mpl
from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter, LogFormatter, NullFormatter, NullLocator

OURS, GOAL, BELOW, SOFT, GRID = "#2563eb", "#e8590c", "#c81e1e", "#5c6370", "#dfe2e8"
# Lines that twelve curves can be told apart by.
_MANY = mpl.cycler(marker=["o", "s", "^"]) * mpl.cycler(color=[OURS, GOAL, "#2b8a3e", "#862e9c"])
_X_LABELS = {"resolution": "pixels a side", "devices": "virtual devices"}
_SETTINGS = {
    "svg.fonttype": "none",
    "svg.hashsalt": "genjax",
    "font.size": 9,
    "axes.edgecolor": GRID,
    "axes.labelcolor": SOFT,
    **dict.fromkeys(("axes.spines.top", "axes.spines.right", "axes.spines.left"), False),
    "axes.axisbelow": True,
    "axes.grid": True,
    "grid.color": GRID,
    "grid.linewidth": 0.6,
    "xtick.labelcolor": SOFT,
    **dict.fromkeys(("xtick.major.size", "ytick.major.size", "ytick.minor.size"), 0),
    "axes.unicode_minus": False,
}


class Plot(NamedTuple):
    """A drawing: `name` is its file's, `svg` an element without text from outside."""

    name: str
    title: str
    svg: str


def ratios(rows: Sequence[Mapping]) -> list[Plot]:
    """One plot: ratios with their ranges and goals, a line for each row; none of no rows."""
    if not rows:
        return []
    width, height = 7.6, 0.75 + 0.27 * len(rows)
    # The page's font decides how wide a letter is; this leaves room for most of them.
    left = (0.2 + 0.07 * max(len(row["name"]) for row in rows)) / width
    with mpl.rc_context(_SETTINGS | {"axes.grid.axis": "x"}):
        figure = Figure(figsize=(width, height))
        axes = figure.add_axes((left, 0.42 / height, 0.98 - left, 1 - 0.5 / height))
        axes.axvline(1, color=SOFT, linewidth=1)
        lines = range(len(rows))[::-1]
        for y, row in zip(lines, rows, strict=True):
            ratio, goal = row["ratio"], row["goal"]
            colour = BELOW if goal is not None and ratio["median"] < goal else OURS
            axes.hlines(y, ratio["low"], ratio["high"], color=colour, linewidth=3, alpha=0.4)
            axes.plot(ratio["median"], y, "o", color=colour, markersize=5)
            if goal is not None:
                axes.plot(goal, y, "|", color=GOAL, markersize=12, markeredgewidth=1.6)
        axes.set_yticks(lines, [row["name"] for row in rows])
        axes.set_ylim(-0.7, len(rows) - 0.3)
        axes.set_xlim(0, 1.05 * max(max(row["ratio"]["high"], row["goal"] or 0) for row in rows))
        axes.set_xlabel("times as fast as the fastest PyTorch variant")
        return [Plot("ratios", "Ratio to PyTorch, range and goal", _svg(figure))]


def curves(measured: Sequence[Mapping]) -> list[Plot]:
    """Speed and memory of each series of the results; of devices also what they send."""
    drawn = []
    for series in measured:
        axis, points = series["axis"], [point for point in series["points"] if "rate" in point]
        title, name = f"{series['workload']} against {axis}", f"{series['workload']}-{axis}"
        wanted = [
            ("speed", "speed", "rate", f"{series['unit']} a second"),
            ("memory", "peak memory", "peak_memory_bytes", ""),
            ("sent", "each sends a step", "sent_bytes", ""),
        ]
        for file, what, key, label in wanted if axis == "devices" else wanted[:2]:
            if points:
                svg = _curve(axis, label, {point["value"]: point[key] for point in points})
                drawn.append(Plot(f"{name}-{file}", f"{title}: {what}", svg))
    return drawn


def _curve(axis: str, label: str, points: Mapping) -> str:
    """A curve over a logarithmic axis (powers of two), with its ranges.

    Args:
      label: of y; "" for bytes, whose numbers have their unit beside them.
      points: {x: {median, low, high}, or a number}.
    """
    x, unit = list(points), "" if label else "B"
    y, low, high = (
        [spread[key] if isinstance(spread, Mapping) else spread for spread in points.values()]
        for key in ("median", "low", "high")
    )
    with mpl.rc_context(_SETTINGS | {"axes.grid.axis": "y"}):
        figure = Figure(figsize=(4.4, 2.6))
        axes = figure.add_axes((0.17, 0.19, 0.80, 0.77))
        axes.plot(x, y, "o-", color=OURS, linewidth=1.6, markersize=4)
        axes.vlines(x, low, high, color=OURS, linewidth=3, alpha=0.35)
        axes.set_xscale("log", base=2)
        axes.set_xticks(x, [f"{value:g}" for value in x])
        axes.xaxis.set_minor_locator(NullLocator())
        if min(y) > 0 and max(y) / min(y) > 20:
            axes.set_yscale("log")
            axes.yaxis.set_minor_formatter(NullFormatter())
        else:
            axes.set_ylim(0, max(*high, 1) * 1.1)
        axes.yaxis.set_major_formatter(EngFormatter(unit, sep=" " if unit else ""))
        axes.set(xlabel=_X_LABELS.get(axis, axis), ylabel=label)
        return _svg(figure)


def courses(score: str, found: Mapping[str, Mapping[float, float]], path: Path) -> None:
    """A PNG of what a score was during trainings: {config: {seconds: value}}, less is better."""
    with mpl.rc_context(_SETTINGS | {"axes.prop_cycle": _MANY}):
        figure = Figure(figsize=(8, 4.2), layout="constrained")
        axes = figure.subplots()
        for config, values in found.items():
            axes.plot(list(values), list(values.values()), markersize=4, label=config)
        axes.set_yscale("log")
        axes.yaxis.set_major_formatter(LogFormatter())  # 100 instead of a power of ten
        axes.yaxis.set_minor_formatter(LogFormatter(minor_thresholds=(2, 0.5)))
        axes.set_xlim(left=0)
        axes.set(xlabel="seconds of training", ylabel=score)
        figure.legend(loc="outside right upper", frameon=False)
        figure.savefig(path, dpi=120)


def _svg(figure: Figure) -> str:
    file = io.StringIO()
    no_metadata = dict.fromkeys(["Creator", "Date", "Format", "Type"])
    figure.savefig(file, format="svg", metadata=no_metadata)
    svg = file.getvalue()
    # Without a prolog and ids, which would meet those of a page's other plots.
    return re.sub(r'<g id="[^"]*"', "<g", svg[svg.index("<svg") :])
