"""Mixtures of normal distributions: fitted to points, drawn from, and kept as files."""

import io
import warnings
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from etils import epath

from genjax import rng
from genjax.data import archives
from genjax.files import write_atomically
from genjax.latents import truncated_normal

COMPONENTS = 10  # of Ghosh et al. 2020, arXiv:1903.12436, section 5

_ITERATIONS = 300  # of expectation and maximisation, at most
_SEED = 0  # of the k-means with which they begin


class Mixture(NamedTuple):
    """Of K normal distributions of L dimensions.

    Attributes:
      weights: f32[K], which sum to 1.
      means: f32[K, L].
      factors: f32[K, L, L], lower triangular; those times their transposes are the covariances.
    """

    weights: np.ndarray
    means: np.ndarray
    factors: np.ndarray


def fit(points: np.ndarray, components: int = COMPONENTS) -> Mixture:
    """The mixture of full covariances that makes points f[N, L] likeliest, as far as expectation
    and maximisation find it (scikit-learn's, from one k-means).

    Args:
      components: how many, at most one for each two points.
    """
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.mixture import GaussianMixture

    components = max(1, min(components, len(points) // 2))
    model = GaussianMixture(components, max_iter=_ITERATIONS, random_state=_SEED)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # the last step is good enough to draw
        model.fit(np.asarray(points, np.float64))
    factors = np.linalg.cholesky(model.covariances_)
    return Mixture(*(np.float32(x) for x in (model.weights_, model.means_, factors)))


def draw(mixture: Mixture, key, index, level) -> jax.Array:
    """f32[n, L], points of a mixture, each a function of the key and its place.

    Args:
      key, index: as of `rng.example_keys`.
      level: f32[], to which the normal numbers of which a point is made are truncated
        (`genjax.latents.truncated_normal`); infinite for not.
    """
    key_component, key_point = jax.random.split(key)
    share = rng.uniform(key_component, index, ())
    below = jnp.cumsum(jnp.asarray(mixture.weights))[:-1]
    component = (share[:, None] >= below[None]).sum(1)
    noise = truncated_normal(key_point, index, mixture.means.shape[1:], level)
    means, factors = (jnp.asarray(x)[component] for x in (mixture.means, mixture.factors))
    return means + (factors @ noise[:, :, None])[:, :, 0]


def write(path: epath.Path, mixture: Mixture, mark: str) -> None:
    """Writes a `.npz`; `mark` says of what the mixture is, for `read`."""
    file = io.BytesIO()
    np.savez(file, mark=np.frombuffer(mark.encode(), np.uint8), **mixture._asdict())
    write_atomically(path, file.getvalue())


def read(path: epath.Path, mark: str) -> Mixture | None:
    """The mixture of a file, None where there is no such file or it has another mark.

    Raises:
      UserError: it is damaged.
    """
    if not path.exists():
        return None
    arrays = archives.read_npz(str(path), str(path))
    if arrays.pop("mark").tobytes().decode() != mark:
        return None
    return Mixture(**arrays)
