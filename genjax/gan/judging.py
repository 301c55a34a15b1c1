"""How a discriminator judges real and generated images in one update: in one pass, where it can.

One pass of both is half as many operations to compile as two, and multiplies larger matrices. A
penalty on slopes at these very images then needs no pass of its own: the same one gives logits and
slopes.
"""

import flax.linen as nn
import jax
import jax.numpy as jnp

from genjax.gan.losses import realness
from genjax.gan.regularizers import r1_r2
from genjax.gan.state import Gan
from genjax.nn import apply, spectral_norm

_CHANGING = ("batch_stats", spectral_norm.COLLECTION)


def takes_both(gan: Gan, variables) -> bool:
    """Whether D can judge two batches in one pass as it would judge each by itself."""
    in_parts = not isinstance(gan.D, nn.Module)  # `genjax.nn.parts`: memory is short
    return not (in_parts or "batch_stats" in variables)


def shares_slopes(gan: Gan, variables) -> bool:
    """Whether the penalty is of slopes at the images that the loss is of, in its arithmetic."""
    config = gan.config
    at_both = gan.regularizer is r1_r2 and config.regularizer.interval == 1
    alike = not gan.augment and config.precision == "float32"
    return at_both and alike and takes_both(gan, variables)


def judge(gan: Gan, variables, real, fake, label, *, with_slopes: bool):
    """(D's answers to real images, those to generated ones, squared slopes, variables after that).

    Spectral norms make one step of the power method, and all images are judged after it.

    Args:
      real, fake: f32[B, H, W, C], as D sees them; label: i32[B], of both.
      with_slopes: whether the squared norms of the gradients of logits by images are computed,
        f32[2, B], of real and of generated images; else they are None. Needs `shares_slopes`.
    """
    if not takes_both(gan, variables):
        on_real, variables = apply(gan.D, variables, real, label, mutable=_CHANGING)
        on_fake, variables = apply(gan.D, variables, fake, label)
        return on_real, on_fake, None, variables

    def pairs(a, b):
        # In turn, so that each device keeps its own.
        return jnp.stack([a, b], 1).reshape(-1, *a.shape[1:])

    def part(x, i):
        return jax.tree.map(lambda y: y.reshape(-1, 2, *y.shape[1:])[:, i], x)

    both, labels, squares = pairs(real, fake), pairs(label, label), None

    def judged(x):
        # A network that compares the images of a batch is told that these are two.
        parts = {"parts": 2} if getattr(gan.D, "takes_parts", False) else {}
        answer, changed = apply(gan.D, variables, x, labels, mutable=_CHANGING, **parts)
        return realness(answer), (answer, changed)

    if with_slopes:
        logits, back, (answer, variables) = jax.vjp(judged, both, has_aux=True)
        (slopes,) = back(jnp.ones_like(logits))
        squares = jnp.square(slopes).sum((1, 2, 3)).reshape(-1, 2).T
    else:
        _, (answer, variables) = judged(both)
    return part(answer, 0), part(answer, 1), squares, variables
