"""Feature networks by which sets of pictures are compared, and everything that a score of one says.

A score depends on the network, its weights, and how pictures come to its size, so these are one
thing here, a ruler, with a name that scores carry (`frechet_lite0`). FID is Inception's alone.
"""

import hashlib
from collections.abc import Callable, Mapping
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax.traverse_util import flatten_dict

from genjax import config as config_lib
from genjax.cnn import efficientnet, features, inception, vgg
from genjax.devices import parallel
from genjax.errors import UserError
from genjax.files import expanded
from genjax.metrics import resizers

_TOGETHER = 64  # pictures that a network sees at once, or a few more


class Ruler(NamedTuple):
    """A feature network as it measures pictures.

    Attributes:
      name: in the names of scores: `lite0`, `vgg16`, `inception`, `cnn`.
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
        """That of the weights."""
        return fingerprint(self.weights)


def fingerprint(weights: Mapping) -> str:
    """The start of the SHA-256 of all arrays, names and shapes included."""
    digest = hashlib.sha256()
    for path, array in sorted(flatten_dict(weights, sep="/").items()):
        array = np.asarray(array)
        digest.update(f"{path} {array.dtype} {array.shape}".encode())
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()[:16]


def load(name: str) -> Ruler:
    """The ruler that `--net` or `score.net` names.

    Args:
      name: `lite0`, `vgg16`, `cnn:WORKDIR[@STEP]` (a classifier trained there), or
        `inception:PATH[@RESIZER]` with the file that FID is measured with; RESIZER is a name of
        `resizers.RESIZERS`, by default `tf1`.

    Raises:
      UserError: there is no such ruler, or its weights cannot be read.
    """
    kind, _, path = name.partition(":")
    return config_lib.choose("net", kind, _RULERS)(path)


class Meter:
    """Measures pictures with a ruler, on all devices, in batches of one size.

    Attributes:
      size: of the batches that no time is lost with, or a multiple of it.
    """

    def __init__(self, ruler: Ruler):
        self.ruler = ruler
        self._devices, self.size = parallel.for_batches(_TOGETHER)
        self._compiled = self._devices.on_batch(
            lambda _, batch, __: _apply(ruler, batch["weights"], batch["image"]),
            {"weights": ruler.weights},
            often=True,
        )

    def __call__(self, pictures: np.ndarray) -> dict[str, np.ndarray]:
        """{"features": f32[N, D]} of u8[N, H, W, C]; "logits" f32[N, K] as well where there are.

        Grey pictures are measured as RGB. Each process passes the same pictures and gets the whole
        result.
        """
        found = []
        for first in range(0, len(pictures), self.size):
            part = pictures[first : first + self.size]
            whole = np.zeros((self.size, *part.shape[1:]), np.uint8)  # one program for all
            whole[: len(part)] = part
            values = self._compiled((), {"image": whole[self._devices.rows]}, ())
            found.append({name: np.asarray(x)[: len(part)] for name, x in values.items()})
        return {name: np.concatenate([each[name] for each in found]) for name in found[0]}


def _apply(ruler: Ruler, weights, pictures):
    x = pictures.astype(jnp.float32)
    if ruler.side is not None:
        x = resizers.resized(x, ruler.side, ruler.resizer)
    if x.shape[-1] == 1:
        x = jnp.repeat(x, 3, axis=-1)
    return ruler.apply(weights, x / 255)


def _lite0(path: str) -> Ruler:
    _no_path("lite0", path)
    return Ruler("lite0", efficientnet.load(), "clean", efficientnet.SIDE, _lite0_features)


def _lite0_features(weights, x):
    found = efficientnet.apply(weights, x)
    return {"features": found["pool"], "logits": found["logits"]}


def _vgg16(path: str) -> Ruler:
    _no_path("vgg16", path)
    return Ruler("vgg16", vgg.load("vgg16"), "clean", 224, _vgg16_features)


def _vgg16_features(weights, x):
    return {"features": vgg.apply(weights, x, ("relu5_3",))["relu5_3"].mean((1, 2))}


def _inception(path: str) -> Ruler:
    path, _, resizer = path.partition("@")
    if not path:
        raise UserError("net=inception lacks its file: write inception:PATH (docs/scores.md)")
    config_lib.choose("resizer of inception:PATH@RESIZER", resizer or "tf1", resizers.RESIZERS)
    weights = inception.load(expanded(path))
    return Ruler("inception", weights, resizer or "tf1", inception.SIDE, _inception_features)


def _inception_features(weights, x):
    found = inception.apply(weights, (255 * x - 128) / 128)
    return {"features": found["pool"], "logits": found["logits"]}


def _cnn(path: str) -> Ruler:
    if not path:
        raise UserError("net=cnn lacks a workdir: write cnn:WORKDIR")
    net = features.load(f"cnn:{path}", ())

    def apply(weights, x):
        found = net.apply(weights, x, ("pool", "logits"))
        return {"features": found["pool"], "logits": found["logits"]}

    return Ruler("cnn", net.weights, "none", None, apply)


def _no_path(name: str, path: str):
    if path:
        raise UserError(f"net={name} takes no {path!r}: its weights come with the install")


_RULERS = {"lite0": _lite0, "vgg16": _vgg16, "inception": _inception, "cnn": _cnn}
