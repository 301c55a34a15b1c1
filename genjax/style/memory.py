"""What a style run needs of memory, known before it starts; the tiles that make it fit.

Nearly all of it is the features of the network at the picture's full size, which are kept from the
pass forward to the pass backward: a run of tiles has those of one tile's window at a time.
"""

import math
from typing import NamedTuple

import jax
import jax.numpy as jnp

from genjax.cnn.features import FeatureNet
from genjax.devices import host
from genjax.errors import UserError
from genjax.style import tiles

# Bytes for each byte of features from the first layer to the last one that is compared. XLA says
# what a compiled step takes (`memory_analysis`): with VGG16 to relu5_1 and preset=wasserstein 374
# MB at 256 px and 1001 MB at 512 px on a CPU, where features are 70 and 279 MB: three times as
# much, and 165 MB besides. Of preset=gatys it is 1023 MB at 512 px; of 512 px in tiles of 128 px
# (windows of 256 px) 413 MB.
_STEP = 3.1
# Bytes for each byte of a picture (f32, 12 bytes a px), and for each array of it that an optimiser
# keeps: what is read, what is written, and the pictures that go in and out.
_PICTURE, _KEPT = 12.0, 2.0
# A process with its libraries, compiled programs and the network's weights (1.1 GB was measured
# where pictures are small).
_PROCESS = 1.2e9

# What `tile=auto` keeps to: bytes on a CPU, whatever there is, so that a run has the same tiles
# tomorrow; and where the pictures take that already, bytes for features, as smaller tiles are all
# halo. It never takes more than a share of what is free.
_CPU, _CPU_FEATURES, _SHARE = 2.7e9, 0.6e9, 0.7

_NEEDS_NO_MORE = 0.9  # of what is free: above that, a run does not begin


class Needs(NamedTuple):
    """A run's pictures as far as memory goes.

    Attributes:
      net, layers: of the features.
      shapes: (height, width) in px of the contents and of each style.
      count: pictures that are optimised at the same time.
      kept: arrays of a picture's size that its optimiser keeps.
      itemsize: bytes of a feature's number.
      whole, tiled: devices of one memory that each hold the pictures and the features of a window,
        without tiles and with tiles: several, where they share out tiles (`genjax.devices.shared`).
    """

    net: FeatureNet
    layers: tuple[str, ...]
    shapes: tuple[tuple[int, int], ...]
    count: int
    kept: int
    itemsize: int
    whole: int = 1
    tiled: int = 1

    @property
    def fields(self) -> list:
        return [self.net.fields[layer] for layer in self.layers]

    def bytes(self, tile: int) -> float:
        """Bytes at the run's peak, all of the process, with tiles of `tile` px; 0 for none."""
        devices = self.tiled if tile else self.whole
        features = _STEP * self.itemsize * self._features(tile)
        return _PROCESS + devices * (self._pictures + features)

    @property
    def fixed(self) -> float:
        """Bytes that no tile makes fewer: of the process, the pictures and their optimisers."""
        return _PROCESS + self.tiled * self._pictures

    @property
    def _pictures(self) -> float:
        height, width = self.shapes[0]
        return 12 * height * width * (_PICTURE + _KEPT * self.kept) * self.count

    def _features(self, tile: int) -> float:
        """Numbers in the features of the largest window, of all layers up to the last compared."""
        deepest = max(map(self.net.layers.index, self.layers))
        tables = [self.net.fields[layer] for layer in self.net.layers[: deepest + 1]]
        window = max(math.prod(self._sides(shape, tile)) for shape in self.shapes)
        return window * sum(field.channels / field.stride**2 for field in tables)

    def _sides(self, shape: tuple[int, int], tile: int) -> tuple[int, ...]:
        if not tile:
            return shape
        return tuple(tiles.cut(side, tile, self.fields).side for side in shape)


def tile_of(text: str, kind: str, needs: Needs) -> int:
    """The tile in px that a config's `tile` asks for; 0 for pictures as a whole.

    Args:
      text: "0", a number of px, or "auto": whole if that keeps to a few GB, or else the largest
        tile that does.
      kind: `style_loss.kind`.

    Raises:
      UserError: it is none of these, the losses or the network cannot be tiled, or the run would
        need more memory than is free; if tiles need less, which.
    """
    if text != "auto" and not text.isdecimal():
        raise UserError(f"tile={text!r} has to be 0, auto or a number of px, such as 512")
    if text == "0" and not needs.net.fields:
        return 0  # a small classifier, of which nobody measured what it takes
    hindrance = _hindrance(kind, needs)
    if text != "0" and hindrance:
        raise UserError(f"tile={text} is not possible with {hindrance}: use --config.tile=0")
    free = _free()
    tile = _largest(needs, free) if text == "auto" else _checked(int(text), needs)
    if needs.bytes(tile) > _NEEDS_NO_MORE * free:
        raise UserError(_too_large(needs, tile, free, bool(hindrance)))
    return tile


def _hindrance(kind: str, needs: Needs) -> str:
    """What keeps a run from being tiled; "" for nothing."""
    if kind == "nearest":
        return "style_loss.kind='nearest', which compares all places of a picture with each other"
    return "" if needs.net.fields else "the trunk of a classifier as feature network"


def _checked(tile: int, needs: Needs) -> int:
    step = tiles.grain(needs.fields) if tile else 1
    if tile % step:
        near = max(step, tile // step * step)
        raise UserError(
            f"tile={tile} has to be a multiple of {step} px, from one feature of the deepest layer"
            f" to the next: use --config.tile={near}"
        )
    return tile


def _largest(needs: Needs, free: float) -> int:
    """The largest tile that keeps to what `auto` may take; 0 if the whole picture does."""
    most = _SHARE * free
    if jax.default_backend() == "cpu":
        most = min(most, max(_CPU, needs.fixed + _CPU_FEATURES))
    step, longest = tiles.grain(needs.fields), max(map(max, needs.shapes))
    smallest = _smallest(needs)
    counts = range(2, max(2, longest // smallest) + 1)
    sizes = [0, *(-(-longest // (n * step)) * step for n in counts)]
    return next((tile for tile in sizes if needs.bytes(tile) <= most), smallest)


def _smallest(needs: Needs) -> int:
    """A tile as wide as its halo: a smaller one takes hardly less memory, and far longer."""
    return tiles.halo(needs.fields)


def _too_large(needs: Needs, tile: int, free: float, whole_only: bool) -> str:
    height, width = needs.shapes[0]
    several = f"{needs.count} pictures" if needs.count > 1 else "a picture"
    with_tiles = f" with tile={tile}" if tile else ""
    problem = (
        f"{several} of {width} x {height} px{with_tiles} would take about {_gb(needs.bytes(tile))},"
        f" and {_gb(free)} are free"
    )
    if not whole_only:
        best = _largest(needs, free)
        if best and best != tile and needs.bytes(best) <= _NEEDS_NO_MORE * free:
            return f"{problem}: use --config.tile=auto ({best} px, {_gb(needs.bytes(best))})"
    return f"{problem}: use a smaller size" + (" or fewer pictures" if needs.count > 1 else "")


def _gb(number: float) -> str:
    return f"{number / 1e9:.1f} GB"


def _free() -> float:
    """Bytes that are free where pictures are computed."""
    (device,) = jnp.zeros(()).devices()  # the one that arrays are put on
    found = device.memory_stats() or {}
    if "bytes_limit" in found:
        return found["bytes_limit"] - found.get("bytes_in_use", 0)
    return host.free_memory()
