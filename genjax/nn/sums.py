"""Sums over all axes but the last, and what they are the gradients of.

XLA's CPU backend makes a reduction over a batch's pictures a tree of passes over windows of pixels.
One axis after the other takes a tenth of the time, and its partial sums are as many as a tree's, so
that it rounds no worse. `total` and `spread` are transposes of each other: each one's gradient is
the other, to any order.
"""

from functools import partial

import jax
import jax.numpy as jnp

from genjax.nn.backend import spelled_out


@jax.custom_vjp
def total(x):
    """f[..., C] -> f[C]."""
    if not spelled_out():
        return x.sum(tuple(range(x.ndim - 1)))
    # From the second axis on: the first may be divided over devices, and is summed when little is
    # left. The barriers keep the compiler from making one reduction of all.
    while x.ndim > 2:
        x = jax.lax.optimization_barrier(x.sum(1))
    return x.sum(0) if x.ndim == 2 else x


@partial(jax.custom_vjp, nondiff_argnums=(1,))
def spread(v, shape: tuple[int, ...]):
    """f[C] -> f[*shape], of which C is the last axis."""
    return jnp.broadcast_to(v, shape)


total.defvjp(lambda x: (total(x), x), lambda x, g: (spread(g, x.shape),))
spread.defvjp(lambda v, shape: (spread(v, shape), None), lambda shape, _, g: (total(g),))
