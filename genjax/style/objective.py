"""The objective that a stylised picture minimises: content, style and smoothness losses."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp

from genjax.cnn.features import FeatureNet
from genjax.cnn.taps import FLAT
from genjax.config import choose
from genjax.errors import UserError
from genjax.style import losses
from genjax.style.inputs import shares


class Objective(NamedTuple):
    """Functions of pictures f32[B, H, W, 3] in [0, 1] and of a feature network's weights.

    Attributes:
      content_target: `(weights, contents) -> {layer: f32[B, h, w, C]}`.
      style_target: `(weights, styles f32[1, H, W, 3] each) -> {layer: f32[styles, C, C]}`.
      pieces: `(weights, pictures, content target, style target) -> {name: f32[B]}`, the weighted
        losses `content`, `style` and `tv` (total variation), and `total`, their sum.
    """

    content_target: Callable
    style_target: Callable
    pieces: Callable


def make(config, net: FeatureNet) -> Objective:
    """The objective of a style config.

    With several styles, the style loss is the mean of their losses, weighted by `style_weights`.

    Raises:
      UserError: a value of the config is not possible.
    """
    content_layers = tuple(config.content_loss.layers)
    style_layers = tuple(config.style_loss.layers)
    layer_weights = tuple(config.style_loss.weights)
    if not content_layers or not style_layers:
        raise UserError("content_loss.layers and style_loss.layers name one layer each at least")
    if len(style_layers) != len(layer_weights):
        raise UserError(
            f"style_loss.layers has {len(style_layers)} layers but style_loss.weights "
            f"{len(layer_weights)} numbers: give as many"
        )
    taps = tuple(dict.fromkeys(content_layers + style_layers))
    if flat := [layer for layer in taps if layer in FLAT]:
        pictures = ", ".join(layer for layer in net.layers if layer not in FLAT)
        raise UserError(
            f"layer {flat[0]!r} has lost where in the picture its features were, so it can be"
            f" neither content nor style: use {pictures}"
        )
    norm = config.style_loss.gram
    choose("style_loss.gram", norm, dict.fromkeys(losses.GRAM_NORMS))
    # Features times s make the content loss times s^2, and the style loss times s^4.
    content_weights = [scale**2 for scale in _scales(config, "content_loss")]
    style_weights = [
        weight * scale**4
        for weight, scale in zip(layer_weights, _scales(config, "style_loss"), strict=True)
    ]

    def grams(found):
        return {layer: losses.gram(found[layer], norm) for layer in style_layers}

    def content_target(weights, contents):
        return net.apply(weights, contents, content_layers)

    def style_target(weights, styles):
        each = [grams(net.apply(weights, style, style_layers)) for style in styles]
        return jax.tree.map(lambda *targets: jnp.concatenate(targets), *each)

    def pieces(weights, pictures, content, style):
        found = net.apply(weights, pictures, taps)
        content_loss = sum(
            weight * losses.mean_squared_error(found[layer], content[layer])
            for layer, weight in zip(content_layers, content_weights, strict=True)
        )
        found_grams = grams(found)
        mix = shares(config.style_weights, len(style[style_layers[0]]))
        style_loss = sum(
            weight * share * losses.mean_squared_error(found_grams[layer], target[None])
            for layer, weight in zip(style_layers, style_weights, strict=True)
            for share, target in zip(mix, style[layer], strict=True)
        )
        values = {
            "content": config.content_loss.weight * content_loss,
            "style": config.style_loss.weight * style_loss,
            "tv": config.tv_weight * losses.total_variation(pictures),
        }
        return values | {"total": sum(values.values())}

    return Objective(content_target, style_target, pieces)


def _scales(config, loss: str) -> list[float]:
    """What the features of each layer of a loss are multiplied by: 1 where the network has the
    lineage that the losses' weights were published for, and one factor for a classifier's trunk.

    Raises:
      UserError: the config has no scale for a layer.
    """
    layers, known = config[loss].layers, dict(config[loss].scale.items())
    kind, trunk_scale = config.features.name.partition(":")[0], config.features.trunk_scale
    if kind == "cnn":
        return [trunk_scale] * len(layers)
    if config.features.input == "caffe":
        return [1.0] * len(layers)
    return [choose(f"{loss}.scale of layer", layer, known) for layer in layers]
