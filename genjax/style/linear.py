"""A linear transform of features that networks find: Li et al. 2019 (arXiv:1808.04537).

WCT's transform of features is a matrix that follows from two covariances. Here it is of few
features, into which a layer of one pixel compresses them, and networks learn it: one makes a matrix
of the content's features, one of the style's, and their product is the transform.
"""

import flax.linen as nn
import jax.numpy as jnp

from genjax.nn import Conv, Dense
from genjax.style.transforms import Transform, centre

_HALVINGS = 2  # convolutions that halve the features before the one that leaves a matrix' rows


class _Matrix(nn.Module):
    """A matrix f32[B, m, m] of centred features f[B, h, w, C]: convolutions, the second moments of
    what they give over places, and one linear layer of those."""

    rows: int
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, x):
        for _ in range(_HALVINGS):
            x = nn.relu(Conv(x.shape[-1] // 2, 3, padding=1, dtype=self.dtype)(x))
        x = Conv(self.rows, 3, padding=1, dtype=self.dtype)(x).astype(jnp.float32)
        _, height, width, _ = x.shape
        second = jnp.einsum("bhwc,bhwd->bcd", x, x) / (height * width)
        flat = Dense(self.rows**2, dtype=self.dtype)(second.reshape(len(x), -1))
        return flat.reshape(second.shape).astype(jnp.float32)


class LinearTransform(nn.Module):
    """Features f[B, h, w, C] of contents and of styles to those that are decoded.

    unzip(T_s T_c compress(c - mean c)) + mean s, of the matrices T_c of c - mean c and T_s of
    s - mean s. Its parts for styles and contents alone are `style` and `transformed`.

    Attributes:
      features: C.
      rows: of the matrices.
    """

    features: int
    rows: int
    dtype: jnp.dtype = jnp.float32

    def setup(self):
        self.of_content = _Matrix(self.rows, self.dtype)
        self.of_style = _Matrix(self.rows, self.dtype)
        self.compress = Conv(self.rows, 1, dtype=self.dtype)
        self.unzip = Conv(self.features, 1, dtype=self.dtype)

    def __call__(self, content, style):
        return self.transformed(self.style(style), content)

    def style(self, features):
        """{"mean": f32[B, C], "matrix": f32[B, m, m]} of styles."""
        mean, centred = centre(features)
        return {"mean": mean, "matrix": self.of_style(centred.reshape(features.shape))}

    def transformed(self, style, features):
        """f32[B, h, w, C]: contents with styles as of `style`."""
        centred = centre(features)[1].reshape(features.shape)
        matrix = jnp.einsum("bij,bjk->bik", style["matrix"], self.of_content(centred))
        few = jnp.einsum("bij,bhwj->bhwi", matrix, self.compress(centred).astype(jnp.float32))
        return self.unzip(few).astype(jnp.float32) + style["mean"][:, None, None]


def learned(network: LinearTransform) -> Transform:
    """The transform of a network, whose variables are those that it is given."""
    return Transform(
        lambda variables, features: network.apply(variables, features, method="style"),
        lambda variables, style, features: network.apply(
            variables, style, features, method="transformed"
        ),
    )
