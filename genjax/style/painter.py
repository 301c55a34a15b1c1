"""How contents are painted in a style that is known: features, a transform of them, a decoder."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from genjax.style.encoder import Decoder, Encoder
from genjax.style.transforms import Transform


class Painter(NamedTuple):
    """Networks that paint. Styles are what `transform.style` keeps of them, {name: f32[n, ...]}."""

    encoder: Encoder
    decoder: Decoder
    transform: Transform

    def code(self, weights, pictures) -> jax.Array:
        """f[B, h, w, C] of pictures f32[B, H, W, 3] in [0, 1], with the encoder's `weights`."""
        return self.encoder.apply(weights, pictures, (self.encoder.code,))[self.encoder.code]

    def styled(self, variables, style, code) -> jax.Array:
        """f32[B, h, w, C]: a code in B styles, or B codes in one; `variables` of the transform."""
        count = max(len(code), *(len(x) for x in style.values()))
        each = {name: jnp.broadcast_to(x, (count, *x.shape[1:])) for name, x in style.items()}
        return self.transform.apply(
            variables, each, jnp.broadcast_to(code, (count, *code.shape[1:]))
        )

    def paint(self, networks: tuple[Any, Any], weights, style, contents, alpha) -> jax.Array:
        """f32[B, H, W, 3] in [0, 1], as of `Stylization.apply`.

        Args:
          networks: the variables of the decoder and of the transform.
        """
        code = self.code(weights, contents)
        return self.of_code(networks, code, style, alpha, contents.shape[1:3])

    def of_code(self, networks, code, style, alpha, shape: tuple[int, int]) -> jax.Array:
        """As `paint`, of contents whose code is known, of (H, W) `shape`."""
        decoder, transform = networks
        target = self.styled(transform, style, code)
        found = self.decoder.apply(decoder, code + alpha * (target - code))
        return jnp.clip(found[:, : shape[0], : shape[1]], 0, 1)
