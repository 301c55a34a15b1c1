"""Threefry-2x32, the generator behind `jax.random`, as one elementwise expression.

Salmon et al. 2011 (doi:10.1145/2063384.2063405). On a CPU `jax.random` runs its twenty rounds as a
loop over arrays in memory, which takes four times as long and three times as long to compile as
what XLA makes of the rounds written out. The numbers are those of `jax.random`, bit for bit. The
barrier makes XLA write them down: it would otherwise draw them anew wherever they are used.
"""

import math

import jax
import jax.numpy as jnp
import numpy as np

NAME = "threefry2x32"  # of JAX's keys of this generator

_ROTATIONS = ((13, 15, 26, 6), (17, 29, 16, 24))
_PARITY = 0x1BD11BDA
_ONE = 0x3F800000  # the float 1, whose mantissa is replaced by 23 random bits


def _block(key, counter):
    """Two words u32[...] of the key (u32[...], u32[...]) and the counter (u32[...], u32[...])."""
    keys = (*key, key[0] ^ key[1] ^ jnp.uint32(_PARITY))
    x, y = counter[0] + keys[0], counter[1] + keys[1]
    for turn in range(5):
        for by in _ROTATIONS[turn % 2]:
            x = x + y
            y = x ^ (y << jnp.uint32(by) | y >> jnp.uint32(32 - by))
        x = x + keys[(turn + 1) % 3]
        y = y + keys[(turn + 2) % 3] + jnp.uint32(turn + 1)
    return x, y


def fold_in(key: jax.Array, numbers: jax.Array) -> jax.Array:
    """Keys key[n]: `jax.random.fold_in` of each of i32[n] into one key."""
    words = jax.random.key_data(key)
    low = numbers.astype(jnp.uint32)
    both = _block((words[0], words[1]), (jnp.zeros_like(low), low))
    return jax.random.wrap_key_data(jnp.stack(both, -1), impl=NAME)


def uniform(keys: jax.Array, shape: tuple[int, ...]) -> jax.Array:
    """f32[n, *shape] in [0, 1): `jax.random.uniform` of each of n keys."""
    words, size = jax.random.key_data(keys), math.prod(shape)
    low = jnp.broadcast_to(jnp.arange(size, dtype=jnp.uint32)[None], (len(keys), size))
    x, y = _block((words[:, :1], words[:, 1:]), (jnp.zeros_like(low), low))
    floats = jax.lax.bitcast_convert_type((x ^ y) >> jnp.uint32(9) | jnp.uint32(_ONE), jnp.float32)
    return jax.lax.optimization_barrier(floats - 1).reshape(len(keys), *shape)


def normal(keys: jax.Array, shape: tuple[int, ...]) -> jax.Array:
    """f32[n, *shape], standard normal: `jax.random.normal` of each of n keys."""
    least = np.nextafter(np.float32(-1), np.float32(0))
    u = jnp.maximum(least, uniform(keys, shape) * (np.float32(1) - least) + least)
    return jax.lax.optimization_barrier(np.float32(np.sqrt(2)) * jax.lax.erf_inv(u))
