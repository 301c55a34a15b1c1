"""How much the latents of a whole data set depend on each other, estimated from one batch.

TC(z) = KL(q(z) || product of q(z_j)), where q(z) is the mean of q(z | x) over all N images: Chen et
al. 2018 (arXiv:1802.04942), equations S4 to S7. Their code fills the first column of the stratified
weights instead of the diagonal (rtqichen/beta-tcvae, issue 1); here it is the diagonal.
"""

import math

import jax
import jax.numpy as jnp


def _weighted(own, rows: int, columns: int, images: int):
    """Minibatch-weighted sampling: log of 1 / (N M) for each, f32[rows, columns].

    The total correlation is then too large by (L - 1) log N, which has no gradient.
    """
    return jnp.full((rows, columns), -math.log(images * columns))


def _stratified(own, rows: int, columns: int, images: int):
    """Minibatch-stratified sampling: 1/N for the example's own posterior, and of the M = B - 1
    others 1/M, but for one that has (N - M) / (N M)."""
    others = columns - 1
    own, place = own[:, None], jnp.arange(columns)[None]
    one = (own + 1) % columns == place
    weights = jnp.where(one, math.log((images - others) / (images * others)), -math.log(others))
    return jnp.where(own == place, -math.log(images), weights)


ESTIMATORS = {"stratified": _stratified, "weighted": _weighted}
DISCRIMINATOR = "discriminator"  # an estimator, too: that of `genjax.vae.discriminator`


def total_correlation(z, mean, log_variance, images: int, estimator: str, axis_name=None):
    """log q(z) - sum over j of log q(z_j) f32[B], in nats, whose mean estimates TC.

    Args:
      z: f32[B, L], a sample of each example's posterior.
      mean, log_variance: f32[B, L], of the posteriors.
      images: N, of the data set.
      estimator: a name of `ESTIMATORS`.
      axis_name: the mapped axis, where B are this device's examples: the estimate is from all.
    """
    own = jnp.arange(len(z))
    if axis_name is not None:
        own += jax.lax.axis_index(axis_name) * len(z)
        mean, log_variance = (of_all(x, own[0], axis_name) for x in (mean, log_variance))
    weights = ESTIMATORS[estimator](own, len(z), len(mean), images)
    z, mean, log_variance = z[:, None], mean[None], log_variance[None]
    scaled = jnp.square(z - mean) * jnp.exp(-log_variance)
    densities = -0.5 * (scaled + log_variance + math.log(2 * math.pi))  # f32[B, all, L]
    joint = jax.nn.logsumexp(weights + densities.sum(-1), axis=1)
    marginals = jax.nn.logsumexp(weights[..., None] + densities, axis=1).sum(-1)
    return joint - marginals


def of_all(x, first, axis_name: str):
    """f32[all, L] of each device's f32[B, L], whose rows begin at `first`.

    It is a sum with zeros, so that a step sends nothing but sums (`genjax.speed.collectives`).
    """
    whole = jnp.zeros((jax.lax.psum(1, axis_name) * len(x), x.shape[1]))
    return jax.lax.psum(jax.lax.dynamic_update_slice_in_dim(whole, x, first, 0), axis_name)
