"""The image transformation network: any photograph in a style it has learned, in one pass.

Johnson, Alahi and Fei-Fei 2016, arXiv:1603.08155, in two published forms, of `KINDS`:

- "conditional": Dumoulin, Shlens and Kudlur 2017, arXiv:1610.07629, as Magenta's
  image_stylization has it: conditional instance norm after every convolution, which has no bias,
  kernels from N(0, 0.01), and a sigmoid at the end. With a width of 32, 1,674,432 weights that all
  styles share, and 3,206 for each.
- "johnson": as pytorch/examples (fast_neural_style) has it: convolutions have biases, the last one
  has no norm, and its output is the picture, from 0 to 255. 1,679,235 parameters for one style.

Both upsample by repeating pixels and pad by reflection, so that nothing leaves a chequered pattern
or a dark frame (Odena et al. 2016, doi:10.23915/distill.00003).
"""

from functools import partial

import flax.linen as nn
import jax
import jax.numpy as jnp

from genjax.nn import ConditionalInstanceNorm, Conv

KINDS = ("conditional", "johnson")
_WHITE = 255  # of pytorch/examples' pictures
_STRIDE = 4  # of the deepest layers

# Of pytorch/examples, whose framework draws kernels from U(-1/sqrt(n), 1/sqrt(n)), n inputs each.
_PYTORCH = nn.initializers.variance_scaling(1 / 3, "fan_in", "uniform")
_MAGENTA = nn.initializers.normal(0.01)


class TransformationNetwork(nn.Module):
    """Pictures f32[B, H, W, C] in [0, 1] and styles f32[B, styles] -> f32[B, H, W, 3].

    C is 3, or 7 where the picture before is seen as well (`genjax.style.previous`), which is 10,368
    weights more. H and W are multiples of 4. What is "conditional" lies in (0, 1); what is
    "johnson"'s is not bounded. The shares of the styles that each picture has add up to 1.

    Attributes:
      width: features at full size; twice as many at half, four times at a quarter.
      blocks: residual blocks at a quarter.
    """

    styles: int
    width: int = 32
    blocks: int = 5
    kind: str = "conditional"
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, x, condition):
        ours = self.kind == "conditional"

        def layer(x, features, size, stride=1, norm=True, enlarge=False):
            if not enlarge:
                edge = (size // 2, size // 2)
                x = jnp.pad(x, ((0, 0), edge, edge, (0, 0)), mode="reflect")
            init = _MAGENTA if ours else _PYTORCH
            conv = partial(Conv, use_bias=not ours, kernel_init=init, dtype=self.dtype)
            x = conv(features, size, stride, enlarge=enlarge)(x)
            if norm:
                x = ConditionalInstanceNorm(self.styles, dtype=self.dtype)(x, condition)
            return x

        width = self.width
        x = nn.relu(layer(x if ours else _WHITE * x, width, 9))
        x = nn.relu(layer(x, 2 * width, 3, stride=2))
        x = nn.relu(layer(x, 4 * width, 3, stride=2))
        for _ in range(self.blocks):
            x = x + layer(nn.relu(layer(x, 4 * width, 3)), 4 * width, 3)
        x = nn.relu(layer(x, 2 * width, 3, enlarge=True))
        x = nn.relu(layer(x, width, 3, enlarge=True))
        x = layer(x, 3, 9, norm=ours).astype(jnp.float32)
        return nn.sigmoid(x) if ours else x / _WHITE


def painted(network: TransformationNetwork, variables, image, condition) -> jax.Array:
    """What the network makes of pictures of any size, f32[B, H, W, C] in [0, 1].

    Sides that are no multiple of 4 are made one by reflection, and what is added is cut off again.
    """
    height, width = image.shape[1:3]
    beyond = [(0, -side % _STRIDE) for side in (height, width)]
    image = jnp.pad(image, ((0, 0), *beyond, (0, 0)), mode="reflect")
    return network.apply(variables, image, condition)[:, :height, :width]
