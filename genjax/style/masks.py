"""Where each style goes in a picture, and which part of its own picture a style is.

Gatys et al. 2017 (arXiv:1611.07865), "guided Gram matrices": a layer's features are multiplied by a
guidance channel T of their resolution, whose squares sum to 1, and the Gram matrix is that of the
products: sum over places n of T[n]² F[n] F[n]ᵀ. Here T² is the mask, so that a place of half a
share counts half, in means as well as in second moments. Whatever a mask's size, a style's
statistics are then those of its own region, and count by the style's weight.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from genjax import images
from genjax.cnn.features import FeatureNet
from genjax.errors import UserError
from genjax.style import inputs
from genjax.style.sources import names

_SAME_ASPECT = 0.01  # of a side, or one pixel: so much do a mask and its picture differ


class Guides(NamedTuple):
    """The shares of styles at each pixel, from 0 to 255.

    Attributes:
      contents: u8[B, H, W, S], of each content and style.
      styles: u8[1, h, w, 1] each, of the styles' own pictures.
    """

    contents: np.ndarray
    styles: list[np.ndarray]


def wanted(config) -> bool:
    """Whether a style config has masks; those of clips know none."""
    masks = config.get("masks", {})
    return any([masks[key] for key in masks])


def load(config, read_picture: Callable[[str], list], pictures) -> Guides | None:
    """The masks of a style config, as large as its pictures; None without any.

    `masks.content` has one for each style, white where it is to be painted; or as many for each
    content, those of the first content first. `masks.labels` has one map instead, or one for each
    content, with a colour for each style: the darkest is the first one's region. `masks.style` has
    a mask for each style's own picture. What is not given is white.

    Args:
      pictures: an `inputs.Pictures`.

    Raises:
      UserError: there are fewer or more masks or colours than styles, one is black or of another
        aspect than its picture, is missing or unreadable; or a run of all pairs has masks.
    """
    if not wanted(config):
        return None
    if config.pairs == "each":
        raise UserError(
            "masks share a picture out among styles, and pairs='each' paints each by itself: leave"
            " masks, or use --config.pairs=blend"
        )
    keys, count = config.masks, len(pictures.styles)
    if config.content_fit == "own" and (keys.content or keys.labels):
        raise UserError(
            "masks of contents are for contents of one shape: use --config.content_fit=crop, or a"
            " run for each content"
        )
    if keys.content and keys.labels:
        raise UserError("masks.content and masks.labels both say where styles go: leave one out")
    shape = pictures.contents.shape[:3]
    if keys.labels:
        masks, key = _regions(_read(keys.labels, read_picture), shape[0], count), "masks.labels"
    else:
        masks, key = _read(keys.content, read_picture), "masks.content"
    contents = np.full((*shape, count), 255, np.uint8)
    if masks:
        _check(key, len(masks), count, shape[0])
        cut = config.content_fit == "crop"
        for i, j in np.ndindex(shape[0], count):
            mask = masks[(i * count + j) % len(masks)]
            contents[i, ..., j] = _fitted(mask, shape[1:], key, j, cut)[..., 0]
    styles = [np.full((*x.shape[:3], 1), 255, np.uint8) for x in pictures.styles]
    if masks := _read(keys.style, read_picture):
        _check("masks.style", len(masks), count, 1)
        styles = [
            _fitted(mask, style.shape[1:3], "masks.style", j, False)[None]
            for j, (mask, style) in enumerate(zip(masks, pictures.styles, strict=True))
        ]
    return Guides(contents, styles)


def at_layers(
    net: FeatureNet, layers: Sequence[str], shares: np.ndarray
) -> Mapping[str, np.ndarray]:
    """{layer: f32[B, h, w, S]}: how much each place of a layer counts for a style, 1 in the mean.

    A place counts by the mean share of the pixels that it stands over, and not by what else it
    sees.

    Args:
      shares: u8[B, H, W, S], not all 0 for any style.
    """
    one = jax.ShapeDtypeStruct((1, *shares.shape[1:3], 3), jnp.float32)
    found = jax.eval_shape(partial(net.apply, taps=tuple(layers)), net.weights, one)

    def at(height: int, width: int) -> np.ndarray:
        share = _averaged(_averaged(shares / 255, height, 1), width, 2)
        return np.float32(share / share.mean(axis=(1, 2), keepdims=True))

    return {layer: at(*found[layer].shape[1:3]) for layer in layers}


def _averaged(x: np.ndarray, n: int, axis: int) -> np.ndarray:
    """An axis as `n` means of equal parts; the last has what is left where sides are halved."""
    size = x.shape[axis]
    halvings = (2**k for k in range(size.bit_length() + 1))
    part = next((stride for stride in halvings if -(-size // stride) == n), size / n)
    begins = (np.arange(n) * part).astype(int)
    shape = [-1 if i == axis else 1 for i in range(x.ndim)]
    return np.add.reduceat(x, begins, axis) / np.diff([*begins, size]).reshape(shape)


def _read(text: str, read_picture) -> list[np.ndarray]:
    """The pictures that a text names, u8[h, w, 3] each; none of "" alone."""
    return [picture for name in names(text) for picture in read_picture(name)]


def _check(key: str, found: int, styles: int, contents: int) -> None:
    if found not in (styles, styles * contents):
        most = f", or {styles * contents} for {contents} contents" if contents > 1 else ""
        raise UserError(f"{key} has {found} masks for {styles} styles: give {styles}{most}")


def _regions(maps: list[np.ndarray], contents: int, styles: int) -> list[np.ndarray]:
    """A mask u8[h, w, 3] of each colour of each map, from the darkest; of equally dark ones, that
    with less red, green, then blue is first."""
    if len(maps) not in (1, contents):
        most = f", or {contents} for {contents} contents" if contents > 1 else ""
        raise UserError(f"masks.labels has {len(maps)} maps: give 1{most}")
    masks = []
    for labels in maps:
        red, green, blue = np.moveaxis(labels.astype(np.int64), -1, 0)
        dark = images.to_channels(labels, 1)[..., 0].astype(np.int64)
        number = ((dark * 256 + red) * 256 + green) * 256 + blue
        colours = np.unique(number)
        if len(colours) != styles:
            raise UserError(
                f"masks.labels has a map of {len(colours)} colours, and there are {styles} styles:"
                " give one of as many, as PNG and without soft edges"
            )
        masks += [np.uint8(255 * (number == colour))[..., None].repeat(3, -1) for colour in colours]
    return masks


def _fitted(mask: np.ndarray, shape, key: str, style: int, cut: bool) -> np.ndarray:
    """A mask u8[h, w, 3] as u8[height, width, 1]; `cut` for its middle, whatever its aspect."""
    (h, w), (height, width) = mask.shape[:2], shape
    scale = max(height, width) / max(h, w)
    fits = all(abs(a * scale - b) <= max(1, _SAME_ASPECT * b) for a, b in ((h, height), (w, width)))
    if not fits and not cut:
        raise UserError(
            f"{key}: a mask of {w} x {h} px does not fit a picture of {width} x {height} px: give"
            " one of the picture's aspect"
        )
    mask = images.to_channels(mask, 1)
    resize = inputs.cover if cut else images.resize
    resized = resize(mask, height, width, by="box")
    if not resized.any():
        raise UserError(
            f"{key}: the mask of style {style + 1} is black: make white where it is to be, or leave"
            " that style out"
        )
    return resized
