"""Scores two sets of pictures in PyTorch, for `benchmarks.scoring` to time beside `main.py`.

    python -m benchmarks.torch_score SETTINGS WORKDIR

does what packages for the Fréchet distance do, with genjax' default net in the place of Inception:
it sends both sets through the network in batches of 50, keeps all features, and takes their means,
their covariances and, by SciPy, the root of the covariances' product. SETTINGS is a JSON file that
`benchmarks.scoring` writes, and the distance comes to WORKDIR/scores.jsonl. It imports neither JAX
nor genjax.
"""

import json
import sys
import time
from pathlib import Path

import numpy as np
import torch
from scipy import linalg
from torch.nn import functional as F  # noqa: N812 (the field's name for it)

from benchmarks import peers
from benchmarks.peers import lite0

BATCH = 50  # as pytorch-fid has it
_TRIED = 2  # batches, for the choice of a variant
_OFFSET = 1e-6  # on the diagonals of covariances whose product has no root


class Features:
    """A network on its device: pictures u8[N, H, W, 3] -> features f32[N, 1280].

    Args:
      variant: a name of `benchmarks.peers.variants`, an eager one.
      place: "cpu" or "gpu".
      weights: the network's file.
    """

    def __init__(self, variant: str, place: str, weights: str):
        chosen = peers.variants(place, "float32")[variant]
        torch.set_float32_matmul_precision("high" if chosen.tf32 else "highest")
        torch.backends.cudnn.allow_tf32 = chosen.tf32
        self._device = torch.device({"gpu": "cuda"}.get(place, place))
        self._layout = torch.channels_last if chosen.channels_last else torch.contiguous_format
        self._network = lite0.load(weights).to(self._device, memory_format=self._layout)

    def __call__(self, pictures: np.ndarray) -> np.ndarray:
        found = np.empty((len(pictures), lite0.FEATURES), np.float32)
        with torch.inference_mode():
            for first in range(0, len(pictures), BATCH):
                rows = slice(first, first + BATCH)
                batch = torch.from_numpy(pictures[rows]).to(self._device).permute(0, 3, 1, 2)
                batch = batch.to(torch.float32, memory_format=self._layout)
                found[rows] = self._network(_enlarged(batch)).cpu().numpy()
        return found


def _enlarged(x: torch.Tensor) -> torch.Tensor:
    """f32[B, 3, 224, 224] of pictures of any size, as Pillow's bicubic filter has them."""
    size = (lite0.SIDE, lite0.SIDE)
    x = F.interpolate(x, size, mode="bicubic", antialias=True, align_corners=False)
    return x.clamp(0, 255)


def frechet(a: np.ndarray, b: np.ndarray) -> float:
    """The Fréchet distance of features f32[N, D] and f32[M, D]: |μₐ - μ_b|² + tr(Σₐ + Σ_b - 2R),
    R being the root of Σₐ Σ_b."""
    shift = a.mean(0, dtype=np.float64) - b.mean(0, dtype=np.float64)
    a, b = (np.cov(x, rowvar=False) for x in (a, b))
    root = linalg.sqrtm(a @ b)
    if not np.isfinite(root).all():
        offset = _OFFSET * np.eye(len(a))
        root = linalg.sqrtm((a + offset) @ (b + offset))
    return float(shift @ shift + np.trace(a) + np.trace(b) - 2 * np.trace(root).real)


def rate(variant: str, place: str, weights: str, pictures: str) -> float:
    """Pictures a second of a few batches of a file, after one that does not count."""
    features = Features(variant, place, weights)
    array = _read(pictures)[: BATCH * (_TRIED + 1)]
    features(array[:BATCH])
    started = time.perf_counter()
    found = features(array[BATCH:] if len(array) > BATCH else array)
    return len(found) / (time.perf_counter() - started)


def _read(path: str) -> np.ndarray:
    with np.load(path) as file:
        return file["images"]


def main(settings_file: str, workdir: str) -> None:
    """Does what the command line above says."""
    settings = json.loads(Path(settings_file).read_text())
    features = Features(settings["variant"], settings["place"], settings["weights"])
    value = frechet(*(features(_read(settings[key])) for key in ("real", "fake")))
    Path(workdir).mkdir(parents=True)
    line = json.dumps({"metric": "frechet_lite0", "value": value})
    (Path(workdir) / "scores.jsonl").write_text(f"{line}\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
