"""Temperatures: the same samples in each row, with the prior's spread scaled from row to row."""

import numpy as np
from etils import epath

from genjax import images, runs
from genjax.devices import processes
from genjax.explore import drawn

FILE = "temperature.png"
TEMPERATURES = (0.2, 0.4, 0.6, 0.8, 1.0, 1.2, 1.4)


def write(trained: runs.Trained, workdir: epath.Path) -> str:
    """Writes `temperature.png`: a column for each of `sample.shown` latents, the first samples',
    and a row for each temperature.

    At temperature t a latent is t times as far from the prior's mean; at 1 it is the sample's.

    Returns:
      A line that says where, and which temperatures.

    Raises:
      UserError: the run's pictures follow from no latents.
    """
    shown, latents = trained.run.config.sample.shown, drawn.latents_of(trained.run)
    points = drawn.points(trained, shown, latents.level)
    mean, _ = drawn.spread(trained)
    rows = np.concatenate([mean + t * (points - mean) for t in TEMPERATURES])
    found = drawn.at(trained, rows, np.tile(np.arange(shown), len(TEMPERATURES)))
    if processes.is_first():
        images.write(workdir / FILE, images.grid(found, shown))
    temperatures = ", ".join(f"{t:g}" for t in TEMPERATURES)
    return (
        f"{shown} {latents.name} of step {trained.step}: {workdir / FILE}; rows: temperatures"
        f" {temperatures}"
    )
