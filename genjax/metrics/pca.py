"""Principal components: what a few directions cannot say of a picture is how anomalous it is.

The baseline of finding anomalies by reconstruction, with nothing to train. The score is the squared
prediction error, the Q statistic of Jackson and Mudholkar 1979 ("Control procedures for residuals
associated with principal component analysis", Technometrics 21), here a mean over pixels.
"""

from typing import NamedTuple

import numpy as np


class Pca(NamedTuple):
    """Of training pictures.

    Attributes:
      mean: f64[D], D = H * W * C.
      directions: f64[K, D], orthonormal, the one of most variance first.
    """

    mean: np.ndarray
    directions: np.ndarray


def fit(pictures: np.ndarray, components: int) -> Pca:
    """The principal components of training pictures.

    Exact, by the eigenvectors of the smaller one of the matrices [D, D] and [N, N]; in float64, so
    that it takes 8 bytes for each number of `pictures`.

    Args:
      pictures: f[N, H, W, C].
      components: how many; fewer come where pictures vary in fewer directions. One in which none
        of them varies (a border that is black in all) is never taken: it would be any.

    Raises:
      ValueError: that is less than one or more than min(N - 1, D), beyond which nothing varies.
    """
    x = np.array(pictures, np.float64).reshape(len(pictures), -1)
    n, d = x.shape
    if not 1 <= components <= min(n - 1, d):
        raise ValueError(
            f"{n} pictures of {d} numbers have 1 to {min(n - 1, d)} components, not {components}"
        )
    mean = x.mean(axis=0)
    x -= mean
    variances, vectors = np.linalg.eigh(x.T @ x if d <= n else x @ x.T)  # rising
    variances, vectors = variances[: -components - 1 : -1], vectors[:, : -components - 1 : -1]
    varies = variances > variances[0] * max(n, d) * np.finfo(np.float64).eps
    directions = vectors[:, varies].T
    if d > n:  # from weights of pictures to directions, each of length sqrt(variance)
        directions = directions @ x / np.sqrt(variances[varies])[:, None]
    return Pca(mean, directions)


def error_maps(pca: Pca, pictures: np.ndarray) -> np.ndarray:
    """f64[N, H, W]: the squared error of each pixel's reconstruction, the mean over its channels.

    Args:
      pictures: f[N, H, W, C], of the size and range of those that were fitted.
    """
    pictures = np.asarray(pictures)
    x = pictures.reshape(len(pictures), -1) - pca.mean
    left = x - (x @ pca.directions.T) @ pca.directions
    return (left**2).reshape(pictures.shape).mean(axis=-1)
