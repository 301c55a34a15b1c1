"""Random numbers as functions of (seed, step, example), without any state of a generator.

A resume therefore needs only the step number. Nor does noise depend on how many devices share a
batch: each device draws the numbers of its own examples.
"""

import enum

import jax
import jax.numpy as jnp


class Stream(enum.IntEnum):
    """Named sub-streams of a run's seed. Every result depends on their numbers: never reuse one."""

    INIT = 0
    STEP = 1
    SAMPLE = 2
    EVALUATE = 3
    AUGMENT = 4
    BINARIZE = 5
    NOISE = 6


def stream(seed, name: Stream) -> jax.Array:
    """The key of sub-stream `name` of `seed` (an int or an i32[] array)."""
    return jax.random.fold_in(jax.random.key(seed), int(name))


def example_keys(key: jax.Array, n: int, axis_name: str | None = None) -> jax.Array:
    """Keys key[n] of this device's `n` examples of the global batch.

    Example i of the global batch has the key `fold_in(key, i)`, whichever device holds it. Under
    `pmap` or `shard_map`, `axis_name` is the mapped axis and `n` the size of the device's shard;
    with `None`, `n` is the size of the global batch.
    """
    first = 0 if axis_name is None else jax.lax.axis_index(axis_name) * n
    return jax.vmap(lambda i: jax.random.fold_in(key, i))(first + jnp.arange(n))


def normal(key: jax.Array, n: int, shape: tuple[int, ...], axis_name: str | None = None):
    """Standard normal noise f32[n, *shape] for this device's `n` examples (see example_keys)."""
    keys = example_keys(key, n, axis_name)
    return jax.vmap(lambda k: jax.random.normal(k, shape))(keys)


def uniform(key: jax.Array, n: int, shape: tuple[int, ...], axis_name: str | None = None):
    """Uniform noise f32[n, *shape] in [0, 1) for this device's `n` examples."""
    keys = example_keys(key, n, axis_name)
    return jax.vmap(lambda k: jax.random.uniform(k, shape))(keys)
