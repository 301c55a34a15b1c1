"""`WORKDIR@STEP`: a trained run, and which of its checkpoints is meant."""

import re

from etils import epath

from genjax import score_keys
from genjax.errors import UserError
from genjax.files import place
from genjax.workdir import config_file
from genjax.workdir.checkpoint import read_notes, saved_steps

LATEST, BEST = "latest", "best"


def split(name: str) -> tuple[epath.Path, str]:
    """(workdir, step) of `WORKDIR@STEP`; "latest" where no step is named.

    STEP is a number, `latest` or `best`. A folder whose own name ends so is taken as it is.
    """
    found = re.fullmatch(rf"(.+)@(\d+|{LATEST}|{BEST})", name)
    if found and not place(name).exists():
        return place(found[1]), found[2]
    return place(name), LATEST


def steps_of(workdir: epath.Path, which: str) -> list[int]:
    """The steps of the checkpoints that `which` allows, oldest first; the last whole one is meant.

    Args:
      which: "latest", for all; "best", for the one that is best by the metric of the run's config
        (`score_keys.best`); or the number of a step.

    Raises:
      UserError: `which` is something else; the run has no checkpoint of that step, or none at all;
        or it keeps no best one.
    """
    if which not in (LATEST, BEST) and not which.isdecimal():
        raise UserError(f"step {which!r} has to be a number, {LATEST} or {BEST}")
    steps = saved_steps(workdir)
    if not steps:
        raise UserError(f"{workdir} has no checkpoint yet: train it first with --mode=train")
    if which == LATEST:
        return steps
    if which == BEST:
        return [_best(workdir, steps)]
    if int(which) not in steps:
        listed = ", ".join(map(str, steps))
        raise UserError(f"{workdir} has no checkpoint of step {which}: it has those of {listed}")
    return [int(which)]


def _best(workdir: epath.Path, steps: list[int]) -> int:
    metric, mode = score_keys.best(config_file.load(workdir))
    if not metric:
        raise UserError(
            f"{workdir} keeps no best checkpoint: train with --config.checkpoint.best=METRIC, "
            "such as eval/loss, or name a step"
        )
    scored = {step: (read_notes(workdir, step)["metrics"] or {}).get(metric) for step in steps}
    values = {step: value for step, value in scored.items() if value is not None}
    if not values:
        raise UserError(f"no checkpoint in {workdir} has {metric} yet: name a step")
    return (min if mode == "min" else max)(values, key=values.get)
