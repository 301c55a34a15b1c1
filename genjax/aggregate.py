"""What a trained encoder says of whole splits, and a prior that is fitted to it.

The latents of all training pictures together, the aggregate posterior, are not distributed as the
prior says, and where they are not, the decoder has learned nothing. A mixture that is fitted to
them after training draws where it has (ex-post density estimation; Ghosh et al. 2020,
arXiv:1903.12436, section 4).
"""

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping

import jax.numpy as jnp
import numpy as np
from etils import epath

from genjax import data, mixtures, rng
from genjax.data.dataset import Subset
from genjax.devices import processes
from genjax.errors import UserError
from genjax.latents import linear
from genjax.metrics.posteriors import Posteriors
from genjax.workdir import fingerprint

FILE = "mixture.npz"

_FITTED = 50_000  # training pictures that a mixture is fitted to, at most

# `(split) -> ` its batches, as of `data.evaluation_batches`.
Batches = Callable[[data.Split], Iterable[Mapping[str, np.ndarray]]]


def posteriors(run, state, split: data.Split, batches: Batches) -> Posteriors:
    """What the encoder of a `runs.Run` says of the pictures of a split, in their order.

    Raises:
      UserError: the task has no posteriors.
    """
    if run.task.posterior is None:
        raise UserError(f"task={run.config.task!r} has no posteriors: leave scores of its code")

    def encode(state, batch, key):
        mean, log_variance = run.task.posterior(state, batch, key)
        noise = rng.normal(key, batch["index"], mean.shape[1:])
        drawn = mean + jnp.exp(0.5 * log_variance) * noise
        return {"values": (drawn, mean, log_variance), "index": batch["index"]}

    compiled = run.devices.on_batch(encode, run.task.constants, often=True)
    key = rng.stream(run.config.seed, rng.Stream.EVALUATE)
    arrays = None
    for batch in batches(split):
        found = compiled(state, batch, key)
        values = [np.asarray(x) for x in found["values"]]
        if arrays is None:
            arrays = [np.zeros((len(split), x.shape[1]), np.float32) for x in values]
        for array, x in zip(arrays, values, strict=True):
            array[np.asarray(found["index"])] = x
    return Posteriors(*arrays)


def with_mixture(run, state, workdir: epath.Path):
    """The `runs.Run` with samples whose latents are drawn from a mixture, `sample.prior=mixture`.

    It is fitted to one draw of the posterior of each training picture, which are read for it, and
    kept in the workdir as `mixture.npz` until another state is asked for. No likelihood changes.

    Raises:
      UserError: the run has no posteriors that are normal; its data are not to be read.
    """
    task = run.task
    if task.posterior is None or task.latents is None:
        raise UserError("sample.prior=mixture needs normal posteriors: set sample.prior=model")
    prints = json.dumps(fingerprint.fingerprints(state), sort_keys=True)
    mark = f"{hashlib.sha256(prints.encode()).hexdigest()[:32]} {mixtures.COMPONENTS}"
    path = workdir / FILE
    if mixtures.read(path, mark) is None:
        mixture = mixtures.fit(_latents(run, state))
        if processes.is_first():
            mixtures.write(path, mixture, mark)
        processes.exchange("written")  # all draw from what the first has fitted
    mixture = mixtures.read(path, mark)
    latents = task.latents._replace(
        points=lambda state, key, index, level: mixtures.draw(mixture, key, index, level),
        between=linear,
        normal=False,
    )
    # What asks for `decode` takes normal latents for granted.
    return run._replace(task=task._replace(latents=latents, sample=latents.sample, decode=None))


def _latents(run, state) -> np.ndarray:
    """f32[N, L], a draw of the posterior of each of evenly spaced training pictures."""
    split = spaced(split_of(run, "train"), _FITTED)
    return posteriors(run, state, split, batches_of(run)).draws


def split_of(run, name: str) -> data.Split:
    """The split "train" or "test" of a run's data, which are opened where the run was not."""
    split = getattr(run.dataset, name)
    return getattr(data.open_dataset(run.config.data), name) if split is None else split


def spaced(split: data.Split, most: int) -> data.Split:
    """At most so many examples of a split, evenly spaced."""
    n = min(len(split), most)
    return Subset(split, np.linspace(0, len(split) - 1, n).astype(np.int64))


def batches_of(run) -> Batches:
    """Splits in batches as large as those of training."""
    size = run.task.images_per_step
    return lambda split: data.evaluation_batches(split, size, run.devices.rows_of(size))
