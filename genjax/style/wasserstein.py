"""Styles as normal distributions of features, and how far they are apart.

The squared 2-Wasserstein distance of two normal distributions is
|m - m*|² + tr(S + S* - 2 (S*^½ S S*^½)^½): Dowson and Landau 1982, Olkin and Pukelsheim 1982; as a
style loss in Crowson's style-transfer-pytorch. Here both terms are means over the channels.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from genjax.style import losses

# What is added to the diagonal of each covariance: a layer has more channels than a small picture
# has pixels, and the gradient of a root is infinite where an eigenvalue is 0.
_EPSILON = 1e-4

_STEPS = 12  # of an iteration; the smallest eigenvalues are not at their roots by then


def root(a: jax.Array) -> jax.Array:
    """The square roots f32[B, C, C] of symmetric positive definite matrices f32[B, C, C].

    By Newton and Schulz's iteration of products alone (Higham 2008, "Functions of matrices",
    equation 6.35), which is quick on every device. An eigenvalue less than 1e-4 of the Frobenius
    norm comes out too small: its root grows by half in each step.
    """
    size, eye = _norm(a), jnp.eye(a.shape[-1])[None]

    def step(_, yz):
        y, z = yz
        t = 0.5 * (3 * eye - _product(z, y))
        return _product(y, t), _product(t, z)

    y, _ = jax.lax.fori_loop(0, _STEPS, step, (a / size, jnp.broadcast_to(eye, a.shape)))
    return y * jnp.sqrt(size)


@jax.custom_vjp
def trace_of_root(a: jax.Array) -> jax.Array:
    """f32[B]: the traces of the square roots of matrices f32[B, C, C].

    The gradient X solves Lyapunov's equation R X + X R = I of the root R. It is found by the
    iteration of Lin and Maji 2017 (arXiv:1707.06772), section 4, of which three products a step are
    left: here all of its matrices are polynomials of R, so that they commute. It needs no
    eigenvalues, whose gradients are infinite where two are equal.
    """
    return _trace(root(a))


def _forward(a):
    found = root(a)
    return _trace(found), found


def _backward(found, g):
    size, eye = _norm(found), jnp.eye(found.shape[-1])[None]

    def step(_, aq):
        a, q = aq
        left = 0.5 * (3 * eye - _product(a, a))
        return _product(a, left), _product(q, left)

    _, q = jax.lax.fori_loop(0, _STEPS, step, (found / size, g[:, None, None] * eye / size))
    return (0.5 * q,)


trace_of_root.defvjp(_forward, _backward)


def _trace(a):
    return jnp.trace(a, axis1=1, axis2=2)


def _norm(a):
    return jnp.sqrt(jnp.square(a).sum(axis=(1, 2), keepdims=True))


def _product(a, b):
    return jnp.matmul(a, b, precision="highest")


class Moments(NamedTuple):
    """Means f32[B, C] and second moments f32[B, C, C] of features over a picture's pixels."""

    mean: jax.Array
    second: jax.Array

    @property
    def covariance(self) -> jax.Array:
        """f32[B, C, C], with a little on the diagonal (`_EPSILON`)."""
        outer = self.mean[:, :, None] * self.mean[:, None]
        return self.second - outer + _EPSILON * jnp.eye(self.mean.shape[-1])[None]


class Target(NamedTuple):
    """The normal distribution of a style: f32[1, C], f32[1, C, C] and the root of the latter."""

    mean: jax.Array
    covariance: jax.Array
    root: jax.Array


def moments(features: jax.Array, weights: jax.Array | None = None) -> Moments:
    """The `Moments` of features f[B, h, w, C], with `weights` f32[B, h, w, 1] of mean 1 or None."""
    x = features.astype(jnp.float32)
    mean = (x if weights is None else weights * x).mean(axis=(1, 2))
    return Moments(mean, losses.gram(features, weights=weights))


def target(styles: list[Moments], shares: np.ndarray) -> Target:
    """The style that several are together: their moments are mixed by `shares` f32[styles].

    So that the mixture's covariance has the differences between their means, too.
    """

    def mixed(*x):
        return sum(float(share) * y for share, y in zip(shares, x, strict=True))

    mix = jax.tree.map(mixed, *styles)
    return Target(mix.mean, mix.covariance, root(mix.covariance))


def distance(found: Moments, style: Target) -> jax.Array:
    """f32[B]: the squared distance of each picture's features to a style's, over the channels."""
    mean = jnp.square(found.mean - style.mean).mean(axis=1)
    covariance = found.covariance
    between = trace_of_root(_product(_product(style.root, covariance), style.root))
    spread = _trace(style.covariance + covariance) - 2 * between
    return mean + spread / covariance.shape[-1]
