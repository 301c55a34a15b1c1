"""The map of two latents: what is drawn of a grid of their quantiles.

Kingma and Welling 2014, arXiv:1312.6114, figure 4.
"""

import statistics

import numpy as np
from etils import epath

from genjax import images, runs
from genjax.devices import processes
from genjax.errors import UserError
from genjax.explore import drawn

FILE = "map.png"
_SIDE = 20  # quantiles of each latent: the middles of so many equal shares of the distribution


def write(trained: runs.Trained, workdir: epath.Path) -> str:
    """Writes `map.png`: 20 x 20 pictures, the first latent growing to the right, the second up.

    Every picture stands for an equal share of what the prior draws.

    Returns:
      A line that says where.

    Raises:
      UserError: the run's latents are not two, or not normal, or its pictures are of classes.
    """
    run = trained.run
    latents = drawn.latents_of(run)
    if not latents.normal:
        raise UserError(
            "sample.kind=map is of standard normal latents, which this run's are not: set"
            " sample.kind=temperature"
        )
    if run.config.model.latent != 2:
        raise UserError(
            f"sample.kind=map is of two latents, and this run has {run.config.model.latent}: train"
            " another one with --config.model.latent=2, or set sample.kind=temperature"
        )
    if run.task.classes:
        raise UserError(
            f"sample.kind=map is of one picture a place, and this run draws {run.task.classes}"
            " classes: train another one without, or set sample.kind=temperature"
        )
    normal = statistics.NormalDist()
    quantiles = np.array([normal.inv_cdf((i + 0.5) / _SIDE) for i in range(_SIDE)])
    up, right = np.meshgrid(quantiles[::-1], quantiles, indexing="ij")
    points = np.stack([right.ravel(), up.ravel()], axis=1)
    found = drawn.at(trained, points, np.zeros(len(points)))
    if processes.is_first():
        images.write(workdir / FILE, images.grid(found, _SIDE))
    return (
        f"{_SIDE} x {_SIDE} quantiles of both latents of step {trained.step}: {workdir / FILE}; the"
        f" first from {quantiles[0]:.2f} on the left to {quantiles[-1]:.2f}, the second from below"
    )
