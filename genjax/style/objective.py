"""The objective that a stylised picture minimises: content, style and smoothness losses."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import jax.numpy as jnp

from genjax.cnn import features
from genjax.cnn.features import FeatureNet
from genjax.cnn.taps import FLAT
from genjax.config import choose
from genjax.errors import UserError
from genjax.nn import compute_type
from genjax.style import losses, neighbours, tiles, wasserstein
from genjax.style import masks as style_masks
from genjax.style.gradients import normalised
from genjax.style.inputs import shares


class Objective(NamedTuple):
    """Functions of pictures f32[B, H, W, 3] in [0, 1] and of a feature network's weights.

    Attributes:
      content_target: `(weights, contents) -> {layer: f32[B, h, w, C]}`.
      style_target: `(weights, styles f32[1, H, W, 3] each, masks) -> {layer: arrays}`, what the
        kind of style loss compares pictures with; `masks` are of each style, or left out.
      pieces: `(weights, pictures, content target, style target, masks) -> {name: f32[B]}`, the
        weighted losses `content`, `style` and `tv` (total variation), and `total`, their sum;
        `masks` of the pictures are left out where there are none. All are as
        `genjax.style.masks.at_layers` makes them.
    """

    content_target: Callable
    style_target: Callable
    pieces: Callable


class Style(NamedTuple):
    """A kind of style loss, of one layer.

    Attributes:
      statistics: `(features f32[B, h, w, C]) -> arrays`, with B as leading axis. Those of "gram"
        and "wasserstein" are means over the pixels of what is 0 where features are, which tiles
        have to have (`genjax.style.tiles`), and take weights f32[B, h, w, 1] of mean 1, too.
      target: `([statistics of one style, ...]) -> arrays`.
      loss: `(statistics, target) -> f32[B]`.
    """

    statistics: Callable
    target: Callable
    loss: Callable


def _gram(config, weights) -> Style:
    """The mean squared error of Gram matrices; of several styles, the mean of their errors."""
    norm = config.style_loss.gram
    choose("style_loss.gram", norm, dict.fromkeys(losses.GRAM_NORMS))

    def loss(found, grams):
        mix = shares(weights, len(grams))
        errors = [losses.mean_squared_error(found, gram[None]) for gram in grams]
        return sum(share * error for share, error in zip(mix, errors, strict=True))

    def statistics(features, weights=None):
        return losses.gram(features, norm, weights)

    return Style(statistics, jnp.concatenate, loss)


def _wasserstein(config, weights) -> Style:
    """The distance of normal distributions; several styles are one, of their mixed moments."""
    if config.features.input != "torchvision":
        raise UserError(
            "the weights of style_loss.kind='wasserstein' are for features of torchvision's"
            " lineage: use preset=gatys with features.input='caffe'"
        )

    def target(styles):
        return wasserstein.target(styles, shares(weights, len(styles)))

    return Style(wasserstein.moments, target, wasserstein.distance)


def _nearest(config, weights) -> Style:
    """The angle to the nearest feature of any style; shares of styles have no meaning there."""
    if style_masks.wanted(config):
        raise UserError(
            "style_loss.kind='nearest' takes each feature from wherever it is nearest: leave masks,"
            " or use --config.style_loss.kind=gram"
        )
    if len(weights):
        raise UserError(
            "style_loss.kind='nearest' takes each feature from whichever style is nearest: leave"
            " style_weights"
        )

    return Style(neighbours.places, neighbours.target, neighbours.distance)


STYLES = {"gram": _gram, "wasserstein": _wasserstein, "nearest": _nearest}


def _kind(config) -> Style:
    """What `style_loss.kind` and `style_weights` say; with masks, each style in its own place."""
    make = choose("style_loss.kind", config.style_loss.kind, STYLES)
    if style_masks.wanted(config):
        return _guided(make(config, ()), config.style_weights)
    return make(config, config.style_weights)


def _guided(one: Style, weights) -> Style:
    """The mean of the losses of styles, of which each has statistics of its own places.

    Its `statistics` are a list, one for each of the last axis of weights f32[B, h, w, S].
    """

    def statistics(features, weights):
        return [one.statistics(features, weights[..., i : i + 1]) for i in range(weights.shape[-1])]

    def loss(found, targets):
        mix = shares(weights, len(targets))
        each = [one.loss(x, target) for x, target in zip(found, targets, strict=True)]
        return sum(share * value for share, value in zip(mix, each, strict=True))

    return Style(statistics, lambda styles: [one.target(style) for style in styles], loss)


def network(config) -> tuple[FeatureNet, list[str]]:
    """The feature network of a config, and the layers that its losses compare.

    Raises:
      UserError: as `features.load`.
    """
    of = config.features
    layers = list(dict.fromkeys([*config.content_loss.layers, *config.style_loss.layers]))
    dtype = compute_type(config.precision)
    return features.load(of.name, layers, of.pool, dtype, of.input, of.border), layers


def make(
    config,
    net: FeatureNet,
    kind: Style | None = None,
    tile: int = 0,
    is_shared: bool = False,
    normalize: bool = False,
) -> Objective:
    """The objective of a style config.

    Several styles count by their `style_weights`.

    Args:
      kind: how styles are compared; None for what `style_loss.kind` says.
      tile: px of the sides of tiles that all pictures are computed in (`genjax.style.tiles`); 0 for
        pictures as a whole. The values are the same to rounding.
      is_shared: whether all devices share out the tiles of contents and pictures under way; those
        of styles are computed on one, before there is a state.
      normalize: whether the gradients of content and style losses are normalised
        (`genjax.style.gradients`), each by the features of its layer. The losses are the same.

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
    with_places(net, taps)
    kind = kind or _kind(config)
    variation = choose("tv_kind", config.tv_kind, losses.VARIATIONS)
    # Features times s make the content loss times s^2, and the style loss times s^4.
    content_scales = _scales(config, "content_loss")
    style_scales = _scales(config, "style_loss")
    content_weights = [scale**2 for scale in content_scales]
    style_weights = [
        weight * scale**4 for weight, scale in zip(layer_weights, style_scales, strict=True)
    ]
    # What normalised gradients are multiplied by; those by features times s are times s here.
    content_sizes = {
        layer: config.content_loss.weight * scale
        for layer, scale in zip(content_layers, content_scales, strict=True)
    }
    style_sizes = {
        layer: config.style_loss.weight * weight * scale
        for layer, weight, scale in zip(style_layers, layer_weights, style_scales, strict=True)
    }

    def seen(found, layer, sizes):
        return normalised(found[layer], sizes[layer]) if normalize else found[layer]

    def means(found, beside):
        """What the losses need of pictures: {name: {layer: means over its places}}."""
        masks = beside["masks"]
        return {
            "content": {
                layer: losses.mean_squared_error(seen(found, layer, content_sizes), x)
                for layer, x in beside["content"].items()
            },
            "style": {
                layer: kind.statistics(
                    seen(found, layer, style_sizes), *([masks[layer]] if masks else [])
                )
                for layer in style_layers
            },
        }

    def means_of(weights, pictures, layers, content, masks, is_shared):
        def apply(x):
            return net.apply(weights, x, layers)

        beside = {"content": content, "masks": masks or {}}
        if not tile:
            return means(apply(pictures), beside)
        fields = {layer: net.fields[layer] for layer in layers}
        return tiles.means(apply, means, pictures, beside, fields, tile, is_shared)

    def content_target(weights, contents):
        def apply(x):
            return net.apply(weights, x, content_layers)

        if not tile:
            return apply(contents)
        fields = {layer: net.fields[layer] for layer in content_layers}
        return tiles.features(apply, contents, fields, tile, is_shared)

    def style_target(weights, styles, masks=None):
        each = [
            means_of(weights, style, style_layers, {}, mask, False)["style"]
            for style, mask in zip(styles, masks or [None] * len(styles), strict=True)
        ]
        return {layer: kind.target([one[layer] for one in each]) for layer in style_layers}

    def pieces(weights, pictures, content, style, masks=None):
        found = means_of(weights, pictures, taps, content, masks, is_shared)
        content_loss = sum(
            weight * found["content"][layer]
            for layer, weight in zip(content_layers, content_weights, strict=True)
        )
        style_loss = sum(
            weight * kind.loss(found["style"][layer], style[layer])
            for layer, weight in zip(style_layers, style_weights, strict=True)
        )
        values = {
            "content": config.content_loss.weight * content_loss,
            "style": config.style_loss.weight * style_loss,
            "tv": config.tv_weight * variation(pictures),
        }
        return values | {"total": sum(values.values())}

    return Objective(content_target, style_target, pieces)


def with_places(net: FeatureNet, layers: Sequence[str]):
    """Raises UserError if features of a layer have no places in the picture."""
    if flat := [layer for layer in layers if layer in FLAT]:
        pictures = ", ".join(layer for layer in net.layers if layer not in FLAT)
        raise UserError(
            f"layer {flat[0]!r} has lost where in the picture its features were, so it can be"
            f" neither content nor style: use {pictures}"
        )


def _scales(config, loss: str) -> list[float]:
    """What the features of each layer of a loss are multiplied by: 1 where the network has the
    lineage that the losses' weights were published for, and one factor for a classifier's trunk; 1
    where the config has none, because they were published for torchvision's.

    Raises:
      UserError: the config has no scale for a layer.
    """
    layers = config[loss].layers
    if "scale" not in config[loss]:
        return [1.0] * len(layers)
    known = dict(config[loss].scale.items())
    kind, trunk_scale = config.features.name.partition(":")[0], config.features.trunk_scale
    if kind == "cnn":
        return [trunk_scale] * len(layers)
    if config.features.input == "caffe":
        return [1.0] * len(layers)
    return [choose(f"{loss}.scale of layer", layer, known) for layer in layers]
