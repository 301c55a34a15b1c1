"""Jordan's network for small pictures, built to reach a good accuracy in few epochs.

Jordan 2024 (arXiv:2404.00498, "airbench", §2 and §3) has the parts: a first layer that whitens
patches of 2 x 2 pixels (after Page 2019, "How to train your ResNet 8"), few wide layers,
convolutions that begin as identities, BatchNorm without a scale, GELU (Hendrycks and Gimpel 2016,
arXiv:1606.08415), and a maximum over what is left of the picture. Identities at the start do what
residual connections would: with these on top, two epochs of CIFAR-10 end a point lower
(docs/results.md).
"""

from collections.abc import Sequence
from functools import partial

import flax.linen as nn
import jax
import jax.numpy as jnp

from genjax.cnn.taps import FLAT, Taps
from genjax.errors import UserError
from genjax.nn import BatchNorm, Conv, max_pool, to_even
from genjax.nn.conv import conv
from genjax.nn.sums import spread

PATCH = 2  # px a side of the patches that the first layer whitens

# The running statistics follow the batches closely, because trainings are short (ibid., listing of
# the hyperparameters).
_STATISTICS_MOMENTUM = 0.6


class Airbench(nn.Module):
    """Images f32[B, H, W, C] in [-1, 1] -> logits f32[B, classes].

    The collection `whitening` holds the first layer's constants: `kernel` f32[2, 2, C, 8 C] and
    `mean` f32[C] (`genjax.cnn.whitening`). A picture has at least 1 + 2^groups px a side.

    With `taps`, the result is {name: activation}: `whitening` and `gelu1_1`, `gelu1_2`, `gelu2_1`,
    … f32[B, h, w, features], the outputs of the groups' layers; `pool` f32[B, features], which the
    dense layer sees; and `logits`. No layer behind the last tap runs. Pictures of features are of
    any size, since no pool leaves out a border of them, except beside `pool` or `logits`, which
    are those of the network as it was trained.

    Attributes:
      widths: features of each group, which halves the picture.
    """

    classes: int
    widths: Sequence[int]
    axis_name: str | None = None
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, x, train: bool, taps: Sequence[str] = ()):
        norm = partial(
            BatchNorm,
            momentum=_STATISTICS_MOMENTUM,
            use_scale=False,
            axis_name=self.axis_name,
            dtype=self.dtype,
        )
        tapped = Taps(taps)
        x = self._whitened(x)
        if tapped.complete("whitening", x):
            return tapped.found
        for group, width in enumerate(self.widths, start=1):
            layer = partial(
                Conv,
                width,
                3,
                padding=1,
                use_bias=False,
                kernel_init=identity_first,
                dtype=self.dtype,
            )
            x = layer()(x)
            x = max_pool(to_even(x) if tapped.to_the_border else x)
            x = nn.gelu(norm()(x, train))
            if tapped.complete(f"gelu{group}_1", x):
                return tapped.found
            x = nn.gelu(norm()(layer()(x), train))
            if tapped.complete(f"gelu{group}_2", x):
                return tapped.found
        x = x.astype(jnp.float32).max(axis=(1, 2))
        if tapped.complete("pool", x):
            return tapped.found
        x = nn.Dense(self.classes, use_bias=False)(x) / x.shape[-1] ** 0.5
        return tapped.found if tapped.complete("logits", x) else x

    def _whitened(self, x):
        """GELU of whitened patches and their negatives, f[B, H - 1, W - 1, 8 C]."""
        channels = x.shape[-1]
        outputs = 2 * PATCH * PATCH * channels
        shape = (PATCH, PATCH, channels, outputs)
        kernel = self.variable("whitening", "kernel", jnp.zeros, shape).value
        mean = self.variable("whitening", "mean", jnp.zeros, (channels,)).value
        bias = self.param("whitening_bias", nn.initializers.zeros, (outputs,))
        x = (x - spread(mean, x.shape)).astype(self.dtype)
        y = conv(x, kernel.astype(self.dtype))
        return nn.gelu(y + spread(bias.astype(self.dtype), y.shape))


def identity_first(key, shape: tuple[int, ...], dtype=jnp.float32):
    """An initial kernel f32[k, k, Cin, Cout] whose first outputs are its inputs, unchanged.

    The other outputs' weights are uniform in ±1 / √(k² Cin), PyTorch's default.
    """
    height, width, cin, _ = shape
    bound = (height * width * cin) ** -0.5
    kernel = jax.random.uniform(key, shape, dtype, -bound, bound)
    same = min(shape[2:])
    return kernel.at[..., :same].set(0).at[height // 2, width // 2, :same, :same].set(jnp.eye(same))


def check_side(groups: int, side: int) -> None:
    """Raises UserError where there is no group, or so many halve so many px to nothing."""
    if not groups:
        raise UserError("model.widths is empty: give the features of a group, or of several")
    least = 2**groups + PATCH - 1
    if side < least:
        possible = (side - PATCH + 1).bit_length() - 1
        fewer = f"use {possible} at most, or " * (possible > 0)
        raise UserError(
            f"the {groups} groups of model.widths halve a picture of {side} px to nothing: {fewer}"
            f"enlarge it with --config.data.size={least}"
        )


def layer_names(groups: int) -> tuple[str, ...]:
    """The taps of a network with so many groups, first to last."""
    pairs = tuple(f"gelu{g}_{i}" for g in range(1, groups + 1) for i in (1, 2))
    return ("whitening", *pairs, *FLAT)
