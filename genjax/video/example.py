"""A built-in clip whose motion is known: a round portrait passes before a table with coffee.

The camera goes over the photograph `coffee` and nearer to it, and a disc cut out of `astronaut`
crosses the picture on a curve.
"""

from typing import NamedTuple

import numpy as np
from scipy.ndimage import map_coordinates

from genjax import images

NAME = "example"  # where a clip is asked for
LENGTH, SIDE = 24, 384  # frames, and px of their longer side

_FACE = (slice(50, 210), slice(145, 305))  # of the photograph `astronaut`
_ROOM = 1.25  # the table's sides in multiples of the frame's


class Example(NamedTuple):
    """The clip with so many frames, and so many px on their longer side; 3 : 2."""

    length: int = LENGTH
    side: int = SIDE

    @property
    def shape(self) -> tuple[int, int]:
        """(height, width) of a frame."""
        return round(self.side * 2 / 3), self.side

    def frames(self) -> np.ndarray:
        """u8[length, H, W, 3]."""
        height, width = self.shape
        table = images.resize(images.load("coffee"), round(_ROOM * height), round(_ROOM * width))
        face = images.resize(images.load("astronaut")[_FACE], *[2 * round(self._radius)] * 2)
        found = []
        for i in range(self.length):
            to_disc = self._pixels() - self._disc(i)
            behind = _at(table, self._on_table(i, self._pixels()))
            before = _at(face, to_disc + (len(face) - 1) / 2)
            share = np.clip(self._radius + 0.5 - np.hypot(*np.moveaxis(to_disc, -1, 0)), 0, 1)
            found.append(behind + share[..., None] * (before - behind))
        return np.rint(np.clip(found, 0, 255)).astype(np.uint8)

    def flow(self, i: int, j: int) -> np.ndarray:
        """f32[H, W, 2]: the true flow from frame i to frame j (`video.flow`)."""
        here = self._pixels()
        zoom, middle = self._camera(j)
        there = self._middle + (self._on_table(i, here) - middle) / zoom
        moved = np.where(self.is_disc(i)[..., None], self._disc(j) - self._disc(i), there - here)
        return moved.astype(np.float32)

    def is_disc(self, i: int) -> np.ndarray:
        """bool[H, W]: which pixels of frame i show the disc."""
        return np.hypot(*np.moveaxis(self._pixels() - self._disc(i), -1, 0)) <= self._radius

    @property
    def _radius(self) -> float:
        return 0.16 * self.shape[0]

    @property
    def _middle(self) -> np.ndarray:
        height, width = self.shape
        return np.array([width - 1, height - 1]) / 2

    def _pixels(self) -> np.ndarray:
        """f64[H, W, 2]: (x, y) of each pixel."""
        height, width = self.shape
        return np.stack(np.meshgrid(np.arange(width), np.arange(height)), axis=-1).astype(float)

    def _share(self, i: int) -> float:
        return i / max(self.length - 1, 1)

    def _camera(self, i: int) -> tuple[float, np.ndarray]:
        """How many px of the table a px of frame i is, and what of it the frame's middle shows."""
        height, width = self.shape
        t = self._share(i)
        return 1 - 0.12 * t, np.array([(0.52 + 0.2 * t) * width, (0.65 - 0.1 * t) * height])

    def _on_table(self, i: int, pixels: np.ndarray) -> np.ndarray:
        zoom, middle = self._camera(i)
        return middle + zoom * (pixels - self._middle)

    def _disc(self, i: int) -> np.ndarray:
        """(x, y) of the disc's middle in frame i."""
        height, width = self.shape
        t = self._share(i)
        return np.array([(0.15 + 0.7 * t) * width, (0.4 + 0.15 * np.sin(np.pi * t)) * height])


def _at(picture: np.ndarray, places: np.ndarray) -> np.ndarray:
    """f64[H, W, 3]: u8[h, w, 3] at places f64[H, W, 2], (x, y); cubic, its border outside."""
    x, y = np.moveaxis(places, -1, 0)
    bands = np.moveaxis(picture.astype(float), -1, 0)
    return np.stack([map_coordinates(b, [y, x], order=3, mode="nearest") for b in bands], axis=-1)
