"""The Inception network of 2015, whose features define FID; its weights are a file of the user's.

Szegedy et al. 2016, arXiv:1512.00567, as converted from TensorFlow's graph of 2015-12-05: the
layers of torchvision's `inception_v3` with three differences. It tells 1,008 classes apart, its
average pools leave padding out of the mean, and the pool in the last block is one of maxima.
BatchNorm is folded into the convolutions, which is exact for a trained network.
"""

from collections.abc import Mapping

import jax
import jax.numpy as jnp
import numpy as np

from genjax.cnn import pth
from genjax.cnn.published import conv
from genjax.cnn.weights import checked

SIDE = 299  # px
FEATURES, CLASSES = 2048, 1008
SHA256 = "6726825d"  # how the file's hash begins, as its published name says
_EPSILON = 1e-3  # of BatchNorm

# A branch is a chain of convolutions, (name, kernel height, kernel width, stride, features); its
# last may be several beside each other. Strided ones are not padded, others keep the size.
_Chain = tuple[tuple, ...]


def _a(pooled: int) -> dict[str, _Chain]:
    return {
        "branch1x1": (("branch1x1", 1, 1, 1, 64),),
        "branch5x5": (("branch5x5_1", 1, 1, 1, 48), ("branch5x5_2", 5, 5, 1, 64)),
        "branch3x3dbl": (
            ("branch3x3dbl_1", 1, 1, 1, 64),
            ("branch3x3dbl_2", 3, 3, 1, 96),
            ("branch3x3dbl_3", 3, 3, 1, 96),
        ),
        "average": (("branch_pool", 1, 1, 1, pooled),),
    }


def _c(narrow: int) -> dict[str, _Chain]:
    return {
        "branch1x1": (("branch1x1", 1, 1, 1, 192),),
        "branch7x7": (
            ("branch7x7_1", 1, 1, 1, narrow),
            ("branch7x7_2", 1, 7, 1, narrow),
            ("branch7x7_3", 7, 1, 1, 192),
        ),
        "branch7x7dbl": (
            ("branch7x7dbl_1", 1, 1, 1, narrow),
            ("branch7x7dbl_2", 7, 1, 1, narrow),
            ("branch7x7dbl_3", 1, 7, 1, narrow),
            ("branch7x7dbl_4", 7, 1, 1, narrow),
            ("branch7x7dbl_5", 1, 7, 1, 192),
        ),
        "average": (("branch_pool", 1, 1, 1, 192),),
    }


def _e(pool: str) -> dict[str, _Chain]:
    return {
        "branch1x1": (("branch1x1", 1, 1, 1, 320),),
        "branch3x3": (
            ("branch3x3_1", 1, 1, 1, 384),
            (("branch3x3_2a", 1, 3, 1, 384), ("branch3x3_2b", 3, 1, 1, 384)),
        ),
        "branch3x3dbl": (
            ("branch3x3dbl_1", 1, 1, 1, 448),
            ("branch3x3dbl_2", 3, 3, 1, 384),
            (("branch3x3dbl_3a", 1, 3, 1, 384), ("branch3x3dbl_3b", 3, 1, 1, 384)),
        ),
        pool: (("branch_pool", 1, 1, 1, 192),),
    }


_B = {
    "branch3x3": (("branch3x3", 3, 3, 2, 384),),
    "branch3x3dbl": (
        ("branch3x3dbl_1", 1, 1, 1, 64),
        ("branch3x3dbl_2", 3, 3, 1, 96),
        ("branch3x3dbl_3", 3, 3, 2, 96),
    ),
    "halved": (),
}
_D = {
    "branch3x3": (("branch3x3_1", 1, 1, 1, 192), ("branch3x3_2", 3, 3, 2, 320)),
    "branch7x7x3": (
        ("branch7x7x3_1", 1, 1, 1, 192),
        ("branch7x7x3_2", 1, 7, 1, 192),
        ("branch7x7x3_3", 7, 1, 1, 192),
        ("branch7x7x3_4", 3, 3, 2, 192),
    ),
    "halved": (),
}
_BLOCKS = {
    **{"Mixed_5b": _a(32), "Mixed_5c": _a(64), "Mixed_5d": _a(64), "Mixed_6a": _B},
    **{"Mixed_6b": _c(128), "Mixed_6c": _c(160), "Mixed_6d": _c(160), "Mixed_6e": _c(192)},
    **{"Mixed_7a": _D, "Mixed_7b": _e("average"), "Mixed_7c": _e("maximum")},
}

