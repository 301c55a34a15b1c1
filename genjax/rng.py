"""Random numbers as functions of (seed, step, example), without any state of a generator.

A resume therefore needs only the step number. Nor does noise depend on how many devices share a
batch: each device draws the numbers of its own examples.
"""

import enum

import jax
import jax.numpy as jnp

from genjax import threefry


class Stream(enum.IntEnum):
    """Named sub-streams of a run's seed. Every result depends on their numbers: never reuse one."""

    INIT = 0
    STEP = 1
    SAMPLE = 2
    EVALUATE = 3
    AUGMENT = 4
    BINARIZE = 5
    NOISE = 6
    BINARIZE_HELD_OUT = 7
    SIDE = 8


def stream(seed, name: Stream) -> jax.Array:
    """The key of sub-stream `name` of `seed` (an int or an i32[] array)."""
    return jax.random.fold_in(jax.random.key(seed, impl=threefry.NAME), int(name))


def example_keys(
    key: jax.Array, examples: int | jax.Array, axis_name: str | None = None
) -> jax.Array:
    """Keys key[n] of examples: example i has the key `fold_in(key, i)`, whichever device holds it.

    Args:
      examples: i32[n], what each is counted by, such as its "index" in a split; or n, for the
        positions of this device's examples in the global batch.
      axis_name: for positions, the mapped axis under `pmap` or `shard_map`, where n is the size of
        the device's shard; with `None`, n is the size of the global batch.
    """
    if isinstance(examples, int):
        first = 0 if axis_name is None else jax.lax.axis_index(axis_name) * examples
        examples = first + jnp.arange(examples)
    return threefry.fold_in(key, examples)


def normal(key: jax.Array, examples, shape: tuple[int, ...], axis_name: str | None = None):
    """Standard normal noise f32[n, *shape]; the arguments are those of `example_keys`."""
    return threefry.normal(example_keys(key, examples, axis_name), shape)


def uniform(key: jax.Array, examples, shape: tuple[int, ...], axis_name: str | None = None):
    """Uniform noise f32[n, *shape] in [0, 1); the arguments are those of `example_keys`."""
    return threefry.uniform(example_keys(key, examples, axis_name), shape)
