"""Scores of a code: what it says of known factors of variation, and how much of it is used."""

from collections.abc import Callable, Iterable, Mapping

import jax.numpy as jnp
import numpy as np

from genjax import data, rng, runs
from genjax.data.dataset import Subset
from genjax.errors import UserError
from genjax.metrics import disentanglement, units
from genjax.metrics.posteriors import Posteriors
from genjax.scores.measure import Value

_SEED = 0  # of which pictures a score takes, and of what it draws

# `(split) -> ` its batches, as of `data.evaluation_batches`.
Batches = Callable[[data.Split], Iterable[Mapping[str, np.ndarray]]]


def gaps(trained: runs.Trained, batches: Batches) -> dict[str, tuple[Value, dict]]:
    """`mig_dlib`, `mig_chen` and `factor_vae` with the records' settings, of all pictures.

    Raises:
      UserError: the task has no posteriors, or the factors of its data are not known.
    """
    known = _known(trained)
    encoded = posteriors(trained, known.whole, batches)
    factors = known.of(np.arange(len(known.whole)))
    some = _chosen(len(factors))[: disentanglement.POINTS]
    votes = disentanglement.factor_vae(encoded.means, factors, _SEED)
    chen = disentanglement.mig_chen(encoded, factors, known.names, known.sizes, _SEED)
    return {
        "mig_dlib": (
            Value(disentanglement.mig_dlib(encoded.means[some], factors[some])),
            {"pictures": len(some), "bins": disentanglement.BINS},
        ),
        "mig_chen": (Value(chen), {"pictures": len(factors), "draws": disentanglement.DRAWS}),
        "factor_vae": (Value(votes["factor_vae"]), {"pictures": len(factors)}),
    }


def dci(trained: runs.Trained, batches: Batches) -> dict[str, tuple[Value, dict]]:
    """`disentanglement`, `completeness` and `informativeness` by boosted trees.

    Raises:
      UserError: as `gaps`.
    """
    known = _known(trained)
    train, test = disentanglement.POINTS, disentanglement.TEST_POINTS
    some = np.sort(_chosen(len(known.whole))[: train + test])
    parts = np.random.default_rng(_SEED).permutation(len(some)) < train
    encoded, factors = posteriors(trained, Subset(known.whole, some), batches), known.of(some)
    found = disentanglement.dci(
        encoded.means[parts], factors[parts], encoded.means[~parts], factors[~parts], _SEED
    )
    setting = {"train": int(parts.sum()), "test": int((~parts).sum()), "by": "boosted trees"}
    return {f"dci_{name}": (Value(value), setting) for name, value in found.items()}


def active_units(trained: runs.Trained, batches: Batches) -> dict[str, tuple[Value, dict]]:
    """`active_units`, how many latents vary with the held-out picture.

    Raises:
      UserError: the task has no posteriors.
    """
    means = posteriors(trained, trained.run.dataset.test, batches).means
    active = units.active(means)
    return {"active_units": (Value(float(active.sum())), {"of": len(active)})}


def posteriors(trained: runs.Trained, split: data.Split, batches: Batches) -> Posteriors:
    """What the encoder says of the pictures of a split, in their order.

    Raises:
      UserError: the task has no posteriors.
    """
    run = trained.run
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
        found = compiled(trained.state, batch, key)
        values = [np.asarray(x) for x in found["values"]]
        if arrays is None:
            arrays = [np.zeros((len(split), x.shape[1]), np.float32) for x in values]
        for array, x in zip(arrays, values, strict=True):
            array[np.asarray(found["index"])] = x
    return Posteriors(*arrays)


def _known(trained: runs.Trained):
    known = trained.run.dataset.factors
    if known is None:
        raise UserError(
            f"data.name={trained.run.config.data.name} has no known factors of variation: set"
            " data.name=shapes, or leave scores of disentanglement"
        )
    return known


def _chosen(n: int) -> np.ndarray:
    """All places in a random order that is always the same."""
    return np.random.default_rng(_SEED).permutation(n)
