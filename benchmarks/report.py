"""The report of a device: results.json as a page for people, in HTML and in Markdown.

    python -m benchmarks.report DIR [PART ...]

writes the pages of DIR anew, from its results.json and from benchmarks/notes.toml. With PARTs,
folders of further runs on the same device, their rows are put into DIR's results first, in the
place of rows with the same name: a suite may so be measured in pieces. Each row says of which
commit and date it is.
"""

import json
import re
import sys
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path

import jinja2
from markdown_it import MarkdownIt

import genjax.report
from benchmarks import plots, texts
from benchmarks.workloads import KINDS
from genjax.errors import UserError, run_program
from genjax.files import write_atomically

RESULTS_FILE = "results.json"
SCHEMA = 1  # of results.json; another number for results that this file cannot read
# Of the summary's groups, by the rows' kind and unit.
HEADINGS = {
    ("train", "images"): "Training steps, images a second",
    ("train", "iterations"): "Style optimisation, iterations a second",
    ("sample", "images"): "Sampling, images a second",
    ("stylize", "images"): "Painting by a trained network, images a second",
    ("score", "images"): "Likelihoods of held-out pictures, images a second",
    ("input", "images"): "Input, images a second",
}

_HERE = Path(__file__).resolve().parent
REPORTS, NOTES_FILE = _HERE / "reports", _HERE / "notes.toml"
# What tells the entries of a list in the results apart.
_NAMES = {"rows": ("name",), "parity": ("workload",), "scaling": ("workload", "axis")}


def read(folder: Path) -> dict:
    """The results in a folder, without rows of kinds that are measured no more.

    Raises:
      UserError: there are none, or they are not JSON of this schema.
    """
    path = folder / RESULTS_FILE
    if not path.exists():
        raise UserError(f"{path} does not exist: run python -m benchmarks --out={folder} first")
    try:
        results = json.loads(path.read_text())
        if results["schema"] != SCHEMA:
            raise ValueError(f"its schema is {results['schema']}, not {SCHEMA}")
        results["rows"] = [row for row in results["rows"] if row["kind"] in KINDS]
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(f"{path} is no benchmark result ({error}): measure again") from None
    return results


def join(results: dict, part: dict):
    """Puts the rows of another run on the same device into `results`.

    Raises:
      UserError: it is of another device.
    """
    ours, theirs = results["environment"], part["environment"]
    for key in ("device", "cpu", "cores"):
        if ours[key] != theirs[key]:
            raise UserError(f"the parts are of two devices: {ours[key]} and {theirs[key]}")
    results["matmul"] |= part["matmul"]
    for what, names in _NAMES.items():
        merged = {tuple(x[n] for n in names): x for x in [*results[what], *part[what]]}
        results[what] = list(merged.values())


def save(results: Mapping, folder: Path):
    """Writes results.json, into a new folder if need be."""
    folder.mkdir(parents=True, exist_ok=True)
    write_atomically(folder / RESULTS_FILE, json.dumps(results, indent=1) + "\n")


def write(results: Mapping, folder: Path):
    """Writes report.md, plots/*.svg and report.html, whatever the results have so far."""
    notes = tomllib.loads(NOTES_FILE.read_text())
    compared = [row for group in _groups(results).values() for row in group if row["ratio"]]
    ratios, curves = plots.ratios(compared), plots.curves(results["scaling"])
    text = markdown(results, notes, _elsewhere(results), ratios, curves)
    drawings = {plot.name: plot.svg for plot in (*ratios, *curves)}
    (folder / "plots").mkdir(parents=True, exist_ok=True)
    for name, svg in drawings.items():
        write_atomically(folder / "plots" / f"{name}.svg", svg)
    write_atomically(folder / "report.md", text)
    write_atomically(folder / "report.html", _page(text, drawings))


def markdown(results: Mapping, notes: Mapping, elsewhere: Sequence[Mapping], ratios=(), curves=()):
    """The report as Markdown, in which plots are links.

    Args:
      notes: {row's name: why it is below its goal}.
      elsewhere: the rows of reports of the other kind of device.
      ratios, curves: of `benchmarks.plots`.
    """
    text = _render(
        "report.md.j2",
        results=results,
        notes=notes,
        elsewhere=elsewhere,
        ratios=ratios,
        curves=curves,
        groups=_groups(results),
        judged={k: found for row in results["rows"] for k, found in texts.judge(row).items()},
        goals=texts,
    )
    return re.sub(r"\n{3,}", "\n\n", text).strip() + "\n"


def _groups(results: Mapping) -> dict[str, list[Mapping]]:
    """{heading: rows} of the summary."""
    groups = {heading: [] for heading in HEADINGS.values()}
    for row in results["rows"]:
        if heading := HEADINGS.get((row["kind"], row["unit"])):
            groups[heading].append(row)
    return {heading: rows for heading, rows in groups.items() if rows}


def _page(text: str, drawings: Mapping[str, str]) -> str:
    """The report as one file: its Markdown, with drawings for links, and marks in colours."""
    html = MarkdownIt("commonmark", {"html": False}).enable("table").render(text)
    html = re.sub(
        r'<img src="plots/(.*?)\.svg" alt="(.*?)" />',
        lambda found: f"<span><b>{found[2]}</b>{drawings[found[1]]}</span>",
        html.replace("<p><img", '<p class="plots"><img'),
    )
    for sign, kind in ((texts.GOOD, "good"), (texts.BELOW, "below")):
        html = re.sub(rf"<td([^>]*)>([^<]*{sign})</td>", rf'<td\1 class="{kind}">\2</td>', html)
    return _render("report.html.j2", content=html, title=text.partition("\n")[0][2:])


def _render(template: str, **values) -> str:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader([_HERE, *genjax.report.__path__]),
        undefined=jinja2.ChainableUndefined,  # sides have what their kind has
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {name: value for name, value in vars(texts).items() if callable(value)}
    return environment.get_template(template).render(values)


def _elsewhere(results: Mapping) -> list[Mapping]:
    """The rows of committed reports of the other kind of device."""

    def is_cpu(found: Mapping) -> bool:
        return found["environment"]["device"]["platform"] == "cpu"

    others = [read(path.parent) for path in sorted(REPORTS.glob(f"*/{RESULTS_FILE}"))]
    return [row for x in others if is_cpu(x) != is_cpu(results) for row in x["rows"]]


def rewrite(argv: list[str]):
    """Joins parts, if there are any, and writes the pages anew.

    Raises:
      UserError: there is no folder, or no result in one; or the parts are of two devices.
    """
    if len(argv) < 2 or argv[1].startswith("-"):
        raise UserError("give the folder of a report: python -m benchmarks.report DIR [PART …]")
    folder, *parts = map(Path, argv[1:])
    is_new = parts and not (folder / RESULTS_FILE).exists()
    results = read(parts[0] if is_new else folder)
    for part in parts:
        join(results, read(part))
    save(results, folder)
    write(results, folder)
    print(f"{len(results['rows'])} rows: {folder}/report.html")


def main(argv: list[str]) -> int:
    """Runs the command line above and returns its exit code."""
    return run_program(argv, __doc__, rewrite)


if __name__ == "__main__":
    sys.exit(main(sys.argv))
