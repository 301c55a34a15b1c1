"""Whether a generator repeats its training pictures: distances to the nearest of them."""

import numpy as np

from genjax.metrics import neighbours


def of(real: np.ndarray, fake: np.ndarray, near=None) -> dict[str, float]:
    """`nearest`, the mean distance from a generated example to the nearest real one; `copies`, the
    share of generated examples that are nearer to a real one than any other real one is to that.

    `copies` is one minus the authenticity of Alaa et al. 2022, arXiv:2102.08921, section 3.3. Of
    new examples of the same distribution it is 2/3 on a line, and less in more dimensions, where
    few examples are near any other. A generator's is to be held against that of held-out examples.

    Args:
      real: f32[N, D], the training set; N at least 2.
      fake: f32[M, D].
      near: `neighbours.nearest(fake, real)` of one neighbour or more, where that is known.
    """
    squared, index = near or neighbours.nearest(fake, real)
    apart = neighbours.radii(real, 1)
    return {
        "nearest": float(np.sqrt(squared[:, 0]).mean()),
        "copies": float((squared[:, 0] < apart[index[:, 0]]).mean()),
    }


def closest(near: tuple[np.ndarray, np.ndarray], rows: int) -> tuple[np.ndarray, np.ndarray]:
    """(i64[rows], i64[rows, k]): the generated examples that are nearest to a real one, in order,
    and the nearest real ones of each.

    Args:
      near: `neighbours.nearest` of k real ones to each generated one.
      rows: at most; fewer where there are fewer examples.
    """
    squared, index = near
    first = np.argsort(squared[:, 0], kind="stable")[:rows]
    return first, index[first]
