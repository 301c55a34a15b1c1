"""The likelihood of held-out data: an importance-weighted estimate from many samples of latents."""

import math
from collections.abc import Iterable, Mapping

import jax
import jax.numpy as jnp
import numpy as np
from tqdm import tqdm

from genjax import runs
from genjax.devices import processes
from genjax.errors import UserError
from genjax.scores import held_out
from genjax.scores.measure import Value

_VALUES = 2**21  # pixels that are decoded together: 8 MB, which processors keep near
_PATIENCE = 2  # seconds of measuring before a progress bar appears


def nll(trained: runs.Trained, batches: Iterable[Mapping[str, np.ndarray]]) -> Value:
    """-log p(x) in nats, the mean over held-out data, and the standard error of that mean.

    log p(x) is estimated from below by the log of the mean of `score.k` weights (Burda et al. 2016,
    arXiv:1509.00519, equation 8), with noise from the config's seed.

    Args:
      batches: of `data.evaluation_batches`.

    Raises:
      UserError: the run has no likelihood.
    """
    run = trained.run
    if run.task.log_weights is None:
        raise UserError(f"task={run.config.task!r} has no likelihood: leave nll")
    log_likelihood = of_batch(run.task, run.config.score.k, run.dataset.shape)
    found = []
    about = {"desc": "nll", "total": len(run.dataset.test), "leave": False, "delay": _PATIENCE}
    with tqdm(**about, disable=not processes.is_first()) as bar:
        for values in held_out.each(trained, batches, log_likelihood, often=True):
            found.append(np.float64(values))
            bar.update(len(found[-1]))
    found = np.concatenate(found)
    return Value(-found.mean(), found.std(ddof=1) / math.sqrt(len(found)))


def of_batch(task, k: int, shape: tuple[int, ...]):
    """`(state, batch, key) -> f32[B]`, log p(x) in nats from k samples of each latent.

    They are drawn and weighed in parts that bound memory; each has its own noise, so that the value
    does not depend on how large the parts are, but for rounding.
    """

    def function(state, batch, key):
        examples = len(batch["index"])
        together = min(k, max(1, _VALUES // (examples * math.prod(shape))))

        def add(part, total):
            samples = part * together + jnp.arange(together)
            weights = task.log_weights(state, batch, key, samples)
            weights = jnp.where(samples < k, weights, -jnp.inf)  # the last part may be smaller
            return jnp.logaddexp(total, jax.nn.logsumexp(weights, axis=1))

        parts = math.ceil(k / together)
        total = jax.lax.fori_loop(0, parts, add, jnp.full(examples, -jnp.inf))
        return total - math.log(k)

    return function
