"""Self-attention over the pixels of a feature map: Zhang et al. 2019, arXiv:1805.08318 (SAGAN)."""

from collections.abc import Callable
from functools import partial

import flax.linen as nn
import jax
import jax.numpy as jnp

from genjax.nn.layers import Conv, max_pool


class SelfAttention(nn.Module):
    """f[B, H, W, C] -> x + gamma * o(attention), the same shape; H and W even.

    As in the authors' code, and in BigGAN's and StudioGAN's: queries theta and keys phi have C / 8
    features, values g have C / 2; keys and values are those of H/2 x W/2 pixels, the maxima of
    2 x 2 (the paper's eq. 1 has keys and values at every pixel). Weights are the softmax over keys
    of theta·phi, not divided by a square root, in float32. All four are 1 x 1 convolutions without
    biases.
    The scalar gamma begins at 0, so that the layer begins as the identity.

    Parameters `theta`, `phi`, `g`, `o`, each with a `kernel`, and `gamma` f32[].

    Attributes:
      kernel_init, kernel_norm: of the four kernels, as for `Conv`.
    """

    kernel_init: Callable = nn.initializers.lecun_normal()
    kernel_norm: Callable[[], nn.Module] | None = None
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, x):
        b, h, w, c = x.shape
        few, half = max(1, c // 8), max(1, c // 2)
        options = {"kernel_init": self.kernel_init, "kernel_norm": self.kernel_norm}
        conv = partial(Conv, kernel_size=1, use_bias=False, dtype=self.dtype, **options)
        queries = conv(few, name="theta")(x).reshape(b, h * w, few)
        keys = max_pool(conv(few, name="phi")(x)).reshape(b, h * w // 4, few)
        values = max_pool(conv(half, name="g")(x)).reshape(b, h * w // 4, half)
        likeness = jnp.einsum("bqc,bkc->bqk", queries, keys).astype(jnp.float32)
        weights = jax.nn.softmax(likeness).astype(self.dtype)
        attended = jnp.einsum("bqk,bkc->bqc", weights, values).reshape(b, h, w, half)
        gamma = self.param("gamma", nn.initializers.zeros, ()).astype(self.dtype)
        return x.astype(self.dtype) + gamma * conv(c, name="o")(attended)
