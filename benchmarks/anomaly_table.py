"""How well a VAE's scores find each class of a data set that was left out of its training.

    python -m benchmarks.anomaly_table --data=NAME --steps=N --workdir=DIR [--config.KEY=VALUE...]

NAME is a data set with classes, such as mnist or npz:PATH. For each class, configs/vae.py trains on
all others in DIR/CLASS for N steps, and `--mode=evaluate` scores all held-out pictures, of which
the left class is anomalous (score.metrics=anomalies; with --config.score.metrics=anomalies,lpips
also by LPIPS). It writes a Markdown table of AUROCs and their mean to DIR/table.md, and prints it.
Interrupted, it goes on where it was when it is started again; a finished class is not run again.
"""

import statistics
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from benchmarks import equal_time, tables
from genjax import config as config_lib
from genjax import data
from genjax.errors import OptionParser, UserError, run_program
from genjax.scores import record

_CONFIG = "configs/vae.py:data={},steps={}"
_ASKED = "--config.score.metrics=anomalies"
_PREFIX = "auroc/"
_NOTHING = "\N{EN DASH}"


def scored(config: str, workdir: Path, overrides: Sequence[str]) -> dict[str, dict]:
    """{score: its record} of the AUROCs of a class that is left out: of the run in `workdir`, which
    trains and is scored only where that has not been done."""
    asked = config_lib.read(config, overrides)

    def known() -> dict[str, dict]:
        path = workdir / record.FILE
        records = record.read(path) if path.exists() else []
        return {
            each["metric"].removeprefix(_PREFIX): each
            for each in records
            if each["metric"].startswith(_PREFIX) and each.get("step") == asked.train.steps
        }

    wanted = {"mse", "pca"} | ({"lpips"} & {*asked.score.metrics})
    if not wanted <= known().keys():
        equal_time.run(config, workdir, overrides)
        equal_time.run(config, workdir, [*overrides, "--mode=evaluate"])
    return known()


def table(found: Mapping[str, Mapping[str, dict]]) -> str:
    """A Markdown table of {class: {score: record}}, a row for each class and one of their means."""
    names = list(dict.fromkeys(name for records in found.values() for name in records))
    lines = [
        [name, *(_shown(records.get(score)) for score in names)] for name, records in found.items()
    ]
    means = []
    for score in names:
        values = [records[score]["value"] for records in found.values() if score in records]
        means.append(f"{statistics.fmean(values):.3f}" if len(values) == len(found) else _NOTHING)
    lines.append(["mean", *means])
    return tables.markdown(["left out", *names], lines)


def _shown(each: Mapping | None) -> str:
    if each is None:
        return _NOTHING
    error = each.get("error")
    interval = "" if error is None else f" ± {1.96 * error:.3f}"
    return f"{each['value']:.3f}{interval}"


def report(argv: list[str]) -> None:
    """Trains and scores what a command line names; prints and writes the table."""
    parser = OptionParser()
    parser.add_argument("--data", required=True)
    parser.add_argument("--steps", type=int, required=True)
    parser.add_argument("--workdir", type=Path, required=True)
    options, overrides = parser.parse_known_args(argv[1:])
    if options.steps < 1:
        raise UserError(f"--steps={options.steps} has to be 1 or more")
    config = _CONFIG.format(options.data, options.steps)
    dataset = data.open_dataset(config_lib.read(config, overrides).data)
    if dataset.classes < 3:
        raise UserError(f"--data={options.data} has {dataset.classes} classes: it takes 3 or more")
    found = {}
    for left in range(dataset.classes):
        others = ",".join(str(i) for i in range(dataset.classes) if i != left)
        chosen = [_ASKED, *overrides, f"--config.data.classes={others}"]
        name = dataset.class_names[left] if dataset.class_names else str(left)
        found[name] = scored(config, options.workdir / str(left), chosen)
    tables.publish(table(found), options.workdir)


def main(argv: list[str]) -> int:
    """Runs a command line and returns its exit code."""
    return run_program(argv, __doc__, report)


if __name__ == "__main__":
    sys.exit(main(sys.argv))
