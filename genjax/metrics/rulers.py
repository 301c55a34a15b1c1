"""Feature networks by which sets of pictures are compared, and everything that a score of one says.

A score depends on the network, its weights, and how pictures come to its size, so these are one
thing here, a ruler, with a name that scores carry (`frechet_lite0`). The word FID is for Inception's.
"""

import functools
import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax.traverse_util import flatten_dict

from genjax import config as config_lib
from genjax.cnn import efficientnet, features, vgg
from genjax.devices import jit
from genjax.metrics import resizers

BATCH = 64  # pictures that a network sees at once


class Ruler(NamedTuple):
    """A feature network as it measures pictures.

    Attributes:
      name: in the names of scores: `lite0`, `vgg16`, `cnn`.
      weights: arrays; an argument of `apply`, so that they are not compiled into programs.
      resizer: a name of `resizers.RESIZERS`, or "none" where pictures keep their size.
      side: px of the pictures that `apply` gets; None where they keep their size.
      apply: `(weights, x) -> {"features": f32[B, D]}` of RGB pictures f32[B, side, side, 3] in
        [0, 1]; with "logits" f32[B, K] where it tells classes apart.
    """

    name: str
    weights: Mapping
    resizer: str
    side: int | None
    apply: Callable[..., dict[str, jax.Array]]

    @property
    def fingerprint(self) -> str:
        """The start of the SHA-256 of all weights, names and shapes included."""
        digest = hashlib.sha256()
        for path, array in sorted(flatten_dict(self.weights, sep="/").items()):
            array = np.asarray(array)
            digest.update(f"{path} {array.dtype} {array.shape}".encode())
            digest.update(np.ascontiguousarray(array).tobytes())
        return digest.hexdigest()[:16]


def load(name: str) -> Ruler:
    """The ruler that `--net` or `score.net` names: `lite0`, `vgg16` or `cnn:WORKDIR[@STEP]`.

    Raises:
      UserError: there is no such ruler, or its weights cannot be read.
    """
    kind, _, path = name.partition(":")
    return config_lib.choose("net", kind, _RULERS)(path)


def measured(
    ruler: Ruler, batches: Iterable[np.ndarray], what: str = "features"
) -> Iterator[np.ndarray]:
    """Yields f32[b, D], the features of u8[b, H, W, C] for each batch; of grey pictures as RGB.

    Args:
      what: "features" or "logits".
    """
    compiled = _compiled(ruler.apply, ruler.side, ruler.resizer)
    for batch in batches:
        for first in range(0, len(batch), BATCH):
            part = batch[first : first + BATCH]
            whole = np.zeros((BATCH, *part.shape[1:]), np.uint8)  # one program for all
            whole[: len(part)] = part
            yield np.asarray(compiled(ruler.weights, whole)[what])[: len(part)]


@functools.cache
def _compiled(apply: Callable, side: int | None, resizer: str):
    def of_pictures(weights, pictures):
        x = pictures.astype(jnp.float32)
        if side is not None:
            x = resizers.resized(x, side, resizer)
        if x.shape[-1] == 1:
            x = jnp.repeat(x, 3, axis=-1)
        return apply(weights, x / 255)

    return jit(of_pictures, often=True)


def _lite0(path: str) -> Ruler:
    return Ruler("lite0", efficientnet.load(), "clean", efficientnet.SIDE, _lite0_features)


def _lite0_features(weights, x):
    found = efficientnet.apply(weights, x)
    return {"features": found["pool"], "logits": found["logits"]}


def _vgg16(path: str) -> Ruler:
    return Ruler("vgg16", vgg.load("vgg16", path), "clean", 224, _vgg16_features)


def _vgg16_features(weights, x):
    return {"features": vgg.apply(weights, x, ("relu5_3",))["relu5_3"].mean((1, 2))}


_RULERS = {"lite0": _lite0, "vgg16": _vgg16}
