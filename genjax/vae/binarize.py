"""What a Bernoulli likelihood is a likelihood of: three data sets made of the same images.

Their likelihoods differ by about two nats on MNIST, so every result has to name which it is.
"""

import jax
import jax.numpy as jnp

from genjax import images, rng


def grey(batch, key, axis_name=None):
    """The grey levels themselves, f32[B, H, W, C] in [0, 1]."""
    return images.to_float(batch["image"], low=0)


def dynamic(batch, key, axis_name=None):
    """Pixels drawn with the grey level as probability, anew at each visit: f32 in {0, 1}."""
    levels = grey(batch, key)
    return (rng.uniform(key, len(levels), levels.shape[1:], axis_name) < levels).astype(jnp.float32)


def static(batch, key, axis_name=None):
    """Pixels drawn once: each example, known by its `index`, is the same at every visit."""
    levels = grey(batch, key)
    fixed = rng.stream(0, rng.Stream.BINARIZE)

    def draw(index, level):
        return jax.random.uniform(jax.random.fold_in(fixed, index), level.shape) < level

    return jax.vmap(draw)(batch["index"], levels).astype(jnp.float32)


BINARIZE = {"grey": grey, "dynamic": dynamic, "static": static}
