"""VGG as an encoder of pictures, and a decoder that is its mirror image.

Huang and Belongie 2017 (arXiv:1703.06868), section 6.1: the encoder stays as it was published, and
the decoder has its layers in the opposite order, nearest neighbours for pools, and no norms,
because those would bring pictures to one style. All layers see their input reflected at its edges.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp

from genjax.cnn import features, vgg
from genjax.config import choose
from genjax.errors import UserError
from genjax.nn import Conv, compute_type
from genjax.nn.upsample import nearest


class Encoder(NamedTuple):
    """A VGG up to one of its layers.

    Attributes:
      name: which network it is and whose weights it has, for a report.
      code: the name of the layer whose features are decoded again, such as `relu4_1`.
      taps: `relu1_1`, `relu2_1`, …: the first layer of each block, by which pictures are judged.
      weights: arrays; an argument of `apply`, so that they are not compiled into programs.
      apply: `(weights, x, taps) -> {tap: f[B, h, w, C]}` of RGB images f32[B, H, W, 3] in [0, 1].
      mirror: the layers of its `Decoder`.
    """

    name: str
    code: str
    taps: tuple[str, ...]
    weights: Mapping
    apply: Callable[..., dict[str, jax.Array]]
    mirror: tuple[tuple[int, bool], ...]

    @property
    def channels(self) -> int:
        """Of the code."""
        return self.weights[_convolution(self.code)]["bias"].size


def load(config, judged: str = "") -> Encoder:
    """The encoder of a config: `features` (name, input, layer) and `precision` are read.

    Args:
      judged: the last of `Encoder.taps`, the code or a later one; by default the code.

    Raises:
      UserError: there is no such network, file or layer, or it is no VGG.
    """
    kind, code = config.features.name.partition(":")[0], config.features.layer
    if kind not in vgg.DEPTHS:
        raise UserError(
            f"features.name={config.features.name!r} has no mirror image: a decoder is made of"
            " vgg16, vgg16:PATH.npz or vgg19:PATH.npz"
        )
    firsts = [f"relu{block}_1" for block in range(1, len(vgg.FEATURES) + 1)]
    choose("features.layer", code, dict.fromkeys(firsts[1:]))
    choose("features.judged", judged or code, dict.fromkeys(firsts[1:]))
    taps = tuple(firsts[: max(firsts.index(x) for x in (code, judged or code)) + 1])
    net = features.load(
        config.features.name,
        taps,
        dtype=compute_type(config.precision),
        lineage=config.features.input,
        border="reflect",
    )
    names = _up_to(vgg.layer_names(kind), _convolution(taps[-1]))
    weights = {name: net.weights[name] for name in names}
    return Encoder(net.name, code, taps, weights, net.apply, mirror(kind, code))


def _convolution(tap: str) -> str:
    return tap.replace("relu", "conv")


def _up_to(names: Sequence[str], last: str) -> list[str]:
    return list(names[: names.index(last) + 1])


def mirror(net: str, layer: str) -> tuple[tuple[int, bool], ...]:
    """The layers of the decoder of a VGG up to `layer`: (features, whether their sides double).

    They are the encoder's from the last one to the first: each gives as many features as that one
    takes, and doubles the sides where a pool comes before that one.
    """
    channels = vgg.channels(net)
    found = [
        (channels[name][0], name.endswith("_1") and name != "conv1_1")
        for name in _up_to(list(channels), _convolution(layer))
    ]
    return tuple(reversed(found))


class Decoder(nn.Module):
    """Features f[B, h, w, C] to pictures f32[B, H, W, 3], which are to be in [0, 1]; not clipped.

    Attributes:
      layers: as `mirror` gives them; ReLU after each but the last.
    """

    layers: tuple[tuple[int, bool], ...]
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, x):
        for i, (count, doubled) in enumerate(self.layers):
            x = Conv(count, 3, dtype=self.dtype)(reflected(x))
            if i < len(self.layers) - 1:
                x = nn.relu(x)
            if doubled:
                x = nearest(x)
        return x.astype(jnp.float32)


def reflected(x):
    """f[B, h + 2, w + 2, C]: `x` with one pixel more at each edge, its mirror image."""
    return jnp.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)), mode="reflect")