# The layers before the blocks: (name, kernel, stride, whether it keeps the size, features), and
# after which of them 3 x 3 windows are pooled with a stride of 2.
_STEM = (
    ("Conv2d_1a_3x3", 3, 2, False, 32),
    ("Conv2d_2a_3x3", 3, 1, False, 32),
    ("Conv2d_2b_3x3", 3, 1, True, 64),
    ("Conv2d_3b_1x1", 1, 1, False, 80),
    ("Conv2d_4a_3x3", 3, 1, False, 192),
)
_POOLED_AFTER = ("Conv2d_2b_3x3", "Conv2d_4a_3x3")


def load(path: str, sha256: str = SHA256) -> dict[str, dict[str, np.ndarray]]:
    """{layer: {"kernel": f32[H, W, Cin, Cout], "bias": f32[Cout]}, …} of a `.pth` file.

    Args:
      sha256: how the file's hash has to begin; "" for any file of these layers.

    Raises:
      UserError: the file is missing, broken or another one, or an array is missing or has another
        shape.
    """
    carried = pth.read(path, sha256)

    def array(name: str, *shape: int) -> np.ndarray:
        return checked(carried, name, shape, path)

    def layer(name, height, width, channels, features):
        kernel = array(f"{name}.conv.weight", features, channels, height, width)
        norm = [array(f"{name}.bn.{part}", features) for part in pth.NORM]
        return pth.folded(kernel, norm, _EPSILON)

    weights, channels = {}, 3
    for name, side, _, _, features in _STEM:
        weights[name] = layer(name, side, side, channels, features)
        channels = features
    for block, branches in _BLOCKS.items():
        width = 0
        for chain in branches.values():
            inner = channels  # which a pool keeps
            for link in chain:
                parts = link if isinstance(link[0], tuple) else (link,)
                for name, *size, _, features in parts:
                    weights[f"{block}.{name}"] = layer(f"{block}.{name}", *size, inner, features)
                inner = sum(part[-1] for part in parts)
            width += inner
        channels = width
    weights["fc"] = {
        "kernel": array("fc.weight", CLASSES, FEATURES).T.copy(),
        "bias": array("fc.bias", CLASSES),
    }
    return weights


def apply(weights: Mapping, x: jax.Array) -> dict[str, jax.Array]:
    """Features and classes of images.

    Args:
      weights: the result of `load`.
      x: f32[B, 299, 299, 3], RGB, as (value - 128) / 128 of values from 0 to 255.

    Returns:
      `pool`: f32[B, 2048], the means over the picture that FID compares; `logits`: f32[B, 1008],
      without the last layer's bias, as the Inception Score is computed of them.
    """
    for name, _, stride, same, _ in _STEM:
        x = _conv(x, weights[name], stride, "SAME" if same else "VALID")
        if name in _POOLED_AFTER:
            x = _maxima(x, 2, "VALID")
    for block, branches in _BLOCKS.items():
        x = jnp.concatenate([_branch(weights, block, *each, x) for each in branches.items()], -1)
    pooled = x.mean(axis=(1, 2))
    return {"pool": pooled, "logits": pooled @ weights["fc"]["kernel"]}


def _branch(weights, block: str, branch: str, chain: _Chain, x):
    if branch == "halved":
        return _maxima(x, 2, "VALID")
    if branch == "average":
        x = _means(x)
    elif branch == "maximum":
        x = _maxima(x, 1, "SAME")
    for link in chain:
        parts = link if isinstance(link[0], tuple) else (link,)
        made = [
            _conv(x, weights[f"{block}.{name}"], stride, "SAME" if stride == 1 else "VALID")
            for name, _, _, stride, _ in parts
        ]
        x = jnp.concatenate(made, -1)
    return x


def _conv(x, layer, stride: int, padding: str):
    return jax.nn.relu(conv(x, layer, stride, padding))


def _maxima(x, stride: int, padding: str):
    window, strides = (1, 3, 3, 1), (1, stride, stride, 1)
    return jax.lax.reduce_window(x, -np.inf, jax.lax.max, window, strides, padding)


def _means(x):
    """Of windows of 3 x 3 pixels, without what is beyond the picture."""

    def total(x):
        return jax.lax.reduce_window(x, 0.0, jax.lax.add, (1, 3, 3, 1), (1, 1, 1, 1), "SAME")

    return total(x) / total(jnp.ones((1, *x.shape[1:3], 1)))
