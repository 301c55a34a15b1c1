"""Writes report.html, a self-contained page that shows what a run did."""

import io
import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from etils import epath

from genjax.errors import UserError
from genjax.files import write_atomically
from genjax.report.pictures import pictures
from genjax.report.report import format_duration, format_number, read_metrics

MAX_POINTS = 2000  # of a curve
SMOOTHING_POINTS = 200  # a noisy curve with more points gets a running mean drawn over it

# Matplotlib writes colours as hexadecimal numbers; the page replaces these by its CSS variables, so
# that one drawing serves light and dark mode.
_CSS_COLOURS = {
    "#000001": "var(--text-2)",
    "#000002": "var(--grid)",
    "#000003": "var(--train)",
    "#000004": "var(--eval)",
    "#000005": "var(--perf)",
}
_LINE_COLOURS = {"train": "#000003", "eval": "#000004", "perf": "#000005"}


class Series(NamedTuple):
    """One curve: the finite values of a metric, and how many were not finite."""

    kind: str  # "train", "eval" or "perf"
    steps: np.ndarray  # i64[N]
    values: np.ndarray  # f64[N]
    non_finite: int


class Plot(NamedTuple):
    title: str
    legend: list[dict[str, str]]  # kind, and newest value as text
    note: str
    svg: str


def write_page(
    workdir: epath.Path, *, title: str, status: str, facts: Mapping[str, str]
) -> epath.Path:
    """Writes report.html from what lies in `workdir`, atomically; returns its path.

    Args:
      workdir: the run's folder. Metrics, samples/, result*.png and config.json are shown where
        they exist.
      title: the page's heading.
      status: one sentence; its first word chooses the colour: `done`, `running`, `interrupted` or
        `failed`.
      facts: names and values for a table, such as devices, parameters and the command.

    Raises:
      UserError: metrics.jsonl or config.json is broken.
    """
    import jinja2

    workdir = epath.Path(workdir)
    metrics = read_metrics(workdir)
    last_step = metrics[-1]["step"] if metrics else 0
    plots = [_plot(name, group, last_step) for name, group in _groups(metrics).items()]
    results, newest, history = pictures(workdir)
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("genjax.report", ""),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    words = re.findall(r"[a-z]+", status.lower())
    html = environment.get_template("page.html.j2").render(
        title=title,
        status=status,
        state=words[0] if words else "",
        totals=_totals(metrics),
        facts=facts,
        results=results,
        newest=newest,
        history=history,
        curves=[plot for plot in plots if plot.legend[0]["kind"] != "perf"],
        speed=[plot for plot in plots if plot.legend[0]["kind"] == "perf"],
        config=_config(workdir),
    )
    path = workdir / "report.html"
    write_atomically(path, html)
    return path


