"""ADA's blits, geometry, colours and cut-outs in PyTorch, of given random numbers (appendix B).

Karras et al. 2020 (arXiv:2006.06676). Images f[B, C, S, S] in [-1, 1]; gradients pass, twice.
"""

import math

import torch
from torch.nn import functional as F  # noqa: N812 (the field's name for it)

_SYM6 = [
    0.0154041093, 0.0034907121, -0.1179901111, -0.0483117426, 0.4910559419, 0.7876411410,
    0.3379294217, -0.0726375228, -0.0210602925, 0.0447249018, 0.0017677119, -0.0078007083,
]  # fmt: skip
_WIDE = len(_SYM6) // 4 * 2  # px at twice the size, which the way back looks at beside the picture


def augmented(x, numbers, p, factors):
    """What images become.

    Args:
      numbers: of `ada.draw`, as tensors; p: the probability; factors: {group: of it}.
    """
    gate, u, n = (numbers[kind] for kind in ("gate", "uniform", "normal"))
    size = x.shape[-1]

    def chosen(group, name, value, otherwise):
        chance = p * factors[group]
        if name.startswith("rotate"):
            chance = 1 - math.sqrt(1 - chance)
        return torch.where(gate[name] < chance, value, torch.full_like(value, otherwise))

    def blit(name, value, otherwise=0.0):
        return chosen("blit", name, value, otherwise)

    def geometry(name, value, otherwise=0.0):
        return chosen("geometry", name, value, otherwise)

    def shift(axis):
        return blit("shift", torch.round((2 * u[f"shift_{axis}"] - 1) * 0.125 * size))

    def move(axis):
        return geometry("move", 0.125 * n[f"move_{axis}"] * size)

    def turn(name):
        return _turn(geometry(name, (2 * u[name] - 1) * math.pi))

    # Each transform's inverse, the first one to the left.
    mirror = 1 - 2 * blit("flip", torch.floor(2 * u["flip"]))
    scale = geometry("scale", 2 ** (0.2 * n["scale"]), 1.0)
    stretch = geometry("stretch", 2 ** (0.2 * n["stretch"]), 1.0)
    inverse = _scale(mirror, torch.ones_like(mirror))
    inverse = inverse @ _turn(math.pi / 2 * blit("quarter", torch.floor(4 * u["quarter"])))
    inverse = inverse @ _shift(-shift("x"), -shift("y"))
    inverse = inverse @ _scale(1 / scale, 1 / scale) @ turn("rotate_before")
    inverse = inverse @ _scale(1 / stretch, stretch) @ turn("rotate_after")
    inverse = inverse @ _shift(-move("x"), -move("y"))
    x = _sampled(x, inverse)
    x = _recoloured(x, _colours(lambda *a: chosen("color", *a), u, n))
    if "cutout" in factors:
        inside = torch.ones_like(x[:, :1])
        line = (torch.arange(size, dtype=x.dtype) + 0.5) / size
        for axis, view in (("x", (-1, 1, 1, size)), ("y", (-1, 1, size, 1))):
            near = (line[None] - u[f"cutout_{axis}"][:, None]).abs() < 0.25
            inside = inside * near.reshape(view)
        cut = (gate["cutout"] < p * factors["cutout"])[:, None, None, None] & (inside > 0)
        x = torch.where(cut, torch.zeros_like(x), x)
    return x


