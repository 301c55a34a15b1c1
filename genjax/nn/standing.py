"""Standing statistics: BatchNorm's, of many batches of what a generator that is done draws.

Brock et al. 2019 (arXiv:1809.11096, section 3 and appendix B). Running statistics lag behind the
parameters, and an average's were those of other parameters.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp


def has_batch_norm(variables) -> bool:
    """Whether a network keeps statistics of BatchNorm among its variables."""
    leaves = jax.tree_util.tree_leaves_with_path(variables.get("batch_stats", {}))
    return any(path[-1].key == "var" for path, _ in leaves)  # a mapping's mean style has none


def standing(update: Callable, statistics, batches: int):
    """The plain means of the statistics of `batches` batches, in the form of `statistics`.

    Args:
      update: `(statistics, i) -> statistics` after a pass over batch i, i32[], in training mode:
        running averages kept * old + (1 - kept) * the batch's, whose share each leaf may choose.
      statistics: running averages; only their shapes count.
    """
    zeros = jax.tree.map(jnp.zeros_like, statistics)
    ones = jax.tree.map(jnp.ones_like, statistics)

    def of_batch(i):
        # What a batch makes does not depend on what was there, so the slope is the share kept.
        new, kept = jax.jvp(lambda old: update(old, i), (zeros,), (ones,))
        return jax.tree.map(lambda new, kept: new / (1 - kept), new, kept)

    found = jax.lax.map(of_batch, jnp.arange(batches))
    return jax.tree.map(lambda x: x.mean(0), found)
