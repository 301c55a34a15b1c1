"""The pictures of a style config: contents of one shape, styles, and starting points."""

import itertools
from collections.abc import Callable, Iterator
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np

from genjax import config as config_lib
from genjax import images, rng
from genjax.cnn.vgg import IMAGENET_MEAN
from genjax.errors import UserError
from genjax.ranges import LARGEST_SIDE
from genjax.style import colours, pairs
from genjax.style.sources import names

FITS = ("same", "crop", "own")
_SHAPES_SHOWN = 4


class Pictures(NamedTuple):
    """The pictures that a style run reads.

    Attributes:
      contents: u8[B, H, W, 3], as they are compared (`colours.prepared`).
      styles: u8[1, h, w, 3] each, likewise.
      coloured: u8[B, H, W, 3], the contents as they were read.
      start: f32[B, H, W, 3] in [0, 1], where the optimisation starts.
      painted: u8[1, h, w, 3] each, the styles as they were read.
      style: i32[B], which style each picture has (`pairs.numbers`); its content is there as often
        as there are styles. None where all have all of them.
    """

    contents: np.ndarray
    styles: list[np.ndarray]
    coloured: np.ndarray
    start: np.ndarray
    painted: list[np.ndarray]
    style: np.ndarray | None


def load(
    config,
    read_picture: Callable[[str], list],
    size: int | None = None,
    number: int | None = None,
) -> Pictures:
    """The pictures of a style config: as `read`, with the colours that it asks for, and a start.

    Args:
      size: px on the contents' longer side, 0 for their own; None for the config's.
      number: of the only content to read, from 0 on; None for all.

    Raises:
      UserError: as `read` and `pairs.numbers`, or there is no such `color`.
    """
    coloured, painted = read(config, read_picture, size, config.style_enlarge, number)
    contents, styles = colours.prepared(config.color, coloured, painted)
    style = pairs.numbers(config, len(contents), len(styles))
    if style is not None:
        contents, coloured = (np.repeat(x, len(styles), axis=0) for x in (contents, coloured))
    begun = start(config, contents, read_picture)
    return Pictures(contents, styles, coloured, begun, painted, style)


def read(
    config,
    read_picture: Callable[[str], list],
    size: int | None = None,
    enlarge: bool = True,
    number: int | None = None,
) -> tuple[np.ndarray, list[np.ndarray]]:
    """Reads, resizes and checks contents u8[B, H, W, 3] and styles u8[1, h, w, 3] each.

    Contents have `size` px on their longer side, or their own size with 0. Styles have
    `style_scale` times that of the first content.

    Args:
      size, number: as of `load`.
      enlarge: whether styles that are smaller are enlarged, too, or stay as they are.

    Raises:
      UserError: a picture is missing or unreadable, a size is impossible, or contents differ in
        shape.
    """
    if not 0 <= config.size <= LARGEST_SIDE:
        raise UserError(
            f"size={config.size} has to be from 1 to {LARGEST_SIDE} px, or 0 for the content's own"
            " size"
        )
    if config.size:  # before anything is read; no scale has larger styles
        style_side(config, config.size)
    if size is None:
        size = config.size

    def read_all(key: str, side: int, enlarge: bool, number=None) -> list[np.ndarray]:
        read = named(config, key, read_picture)
        if number is not None:
            read = itertools.islice(read, number, number + 1)
        if not side:
            return list(read)
        return [images.fit(x, side if enlarge else min(side, max(x.shape[:2]))) for x in read]

    contents = _same_shape(read_all("content", size, True, number), config.content_fit)
    side = style_side(config, size or _side(contents[0]))
    return contents, [style[None] for style in read_all("style", side, enlarge)]


def count(config, read_picture: Callable[[str], list]) -> int:
    """How many contents there are.

    Raises:
      UserError: there is none, or one is missing or unreadable.
    """
    return sum(1 for _ in named(config, "content", read_picture))


def own_side(config, read_picture: Callable[[str], list], number: int = 0) -> int:
    """The longer side of a content as it is, px.

    Raises:
      UserError: there is none, or it is too large.
    """
    return _side(next(itertools.islice(named(config, "content", read_picture), number, None)))


def _side(content: np.ndarray) -> int:
    height, width = content.shape[:2]
    if max(height, width) > LARGEST_SIDE:
        raise UserError(f"size=0 keeps {width} x {height} px: set a size, at most {LARGEST_SIDE}")
    return max(height, width)


def _names(config, key: str) -> list[str]:
    """The pictures that a key of the config names, one at least."""
    if not (found := names(config[key])):
        raise UserError(f"{key} is not set: give a path or a built-in name, --config.{key}=…")
    return found


def named(config, key: str, read_picture: Callable[[str], list]) -> Iterator[np.ndarray]:
    """The pictures u8[h, w, 3] that a key of a config names, at their own sizes, one by one.

    Raises:
      UserError: it names none, or one is missing or unreadable.
    """
    return (picture for name in _names(config, key) for picture in read_picture(name))


def style_side(config, content_side: int) -> int:
    """The longer side of the styles, in px, of contents with that longer side.

    Raises:
      UserError: it is impossible.
    """
    side = content_side * config.style_scale
    if not 1 <= side <= LARGEST_SIDE:
        raise UserError(
            f"style_scale={config.style_scale} makes styles of {side:g} px: it has to be from 1 to"
            f" {LARGEST_SIDE}"
        )
    return round(side)


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
    if len(contents) > 1 and fit == "own":
        raise UserError(
            "content_fit='own' paints one content after the other, which this preset does not: use"
            " --config.content_fit=crop"
        )
    if len(shapes) > 1 and fit == "same":
        more = f" and {len(shapes) - _SHAPES_SHOWN} others" if len(shapes) > _SHAPES_SHOWN else ""
        raise UserError(
            "contents of one run need one shape, but these are"
            f" {', '.join(shapes[:_SHAPES_SHOWN])}{more}: "
            "use --config.content_fit=crop, or a run each"
        )
    return np.stack([cover(c, height, width) for c in contents])


def cover(image: np.ndarray, height: int, width: int, by: str = "lanczos") -> np.ndarray:
    """Resizes u8[h, w, C] to cover height x width, and cuts out the middle u8[height, width, C].

    Args:
      by: as of `images.resize`.
    """
    h, w = image.shape[:2]
    scale = max(height / h, width / w)
    image = images.resize(image, max(height, round(h * scale)), max(width, round(w * scale)), by)
    top, left = (image.shape[0] - height) // 2, (image.shape[1] - width) // 2
    return image[top : top + height, left : left + width]


def start(config, contents: np.ndarray, read_picture: Callable[[str], list]) -> np.ndarray:
    """f32[B, H, W, 3], where the optimisation of contents u8[B, H, W, 3] starts: `init`."""
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
