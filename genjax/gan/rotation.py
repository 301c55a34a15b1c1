"""SSGAN's rotation loss: Chen et al. 2019 (arXiv:1811.11212).

A head of the discriminator tells by how many quarters an image was turned. As in
kwotsin/mimicry, a quarter of the batch is turned by each of 0, 90, 180 and 270 degrees, and the
adversarial loss is of upright images alone.
"""

import jax
import jax.numpy as jnp
import optax


def turned(images, axis_name: str | None = None):
    """(images f32[B, S, S, C] with example i turned by i mod 4 quarters, those quarters i32[B])."""
    first = 0 if axis_name is None else jax.lax.axis_index(axis_name) * len(images)
    quarters = (first + jnp.arange(len(images))) % 4
    which = quarters[:, None, None, None]
    result = images
    for k in (1, 2, 3):
        result = jnp.where(which == k, jnp.rot90(images, k, axes=(1, 2)), result)
    return result, quarters


def loss(answer, quarters):
    """Cross-entropy f32[B] of the head in (logits, head f32[B, 4])."""
    return optax.softmax_cross_entropy_with_integer_labels(answer[1], quarters)
