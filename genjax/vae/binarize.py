"""Ways to turn grey levels into the pixels that a Bernoulli likelihood models.

Each is `(batch, key, axis_name) -> f32[B, H, W, C]` of "image" u8[B, H, W, C] and "index" i32[B].
The ELBO on MNIST differs by several nats between them, so a result has to say which it is of.
"""

import jax
import jax.numpy as jnp

from genjax import images, rng


def grey(batch, key, axis_name=None):
    """The grey levels themselves, in [0, 1]."""
    return images.to_float(batch["image"], low=0)


def dynamic(batch, key, axis_name=None):
    """0 or 1, drawn with the grey level as probability; drawn anew each time an image is used."""
    levels = grey(batch, key)
    return (rng.uniform(key, len(levels), levels.shape[1:], axis_name) < levels).astype(jnp.float32)


def static(batch, key, axis_name=None):
    """As `dynamic`, but drawn with the same noise each time an image is used, and in every run.

    The noise depends on the image's "index" alone. This is not the published binarized MNIST.
    """
    levels = grey(batch, key)
    fixed = rng.stream(0, rng.Stream.BINARIZE)

    def draw(index, level):
        return jax.random.uniform(jax.random.fold_in(fixed, index), level.shape) < level

    return jax.vmap(draw)(batch["index"], levels).astype(jnp.float32)


BINARIZE = {"grey": grey, "dynamic": dynamic, "static": static}
