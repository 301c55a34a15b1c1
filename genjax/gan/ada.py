"""ADA's augmentations: Karras et al. 2020 (arXiv:2006.06676), appendix B.

As in NVlabs/stylegan2-ada-pytorch, training/augment.py. Each transform happens to an image with a
probability p times its group's factor, by itself; `adaptive.py` steers p. Their random numbers are
given, so that what is done is a function of them:

  gate: f32[B] each, uniform in [0, 1): whether a transform happens to an image;
  uniform: f32[B] each, in [0, 1); normal: f32[B] each, N(0, 1): by how much;
  noise: f32[B, H, W, C], N(0, 1); only if it is added.
"""

from collections.abc import Mapping

import jax
import jax.numpy as jnp
import numpy as np

from genjax import rng
from genjax.gan import wavelets

_BANDS = ("band0", "band1", "band2", "band3")

# {group: its transforms}, in the order in which the groups are applied.
GROUPS = {
    "blit": ("flip", "quarter", "shift"),
    "geometry": ("scale", "rotate_before", "stretch", "rotate_after", "move"),
    "color": ("brightness", "contrast", "luma", "hue", "saturation"),
    "filter": _BANDS,
    "noise": ("noise",),
    "cutout": ("cutout",),
}
GATES = tuple(name for names in GROUPS.values() for name in names)
UNIFORM = (
    *("flip", "quarter", "shift_x", "shift_y", "rotate_before", "rotate_after"),
    *("luma", "hue", "cutout_x", "cutout_y"),
)
NORMAL = (
    *("scale", "stretch", "move_x", "move_y", "brightness", "contrast", "saturation"),
    *(*_BANDS, "noise"),
)

_POWERS = np.array([[10, 1, 1, 1]], np.float32) / 13  # of the bands of natural images
_GREY = np.full(3, 1 / np.sqrt(3))  # the axis of colours that have no hue
_EYE = np.eye(3, dtype=np.float32)[None]
_HIGHEST = jax.lax.Precision.HIGHEST


def draw(key, examples, shape: tuple[int, int, int], noise: bool, axis_name: str | None = None):
    """The random numbers of images of `shape` (H, W, C); `examples` as of `rng.example_keys`."""
    keys = jax.random.split(key, 3)
    u = rng.uniform(keys[0], examples, (len(GATES) + len(UNIFORM),), axis_name)
    n = rng.normal(keys[1], examples, (len(NORMAL),), axis_name)
    gates, uniform = u[:, : len(GATES)], u[:, len(GATES) :]
    numbers = {
        "gate": dict(zip(GATES, gates.T, strict=True)),
        "uniform": dict(zip(UNIFORM, uniform.T, strict=True)),
        "normal": dict(zip(NORMAL, n.T, strict=True)),
    }
    if noise:
        numbers["noise"] = rng.normal(keys[2], examples, shape, axis_name)
    return numbers


def apply(images, numbers, p, factors: Mapping[str, float]):
    """Images f32[B, S, S, C] in [-1, 1], C in {1, 3}, as their random numbers change them.

    Args:
      numbers: of `draw`.
      p: f32[], the probability of each transform of a group with the factor 1.
      factors: {group: of its probability}; groups that are not named are left out.
    """
    group_of = {name: group for group, names in GROUPS.items() for name in names}

    def happens(name):
        chance = p * factors.get(group_of[name], 0.0)
        if name.startswith("rotate"):  # of which there are two, of which one at least with chance
            chance = 1 - jnp.sqrt(1 - jnp.clip(chance, 0, 1))
        return numbers["gate"][name] < chance

    if {"blit", "geometry"} & factors.keys():
        images = resampled(images, inverse_map(numbers, happens, images.shape[1]))
    if "color" in factors:
        images = recoloured(images, colour_map(numbers, happens, images.shape[-1]))
    if "filter" in factors:
        images = _louder(images, _gains(numbers, happens))
    if "noise" in factors:
        sigma = jnp.where(happens("noise"), jnp.abs(numbers["normal"]["noise"]) * 0.1, 0)
        images = images + sigma[:, None, None, None] * numbers["noise"]
    if "cutout" in factors:
        images = _cut(images, numbers["uniform"], happens("cutout"))
    return images


