"""The keys of style transfer by optimisation that older runs lack."""

from typing import Any


def defaults() -> dict[str, Any]:
    """The keys of every such config, with what was done before there were any.

    Keys:
      color: whose colours the picture has (`genjax.style.colours`): "style"; those of the contents
        by "match" (the style pictures get the contents' mean and covariance of colours),
        "luminance" or "oklab" (lightness alone is stylised, in YIQ or in OKLab).
    """
    return {"color": "style"}


def completed(values: dict[str, Any]) -> dict[str, Any]:
    """The values of a style config, with what an older run did where its config lacks a key."""
    return defaults() | values