def _totals(metrics: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    if not metrics:
        return {}
    last = metrics[-1]
    totals = {"step": format_number(last["step"])}
    if "images" in last:
        totals["images seen"] = format_number(last["images"])
    if "seconds" in last:
        totals["time"] = format_duration(last["seconds"])
    return totals


# Curves ------------------------------------------------------------------------------------------


def _groups(metrics: Sequence[Mapping[str, Any]]) -> dict[str, list[Series]]:
    """The curves by plot: `train/x` and `eval/x` together under `x`, each `perf/…` by itself."""
    points: dict[str, list[tuple[int, float | None]]] = {}
    for record in metrics:
        for name, value in record.items():
            if "/" in name:
                points.setdefault(name, []).append((record["step"], value))
    groups: dict[str, list[Series]] = {}
    # Reversed alphabetical order of kinds puts train before eval in every legend.
    for name in sorted(points, key=lambda name: name.split("/", 1)[0], reverse=True):
        kind, title = name.split("/", 1)
        finite = [(at, v) for at, v in points[name] if v is not None and math.isfinite(v)]
        steps = np.array([at for at, _ in finite], np.int64)
        values = np.array([v for _, v in finite], np.float64)
        series = Series(kind, steps, values, len(points[name]) - len(finite))
        groups.setdefault(name if kind == "perf" else title, []).append(series)
    return groups


def thin(steps: np.ndarray, values: np.ndarray, limit: int) -> tuple[np.ndarray, np.ndarray]:
    """About `limit` of the points [N] at most: both ends, and the extremes of every stretch.

    Keeping every n-th point would hide the spikes that a person looks for.
    """
    if len(steps) <= limit:
        return steps, values
    keep = {0, len(steps) - 1}
    for stretch in np.array_split(np.arange(len(steps)), max(1, limit // 2 - 1)):
        keep.add(int(stretch[np.argmin(values[stretch])]))
        keep.add(int(stretch[np.argmax(values[stretch])]))
    chosen = np.array(sorted(keep))
    return steps[chosen], values[chosen]


def _running_mean(values: np.ndarray) -> np.ndarray:
    """The mean f64[N] over a centred window of a twentieth of the points, cut at the ends."""
    half = max(1, len(values) // 40)
    sums = np.concatenate([[0.0], np.cumsum(values)])
    here = np.arange(len(values))
    low, high = np.maximum(here - half, 0), np.minimum(here + half + 1, len(values))
    return (sums[high] - sums[low]) / (high - low)


def _plot(name: str, group: Sequence[Series], last_step: int) -> Plot:
    legend = []
    notes = []
    for series in group:
        newest = format_number(series.values[-1]) if len(series.values) else "not finite"
        legend.append({"kind": series.kind, "newest": newest})
        if series.non_finite:
            times = "once" if series.non_finite == 1 else f"{series.non_finite} times"
            notes.append(f"{series.kind}: not finite {times}")
    title = name.removeprefix("perf/").replace("_", " ")
    drawable = [series for series in group if len(series.values)]
    svg = _svg(drawable, last_step) if drawable else ""
    return Plot(title, legend, "; ".join(notes), svg)


def _svg(group: Sequence[Series], last_step: int) -> str:
    """The curves as an SVG element. It has no text from outside, so it is safe to inline."""
    import matplotlib as mpl
    from matplotlib.figure import Figure
    from matplotlib.ticker import EngFormatter, FuncFormatter, MaxNLocator, NullFormatter

    settings = {
        "svg.fonttype": "none",
        "svg.hashsalt": "genjax",
        "path.simplify_threshold": 0.3,
        "font.size": 9,
        "axes.edgecolor": "#000002",
        "text.color": "#000001",
        "xtick.color": "#000002",
        "ytick.color": "#000002",
        "xtick.labelcolor": "#000001",
        "ytick.labelcolor": "#000001",
        "grid.color": "#000002",
        "axes.unicode_minus": False,
    }
    everything = np.concatenate([series.values for series in group])
    with mpl.rc_context(settings):
        figure = Figure(figsize=(4.4, 2.3))
        axes = figure.add_axes((0.125, 0.1, 0.855, 0.87))
        for series in group:
            _draw(axes, series)
        if everything.min() > 0 and everything.max() / everything.min() > 100:
            axes.set_yscale("log")
            axes.yaxis.set_minor_formatter(NullFormatter())
            axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        else:
            axes.yaxis.set_major_locator(MaxNLocator(5))
            # Matplotlib's own labels would carry an offset that is easy to overlook.
            plain = FuncFormatter(lambda value, _: f"{value:.6g}")
            large = np.abs(everything).max() >= 10_000
            axes.yaxis.set_major_formatter(EngFormatter(sep="") if large else plain)
        axes.set_xlim(0, max(1, last_step) * 1.02)  # the same in all plots
        axes.xaxis.set_major_locator(MaxNLocator(5, integer=True))
        axes.xaxis.set_major_formatter(EngFormatter(sep=""))
        axes.grid(axis="y", linewidth=0.6)
        axes.spines[["top", "right", "left"]].set_visible(False)
        axes.tick_params(length=0)
        axes.set_axisbelow(True)
        file = io.StringIO()
        no_metadata = dict.fromkeys(["Creator", "Date", "Format", "Type"])
        figure.savefig(file, format="svg", transparent=True, metadata=no_metadata)
    return _page_svg(file.getvalue())


def _draw(axes, series: Series) -> None:
    colour = _LINE_COLOURS.get(series.kind, "#000003")
    steps, values = thin(series.steps, series.values, MAX_POINTS)
    marker = "o" if len(values) <= 20 else None
    # A noisy curve goes up and down by many times its range. A smooth one gets no running mean,
    # which would only distort it.
    travelled = np.abs(np.diff(series.values)).sum()
    noisy = len(series.values) > SMOOTHING_POINTS and travelled > 5 * np.ptp(series.values)
    axes.plot(
        steps,
        values,
        color=colour,
        linewidth=0.8 if noisy else 1.6,
        alpha=0.35 if noisy else 1.0,
        marker=marker,
        markersize=3,
    )
    if noisy:
        mean = _running_mean(series.values)
        every = max(1, len(mean) // 300)
        axes.plot(series.steps[::every], mean[::every], color=colour, linewidth=1.6)


def _page_svg(svg: str) -> str:
    """Matplotlib's SVG file as an inline element: no prolog or ids, the page's font and colours."""
    svg = svg[svg.index("<svg") :]
    opening, rest = svg.split(">", 1)
    view_box = re.search(r'viewBox="[^"]*"', opening)[0]
    rest = re.sub(r'<g id="[^"]*"', "<g", rest)
    rest = re.sub(r"(\d+\.\d\d)\d+(?=[^<>]*>)", r"\1", rest)  # attributes, not labels
    rest = re.sub(r"font: [^;\"]*;?", "", rest)  # the page's own font
    for number, css in _CSS_COLOURS.items():
        rest = rest.replace(number, css)
    return f'<svg {view_box} role="img">{rest}'


# Config ------------------------------------------------------------------------------------------


def _config(workdir: epath.Path) -> dict[str, dict[str, str]]:
    """config.json as {section: {dotted key: value as JSON}}; keys outside sections are under ""."""
    path = workdir / "config.json"
    if not path.exists():
        return {}
    try:
        config = json.loads(path.read_bytes())
    except ValueError as error:
        raise UserError(f"{path} is not JSON ({error}): restore or delete it") from error
    if not isinstance(config, dict):
        raise UserError(f"{path} is not a JSON object: restore or delete it")
    sections: dict[str, dict[str, str]] = {"": {}}
    for key, value in config.items():
        if isinstance(value, dict) and value:
            sections[key] = dict(_leaves("", value))
        else:
            sections[""][key] = json.dumps(value, ensure_ascii=False)
    return {name: rows for name, rows in sections.items() if rows}


def _leaves(prefix: str, value: Any) -> Iterator[tuple[str, str]]:
    if isinstance(value, dict) and value:
        for key, inner in value.items():
            yield from _leaves(f"{prefix}.{key}", inner)
    else:
        yield prefix.removeprefix("."), json.dumps(value, ensure_ascii=False)
