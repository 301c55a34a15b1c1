"""The keys of style transfer by optimisation that older runs lack."""

from typing import Any


def defaults() -> dict[str, Any]:
    """The keys of every such config, with what was done before there were any.

    Keys:
      color: whose colours the picture has (`genjax.style.colours`): "style"; those of the contents
        by "match" (the style pictures get the contents' mean and covariance of colours),
        "luminance" or "oklab" (lightness alone is stylised, in YIQ or in OKLab).
      tv_kind: what total variation is: "sum", of squared differences to the pixels below and to the
        right, halved; or "nine-point", a mean of those to all neighbours (`genjax.style.losses`).
      features.border: what the first layer of a VGG sees around a picture: "zero", as it was
        trained, or "replicate", the nearest pixel, which leaves fewer artefacts at the edges.
      style_loss.kind: how styles are compared: "gram", by the mean squared error of Gram matrices;
        "wasserstein", by the distance of normal distributions (`genjax.style.wasserstein`); or
        "nearest", by the angle of each feature to the nearest one of a style, as in the last pass
        of NNST (`genjax.style.neighbours`).
      optimizer.b1, optimizer.b2: the decays of "adam".
      optimizer.clamp: whether "adam" brings each pixel back to [0, 1] after each step.
      optimizer.average: the decay of a running mean of "adam"'s pictures, which then is the result;
        0 for the last picture itself.
    """
    return {
        "color": "style",
        "tv_kind": "sum",
        "features": {"border": "zero"},
        "style_loss": {"kind": "gram"},
        "optimizer": {"b1": 0.9, "b2": 0.999, "clamp": False, "average": 0.0},
    }


def completed(values: dict[str, Any]) -> dict[str, Any]:
    """The values of a style config, with what an older run did where its config lacks a key."""
    return values | {
        key: before | values[key] if isinstance(before, dict) else values.get(key, before)
        for key, before in defaults().items()
    }
