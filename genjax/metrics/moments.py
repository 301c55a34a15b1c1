"""Mean and covariance of features, gathered batch by batch in memory that does not grow."""

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np


class Moments(NamedTuple):
    """Of features so far.

    Attributes:
      n: how many examples.
      mean: f64[D].
      scatter: f64[D, D], the sum of (x - mean)(x - mean)ᵀ.
    """

    n: int
    mean: np.ndarray
    scatter: np.ndarray

    @property
    def covariance(self) -> np.ndarray:
        """f64[D, D], unbiased: over n - 1."""
        if self.n < 2:
            raise ValueError(f"a covariance takes two examples or more, not {self.n}")
        return self.scatter / (self.n - 1)


def of(features) -> Moments:
    """The moments of one batch, f32[N, D], N > 0.

    Deviations from the batch's own mean are squared on the device in float32, so nothing large
    cancels.
    """
    mean, scatter = _centred(jnp.asarray(features, jnp.float32))
    return Moments(len(features), np.asarray(mean, np.float64), np.asarray(scatter, np.float64))


def merged(a: Moments | None, b: Moments) -> Moments:
    """The moments of both together (Chan, Golub and LeVeque 1979); None stands for no examples."""
    if a is None:
        return b
    n = a.n + b.n
    shift = b.mean - a.mean
    scatter = a.scatter + b.scatter + np.outer(shift, shift) * (a.n * b.n / n)
    return Moments(n, a.mean + shift * (b.n / n), scatter)


def of_parts(batches: Iterable[np.ndarray], sizes: Sequence[int]) -> Iterator[Moments]:
    """Yields the moments of the first `sizes[0]` examples, of the next `sizes[1]`, and so on.

    Args:
      batches: f32[b, D] each, of any lengths.

    Raises:
      ValueError: there are fewer examples than that.
    """
    batches, rest = iter(batches), None
    for size in sizes:
        part = None
        while size:
            if rest is None or not len(rest):
                rest = next(batches, None)
                if rest is None:
                    raise ValueError(f"there are fewer examples than {sum(sizes)}")
            taken, rest = rest[:size], rest[size:]
            part, size = merged(part, of(taken)), size - len(taken)
        yield part


@jax.jit
def _centred(x: jax.Array):
    mean = x.mean(axis=0, keepdims=True)
    deviations = x - mean
    return mean[0], jnp.matmul(deviations.T, deviations, precision=jax.lax.Precision.HIGHEST)
