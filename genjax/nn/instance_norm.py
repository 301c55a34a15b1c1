"""Instance normalisation with a scale and a bias for each style."""

import flax.linen as nn
import jax
import jax.numpy as jnp

from genjax.nn.layers import moments, to_pixels
from genjax.nn.sums import materialise, materialise_gradient


class ConditionalInstanceNorm(nn.Module):
    """Each example's channels normalised over its own pixels, in float32; the variance is biased.

    f[B, H, W, C] and a condition f32[B, styles] -> f[B, H, W, C]. The condition says how much of
    each style an example has: 1 for one and 0 for the others, or any mixture. Scale and bias are
    the styles' in these shares (Dumoulin, Shlens and Kudlur 2017, arXiv:1610.07629, eq. 5); with
    one style it is instance normalisation (Ulyanov et al. 2016, arXiv:1607.08022).

    Parameters `scale` and `bias`, f32[styles, C] each.
    """

    styles: int
    epsilon: float = 1e-5
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, x, condition):
        def mixed(name, init):
            each = self.param(name, init, (self.styles, x.shape[-1]))
            return jnp.dot(condition, each, precision=jax.lax.Precision.HIGHEST)

        scale, bias = mixed("scale", nn.initializers.ones), mixed("bias", nn.initializers.zeros)
        x = materialise(x).astype(jnp.float32)
        mean, variance = jax.vmap(lambda each: moments(each, None))(x)
        scale = scale * jax.lax.rsqrt(variance + self.epsilon)
        y = x * to_pixels(scale, x.shape) + to_pixels(bias - mean * scale, x.shape)
        return materialise_gradient(y.astype(self.dtype))
