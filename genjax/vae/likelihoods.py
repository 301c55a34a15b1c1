"""Likelihoods p(x | z) of a picture x, given the decoder's output for z."""

from collections.abc import Callable
from typing import NamedTuple

import jax

from genjax.nn.elbo import bernoulli_log_likelihood, gaussian_log_likelihood


class Likelihood(NamedTuple):
    """A likelihood of pixels, which are 0 for black to 1 for white.

    Attributes:
      params: {name: initial value} of its own scalar parameters, trained with the networks'.
      log_prob: `(params, x, decoded) -> f32[B]`, log p(x | z) in nats; x and decoded are
        f32[B, H, W, C].
      mean: `(decoded) -> f32[B, H, W, C]`, the expected picture; the Gaussian's may leave [0, 1].
      binary: whether x may be binarised (`genjax.vae.binarize`).
    """

    params: dict[str, float]
    log_prob: Callable
    mean: Callable
    binary: bool


LIKELIHOODS = {
    # The decoder returns logits.
    "bernoulli": Likelihood(
        {}, lambda params, x, logits: bernoulli_log_likelihood(x, logits), jax.nn.sigmoid, True
    ),
    # The decoder returns means; one standard deviation for all pixels is learned.
    "gaussian": Likelihood(
        {"log_sigma": 0.0},
        lambda params, x, mean: gaussian_log_likelihood(x, mean, params["log_sigma"]),
        lambda mean: mean,
        False,
    ),
}
