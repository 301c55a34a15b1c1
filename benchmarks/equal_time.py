"""What each config reaches in the same time: trainings of equal length, scored by one ruler.

    python -m benchmarks.equal_time --minutes=M --workdir=DIR [--looks=N] CONFIG... \\
        [--config.KEY=VALUE...]

A CONFIG is that of main.py, `configs/sngan.py:width=32`, and takes `steps` in its ARG. A few steps
show how long one takes; then it is trained in DIR/NAME for as many as M minutes hold, and its
samples are scored (`--mode=evaluate`), one config after the other. The overrides are for all of
them. It prints a Markdown table. With `--looks=N`, each training is scored N times on its way
(`score.metric`, of `score.few` samples), which DIR/curves.png shows. Interrupted, it goes on where
it was when it is started again; a run that has begun keeps its number of steps.
"""

import json
import math
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from benchmarks import plots, tables
from genjax import config as config_lib
from genjax import score_keys
from genjax.errors import Interrupted, OptionParser, UserError, run_program
from genjax.scores import record

_MAIN = Path(__file__).parent.parent / "main.py"
_TRIAL_STEPS = 60
# A trial writes a line a call, and nothing else takes time in it.
_TRIAL = ("log.every=10", "sample.every=0", "evaluate.every=0", "checkpoint.every=0")


class Contestant(NamedTuple):
    """A config on the command line.

    Attributes:
      config: `FILE[:ARG]`, without `steps`.
      workdir: of its run.
    """

    config: str
    workdir: Path

    def of(self, steps: int) -> str:
        """The config with so many steps."""
        return f"{self.config}{',' if ':' in self.config else ':'}steps={steps}"


def contestants(configs: Sequence[str], overrides: Sequence[str], folder: Path):
    """The configs, each with a workdir in `folder`.

    Raises:
      UserError: there is none, one is not readable or takes no `steps`, or two are the same.
    """
    if not configs:
        raise UserError("name configs to train, such as configs/dcgan.py")
    found = [Contestant(c, folder / Path(config_lib.default_workdir(c)).name) for c in configs]
    for each in found:
        try:
            config_lib.read(each.of(1), overrides)
        except UserError as error:
            if "config argument 'steps'" in str(error):
                raise UserError(f"{each.config} takes no steps in its ARG") from None
            raise
    if len({each.workdir for each in found}) < len(found):
        raise UserError("two configs have one name: each gets a workdir, named after it")
    return found


def steps_for(contestant: Contestant, overrides: Sequence[str], seconds: float) -> int:
    """How many steps fit: those of the run that has begun, else by the median of a short trial."""
    begun = contestant.workdir / "config.json"
    if begun.exists():
        return json.loads(begun.read_text())["train"]["steps"]
    with tempfile.TemporaryDirectory() as folder:
        options = [f"--config.{each}" for each in _TRIAL]
        run(contestant.of(_TRIAL_STEPS), folder, [*overrides, *options])
        times = [each["perf/step_ms"] for each in metrics(Path(folder))]
    return max(1, round(1e3 * seconds / statistics.median(times)))


def metrics(workdir: Path) -> list[dict]:
    """The lines of a run's metrics.jsonl."""
    return [json.loads(line) for line in (workdir / "metrics.jsonl").read_text().splitlines()]


def run(config: str, workdir, options: Sequence[str]) -> None:
    """`main.py` in a process of its own, whose progress goes to this one's stderr.

    Raises:
      UserError: it failed; what was wrong stands above. Interrupted: it was stopped.
    """
    arguments = [f"--config={config}", f"--workdir={workdir}", *options]
    code = subprocess.run([sys.executable, _MAIN, *arguments], stdout=sys.stderr).returncode
    if code == Interrupted.exit_code:
        raise Interrupted("interrupted: the same command goes on")
    if code:
        raise UserError(f"main.py {' '.join(arguments)} ended with {code}")


def scored(contestant: Contestant, steps: int, overrides: Sequence[str]) -> list[dict]:
    """The records of the trained run's samples; taken where there are none of the last step."""

    def known() -> list[dict]:
        path = contestant.workdir / record.FILE
        records = record.read(path) if path.exists() else []
        return [each for each in records if each["step"] == steps and "n_fake" in each]

    if not known():
        run(contestant.of(steps), contestant.workdir, [*overrides, "--mode=evaluate"])
    return known()


def course(contestant: Contestant, overrides: Sequence[str]) -> tuple[str, dict[float, float]]:
    """(the name of the score that a training took, {seconds of training: its value})."""
    watched = score_keys.watched(config_lib.read(contestant.of(1), overrides))
    lines = metrics(contestant.workdir)
    values = {each["seconds"]: each[watched] for each in lines if watched in each}
    return watched.removeprefix("eval/"), values


def table(found: Sequence[tuple[Contestant, int, float, list[dict]]]) -> str:
    """A Markdown table of (config, its steps, seconds of training, records of its scores)."""
    names = list(dict.fromkeys(each["metric"] for *_, records in found for each in records))
    lines = []
    for contestant, steps, seconds, records in found:
        shown = {each["metric"]: record.shown(each) for each in records}
        cells = [shown.get(name, "\N{EN DASH}") for name in names]
        lines.append([f"`{contestant.config}`", f"{steps:,}", f"{seconds:,.0f} s", *cells])
    return tables.markdown(["config", "steps", "training", *names], lines)


def report(argv: list[str]) -> None:
    """Trains and scores what a command line names, and prints the table."""
    parser = OptionParser()
    parser.add_argument("--minutes", type=float, required=True)
    parser.add_argument("--workdir", type=Path, required=True)
    parser.add_argument("--looks", type=int, default=0)
    parser.add_argument("configs", nargs="*")
    options, overrides = parser.parse_known_args(argv[1:])
    if not 0 < options.minutes < float("inf"):
        raise UserError(f"--minutes={options.minutes} has to be more than 0")
    if options.looks < 0:
        raise UserError(f"--looks={options.looks} has to be 0 or more")
    found, courses = [], {}
    for each in contestants(options.configs, overrides, options.workdir):
        steps = steps_for(each, overrides, 60 * options.minutes)
        # At the last step, one is taken anyway.
        every = math.ceil(steps / options.looks) if options.looks else 0
        looking = [*overrides, f"--config.score.every={every}"] if every else overrides
        run(each.of(steps), each.workdir, looking)
        seconds = metrics(each.workdir)[-1]["seconds"]
        found.append((each, steps, seconds, scored(each, steps, looking)))
        if every:
            score, courses[each.config] = course(each, looking)
    print(table(found))
    if courses:
        plots.courses(score, courses, options.workdir / "curves.png")


def main(argv: list[str]) -> int:
    """Runs a command line and returns its exit code."""
    return run_program(argv, __doc__, report)


if __name__ == "__main__":
    sys.exit(main(sys.argv))
