"""The report's plots as SVG: one drawing each, coloured for a page (light and dark) or a file."""

import io
import re
import zlib
from collections.abc import Callable, Sequence
from typing import NamedTuple

# Matplotlib writes colours as hexadecimal numbers. These stand for the page's CSS variables, and
# for fixed colours in a file of its own.
_COLOURS = {
    "#000001": ("var(--text)", "#16181d"),
    "#000002": ("var(--text-2)", "#5c6370"),
    "#000003": ("var(--grid)", "#dfe2e8"),
    "#000004": ("var(--ours)", "#2563eb"),
    "#000005": ("var(--theirs)", "#e8590c"),
    "#000006": ("var(--bad)", "#c81e1e"),
}
TEXT, SOFT, GRID, OURS, THEIRS, BAD = _COLOURS

_SETTINGS = {
    "svg.fonttype": "none",
    "svg.hashsalt": "genjax",
    "font.size": 9,
    "axes.edgecolor": GRID,
    "text.color": TEXT,
    "axes.labelcolor": SOFT,
    "xtick.color": GRID,
    "ytick.color": GRID,
    "xtick.labelcolor": SOFT,
    "ytick.labelcolor": TEXT,
    "grid.color": GRID,
    "axes.unicode_minus": False,
}


class Plot(NamedTuple):
    """A drawing. `name` is a file's, `svg` has placeholders for colours."""

    name: str
    title: str
    svg: str

    def inline(self) -> str:
        """An SVG element in the colours of the page around it; without text from outside."""
        return _coloured(self.svg, 0)

    def file(self) -> str:
        """The content of an SVG file, on white."""
        return _coloured(self.svg, 1)


class Bar(NamedTuple):
    """A point with its range, on a line of its own.

    Attributes:
      goal: what it should reach, if anything.
    """

    label: str
    median: float
    low: float
    high: float
    goal: float | None


class Curve(NamedTuple):
    """Points (x, y); of y also the lowest and the highest."""

    x: Sequence[float]
    y: Sequence[float]
    low: Sequence[float]
    high: Sequence[float]


def ratios(name: str, title: str, bars: Sequence[Bar]) -> Plot:
    """Ratios with their spreads beside their goals, one line each, the first on top."""

    def draw(figure):
        width, height = figure.get_size_inches()
        # The page's font decides how wide a letter is; this leaves room for most of them.
        left = (0.2 + 0.07 * max(len(bar.label) for bar in bars)) / width
        axes = figure.add_axes((left, 0.42 / height, 0.98 - left, 1 - 0.5 / height))
        lines = list(range(len(bars)))[::-1]
        axes.axvline(1, color=SOFT, linewidth=1)
        for y, bar in zip(lines, bars, strict=True):
            below = bar.goal is not None and bar.median < bar.goal
            colour = BAD if below else OURS
            axes.plot([bar.low, bar.high], [y, y], color=colour, linewidth=3, alpha=0.4)
            axes.plot([bar.median], [y], "o", color=colour, markersize=5)
            if bar.goal is not None:
                axes.plot([bar.goal], [y], "|", color=THEIRS, markersize=12, markeredgewidth=1.6)
        axes.set_yticks(lines, [bar.label for bar in bars])
        axes.set_ylim(-0.7, len(bars) - 0.3)
        right = max(max(bar.high, bar.goal or 0) for bar in bars)
        axes.set_xlim(0, right * 1.05)
        axes.set_xlabel("times as fast as the fastest PyTorch variant")
        axes.grid(axis="x", linewidth=0.6)
        _bare(axes)

    return Plot(name, title, _svg(draw, (7.6, 0.75 + 0.27 * len(bars))))


def curve(name: str, title: str, x_label: str, y_label: str, drawn: Curve, unit: str = "") -> Plot:
    """A curve over a logarithmic x (powers of two), with its ranges.

    Args:
      unit: of y, without a prefix: the labels have prefixes.
    """
    from matplotlib.ticker import EngFormatter, NullFormatter, NullLocator

    def draw(figure):
        axes = figure.add_axes((0.17, 0.19, 0.80, 0.77))
        axes.plot(drawn.x, drawn.y, "o-", color=OURS, linewidth=1.6, markersize=4)
        axes.vlines(drawn.x, drawn.low, drawn.high, color=OURS, linewidth=3, alpha=0.35)
        axes.set_xscale("log", base=2)
        axes.set_xticks(drawn.x, [f"{x:g}" for x in drawn.x])
        axes.xaxis.set_minor_locator(NullLocator())
        if min(drawn.y) > 0 and max(drawn.y) / min(drawn.y) > 20:
            axes.set_yscale("log")
            axes.yaxis.set_minor_formatter(NullFormatter())
        else:
            axes.set_ylim(0, max(*drawn.high, 1) * 1.1)
        axes.yaxis.set_major_formatter(EngFormatter(unit, sep=" " if unit else ""))
        axes.set_xlabel(x_label)
        axes.set_ylabel(y_label)
        axes.grid(axis="y", linewidth=0.6)
        _bare(axes)

    return Plot(name, title, _svg(draw, (4.4, 2.6)))


def _bare(axes):
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.tick_params(length=0)
    axes.set_axisbelow(True)


def _svg(draw: Callable, size: tuple[float, float]) -> str:
    import matplotlib as mpl
    from matplotlib.figure import Figure

    with mpl.rc_context(_SETTINGS):
        figure = Figure(figsize=size)
        draw(figure)
        file = io.StringIO()
        no_metadata = dict.fromkeys(["Creator", "Date", "Format", "Type"])
        figure.savefig(file, format="svg", transparent=True, metadata=no_metadata)
    svg = file.getvalue()
    return svg[svg.index("<svg") :]


def _coloured(svg: str, kind: int) -> str:
    for placeholder, colours in _COLOURS.items():
        svg = svg.replace(placeholder, colours[kind])
    opening, rest = svg.split(">", 1)
    if kind == 1:
        white = '<rect width="100%" height="100%" fill="#ffffff"/>'
        return f"{opening}>{white}{rest}"
    view_box = re.search(r'viewBox="[^"]*"', opening)[0]
    prefix = f"p{zlib.crc32(svg.encode()):x}"
    # Ids would meet those of the page's other plots; the clips among them are kept.
    clips = {name: f"{prefix}{name}" for name in re.findall(r'clipPath id="([^"]+)"', rest)}
    rest = re.sub(r'<g id="[^"]*"', "<g", rest)
    for old, new in clips.items():
        rest = rest.replace(old, new)
    rest = re.sub(r"font: [^;\"]*;?", "", rest)  # the page's own font
    return f'<svg {view_box} role="img">{rest}'
