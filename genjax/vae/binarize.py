"""Ways to turn grey levels into the pixels that a Bernoulli likelihood models.

Each is `(batch, key, axis_name, held_out) -> f32[B, H, W, C]` of "image" u8[B, H, W, C] and "index"
i32[B], the places of the examples in their split: the held-out one if `held_out`, else the training
split. The ELBO on MNIST differs by several nats between them, so a result has to say which it is
of.
"""

import jax.numpy as jnp

from genjax import images, rng


def grey(batch, key, axis_name=None, held_out=False):
    """The grey levels themselves, in [0, 1]."""
    return images.to_float(batch["image"], low=0)


def dynamic(batch, key, axis_name=None, held_out=False):
    """0 or 1, drawn with the grey level as probability; drawn anew each time an image is used.

    A held-out image is drawn by its index, so that a score is the same in batches of any size.
    """
    levels = grey(batch, key)
    examples = batch["index"] if held_out else len(levels)
    return (rng.uniform(key, examples, levels.shape[1:], axis_name) < levels).astype(jnp.float32)


def static(batch, key, axis_name=None, held_out=False):
    """As `dynamic`, but drawn with the same noise each time an image is used, and in every run.

    The noise depends on the image's split and index alone, so it is the same picture each time only
    if the image is not flipped or shifted. This is not the published binarized MNIST.
    """
    name = rng.Stream.BINARIZE_HELD_OUT if held_out else rng.Stream.BINARIZE
    levels = grey(batch, key)
    noise = rng.uniform(rng.stream(0, name), batch["index"], levels.shape[1:])
    return (noise < levels).astype(jnp.float32)


BINARIZE = {"grey": grey, "dynamic": dynamic, "static": static}
