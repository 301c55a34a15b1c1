"""Styles swapped between classes: the latents of held-out pictures, drawn as each class.

Kingma et al. 2014, arXiv:1406.5298, figure 1 (b): what the label does not say, the latents say.
"""

import numpy as np
from etils import epath

from genjax import images, runs
from genjax.devices import processes
from genjax.errors import UserError
from genjax.explore import drawn
from genjax.report.pictures import spread

FILE = "swap.png"
_CLASSES = 40  # columns, at most


def write(trained: runs.Trained, workdir: epath.Path) -> str:
    """Writes `swap.png`: a row for each of `sample.shown` held-out pictures, which `sample.seed`
    chooses: the picture, and its latents drawn as each class.

    Returns:
      A line that says where, and which pictures.

    Raises:
      UserError: the run encodes no pictures, none are held out, or it draws no classes.
    """
    run = trained.run
    held = drawn.held_out(trained, run.config.sample.shown)
    if not run.task.classes:
        raise UserError(
            "sample.kind=swap needs a run that draws classes: train one with"
            " --config=configs/cvae.py, or set sample.kind=traversal"
        )
    classes = spread(range(run.task.classes), _CLASSES)
    n = len(held.points)
    found = drawn.at(trained, held.points.repeat(len(classes), axis=0), np.tile(classes, n))
    if processes.is_first():
        found = found.reshape(n, len(classes), *found.shape[1:])
        images.write(workdir / FILE, images.grid(np.concatenate([held.image[:, None], found], 1)))
    return (
        f"{n} held-out pictures ({', '.join(map(str, held.place))}) as each class by step"
        f" {trained.step}: {workdir / FILE}"
    )
