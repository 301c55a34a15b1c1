"""Scores of a code: what it says of known factors of variation, and how much of it is used."""

import numpy as np

from genjax import runs
from genjax.aggregate import Batches, posteriors
from genjax.data.dataset import Subset
from genjax.errors import UserError
from genjax.metrics import disentanglement, units
from genjax.scores.measure import Value

_SEED = 0  # of which pictures a score takes, and of what it draws


def gaps(trained: runs.Trained, batches: Batches) -> dict[str, tuple[Value, dict]]:
    """`mig_dlib`, `mig_chen` and `factor_vae` with the records' settings, of all pictures.

    Raises:
      UserError: the task has no posteriors, or the factors of its data are not known.
    """
    known = _known(trained)
    encoded = posteriors(trained.run, trained.state, known.whole, batches)
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
    split, factors = Subset(known.whole, some), known.of(some)
    encoded = posteriors(trained.run, trained.state, split, batches)
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
    means = posteriors(trained.run, trained.state, trained.run.dataset.test, batches).means
    active = units.active(means)
    return {"active_units": (Value(float(active.sum())), {"of": len(active)})}


def kl_per_dimension(trained: runs.Trained, batches: Batches) -> dict[str, tuple[Value, dict]]:
    """`kl_per_dimension`: the KL divergence of held-out posteriors from the prior, in nats a
    picture, and in the record that of each latent.

    Raises:
      UserError: the task has no posteriors, or its prior is another than N(0, 1) of each latent.
    """
    if trained.run.config.model.get("prior", "normal") != "normal":
        raise UserError(
            f"model.prior={trained.run.config.model.prior!r} is no prior of one latent at a time:"
            " leave kl_per_dimension out of score.metrics"
        )
    found = posteriors(trained.run, trained.state, trained.run.dataset.test, batches)
    nats = units.kl(found.means, found.log_variances)
    order = np.argsort(-nats, kind="stable")
    about = {"latents": order.tolist(), "nats": nats[order].tolist()}
    return {"kl_per_dimension": (Value(float(nats.sum()), about=about), {})}


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
