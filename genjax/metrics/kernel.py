"""The kernel distance of two sets of features (KID): Bińkowski et al. 2018, arXiv:1801.01401."""

import jax
import jax.numpy as jnp
import numpy as np

SUBSETS, SUBSET_SIZE = 100, 1000


def distance(
    a: np.ndarray,
    b: np.ndarray,
    seed: int,
    subsets: int = SUBSETS,
    size: int = SUBSET_SIZE,
) -> tuple[float, float]:
    """Mean and standard deviation, over random subsets, of the unbiased squared MMD.

    The kernel is (x·y / D + 1)³. A subset has `size` examples of each set, or as many as the
    smaller one has, without replacement. The mean estimates the distance without bias whatever the
    number of examples, and may be below 0.

    Args:
      a, b: f32[N, D], f32[M, D]; at least two examples each.
      seed: of the subsets.
    """
    size = min(size, len(a), len(b))
    rng = np.random.default_rng(seed)
    found = []
    for _ in range(subsets):
        x, y = (each[rng.choice(len(each), size, replace=False)] for each in (a, b))
        within_x, within_y, across = (np.asarray(v, np.float64) for v in _row_sums(x, y))
        pairs = size * (size - 1)
        found.append((within_x.sum() + within_y.sum()) / pairs - 2 * across.mean() / size)
    return float(np.mean(found)), float(np.std(found))


@jax.jit
def _row_sums(x, y):
    """f32[m] each: the kernel's sums over the others of x, of y, and from x over all of y."""

    def kernel(a, b):
        return (jnp.matmul(a, b.T, precision=jax.lax.Precision.HIGHEST) / a.shape[1] + 1) ** 3

    def others(a):
        return (kernel(a, a) * (1 - jnp.eye(len(a)))).sum(1)

    return others(x), others(y), kernel(x, y).sum(1)
