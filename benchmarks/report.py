"""The report of a device: results.json as a page for people, in HTML and in Markdown.

    python -m benchmarks.report DIR [PART ...]

writes the pages of DIR anew, from its results.json and from benchmarks/notes.toml. With PARTs,
folders of further runs on the same device, their rows are put into DIR's results first, in the
place of rows with the same name: a suite may so be measured in pieces. Each row says of which
commit and date it is.
"""

import itertools
import json
import re
import sys
import tomllib
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path

import jinja2
from markdown_it import MarkdownIt

from benchmarks import plots, texts
from genjax.errors import UserError, tell
from genjax.files import write_atomically

RESULTS_FILE = "results.json"
SCHEMA = 1  # of results.json; another number for results that this file cannot read

_HERE = Path(__file__).resolve().parent
REPORTS, NOTES_FILE = _HERE / "reports", _HERE / "notes.toml"
# What tells the entries of a list in the results apart.
_NAMES = {"rows": ("name",), "parity": ("workload",), "scaling": ("workload", "axis")}


def read(folder: Path) -> dict:
    """The results in a folder.

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


def write(results: Mapping, folder: Path):
    """Writes report.md, plots/*.svg and report.html, whatever the results have so far."""
    notes = tomllib.loads(NOTES_FILE.read_text()) if NOTES_FILE.exists() else {}
    members = itertools.chain(*_groups(results["rows"]).values())
    ratios = plots.ratios([row for row in members if row["ratio"]])
    curves = plots.curves(results["scaling"])
    text = markdown(results, notes, _elsewhere(results), ratios, curves)
    (folder / "plots").mkdir(parents=True, exist_ok=True)
    for plot in (*ratios, *curves):
        write_atomically(folder / "plots" / f"{plot.name}.svg", plot.svg)
    write_atomically(folder / "report.md", text)
    write_atomically(folder / "report.html", _page(text, {p.name: p for p in (*ratios, *curves)}))


def markdown(results: Mapping, notes: Mapping, elsewhere: Sequence[Mapping], ratios=(), curves=()):
    """The report as Markdown, in which plots are links.

    Args:
      notes: {row's name: why it is below its goal}.
      elsewhere: the rows of reports of the other kind of device.
      ratios, curves: of `benchmarks.plots`.
    """
    rows, kinds, there = results["rows"], defaultdict(list), defaultdict(list)
    for row in rows:
        kinds[row["kind"]].append(row)
    for row in elsewhere:
        if row["ratio"]:
            setting = f"batch {row['batch'] or 1}, {row['precision']}"
            there[row["workload"]].append(f"{row['ratio']['median']:.2f} ({setting})")
    text = _render(
        "report.md.j2",
        results=results,
        here=results["environment"],
        facts=_facts(results),
        groups=_groups(rows),
        kinds=kinds,
        there=there,
        notes=notes,
        judged=[(row, found) for row in rows if (found := texts.judge(row))],
        goals=texts,
        ratios=ratios,
        curves=curves,
    )
    return re.sub(r"\n{3,}", "\n\n", text).strip() + "\n"


def _groups(rows: Sequence[Mapping]) -> dict[str, list[Mapping]]:
    """{heading: rows} of the summary."""
    kinds = {
        "Training steps, images a second": ("train", "images"),
        "Style optimisation, iterations a second": ("train", "iterations"),
        "Sampling, images a second": ("sample", "images"),
        "Input, images a second": ("input", "images"),
    }
    found = {
        heading: [row for row in rows if (row["kind"], row["unit"]) == kind]
        for heading, kind in kinds.items()
    }
    return {heading: members for heading, members in found.items() if members}


def _facts(results: Mapping) -> dict[str, str]:
    """{what: as text} of the environment."""
    here, rows = results["environment"], results["rows"]
    device = here["device"]
    facts = {
        "device": f"{device['count']} x {device['kind']} ({device['platform']})",
        "processor": f"{here['cpu']}, cores used: {here['cores']}",
        "memory": texts.size(here["memory_bytes"]),
        "system": here["system"],
        "versions": ", ".join(f"{name} {version}" for name, version in here["versions"].items()),
    }
    facts |= {key: here[key] for key in ("commit", "date", "command")}
    for precision, rate in results["matmul"].items():
        facts[f"matrix products, {precision}"] = texts.flop_rate(rate)
    pieces = [f"commit {row['commit']}, {row['date']}" for row in rows]
    if len(set(pieces)) > 1:
        named = zip(rows, pieces, strict=True)
        facts["measured in pieces"] = "; ".join(f"{row['name']}: {piece}" for row, piece in named)
    return facts


def _page(text: str, drawn: Mapping[str, plots.Plot]) -> str:
    """The report as one file: its Markdown, with drawings for links, and marks in colours."""
    html = MarkdownIt("commonmark", {"html": False}).enable("table").render(text)
    html = re.sub(
        r'<img src="plots/(.*?)\.svg" alt="(.*?)" />',
        lambda found: f"<span><b>{found[2]}</b>{drawn[found[1]].svg}</span>",
        html.replace("<p><img", '<p class="plots"><img'),
    )
    for sign, kind in ((texts.GOOD, "good"), (texts.BELOW, "below")):
        html = re.sub(rf"<td([^>]*)>([^<]*{sign})</td>", rf'<td\1 class="{kind}">\2</td>', html)
    return _render("report.html.j2", content=html, title=text.partition("\n")[0][2:])


def _render(template: str, **values) -> str:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_HERE),
        undefined=jinja2.ChainableUndefined,  # sides have what their kind has
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {name: value for name, value in vars(texts).items() if callable(value)}
    return environment.get_template(template).render(values)


def _elsewhere(results: Mapping) -> list[Mapping]:
    """The rows of committed reports of the other kind of device."""
    here = results["environment"]["device"]["platform"] == "cpu"
    found = []
    for path in sorted(REPORTS.glob(f"*/{RESULTS_FILE}")):
        other = read(path.parent)
        if (other["environment"]["device"]["platform"] == "cpu") != here:
            found += other["rows"]
    return found


def main(argv: list[str]) -> int:
    """Runs the command line above and returns its exit code."""
    try:
        if len(argv) < 2 or argv[1].startswith("-"):
            raise UserError("give the folder of a report: python -m benchmarks.report DIR [PART …]")
        folder, *parts = map(Path, argv[1:])
        is_new = parts and not (folder / RESULTS_FILE).exists()
        results = read(parts[0] if is_new else folder)
        for part in parts:
            join(results, read(part))
        folder.mkdir(parents=True, exist_ok=True)
        write_atomically(folder / RESULTS_FILE, json.dumps(results, indent=1) + "\n")
        write(results, folder)
        print(f"{len(results['rows'])} rows: {folder}/report.html")
    except Exception as error:
        return tell(error)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv))
