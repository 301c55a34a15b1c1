"""The order of the training examples: a pure function of the seed and the position."""

import functools

import numpy as np


def indices(seed: int, size: int, start: int, count: int) -> np.ndarray:
    """Examples at positions start ... start + count - 1 of an endless stream.

    The stream is one permutation of the `size` examples after another, one an epoch, so every
    epoch visits each example once; a request may straddle epochs. The permutation of epoch e is
    `numpy.random.Generator(Philox(SeedSequence((seed, e)))).permutation(size)`: any process
    computes it for itself, and no iterator state has to be saved.

    Args:
      seed: a non-negative integer.
      size: how many examples there are, at least 1.
      start: the first position, at least 0; batch t of size B starts at t * B.
      count: how many positions.

    Returns:
      i32[count], each in [0, size).
    """
    if size < 1 or start < 0 or count < 0:
        raise ValueError(f"no such positions: size {size}, start {start}, count {count}")
    parts, end = [np.empty(0, np.int32)], start + count
    while start < end:
        epoch, first = divmod(start, size)
        part = _permutation(seed, epoch, size)[first : first + end - start]
        parts.append(part)
        start += len(part)
    return np.concatenate(parts)


@functools.lru_cache(maxsize=3)  # two sets may be read in turns, and a batch may straddle epochs
def _permutation(seed: int, epoch: int, size: int) -> np.ndarray:
    generator = np.random.Generator(np.random.Philox(np.random.SeedSequence((seed, epoch))))
    return generator.permutation(size).astype(np.int32)
