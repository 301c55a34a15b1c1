"""Styles swapped between classes: the latents of held-out pictures, drawn as each class.

A network that sees labels is told another one: what the label does not say, the latents say (Kingma
et al. 2014, arXiv:1406.5298, figure 1 b). Of any other, latents are moved by the difference of two
classes' means (Larsen et al. 2016, arXiv:1512.09300, section 4.2): a - b + c.
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
_PICTURES = 10_000  # held-out ones that classes' means are of, at most


def write(trained: runs.Trained, workdir: epath.Path) -> str:
    """Writes `swap.png`: a row for each of `sample.shown` held-out pictures, which `sample.seed`
    chooses: the picture, and its latents drawn as each class.

    Returns:
      A line that says where, and which pictures.

    Raises:
      UserError: the run encodes no pictures, none are held out, or they have no classes.
    """
    run = trained.run
    held = drawn.held_out(trained, run.config.sample.shown)
    if not (run.task.classes or run.dataset.classes):
        raise UserError(
            "sample.kind=swap is of pictures of classes, which these data have not: set"
            " sample.kind=traversal"
        )
    if run.task.classes:
        classes = np.array(spread(range(run.task.classes), _CLASSES))
        moved = np.zeros((len(held.points), len(classes), 1))
    else:
        classes, moved = _between_means(trained, held)
    points = (held.points[:, None] + moved).reshape(-1, held.points.shape[1])
    found = drawn.at(trained, points, np.tile(classes, len(held.points)))
    if processes.is_first():
        found = found.reshape(*moved.shape[:2], *found.shape[1:])
        images.write(workdir / FILE, images.grid(np.concatenate([held.image[:, None], found], 1)))
    return (
        f"{len(held.points)} held-out pictures ({', '.join(map(str, held.place))}) as each class by"
        f" step {trained.step}: {workdir / FILE}"
    )


def _between_means(trained: runs.Trained, held: drawn.HeldOut) -> tuple[np.ndarray, np.ndarray]:
    """(classes that are held out i[K], f[n, K, L] from the mean of each picture's to theirs)."""
    every = drawn.held_out(trained, _PICTURES)
    means = np.zeros((trained.run.dataset.classes, every.points.shape[1]))
    present = np.unique(every.label)
    for each in present:
        means[each] = every.points[every.label == each].mean(0)
    classes = np.array(spread(present, _CLASSES))
    return classes, means[classes][None] - means[held.label][:, None]
