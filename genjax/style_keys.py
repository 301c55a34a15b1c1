"""The keys of style transfer that older runs lack, how large features are, scales and passes."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from ml_collections import ConfigDict

# Most weights of losses were published for the authors' network, trained in Caffe on pixels from 0
# to 255. That of torchvision's lineage was trained anew, and its features are smaller, by another
# factor in each layer: {layer: (ratio of the features' root mean squares, of the square roots of
# their Gram matrices' norms)}. Measured with the VGG16 of both lineages; medians over four
# photographs and three paintings at 320 px (docs/results.md). The content loss grows with the
# square of the first, the style loss with the fourth power of the second.
_CAFFE_OVER_TORCHVISION = {
    "relu1_1": (68.0, 70.0),
    "relu1_2": (149.0, 202.0),
    "relu2_1": (158.0, 196.0),
    "relu2_2": (176.0, 196.0),
    "relu3_1": (142.0, 164.0),
    "relu3_2": (139.0, 168.0),
    "relu3_3": (135.0, 161.0),
    "relu3_4": (135.0, 161.0),  # VGG19 alone has fourth layers: not measured, as the third
    "relu4_1": (94.0, 114.0),
    "relu4_2": (69.0, 80.0),
    "relu4_3": (47.0, 49.0),
    "relu4_4": (47.0, 49.0),
    "relu5_1": (27.0, 28.0),
    "relu5_2": (16.0, 17.0),
    "relu5_3": (9.0, 10.0),
    "relu5_4": (9.0, 10.0),
}

# A small classifier's features have no published weights to agree with. They are about as large as
# torchvision's, so one factor, of pixels from 0 to 255 for pixels over their deviation, serves all.
_TRUNK_SCALE = 255 * 0.226


def defaults() -> dict[str, Any]:
    """The keys of every such config, with what was done before there were any.

    Keys:
      color: whose colours the picture has (`genjax.style.colours`): "style"; those of the contents
        by "match" (the style pictures get the contents' mean and covariance of colours),
        "luminance" or "oklab" (lightness alone is stylised, in YIQ or in OKLab).
      pairs: what several styles are for: "blend" mixes them into one, by `style_weights`; "each"
        paints every content in every style, all in one run (`genjax.style.pairs`).
      masks.content, masks.labels, masks.style: where each style goes, and which part of its picture
        it is (`genjax.style.masks`); "" for everywhere, and the whole of it.
      tile: px of the sides of tiles that pictures are computed in, for pictures that memory does
        not hold whole (`genjax.style.tiles`): a number, "auto" for the largest that keeps to a few
        GB, or "0" for none. The result is the same to rounding.
      tv_kind: what total variation is: "sum", of squared differences to the pixels below and to the
        right, halved; or "nine-point", a mean of those to all neighbours (`genjax.style.losses`).
      features.border: what comes around pictures in a VGG: "zero", as it was trained; "replicate",
        the nearest pixel around what the first layer sees, which leaves fewer artefacts at the
        edges; or "reflect", each layer's input mirrored.
      normalize_gradients: whether each layer's gradient is normalised before it goes on to the
        picture (`genjax.style.gradients`), so that layers count by their weights alone; of "adam".
      style_loss.kind: how styles are compared: "gram", by the mean squared error of Gram matrices;
        "wasserstein", by the distance of normal distributions (`genjax.style.wasserstein`); or
        "nearest", by the angle of each feature to the nearest one of a style, as in the last pass
        of NNST (`genjax.style.neighbours`).
      optimizer.b1, optimizer.b2: the decays of "adam".
      optimizer.clamp: whether "adam" brings each pixel back to [0, 1] after each step.
      optimizer.average: the decay of a running mean of "adam"'s pictures, which then is the result;
        0 for the last picture itself.
      style_enlarge: whether styles smaller than `size` asks for are enlarged, or stay as they are.
      scales.smallest: px on the contents' longer side where a run begins that goes from scale to
        scale up to `size` (`schedule`); 0 for one scale.
      scales.steps: how many steps the first scale has, the second, and so on; the last number is
        that of all further ones. The last scale goes on as long as `train.steps`.
    """
    return {
        "color": "style",
        "pairs": "blend",
        "masks": {"content": "", "labels": "", "style": ""},
        "tile": "0",
        "tv_kind": "sum",
        "features": {"border": "zero"},
        "normalize_gradients": False,
        "style_loss": {"kind": "gram"},
        "optimizer": {"b1": 0.9, "b2": 0.999, "clamp": False, "average": 0.0},
        "style_enlarge": True,
        "scales": {"smallest": 0, "steps": (1000, 500)},
    }


def completed(values: dict[str, Any]) -> dict[str, Any]:
    """The values of a style config, with what an older run did where its config lacks a key."""
    return values | {
        key: before | values.get(key, {}) if isinstance(before, dict) else values.get(key, before)
        for key, before in defaults().items()
    }


def has_stages(values: Mapping[str, Any]) -> bool:
    """Whether `scales.steps` means something to a style config, given as {dotted key: value}."""
    return bool(values.get("scales.smallest")) or values.get("content_fit") == "own"


def scale_features(config: ConfigDict) -> None:
    """Scales the features of losses whose weights were published for the authors' network."""
    config.features.trunk_scale = _TRUNK_SCALE
    config.content_loss.scale = {layer: rms for layer, (rms, _) in _CAFFE_OVER_TORCHVISION.items()}
    config.style_loss.scale = {layer: gram for layer, (_, gram) in _CAFFE_OVER_TORCHVISION.items()}


class Scale(NamedTuple):
    """A scale of a run: px on the contents' longer side, and the step after which it ends."""

    side: int
    until: int


def schedule(size: int, smallest: int, steps: Sequence[int]) -> list[Scale]:
    """The scales of a run, from `smallest` px or a little more up to `size`.

    Their sides are round(size / 2^(i / 2)), as in Crowson's style-transfer-pytorch; `size` alone
    where `smallest` is 0, or `size` is less.

    Args:
      steps: of the first scale, the second, …, at least one number; the last goes on for the rest.
    """
    sides, halvings = {size}, 0.5
    while smallest and (side := round(size / 2**halvings)) >= smallest:
        sides.add(side)
        halvings += 0.5
    found, until = [], 0
    for i, side in enumerate(sorted(sides)):
        until += steps[min(i, len(steps) - 1)]
        found.append(Scale(side, until))
    return found


class Pass(NamedTuple):
    """A pass of a run of NNST.

    Attributes:
      halvings: how often its pictures are halved, of those at full size.
      last: whether it is the one after the scales, at full size, with the other loss.
      until: the step after which it ends.
    """

    halvings: int
    last: bool
    until: int


def passes(size: int, smallest: int, steps: Sequence[int]) -> list[Pass]:
    """The passes of a run of NNST: scales from coarse to fine, each twice the one before, and one.

    The coarsest scale is the last whose longer side has `smallest` px. With 64 px, those are
    the four scales of the authors' program at 512 px and five at 1024 px; three at 256 px.

    Args:
      size: px on the longer side at full size.
      steps: of the first pass, the second, …, at least one number; the last goes on for the rest.
    """
    most = max(0, (size // max(1, smallest)).bit_length() - 1)
    found, until = [], 0
    for i, halvings in enumerate([*range(most, -1, -1), 0]):
        until += steps[min(i, len(steps) - 1)]
        found.append(Pass(halvings, i > most, until))
    return found
