"""Layers that bring vectors to codes: of a book that is learned, or of a grid that is given.

Each is called with z f32[B, ..., D] and `train`, and returns `Quantized`. Gradients pass straight
through to z, as if nothing were rounded (van den Oord et al. 2017, arXiv:1711.00937, §3.2).
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

BOOK = "codebook"  # the collection of what is learned without gradients
REVIVE = "revive"  # Linen's random stream of the vectors that dead codes come back as


class Quantized(NamedTuple):
    """What a quantizer makes of vectors.

    Attributes:
      z: f32[B, ..., D], the codes' vectors.
      index: i32[B, ...], which codes.
      loss: f32[B], what training has to minimise besides the reconstruction.
    """

    z: jax.Array
    index: jax.Array
    loss: jax.Array


def _uniform_of_codes(key, shape, dtype=jnp.float32):
    return jax.random.uniform(key, shape, dtype, -1 / shape[0], 1 / shape[0])


# {quantizer.spread: the initial values of a book f32[K, D]}
SPREADS = {
    "fan_in": nn.initializers.variance_scaling(1.0, "fan_in", "uniform", in_axis=1, out_axis=0),
    "codes": _uniform_of_codes,
}


class CodeBook(nn.Module):
    """The nearest of K learned vectors (VQ-VAE).

    learned_by="average": each code is the running mean of the vectors that chose it, with Laplace
    smoothing, and means that count from the first step on (appendix A.1 of the paper; the code of
    Sonnet and Haiku). learned_by="loss": codes are parameters, which the term |code - sg z|^2 draws
    to the vectors. Both have the commitment term beta |z - sg code|^2; terms are means over
    positions and features.

    With `revive`, a code of running means that is hardly chosen becomes a vector of the batch,
    drawn at random (the random restarts of Jukebox: Dhariwal et al. 2020, arXiv:2005.00341, section
    3.1). Its running count is then that of a fair share, so that it has up to log(revive) /
    log(decay) steps to be chosen, of which there are fewer where running means are young.

    Attributes:
      codes: K; features: D.
      spread: of the first vectors: "fan_in", as those that a dense layer of D inputs has for its
        outputs (Sonnet), or "codes", from U(-1/K, 1/K) (VQ-GAN).
      decay, epsilon: of the running means.
      revive: below which part of a fair share, the batch's vectors over K, a code's running count
        is that of a dead one; 0 for leaving them. It needs running means, and Linen's random stream
        `REVIVE` in training.
      axis_name: the mapped axis, where a batch is one device's share.
    """

    codes: int
    features: int
    learned_by: str = "average"
    beta: float = 0.25
    decay: float = 0.99
    epsilon: float = 1e-5
    spread: str = "fan_in"
    revive: float = 0.0
    axis_name: str | None = None

    @nn.compact
    def __call__(self, z, train: bool) -> Quantized:
        shape = (self.codes, self.features)
        spread = SPREADS[self.spread]
        z = z.astype(jnp.float32)
        if self.learned_by == "loss":
            book = self.param("codes", spread, shape)
        else:
            vectors = self.variable(BOOK, "codes", lambda: spread(self.make_rng("params"), shape))
            counts = self.variable(BOOK, "counts", jnp.zeros, shape[0])
            sums = self.variable(BOOK, "sums", jnp.zeros, shape)
            updates = self.variable(BOOK, "updates", jnp.zeros, ())
            book = vectors.value
        flat = z.reshape(-1, self.features)
        index = nearest(flat, book)
        chosen = book[index].reshape(z.shape)
        loss = self.beta * _mean_square(z, jax.lax.stop_gradient(chosen))
        if self.learned_by == "loss":
            loss += _mean_square(chosen, jax.lax.stop_gradient(z))
        elif train and not self.is_initializing():
            flat = jax.lax.stop_gradient(flat)
            counted, summed = self._of_batch(flat, index)
            counts.value += (1 - self.decay) * (counted - counts.value)
            sums.value += (1 - self.decay) * (summed - sums.value)
            updates.value += 1
            weight = 1 - self.decay**updates.value
            if self.revive:
                fair = weight * counted.mean()
                dead = counts.value < self.revive * fair
                counts.value = jnp.where(dead, fair, counts.value)
                sums.value = jnp.where(dead[:, None], fair * self._drawn(flat), sums.value)
            vectors.value = means(counts.value, sums.value, weight, self.epsilon)
        return Quantized(_straight_through(z, chosen), index.reshape(z.shape[:-1]), loss)

    def vectors(self, index):
        """f32[..., D] of codes i32[...]; by `apply`, with `method="vectors"`."""
        kind = "params" if self.learned_by == "loss" else BOOK
        return self.get_variable(kind, "codes")[index]

    def _of_batch(self, flat, index):
        """How many vectors of the whole batch chose each code, and their sums."""
        counted = jnp.zeros(self.codes).at[index].add(1)
        summed = jnp.zeros((self.codes, self.features)).at[index].add(flat)
        if self.axis_name is None:
            return counted, summed
        return jax.lax.psum((counted, summed), self.axis_name)

    def _drawn(self, flat):
        """f32[K, D]: vectors of the whole batch at random, none twice while there are enough."""
        shards = 1 if self.axis_name is None else jax.lax.axis_size(self.axis_name)
        here, whole = len(flat), shards * len(flat)
        order = jax.random.permutation(self.make_rng(REVIVE), whole)
        place = order[jnp.arange(self.codes) % whole]
        if self.axis_name is None:
            return flat[place]
        place -= here * jax.lax.axis_index(self.axis_name)
        mine = (place >= 0) & (place < here)
        found = jnp.where(mine[:, None], flat[jnp.clip(place, 0, here - 1)], 0)
        return jax.lax.psum(found, self.axis_name)


def nearest(vectors, book):
    """i32[N]: which of a book's vectors f32[K, D] is nearest to each of f32[N, D]; the first of
    equally near ones."""
    distances = jnp.square(book).sum(1)[None] - 2 * vectors @ book.T
    return jnp.argmin(distances, axis=1)


def means(counts, sums, weight, epsilon: float):
    """f32[K, D], the codes of running counts f32[K] and sums f32[K, D].

    With N and m, both divided by the weight that they have by now (Adam's correction), the code is
    m / N', where N' = (N + epsilon) / (n + K epsilon) n, and n is the sum of N.
    """
    counts, sums = counts / weight, sums / weight
    total = counts.sum()
    counts = (counts + epsilon) / (total + len(counts) * epsilon) * total
    return sums / counts[:, None]


class Grid(nn.Module):
    """Finite scalar quantization: each feature to one of so many levels (Mentzer et al. 2023,
    arXiv:2309.15505, appendix A.1).

    The shift of even numbers of levels is tan(offset / half), as in the authors' code, where the
    inverse of tanh was meant: 0 is not brought to 0 then, but by less than a tenth of a level.

    Attributes:
      levels: of each of the D features, at least 2.
    """

    levels: Sequence[int]

    @nn.compact
    def __call__(self, z, train: bool) -> Quantized:
        levels = np.array(self.levels)
        half = (levels - 1) * (1 - 1e-3) / 2
        offset = np.where(levels % 2 == 0, 0.5, 0.0)
        shift = np.tan(offset / half)
        reach = levels // 2
        basis = np.concatenate([[1], np.cumprod(levels[:-1])])

        def along(values, dtype=jnp.float32):  # of the last axis
            return jnp.asarray(values, dtype).reshape((1,) * (z.ndim - 1) + (-1,))

        bounded = jnp.tanh(z.astype(jnp.float32) + along(shift)) * along(half) - along(offset)
        rounded = _straight_through(bounded, jnp.round(bounded))
        index = (jnp.round(bounded).astype(jnp.int32) + along(reach, jnp.int32)) * along(
            basis, jnp.int32
        )
        return Quantized(rounded / along(reach), index.sum(-1), jnp.zeros(len(z)))

    @property
    def codes(self) -> int:
        """How many there are."""
        return math.prod(self.levels)

    def vectors(self, index):
        """f32[..., D] of codes i32[...]."""
        levels = np.array(self.levels)
        basis = np.concatenate([[1], np.cumprod(levels[:-1])])
        digits = [index // int(b) % int(n) for b, n in zip(basis, levels, strict=True)]
        reach = levels // 2
        each = [(d - int(r)) / int(r) for d, r in zip(digits, reach, strict=True)]
        return jnp.stack(each, -1).astype(jnp.float32)


def perplexity(index, codes: int, axis_name: str | None = None):
    """f32[]: exp of the entropy of codes i32[...], from 1 (one code) to K (all alike)."""
    share = jnp.zeros(codes).at[index.ravel()].add(1) / index.size
    if axis_name is not None:
        share = jax.lax.pmean(share, axis_name)
    return jnp.exp(-(share * jnp.log(share + 1e-10)).sum())


def _straight_through(z, rounded):
    """The value of `rounded` with the gradient of z."""
    return z + jax.lax.stop_gradient(rounded - z)


def _mean_square(a, b):
    return jnp.square(a - b).reshape(len(a), -1).mean(1)
