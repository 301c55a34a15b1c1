"""The pictures of a style config: contents of one shape, styles, and starting points."""

import os
from collections.abc import Callable
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np

from genjax import config as config_lib
from genjax import images, rng
from genjax.cnn.vgg import IMAGENET_MEAN
from genjax.errors import UserError

FITS = ("same", "crop")


class Pictures(NamedTuple):
    """The pictures that a style run reads.

    Attributes:
      contents: u8[B, H, W, 3].
      styles: u8[1, h, w, 3] each.
      start: f32[B, H, W, 3] in [0, 1], where the optimisation starts.
    """

    contents: np.ndarray
    styles: list[np.ndarray]
    start: np.ndarray


def names(text: str) -> list[str]:
    """The pictures that a config value names: one, or several with commas between them."""
    if os.path.exists(text):  # a file's name may have a comma
        return [text]
    return [name.strip() for name in text.split(",") if name.strip()]


def load(config, read_picture: Callable[[str], list]) -> Pictures:
    """Reads, resizes and checks the pictures of a style config.

    Contents have `size` px on their longer side and styles `style_scale` times that.

    Raises:
      UserError: a picture is missing or unreadable, a size is impossible, or contents differ in
        shape.
    """
    if not 1 <= config.size <= config_lib.LARGEST_SIDE:
        raise UserError(f"size={config.size} has to be from 1 to {config_lib.LARGEST_SIDE} px")
    if not 1 <= config.size * config.style_scale <= config_lib.LARGEST_SIDE:
        raise UserError(
            f"style_scale={config.style_scale} makes styles of {config.size * config.style_scale:g}"
            f" px: it has to be from 1 to {config_lib.LARGEST_SIDE}"
        )

    def read_all(key: str, size: float) -> list[np.ndarray]:
        text = config[key]
        if not names(text):
            raise UserError(f"{key} is not set: give a path or a built-in name, --config.{key}=…")
        return [images.fit(p, round(size)) for name in names(text) for p in read_picture(name)]

    contents = _same_shape(read_all("content", config.size), config.content_fit)
    styles = read_all("style", config.size * config.style_scale)
    start = _start(config, contents, read_picture)
    return Pictures(contents, [style[None] for style in styles], start)


def shares(weights, n: int) -> np.ndarray:
    """The share of each of `n` styles, f32[n] with sum 1; equal shares without `weights`.

    Raises:
      UserError: there are fewer or more weights than styles, or one is negative, or all are 0.
    """
    try:
        weights = np.array(weights or [1.0] * n, np.float32)
    except ValueError:
        raise UserError(f"style_weights={weights} are not numbers") from None
    if len(weights) != n:
        raise UserError(
            f"{n} styles but {len(weights)} style_weights: give as many, "
            f"--config.style_weights={','.join(['1.0'] * n)}"
        )
    if not (weights.min() >= 0 and weights.sum() > 0):  # also true of NaN
        raise UserError(f"style_weights={weights.tolist()} must not be negative, nor all 0")
    return weights / weights.sum()


def _same_shape(contents: list[np.ndarray], fit: str) -> np.ndarray:
    """Stacks pictures into u8[B, H, W, 3]; "crop" cuts the later ones to the first one's shape."""
    config_lib.choose("content_fit", fit, dict.fromkeys(FITS))
    height, width = contents[0].shape[:2]
    shapes = sorted({f"{c.shape[1]}x{c.shape[0]}" for c in contents})
    if len(shapes) > 1 and fit == "same":
        raise UserError(
            f"contents of one run need one shape, but these are {', '.join(shapes)}: "
            "use --config.content_fit=crop, or a run each"
        )
    return np.stack([_cover(c, height, width) for c in contents])


def _cover(image: np.ndarray, height: int, width: int) -> np.ndarray:
    """Resizes u8[h, w, 3] to cover height x width, and cuts out the middle u8[height, width, 3]."""
    h, w = image.shape[:2]
    scale = max(height / h, width / w)
    image = images.resize(image, max(height, round(h * scale)), max(width, round(w * scale)))
    top, left = (image.shape[0] - height) // 2, (image.shape[1] - width) // 2
    return image[top : top + height, left : left + width]


def _start(config, contents: np.ndarray, read_picture) -> np.ndarray:
    init = config.init
    if init == "content":
        return np.asarray(images.to_float(jnp.asarray(contents), low=0))
    if init == "noise":
        key = rng.stream(config.seed, rng.Stream.NOISE)
        noise = rng.normal(key, len(contents), contents.shape[1:])
        return np.asarray(jnp.array(IMAGENET_MEAN)[None, None, None] + config.init_noise * noise)
    (picture, *_) = read_picture(init)
    picture = images.resize(picture, *contents.shape[1:3])
    return np.repeat(images.to_float(jnp.asarray(picture), low=0)[None], len(contents), axis=0)
