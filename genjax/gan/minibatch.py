"""Minibatch standard deviation: Karras et al. 2018 (arXiv:1710.10196), §3, as in StyleGAN2.

How much the examples of a group differ tells a discriminator whether a generator repeats itself.
"""

import jax
import jax.numpy as jnp

from genjax.errors import UserError

_EPSILON = 1e-8


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
    whole = x if axis_name is None else jax.lax.all_gather(x, axis_name, tiled=True)
    members = min(group, len(whole))
    if len(whole) % members:
        raise UserError(
            f"a batch of {len(whole)} does not divide into groups of model.group={group}: set "
            "train.batch_size to a multiple of it"
        )
    groups = whole.reshape(members, -1, *x.shape[1:])
    centred = groups - groups.mean(0, keepdims=True)
    deviation = jnp.sqrt(jnp.square(centred).mean(0) + _EPSILON).mean((1, 2, 3))
    of_each = jnp.tile(deviation, members)
    if axis_name is not None:
        first = jax.lax.axis_index(axis_name) * len(x)
        of_each = jax.lax.dynamic_slice_in_dim(of_each, first, len(x))
    of_each = jnp.broadcast_to(of_each[:, None, None, None], (*x.shape[:3], 1))
    return jnp.concatenate([x, of_each], axis=-1)
