"""The losses of Gatys, Ecker and Bethge 2016 (CVPR, "Image style transfer using convolutional
neural networks"), one value per picture."""

import jax
import jax.numpy as jnp

GRAM_NORMS = ("hw", "chw")


def gram(features, norm: str = "hw"):
    """The Gram matrix f32[B, C, C] of features f[B, h, w, C]: their second moments over the pixels.

    Args:
      norm: what the sums are divided by: "hw", the number of pixels (Gatys' code), or "chw", the
        number of values (Johnson's neural-style).
    """
    b, h, w, c = features.shape
    sums = _second_moments(features.reshape(b, h * w, c))
    return sums / (h * w * (c if norm == "chw" else 1))


@jax.custom_vjp
def _second_moments(x):
    """The sums f32[B, C, C] over n of x[n] x[n]ᵀ, for x f[B, N, C].

    The gradient is one product, x (Ḡ + Ḡᵀ). JAX would derive two, whose sum it then transposes: a
    pass over the features that takes longer than the products.
    """
    return jnp.einsum("bnc,bnd->bcd", x, x, preferred_element_type=jnp.float32)


def _second_moments_backward(x, g):
    both = (g + g.swapaxes(1, 2)).astype(x.dtype)
    return (jnp.einsum("bnc,bcd->bnd", x, both),)


_second_moments.defvjp(lambda x: (_second_moments(x), x), _second_moments_backward)


def mean_squared_error(a, b):
    """f32[B]: the mean of (a - b)^2 over all but the first axis."""
    return jnp.square(a - b).astype(jnp.float32).reshape(a.shape[0], -1).mean(axis=1)


def total_variation(image):
    """Half the sum of squared differences between neighbours, f32[B], of images f32[B, H, W, C].

    The loss whose gradient neural-style uses. It is a sum and not a mean, so its gradient at a
    pixel does not depend on the picture's size.
    """
    down = jnp.square(image[:, 1:] - image[:, :-1]).sum(axis=(1, 2, 3))
    right = jnp.square(image[:, :, 1:] - image[:, :, :-1]).sum(axis=(1, 2, 3))
    return 0.5 * (down + right)
