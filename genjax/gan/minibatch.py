"""Minibatch standard deviation: Karras et al. 2018 (arXiv:1710.10196), §3, as in StyleGAN2.

How much the examples of a group differ tells a discriminator whether a generator repeats itself.
"""

import jax
import jax.numpy as jnp

from genjax.errors import UserError

_EPSILON = 1e-8
_HIGHEST = jax.lax.Precision.HIGHEST


def with_deviation(x, group: int, axis_name: str | None = None):
    """f32[B, H, W, C] -> f32[B, H, W, C + 1]: `x`, and its group's mean deviation everywhere.

    Of N examples, example i is in a group with i + N/G, i + 2 N/G, …, G of them, the lesser of
    `group` and N. Their standard deviation is taken at each place of each feature map, and its mean
    over all places is the number that is added.

    N examples are the global batch, on any number of devices, so that a run does not depend on
    their number; in the authors' code they are one GPU's share.

    Args:
      axis_name: the mapped axis over which the batch is sharded; None where `x` is all of it.

    Raises:
      UserError: the batch does not divide into groups.
    """
    shards = 1 if axis_name is None else jax.lax.axis_size(axis_name)
    whole = shards * len(x)
    members = min(group, whole)
    if whole % members:
        raise UserError(
            f"a batch of {whole} does not divide into groups of model.group={group}: set "
            "train.batch_size to a multiple of it"
        )
    first = 0 if axis_name is None else jax.lax.axis_index(axis_name) * len(x)
    groups = jnp.arange(whole // members)
    of_group = ((first + jnp.arange(len(x)))[:, None] % len(groups) == groups[None]).astype(x.dtype)

    def mean(x):
        """f32[groups, H, W, C] of f32[B, H, W, C]: sums over devices, not examples, are sent."""
        sums = jnp.einsum("bg,bhwc->ghwc", of_group, x, precision=_HIGHEST)
        return (sums if axis_name is None else jax.lax.psum(sums, axis_name)) / members

    centred = x - jnp.einsum("bg,ghwc->bhwc", of_group, mean(x), precision=_HIGHEST)
    deviation = jnp.sqrt(mean(jnp.square(centred)) + _EPSILON).mean((1, 2, 3))
    of_each = jnp.einsum("bg,g->b", of_group, deviation, precision=_HIGHEST)
    of_each = jnp.broadcast_to(of_each[:, None, None, None], (*x.shape[:3], 1))
    return jnp.concatenate([x, of_each], axis=-1)
