"""The filters of ADA: what images are resampled with, and the bands that are made louder.

Constants are those of the wavelets sym6 and sym2 (Daubechies), as in NVlabs/stylegan2-ada-pytorch.
Everything is a NumPy matrix that acts along one axis of an image, so that a resampling is one
product for rows and one for columns, and so is its gradient.
"""

from functools import cache

import numpy as np

_SYM6 = np.array(
    [
        0.0154041093, 0.0034907121, -0.1179901111, -0.0483117426, 0.4910559419, 0.7876411410,
        0.3379294217, -0.0726375228, -0.0210602925, 0.0447249018, 0.0017677119, -0.0078007083,
    ]
)  # fmt: skip
_SYM2 = np.array([-0.1294095226, 0.2241438680, 0.8365163037, 0.4829629131])

MARGIN = len(_SYM6) // 4  # px of an image beside its edge that the way back to its size looks at


def _reflected(size: int, margin: int) -> np.ndarray:
    """The pixel that stands at each place of an image with so many more at both ends: i64[n].

    Reflected again where it ends before they do.
    """
    places = np.arange(-margin, size + margin) % max(1, 2 * size - 2)
    return np.minimum(places, 2 * size - 2 - places)


@cache
def up(size: int) -> np.ndarray:
    """f32[2 (3 size - 2), size]: an image, reflected by size - 1 px at each end, twice as large.

    Zeros between the pixels, then sym6, so that place 2 i of the result lies a quarter of a pixel
    before pixel i and place 2 i + 1 a quarter after it.
    """
    taps = 2 * _SYM6 / _SYM6.sum()
    source = _reflected(size, size - 1)
    n = len(source)
    matrix = np.zeros((2 * n, size))
    # out[j] = sum_k taps[k] zeros_between[j + k - before], which has pixel i at place 2 i.
    before = (len(taps) + 1) // 2
    for j in range(2 * n):
        for k, tap in enumerate(taps[::-1]):
            place = j + k - before
            if place % 2 == 0 and 0 <= place // 2 < n:
                matrix[j, source[place // 2]] += tap
    return matrix.astype(np.float32)


@cache
def down(size: int) -> np.ndarray:
    """f32[size, 2 (size + 2 MARGIN)]: back from twice the size, with the filter the other way."""
    taps = _SYM6 / _SYM6.sum()
    matrix = np.zeros((size, 2 * (size + 2 * MARGIN)))
    before = (len(taps) - 1) // 2
    for i in range(size):
        for k, tap in enumerate(taps):
            place = 2 * (i + MARGIN) + k - before
            matrix[i, place] += tap
    return matrix.astype(np.float32)


@cache
def bands(size: int) -> np.ndarray:
    """f32[4, size, size]: octaves of an image that is reflected at its edges, the lowest
    first; their sum is the image."""
    low = _SYM2
    high = low * (-1.0) ** np.arange(len(low))
    low, high = (np.convolve(x, x[::-1]) / 2 for x in (low, high))
    bank = np.eye(4, 1)
    for i in range(1, 4):
        bank = np.dstack([bank, np.zeros_like(bank)]).reshape(4, -1)[:, :-1]
        bank = np.stack([np.convolve(row, low) for row in bank])
        middle = (bank.shape[1] - len(high)) // 2
        bank[i, middle : middle + len(high)] += high
    reach = bank.shape[1] // 2
    source = _reflected(size, reach)
    matrices = np.zeros((4, size, size))
    for i in range(size):
        for k in range(2 * reach + 1):
            matrices[:, i, source[i + k]] += bank[:, k]
    return matrices.astype(np.float32)
