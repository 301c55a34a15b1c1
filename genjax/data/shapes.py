"""Sprites with known factors of variation: dSprites' factors and sizes, drawn here.

Matthey et al. 2017, github.com/google-deepmind/dsprites-dataset. Every combination of the factors
is a picture, and its index is the combination as a number: `FACTORS` in order, the last changes
fastest. Two things are not dSprites':

- The orientations are 40 equal steps of a turn, 2 pi k / 40. The published ones are 40 values from
  0 to 2 pi with both ends, so that the first and the last are one angle (its issue 7). Here none
  comes twice. A square is itself again after a quarter of a turn, 10 steps, and an ellipse after a
  half: only such pictures are equal, and of the 120 of a scale and a place 70 are different.
- The shapes are closed curves that have about equal areas, so that the number of white pixels does
  not tell them apart.
"""

import functools

import numpy as np

from genjax.data.dataset import Dataset, Factors, Split, Subset, conform, digest

# {factor: how many values it has}
FACTORS = {"shape": 3, "scale": 6, "orientation": 40, "x": 32, "y": 32}
SHAPES = ("square", "ellipse", "heart")
SIDE = 64  # pixels
COUNT = 737_280

_SIZES = tuple(FACTORS.values())
_POSES = _SIZES[:3]  # what makes a sprite, wherever it lies
_SCALES = np.linspace(0.5, 1, 6)

# Pixels from a sprite's middle to its last; with the 32 places a picture is full.
_REACH = 16

# In pixels, at the largest scale. No edge runs through the middle of a pixel (a test measures how
# near one comes), so that rounding decides nothing and the pictures are the same on any machine.
_HALF_SIDE = 11.2
_SEMI_AXES = 15.8, 10.1
_HEART = 11.7
_HEART_MIDDLE = 0.25  # of the smallest circle around the curve, in the curve's own unit

# Every so-manieth picture is held out. The number has no divisor in common with a factor's size, so
# that each value of each factor has its share.
_EVERY = 101


def shapes(config_data) -> Dataset:
    """737,280 sprites u8[64, 64, 1], 0 or 255; labels are their shapes.

    Every 101st picture, from number 50 on, is held out, whatever `data.test_fraction` says: 7,300,
    and 729,980 to train on. Nothing is stored: a picture is drawn as it is asked for.
    """
    whole = Sprites(config_data.size, config_data.channels)
    held = np.arange(COUNT) % _EVERY == _EVERY // 2
    train, test = (Subset(whole, np.flatnonzero(part)) for part in (~held, held))
    known = Factors(tuple(FACTORS), _SIZES, factors, whole)
    bits = digest("shapes", sprites(), np.flatnonzero(held))
    return Dataset("shapes", train, test, len(SHAPES), whole.shape, bits, SHAPES, factors=known)


def factors(index) -> np.ndarray:
    """i32[N, 5]: the value of each factor, in the order of `FACTORS`, of the pictures i64[N]."""
    return np.stack(np.unravel_index(index, _SIZES), axis=-1).astype(np.int32)


def draw(index) -> np.ndarray:
    """u8[N, 64, 64, 1], 0 or 255: the pictures i64[N]."""
    index = np.asarray(index)
    pictures = np.zeros((len(index), SIDE, SIDE, 1), np.uint8)
    for picture, i in zip(pictures, index.tolist(), strict=True):
        _place(picture, i)
    return pictures


class Sprites(Split):
    """All 737,280 pictures, in the order of their index."""

    decodes = False  # resizing takes some 50 us a picture, which threads would only wait for
    name = "shapes"

    def __init__(self, size: int, channels: int):
        self._size, self._channels = size, channels
        self.shape = (size or SIDE, size or SIDE, channels or 1)
        self.labels = np.repeat(np.arange(len(SHAPES), dtype=np.int32), COUNT // len(SHAPES))

    def __len__(self) -> int:
        return COUNT

    def __getitem__(self, i: int) -> dict:
        picture = np.zeros((SIDE, SIDE, 1), np.uint8)
        _place(picture, i)
        return {"image": conform(picture, self._size, self._channels), "label": self.labels[i]}


def _place(picture: np.ndarray, i: int) -> None:
    """Draws picture `i` on u8[64, 64, 1], which is black."""
    i, y = divmod(i, FACTORS["y"])
    pose, x = divmod(i, FACTORS["x"])
    side = 2 * _REACH + 1
    picture[y : y + side, x : x + side] = sprites()[pose]


@functools.cache
def sprites() -> np.ndarray:
    """u8[720, 33, 33, 1]: every shape, scale and orientation, its middle on the middle pixel."""
    return (255 * (edges() < 0)).astype(np.uint8)[..., None]


def edges() -> np.ndarray:
    """f64[720, 33, 33]: below 0 where the middle of a pixel lies inside a sprite's edge.

    Sprites turn counterclockwise. The heart is the curve (u² + v² - 1)³ = u² v³.
    """
    shape, scale, orientation = np.unravel_index(np.arange(np.prod(_POSES)), _POSES)
    angle = 2 * np.pi * orientation / FACTORS["orientation"]
    cos, sin, scale = (x[:, None, None] for x in (np.cos(angle), np.sin(angle), _SCALES[scale]))
    right = np.arange(-_REACH, _REACH + 1.0)
    up = -right[:, None]
    # The pixel as the sprite has it, before it was made smaller and turned.
    u = (cos * right + sin * up) / scale
    v = (cos * up - sin * right) / scale
    a, b = _SEMI_AXES
    u_heart, v_heart = u / _HEART, v / _HEART + _HEART_MIDDLE
    of_each = (
        np.maximum(abs(u), abs(v)) / _HALF_SIDE - 1,
        (u / a) ** 2 + (v / b) ** 2 - 1,
        (u_heart**2 + v_heart**2 - 1) ** 3 - u_heart**2 * v_heart**3,
    )
    return np.choose(shape[:, None, None], of_each)
