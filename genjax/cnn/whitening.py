"""The first layer of `genjax.cnn.airbench`: filters that whiten the patches of training images.

Page 2019 ("How to train your ResNet 8: bag of tricks"), in the form of Jordan 2024
(arXiv:2404.00498, §3.1): the eigenvectors of the covariance of small patches, each divided by the
root of its eigenvalue, and the negatives of all, so that a ReLU-like function loses nothing.
"""

import numpy as np

from genjax import images
from genjax.cnn.airbench import PATCH
from genjax.data import Split, examples

_LOOKED_AT = 1000  # images; 961,000 patches of CIFAR's, for 12 x 12 numbers

# Added to each eigenvalue, so that directions that hardly occur, such as those across the edge of a
# digit's picture, are not blown up. The paper's 5e-4 is of pixels whose deviation is 1; that of
# photographs in [-1, 1] is about 1/2.
_LEAST_VARIANCE = 5e-4 / 4


def statistics(split: Split | None, channels: int) -> dict[str, np.ndarray]:
    """The collection `whitening` of a network: `kernel` f32[2, 2, C, 8 C] and `mean` f32[C].

    They depend on evenly spaced images of the split and on nothing else.

    Args:
      split: the training images; None where the data were not opened, and only the shapes count.
    """
    if split is None:
        size = PATCH * PATCH * channels
        kernel = np.zeros((PATCH, PATCH, channels, 2 * size), np.float32)
        return {"kernel": kernel, "mean": np.zeros(channels, np.float32)}
    pictures = np.asarray(
        images.to_float(examples(split, min(len(split), _LOOKED_AT))["image"], -1)
    )
    return {
        "kernel": filters(patches(pictures)),
        "mean": pictures.mean(axis=(0, 1, 2), dtype=np.float64).astype(np.float32),
    }


def patches(pictures: np.ndarray) -> np.ndarray:
    """All patches of f32[B, H, W, C], f32[N, 2, 2, C]."""
    windows = np.lib.stride_tricks.sliding_window_view(pictures, (PATCH, PATCH), axis=(1, 2))
    return windows.transpose(0, 1, 2, 4, 5, 3).reshape(-1, PATCH, PATCH, pictures.shape[-1])


def filters(patches: np.ndarray) -> np.ndarray:
    """The kernel f32[2, 2, C, 8 C] whose first half makes patches white, and its negative.

    Args:
      patches: f32[N, 2, 2, C].

    Returns:
      Of the first half's outputs over the patches the covariance is the identity, less what is
      added to small variances. The largest variance comes first; of a filter and its negative, the
      first half has the one whose largest weight is positive, whatever the library's choice.
    """
    flat = patches.reshape(len(patches), -1).astype(np.float64)
    variances, vectors = np.linalg.eigh(np.cov(flat, rowvar=False, bias=True))
    variances, vectors = variances[::-1], vectors[:, ::-1]
    largest = np.take_along_axis(vectors, np.abs(vectors).argmax(axis=0)[None], axis=0)
    vectors = vectors * np.sign(largest) / np.sqrt(variances + _LEAST_VARIANCE)
    kernel = np.concatenate([vectors, -vectors], axis=1)
    return kernel.reshape(*patches.shape[1:], -1).astype(np.float32)
