"""Entropies of a code's dimensions under the aggregated posterior, the mixture of all q(z | x).

Chen et al. 2018, arXiv:1802.04942, appendix C, and the authors' `disentanglement_metrics.py`
(github.com/rtqichen/beta-tcvae). Each q(z | x) is a normal distribution without correlations, so
that of dimension j the mixture is q(z_j) = mean over x of N(z_j; mean_j(x), variance_j(x)).
"""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

DRAWS = 10_000  # of the authors, for each entropy

_AT_ONCE = 8  # components of the mixture in one pass over the draws


class Posteriors(NamedTuple):
    """What an encoder says of N examples, f32[N, D] each: one draw from each q(z | x), its mean and
    the logarithm of its variance."""

    draws: np.ndarray
    means: np.ndarray
    log_variances: np.ndarray


def information(of: Posteriors, factors: np.ndarray, seed: int, n: int = DRAWS) -> np.ndarray:
    """f64[D, F]: mutual information of dimensions and factors, in nats.

    I(z_j; v) = H(z_j) - mean over v of H(z_j | v), where z_j | v follows the mixture of the
    posteriors of those examples that have the value v. All values count alike, as in a set of all
    combinations. It is an estimate, which may be a little below 0.

    Args:
      factors: i32[N, F], of each example.
      seed: of which draws make up an entropy.
      n: how many, at most; a mixture of fewer components has as many as it has components.
    """
    rng = np.random.default_rng(seed)
    (whole,) = _entropies(of, np.zeros(len(factors), np.int32), rng, n)
    return np.stack([whole - _entropies(of, values, rng, n).mean(0) for values in factors.T], 1)


def _entropies(of: Posteriors, values: np.ndarray, rng, n: int) -> np.ndarray:
    """f64[V, D]: the entropies, in nats, of the V mixtures of posteriors with equal values.

    H(z_j) is the mean of -log q(z_j) over draws from the mixture: the draws of its components, of
    which `n` are chosen without replacement.
    """
    order = np.argsort(values, kind="stable")
    draws, means, log_variances = (np.asarray(x, np.float32)[order] for x in of)
    starts = np.flatnonzero(np.diff(values[order], prepend=values.min() - 1))
    ends = np.append(starts[1:], len(values))
    capacity = min(n, (ends - starts).max())
    filling = ((0, _AT_ONCE), (0, 0))
    means, log_variances = (jnp.pad(x, filling, "edge") for x in (means, log_variances))
    found = []
    for start, end in zip(starts, ends, strict=True):
        chosen = start + rng.permutation(end - start)[:n]
        z = np.zeros((capacity, draws.shape[1]), np.float32)
        z[: len(chosen)] = draws[chosen]
        log_density = np.asarray(_log_density(z, means, log_variances, start, end))
        found.append(-log_density[:, : len(chosen)].mean(1, dtype=np.float64))
    return np.stack(found)


@jax.jit
def _log_density(z, means, log_variances, start, end):
    """f32[D, S]: log q(z_j) of z f32[S, D] under the mixture of the rows start ... end - 1.

    The arrays have `_AT_ONCE` rows more than there are examples, copies of the last. Densities are
    summed in units of the highest that any component reaches, so that none overflows; and a draw's
    own component is in the mixture, so that the sum is not 0.
    """
    z = z.T  # long rows, along which processors work
    highest = -0.5 * log_variances.min(0)[:, None]

    def add(k, total):
        first = start + k * _AT_ONCE
        at = partial(jax.lax.dynamic_slice_in_dim, start_index=first, slice_size=_AT_ONCE)
        for i, (mean, log_variance) in enumerate(zip(at(means), at(log_variances), strict=True)):
            mean, log_variance = mean[:, None], log_variance[:, None]
            squared = jnp.square(z - mean) * jnp.exp(-log_variance)
            density = jnp.exp(-0.5 * (squared + log_variance) - highest)
            total += jnp.where(first + i < end, density, 0.0)
        return total

    passes = (end - start + _AT_ONCE - 1) // _AT_ONCE
    total = jax.lax.fori_loop(0, passes, add, jnp.zeros_like(z))
    return jnp.log(total) + highest - jnp.log(end - start) - 0.5 * jnp.log(2 * jnp.pi)
