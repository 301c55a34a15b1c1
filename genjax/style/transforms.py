"""Transforms of a content's features into those of a style, without anything learned.

Each keeps of a style arrays of one shape, and is linear in them, so that a mixture of styles is the
mean of their arrays, and paints the mean of what they would.
"""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp

# Directions of features with less variance than this have no style (PytorchWCT's util.py).
_NONE = 1e-5


class Transform(NamedTuple):
    """How features get a style. `variables` are those of a network; None where none is needed.

    Attributes:
      style: `(variables, features f[B, h, w, C]) -> {name: f32[B, ...]}`, what is kept of styles.
      apply: `(variables, styles as of `style`, features f[B, h, w, C]) -> f32[B, h, w, C]`.
    """

    style: Callable
    apply: Callable


def moments(features, unbiased: bool = False, epsilon: float = 0.0):
    """Of features f[B, h, w, C] over places the mean and the root of variance + epsilon, f32[B, C].

    Args:
      unbiased: whether the variance's divisor is the number of places less one.
    """
    mean, centred = centre(features)
    n = centred.shape[1]
    variance = jnp.square(centred).sum(axis=1) / (n - 1 if unbiased else n)
    return mean, jnp.sqrt(variance + epsilon)


def centre(features):
    """The mean f32[B, C] of features f[B, h, w, C] over places, and their rest f32[B, h w, C]."""
    x = features.astype(jnp.float32).reshape(features.shape[0], -1, features.shape[-1])
    mean = x.mean(axis=1)
    return mean, x - mean[:, None]


def adaptive(unbiased: bool, epsilon: float, of_style: float) -> Transform:
    """AdaIN: the mean and the deviation of each feature become the style's.

    Huang and Belongie 2017 (arXiv:1703.06868), equation 8.

    Args:
      unbiased: as of `moments`; epsilon: added to the contents' variances, and `of_style` to the
        styles'.
    """

    def style(variables, features):
        mean, deviation = moments(features, unbiased, of_style)
        return {"mean": mean, "deviation": deviation}

    def apply(variables, style, features):
        mean, deviation = (x[:, None, None] for x in moments(features, unbiased, epsilon))
        wanted = {name: x[:, None, None] for name, x in style.items()}
        return (features - mean) / deviation * wanted["deviation"] + wanted["mean"]

    return Transform(style, apply)


def whitening(added: float = 1.0) -> Transform:
    """WCT: features lose their own covariance and get the style's.

    Li et al. 2017 (arXiv:1705.08086), equations 1 and 2, with the rules of PytorchWCT: covariances
    have one less than the places as divisor, directions with a variance below 1e-5 are left out,
    and the contents' covariance has `added` on its diagonal. Both roots are symmetric.
    """

    def style(variables, features):
        mean, centred = centre(features)
        return {"mean": mean, "root": _power(_covariance(centred), 0.5)}

    def apply(variables, style, features):
        _, centred = centre(features)
        covariance = _covariance(centred) + added * jnp.eye(centred.shape[-1])[None]
        change = jnp.matmul(_power(covariance, -0.5), style["root"], precision="highest")
        found = jnp.matmul(centred, change, precision="highest") + style["mean"][:, None]
        return found.reshape(features.shape)

    return Transform(style, apply)


def _covariance(centred):
    """f32[B, C, C] of centred features f32[B, N, C], with divisor N - 1."""
    product = partial(jnp.einsum, "bnc,bnd->bcd", precision="highest")
    return product(centred, centred) / (centred.shape[1] - 1)


def _power(covariance, exponent: float):
    """The symmetric power f32[B, C, C] of covariances, without the directions of no variance."""
    values, vectors = jnp.linalg.eigh(covariance)
    varies = values >= _NONE
    powers = jnp.where(varies, jnp.where(varies, values, 1.0) ** exponent, 0.0)
    return jnp.einsum("bij,bj,bkj->bik", vectors, powers, vectors, precision="highest")


def mixed(styles: list[dict], weights: jax.Array) -> dict:
    """The mean of styles, each {name: f32[1, ...]}, by weights f32[n] that add up to 1."""
    return jax.tree.map(lambda *x: jnp.tensordot(weights, jnp.stack(x), axes=1), *styles)
