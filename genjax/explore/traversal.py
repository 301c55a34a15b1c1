"""What each latent means: the latents of one held-out picture, moved along one at a time.

As in Higgins et al. 2017 (beta-VAE), figure 2, and what came after it.
"""

import numpy as np
from etils import epath

from genjax import aggregate, images, runs
from genjax.devices import processes
from genjax.explore import drawn
from genjax.metrics import units

FILE = "traversal.png"
_FAR = 3.0  # standard deviations of the prior, to either side of its mean
_COLUMNS, _ROWS = 11, 16  # places along a latent; latents, at most
_PICTURES = 10_000  # held-out ones that tell how much a latent says, at most


def write(trained: runs.Trained, workdir: epath.Path) -> str:
    """Writes `traversal.png`: a row for each of at most 16 latents, those that say most first.

    A row begins with the held-out picture that `sample.seed` chooses. Then its latents are drawn
    with one of them at -3 to 3 standard deviations of the prior from its mean, and the others as
    they are. What a latent says is its KL divergence where posterior and prior are normal, and
    else its variance over held-out pictures.

    Returns:
      A line that says where, and which latent each row is of.

    Raises:
      UserError: the run encodes no pictures, or none are held out.
    """
    held = drawn.held_out(trained, 1)
    says, of = _says(trained)
    order = np.argsort(-says, kind="stable")[:_ROWS]
    mean, deviation = drawn.spread(trained)
    points = np.tile(held.points, (len(order), _COLUMNS, 1))
    for row, latent in zip(points, order, strict=True):
        row[:, latent] = mean[latent] + deviation[latent] * np.linspace(-_FAR, _FAR, _COLUMNS)
    points = points.reshape(-1, points.shape[2])
    found = drawn.at(trained, points, held.label.repeat(len(points)))
    if processes.is_first():
        found = found.reshape(len(order), _COLUMNS, *found.shape[1:])
        first = np.broadcast_to(held.image[None], (len(order), 1, *held.image.shape[1:]))
        images.write(workdir / FILE, images.grid(np.concatenate([first, found], axis=1)))
    rows = ", ".join(f"{latent} ({says[latent]:.3g})" for latent in order)
    return (
        f"latents of held-out picture {held.place[0]} by step {trained.step}, from {-_FAR:g} to"
        f" {_FAR:g} standard deviations of the prior: {workdir / FILE}; rows: latents {rows}: {of}"
    )


def _says(trained: runs.Trained) -> tuple[np.ndarray, str]:
    """(f[L], how much each latent says of held-out pictures, and what that is called)."""
    run = trained.run
    if run.task.posterior is None or not run.task.latents.normal:
        return drawn.held_out(trained, _PICTURES).points.var(0), "variance"
    split = aggregate.spaced(aggregate.split_of(run, "test"), _PICTURES)
    found = aggregate.posteriors(run, trained.state, split, aggregate.batches_of(run))
    return units.kl(found.means, found.log_variances), "KL divergence in nats"
