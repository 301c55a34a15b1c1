"""Sums over all axes but the last, the broadcast that is their gradient, and biases.

XLA's CPU backend compiles a sum over a batch's pictures to a tree of passes over windows of pixels.
Summing one axis after the other takes a tenth of the time, and has as many partial sums as the
tree, so it rounds no worse. `total` and `spread` are transposes of each other: the gradient of each
is the other, to any order.
"""

from functools import partial

import jax
import jax.numpy as jnp

from genjax.nn.backend import spelled_out


@jax.custom_vjp
def total(x):
    """Sums over all axes but the last, f[..., C] -> f[C]."""
    if not spelled_out():
        return x.sum(tuple(range(x.ndim - 1)))
    # The first axis comes last: it may be sharded over devices, and by then there is little left to
    # exchange. The barriers keep the compiler from merging the sums into one reduction.
    while x.ndim > 2:
        x = jax.lax.optimization_barrier(x.sum(1))
    return x.sum(0) if x.ndim == 2 else x


@partial(jax.custom_vjp, nondiff_argnums=(1,))
def spread(v, shape: tuple[int, ...]):
    """Broadcasts f[C] -> f[*shape], whose last axis is C."""
    return jnp.broadcast_to(v, shape)


def materialise(x):
    """`x` behind a barrier that keeps XLA's CPU backend from fusing it into what reads it."""
    return jax.lax.optimization_barrier(x) if spelled_out() else x


@jax.custom_vjp
def materialise_gradient(x):
    """`x`, whose gradient passes through `materialise`."""
    return x


materialise_gradient.defvjp(lambda x: (x, None), lambda _, g: (materialise(g),))


def with_bias(y, bias):
    """f[..., C] + f[C]. The gradient is computed once, not again in the sum that is the bias'."""
    return materialise_gradient(y + spread(bias, y.shape))


total.defvjp(lambda x: (total(x), x), lambda x, g: (spread(g, x.shape),))
spread.defvjp(lambda v, shape: (spread(v, shape), None), lambda shape, _, g: (total(g),))
