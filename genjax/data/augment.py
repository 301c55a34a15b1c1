"""Random flips and shifts, inside the compiled step."""

from collections.abc import Mapping

import jax
import jax.numpy as jnp

from genjax import rng
from genjax.errors import UserError


def augment(
    batch: Mapping[str, jax.Array],
    key: jax.Array,
    flip: bool,
    shift: int,
    axis_name: str | None = None,
) -> dict[str, jax.Array]:
    """Mirrors and moves each image of a batch at random. Traceable.

    The random numbers follow from the example's position in the global batch (`rng.example_keys`),
    so they do not depend on how many devices share the batch.

    Args:
      batch: holds "image" u8[B, H, W, C]; everything else is passed through.
      key: of this step.
      flip: mirror left and right with probability 1/2.
      shift: move by up to that many pixels, down and right each uniform in [-shift, shift]; the
        pixels that come in are 0 (black).
      axis_name: the mapped axis, if the batch is one device's shard of the global batch.

    Raises:
      UserError: a shift that is negative, or would move the image out of sight.
    """
    image = batch["image"]
    if not 0 <= shift < min(image.shape[1:3]):
        raise UserError(
            f"data.shift={shift} must be at least 0 and less than a side of the image, here"
            f" {image.shape[1]} x {image.shape[2]}"
        )

    def one(picture, example_key):
        flip_key, shift_key = jax.random.split(example_key)
        if flip:
            picture = jnp.where(jax.random.bernoulli(flip_key), picture[:, ::-1], picture)
        if shift:
            padded = jnp.pad(picture, ((shift, shift), (shift, shift), (0, 0)))
            top, left = jax.random.randint(shift_key, (2,), 0, 2 * shift + 1)
            picture = jax.lax.dynamic_slice(padded, (top, left, 0), picture.shape)
        return picture

    if flip or shift:
        keys = rng.example_keys(key, image.shape[0], axis_name)
        image = jax.vmap(one)(image, keys)
    return {**batch, "image": image}
