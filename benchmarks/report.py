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
from collections.abc import Mapping
from pathlib import Path

from benchmarks import sections
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
    """Writes report.html, report.md and plots/*.svg, whatever the results have so far."""
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_HERE),
        undefined=jinja2.StrictUndefined,
        autoescape=jinja2.select_autoescape(["html.j2"]),
        trim_blocks=True,
        lstrip_blocks=True,
    )
    notes = tomllib.loads(NOTES_FILE.read_text()) if NOTES_FILE.exists() else {}
    page = {
        "title": sections.title(results["environment"]),
        "status": sections.status(results),
        "state": results["status"],
        "totals": sections.totals(results),
        "sections": sections.sections(results, notes, _elsewhere(results)),
    }
    (folder / "plots").mkdir(parents=True, exist_ok=True)
    for section in page["sections"]:
        for plot in section.drawings:
            write_atomically(folder / "plots" / f"{plot.name}.svg", plot.file())
    for name in ("report.html", "report.md"):
        text = environment.get_template(f"{name}.j2").render(page)
        write_atomically(folder / name, re.sub(r"\n{3,}", "\n\n", text))


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