def _sampled(x, inverse):
    """Images at the places that `inverse` f[B, 3, 3] says, by way of twice the size."""
    batch, channels, size, _ = x.shape
    taps = torch.tensor(_SYM6, dtype=x.dtype)
    taps = taps / taps.sum()
    x = F.pad(x, (size - 1,) * 4, mode="reflect")
    large = torch.zeros(batch, channels, 2 * x.shape[2], 2 * x.shape[3], dtype=x.dtype)
    large[:, :, ::2, ::2] = x
    large = _along_both(F.pad(large, (6, 5, 6, 5)), 2 * taps.flip(0))
    # From pixels of the result, at twice the size, to pixels of `large`.
    side, whole = 2 * size + 2 * _WIDE, large.shape[-1]
    line = (torch.arange(side, dtype=x.dtype) + 0.5 - side / 2) / 2 + 1 / 4
    rows, columns = torch.meshgrid(line, line, indexing="ij")
    place = torch.stack([columns, rows, torch.ones_like(rows)]).reshape(3, -1)
    there = 2 * (inverse @ place)[:, :2] - 1 / 2 + (whole - 1) / 2
    # Between four neighbours; those outside are black.
    flat = large.reshape(batch, channels, -1)
    low, found = torch.floor(there), 0.0
    for right in (0, 1):
        for down in (0, 1):
            column, row = low[:, 0] + right, low[:, 1] + down
            weight = (1 - (there[:, 0] - column).abs()) * (1 - (there[:, 1] - row).abs())
            inside = (column >= 0) & (column < whole) & (row >= 0) & (row < whole)
            index = (row.clamp(0, whole - 1) * whole + column.clamp(0, whole - 1)).long()
            pixels = torch.gather(flat, 2, index[:, None].expand(-1, channels, -1))
            found = found + (weight * inside)[:, None] * pixels
    found = found.reshape(batch, channels, side, side)[:, :, 1:-1, 1:-1]
    return _along_both(found, taps)[:, :, ::2, ::2]


def _along_both(x, taps):
    """Correlation of each channel's rows and columns with taps, without padding."""
    b, c, h, w = x.shape
    x = F.conv2d(x.reshape(b * c, 1, h, w), taps.reshape(1, 1, 1, -1))
    x = F.conv2d(x, taps.reshape(1, 1, -1, 1))
    return x.reshape(b, c, *x.shape[2:])


def _colours(chosen, u, n):
    """f[B, 4, 4]: (r, g, b, 1) to colours; the first transform to the right."""
    brightness = chosen("brightness", 0.2 * n["brightness"], 0.0)
    contrast = chosen("contrast", 2 ** (0.5 * n["contrast"]), 1.0)
    luma = chosen("luma", torch.floor(2 * u["luma"]), 0.0)[:, None, None]
    angle = chosen("hue", (2 * u["hue"] - 1) * math.pi, 0.0)[:, None, None]
    strength = chosen("saturation", 2 ** n["saturation"], 1.0)[:, None, None]
    kind = brightness.dtype
    whole = torch.eye(4, dtype=kind)
    grey = torch.tensor([1.0, 1, 1, 0], dtype=kind) / math.sqrt(3)
    along = torch.outer(grey, grey)
    x, y, z, _ = grey
    zero = torch.zeros_like(x)
    across = torch.stack(
        [
            torch.stack([zero, -z, y, zero]),
            torch.stack([z, zero, -x, zero]),
            torch.stack([-y, x, zero, zero]),
            torch.zeros(4, dtype=kind),
        ]
    )
    added = whole.repeat(len(brightness), 1, 1)
    added[:, :3, 3] = brightness[:, None]
    one = torch.ones_like(contrast)
    colours = torch.diag_embed(torch.stack([contrast, contrast, contrast, one], 1)) @ added
    colours = (whole - 2 * along * luma) @ colours
    beside = whole - along
    beside[3, 3] = 0  # a colour's, not of the 1
    last = torch.zeros_like(whole)
    last[3, 3] = 1
    colours = (along + last + torch.cos(angle) * beside + torch.sin(angle) * across) @ colours
    return (along + last + strength * beside) @ colours


def _recoloured(x, colours):
    moved = torch.einsum("bij,bjhw->bihw", colours[:, :3, :3], x)
    return moved + colours[:, :3, 3][:, :, None, None]


def _matrix(*rows):
    return torch.stack([torch.stack(torch.broadcast_tensors(*row), -1) for row in rows], -2)


def _turn(angle):
    c, s, zero = torch.cos(angle), torch.sin(angle), torch.zeros_like(angle)
    return _matrix((c, -s, zero), (s, c, zero), (zero, zero, zero + 1))


def _scale(x, y):
    zero = torch.zeros_like(x)
    return _matrix((x, zero, zero), (zero, y, zero), (zero, zero, zero + 1))


def _shift(x, y):
    one, zero = torch.ones_like(x), torch.zeros_like(x)
    return _matrix((one, zero, x), (zero, one, y), (zero, zero, one))
