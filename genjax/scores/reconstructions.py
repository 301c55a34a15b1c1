"""Scores of reconstructions: how alike held-out pictures are to what a run makes of them."""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence

import jax.numpy as jnp
import numpy as np

from genjax import images, runs
from genjax.errors import UserError
from genjax.metrics import fidelity, lpips
from genjax.metrics.rulers import fingerprint
from genjax.scores import held_out
from genjax.scores.measure import Value

_NET = "alexnet"  # of LPIPS: the authors' choice where pictures are compared, not optimised
_LEAST_SSIM = 11  # px, SSIM's window
_MOST_PSNR = -10 * math.log10(1 / (12 * 255**2))  # dB, of an error that is rounding to 8 bits

# {name: `(x, y, weights of LPIPS) -> f32[B, ...]`} of pictures and reconstructions f32[B, H, W, C]
# in [0, 1].
_MEASURES = {
    "squared_error": lambda x, y, weights: jnp.square(x - y).mean(-1),
    "psnr": lambda x, y, weights: jnp.minimum(fidelity.psnr(x, y), _MOST_PSNR),
    "ssim": lambda x, y, weights: fidelity.ssim(x, y),
    "lpips": lambda x, y, weights: lpips.distance(
        _NET, weights, lpips.enlarged(x), lpips.enlarged(y)
    ),
}


def check(trained: runs.Trained, score: str) -> None:
    """Raises UserError where nothing is reconstructed, which `score` needs."""
    if trained.run.task.reconstruct is None:
        raise UserError(
            f"task={trained.run.config.task!r} reconstructs nothing: leave {score} out of"
            " score.metrics"
        )


def each(
    trained: runs.Trained, batches: Iterable[Mapping[str, np.ndarray]], names: Sequence[str]
) -> Iterator[dict[str, np.ndarray]]:
    """What is measured of the pictures that count, batch by batch.

    Yields:
      {"image": u8[b, H, W, C], "index": i32[b]} and of each of `names`: "squared_error" f32[b, H,
      W], the mean over channels; "psnr" in dB, at most 58.9, "ssim" and "lpips", f32[b].

    Args:
      batches: of `data.evaluation_batches`.

    Raises:
      UserError: the task reconstructs nothing, or the weights of LPIPS are not installed.
    """
    check(trained, names[0])
    run, constants = trained.run, dict(trained.run.task.constants)
    if "lpips" in names:
        constants["lpips"] = lpips.load(_NET).weights

    def measure(state, batch, key):
        x, y = images.to_float(batch["image"], low=0), run.task.reconstruct(state, batch, key)
        found = {name: _MEASURES[name](x, y, batch.get("lpips")) for name in names}
        return found | {name: batch[name] for name in ("image", "index")}

    yield from held_out.each(trained, batches, measure, constants)


def fidelities(trained: runs.Trained, batches) -> dict[str, tuple[Value, dict]]:
    """`psnr` and `ssim` of held-out pictures, each a mean with its standard error.

    SSIM is left out where pictures are smaller than its window of 11 px.

    Args, Raises: as `each`.
    """
    check(trained, "reconstruction")
    large = min(trained.run.dataset.shape[:2]) >= _LEAST_SSIM
    return _means(trained, batches, ["psnr", *["ssim"] * large], {})


def perceptual(trained: runs.Trained, batches) -> dict[str, tuple[Value, dict]]:
    """`lpips` of held-out pictures, a mean with its standard error.

    Args, Raises: as `each`.
    """
    check(trained, "lpips")
    return _means(trained, batches, ["lpips"], perceptual_setting(trained.run.dataset.shape))


def perceptual_setting(shape: Sequence[int]) -> dict:
    """Of the record of an LPIPS of pictures of this shape."""
    weights = fingerprint(lpips.load(_NET).weights)
    return {"net": f"lpips-{_NET}", "weights": weights, "enlarged": lpips.factor(shape)}


def _means(trained, batches, names, setting) -> dict[str, tuple[Value, dict]]:
    parts = list(each(trained, batches, names))
    found = {}
    for name in names:
        values = np.concatenate([part[name] for part in parts]).astype(np.float64)
        error = values.std(ddof=1) / math.sqrt(len(values)) if len(values) > 1 else None
        found[name] = Value(float(values.mean()), error and float(error)), setting
    return found