def inverse_map(numbers, happens, size: int):
    """f32[B, 3, 3]: where (x, y, 1) of the result, in px from the middle, comes from."""
    u, n = numbers["uniform"], numbers["normal"]

    def where(name, value, otherwise=0.0):
        return jnp.where(happens(name), value, otherwise)

    def turn(name):
        return _rotation(where(name, (2 * u[name] - 1) * jnp.pi))

    mirror = 1 - 2 * where("flip", jnp.floor(2 * u["flip"]))
    quarter = where("quarter", jnp.floor(4 * u["quarter"]))
    by = [jnp.round((2 * u[f"shift_{axis}"] - 1) * 0.125 * size) for axis in "xy"]
    scale = jnp.exp2(where("scale", 0.2 * n["scale"]))
    stretch = jnp.exp2(where("stretch", 0.2 * n["stretch"]))
    part = [where("move", 0.125 * size * n[f"move_{axis}"]) for axis in "xy"]
    maps = (
        _scaling(mirror, jnp.ones_like(mirror)),
        _rotation(jnp.pi / 2 * quarter),
        _translation(*(-where("shift", x) for x in by)),
        _scaling(1 / scale, 1 / scale),
        turn("rotate_before"),
        _scaling(1 / stretch, stretch),
        turn("rotate_after"),
        _translation(*(-x for x in part)),
    )
    result = maps[0]
    for each in maps[1:]:
        result = _product(result, each)
    return result


def resampled(images, inverse):
    """Images whose pixels come from the places that `inverse` f32[B, 3, 3] says, without aliasing.

    At twice the size, where the picture goes on reflected by its size less a pixel, and black
    beyond, pixels are taken between their four neighbours; then back.
    """
    batch, size, _, channels = images.shape
    up, down = wavelets.up(size), wavelets.down(size)
    wide, narrow = len(up), down.shape[1]
    large = jnp.einsum("ih,bhwc,jw->bijc", up, images, up, precision=_HIGHEST)
    # (o + 1/2) / 2 is a place in px of the image, from its middle, of a place o at twice the size.
    line = (jnp.arange(narrow) + 1 - narrow / 2) / 2
    place = jnp.stack([*jnp.meshgrid(line, line), jnp.ones((narrow, narrow))]).reshape(3, -1)
    found = 2 * jnp.einsum("bij,jn->bin", inverse[:, :2], place, precision=_HIGHEST)
    x, y = (found[:, i] + wide / 2 - 1 for i in (0, 1))
    left, top = jnp.floor(x), jnp.floor(y)
    flat, taken = large.reshape(batch, wide * wide, channels), 0.0
    for row, of_row in ((top, top + 1 - y), (top + 1, y - top)):
        for column, of_column in ((left, left + 1 - x), (left + 1, x - left)):
            inside = (row >= 0) & (row < wide) & (column >= 0) & (column < wide)
            index = jnp.clip(row, 0, wide - 1) * wide + jnp.clip(column, 0, wide - 1)
            pixels = jnp.take_along_axis(flat, index.astype(jnp.int32)[..., None], axis=1)
            taken += jnp.where(inside, of_row * of_column, 0)[..., None] * pixels
    taken = taken.reshape(batch, narrow, narrow, channels)
    return jnp.einsum("ih,bhwc,jw->bijc", down, taken, down, precision=_HIGHEST)


