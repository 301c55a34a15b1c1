"""Random flips and shifts, inside the compiled step."""

import math
from collections.abc import Mapping

import jax
import jax.numpy as jnp

from genjax import rng
from genjax.config import choose
from genjax.errors import UserError

# {data.border: what `jnp.pad` calls it}
BORDERS = {"black": "constant", "reflect": "reflect"}


def mirrored_in_turn(
    index: jax.Array,
    key: jax.Array,
    step: jax.Array,
    batch_size: int,
    examples: int,
    axis_name: str | None = None,
) -> jax.Array:
    """Which images of a step's batch are mirrored if each is in every other epoch, bool[B].

    Two epochs one after the other then show an image from both sides, where chance shows half of
    the images from one side twice: alternating flip, Jordan 2024 (arXiv:2404.00498, §3.6).
    Traceable.

    Args:
      index: i32[B], the examples' positions in the split.
      key: the same in each step: which side an example shows first is random.
      step: i32[], how many steps came before.
      batch_size: examples of the global batch.
      examples: of the split; epochs follow each other as in `genjax.data.order`.
      axis_name: the mapped axis, if `index` is one device's shard of the global batch.

    Raises:
      UserError: batches and epochs begin together after more examples than 32 bits count.
    """
    period = math.lcm(2 * examples, batch_size)
    if period + batch_size >= 2**32:
        raise UserError(
            f"data.flip_in_turn=true cannot count {examples} examples in batches of {batch_size}: "
            f"make train.batch_size a divisor of {2 * examples}, or set data.flip_in_turn=false"
        )
    row = jnp.arange(len(index), dtype=jnp.uint32)
    if axis_name is not None:
        row += jax.lax.axis_index(axis_name).astype(jnp.uint32) * len(index)
    place = (step.astype(jnp.uint32) % (period // batch_size)) * batch_size + row
    odd = place // examples % 2 == 1
    return odd ^ jax.vmap(jax.random.bernoulli)(rng.example_keys(key, index))


def augment(
    batch: Mapping[str, jax.Array],
    key: jax.Array,
    flip: bool | jax.Array,
    shift: int,
    axis_name: str | None = None,
    border: str = "black",
) -> dict[str, jax.Array]:
    """Mirrors and moves each image of a batch at random. Traceable.

    The random numbers follow from the example's position in the global batch (`rng.example_keys`),
    so they do not depend on how many devices share the batch.

    Args:
      batch: holds "image" u8[B, H, W, C]; everything else is passed through.
      key: of this step.
      flip: mirror left and right with probability 1/2; or bool[B], which to mirror.
      shift: move by up to that many pixels, down and right each uniform in [-shift, shift].
      axis_name: the mapped axis, if the batch is one device's shard of the global batch.
      border: what comes in at the edges: "black", or "reflect", the picture itself reflected.

    Raises:
      UserError: a shift that is negative, or would move the image out of sight; no such border.
    """
    image = batch["image"]
    if not 0 <= shift < min(image.shape[1:3]):
        raise UserError(
            f"data.shift={shift} must be at least 0 and less than a side of the image, here"
            f" {image.shape[1]} x {image.shape[2]}"
        )

    choose("data.border", border, BORDERS)
    by_chance = flip is True
    if isinstance(flip, jax.Array):
        image = jnp.where(flip[:, None, None, None], image[:, :, ::-1], image)

    def one(picture, example_key):
        flip_key, shift_key = jax.random.split(example_key)
        if by_chance:
            picture = jnp.where(jax.random.bernoulli(flip_key), picture[:, ::-1], picture)
        if shift:
            edges = ((shift, shift), (shift, shift), (0, 0))
            padded = jnp.pad(picture, edges, mode=BORDERS[border])
            top, left = jax.random.randint(shift_key, (2,), 0, 2 * shift + 1)
            picture = jax.lax.dynamic_slice(padded, (top, left, 0), picture.shape)
        return picture

    if by_chance or shift:
        keys = rng.example_keys(key, image.shape[0], axis_name)
        image = jax.vmap(one)(image, keys)
    return {**batch, "image": image}
