"""A small classifier in VGG's style, with BatchNorm, that trains in minutes on two CPU cores.

Blocks of two 3 x 3 convolutions with 2 x 2 max-pooling between blocks; the features double from
block to block. Then come global average pooling and a dense layer.
"""

from collections.abc import Sequence
from functools import partial

import flax.linen as nn
import jax.numpy as jnp

from genjax.cnn.taps import FLAT, Taps
from genjax.errors import UserError
from genjax.nn import BatchNorm, Conv, max_pool, to_even


class Classifier(nn.Module):
    """Images f32[B, H, W, C] in [-1, 1] -> logits f32[B, classes].

    With `taps`, the result is {name: f32[B, h, w, features]}, the outputs of the layers so named:
    `relu2_1` is the first convolution of the second block after its ReLU. `pool` f32[B, features]
    is what the dense layer sees, and there are `logits`. No layer behind the last tap runs. Such
    pictures are of any size: no pool leaves out a border of them, except beside `pool` or `logits`,
    which are those of the network as it was trained.

    Attributes:
      width: features of the first block.
      blocks: how many.
    """

    classes: int
    width: int
    blocks: int
    axis_name: str | None = None
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, x, train: bool, taps: Sequence[str] = ()):
        norm = partial(BatchNorm, axis_name=self.axis_name, dtype=self.dtype)
        tapped = Taps(taps)
        for block in range(self.blocks):
            if block:
                x = max_pool(to_even(x) if tapped.to_the_border else x)
            for i in (1, 2):
                conv = Conv(self.width << block, 3, padding=1, use_bias=False, dtype=self.dtype)
                x = nn.relu(norm()(conv(x), train))
                if tapped.complete(f"relu{block + 1}_{i}", x):
                    return tapped.found
        x = x.astype(jnp.float32).mean(axis=(1, 2))
        if tapped.complete("pool", x):
            return tapped.found
        x = nn.Dense(self.classes)(x)
        return tapped.found if tapped.complete("logits", x) else x


def check_side(blocks: int, side: int) -> None:
    """Raises UserError where so many blocks leave nothing of a picture of so many px."""
    if not side >> (blocks - 1):
        raise UserError(
            f"model.blocks={blocks} halve a picture of {side} px to nothing: "
            f"use {side.bit_length()} at most"
        )


def layer_names(blocks: int) -> tuple[str, ...]:
    """`relu1_1`, `relu1_2`, `relu2_1`, …, `pool`, `logits`."""
    return (*(f"relu{b}_{i}" for b in range(1, blocks + 1) for i in (1, 2)), *FLAT)