def colour_map(numbers, happens, channels: int):
    """f32[B, 3, 4]: colours (r, g, b, 1) to colours. Grey pictures have no hue and saturation."""
    u, n = numbers["uniform"], numbers["normal"]
    brightness = jnp.where(happens("brightness"), 0.2 * n["brightness"], 0)
    contrast = jnp.where(happens("contrast"), jnp.exp2(0.5 * n["contrast"]), 1)
    flip = jnp.where(happens("luma"), jnp.floor(2 * u["luma"]), 0)
    along = np.outer(_GREY, _GREY)[None].astype(np.float32)
    beside = _EYE - along
    matrix = _EYE * contrast[:, None, None]
    offset = jnp.tile((brightness * contrast)[:, None], 3)
    steps = [_EYE - 2 * along * flip[:, None, None]]
    if channels > 1:
        angle = jnp.where(happens("hue"), (2 * u["hue"] - 1) * jnp.pi, 0)[:, None, None]
        across = (
            np.cross(_GREY, np.eye(3)).T[None].astype(np.float32)
        )  # v -> grey axis x v, as a matrix
        steps.append(along + jnp.cos(angle) * beside + jnp.sin(angle) * across)
        strength = jnp.where(happens("saturation"), jnp.exp2(n["saturation"]), 1)[:, None, None]
        steps.append(along + beside * strength)
    for step in steps:
        matrix = _product(step, matrix)
        offset = (step * offset[:, None, :]).sum(-1)
    return jnp.concatenate([matrix, offset[..., None]], axis=-1)


def recoloured(images, colours):
    """Images whose colours `colours` f32[B, 3, 4] maps; of grey ones, the mean of its rows."""
    if images.shape[-1] == 1:
        mean = colours.mean(1)
        factor, offset = mean[:, :3].sum(-1), mean[:, 3]
        return images * factor[:, None, None, None] + offset[:, None, None, None]
    matrix, offset = colours[:, :, :3], colours[:, None, None, :, 3]
    return jnp.einsum("bij,bhwj->bhwi", matrix, images, precision=_HIGHEST) + offset


def _gains(numbers, happens):
    """f32[B, 4]: of each octave, such that natural images keep their power."""
    gains = jnp.ones((len(numbers["gate"]["band0"]), 4))
    for i, name in enumerate(_BANDS):
        gain = jnp.where(happens(name), jnp.exp2(numbers["normal"][name]), 1)
        t = jnp.ones_like(gains).at[:, i].set(gain)
        gains *= t / jnp.sqrt((_POWERS * jnp.square(t)).sum(-1, keepdims=True))
    return gains


def _louder(images, gains):
    """Images, reflected at their edges, whose octaves have these gains along rows and columns."""
    matrix = jnp.einsum("bk,kij->bij", gains, wavelets.bands(images.shape[1]), precision=_HIGHEST)
    return jnp.einsum("bih,bhwc,bjw->bijc", matrix, images, matrix, precision=_HIGHEST)


def _cut(images, uniform, happens):
    """Images with a box of half the height and width set to 0, wherever its middle is."""
    line = (jnp.arange(images.shape[1]) + 0.5) / images.shape[1]
    across, down = (
        jnp.abs(line[None] - uniform[f"cutout_{axis}"][:, None]) < 0.25 for axis in "xy"
    )
    box = down[:, :, None] & across[:, None, :] & happens[:, None, None]
    return jnp.where(box[..., None], 0, images)


def _product(a, b):
    """Of small matrices [..., 3, 3], elementwise: a product of matrices rounds on accelerators."""
    return (a[..., :, :, None] * b[..., None, :, :]).sum(-2)


def _matrix(*rows):
    return jnp.stack([jnp.stack(jnp.broadcast_arrays(*row), -1) for row in rows], -2)


def _rotation(angle):
    c, s, one = jnp.cos(angle), jnp.sin(angle), jnp.ones_like(angle)
    return _matrix((c, -s, 0 * one), (s, c, 0 * one), (0 * one, 0 * one, one))


def _scaling(x, y):
    one = jnp.ones_like(x)
    return _matrix((x, 0 * one, 0 * one), (0 * one, y, 0 * one), (0 * one, 0 * one, one))


def _translation(x, y):
    one = jnp.ones_like(x)
    return _matrix((one, 0 * one, x), (0 * one, one, y), (0 * one, 0 * one, one))
