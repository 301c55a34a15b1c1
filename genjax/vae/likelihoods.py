"""Likelihoods p(x | z) of a picture, given what a decoder makes of z."""

from collections.abc import Callable
from typing import NamedTuple

import jax

from genjax.vae.losses import bernoulli_log_likelihood, gaussian_log_likelihood


class Likelihood(NamedTuple):
    """A likelihood of pixels.

    Attributes:
      params: {name: f32[]}, where its own parameters begin; they are learned with the networks'.
      log_prob: `(params, x, decoded) -> f32[B]`, log p(x | z) in nats.
      mean: `(decoded) -> f32[B, H, W, C]`, the expected picture; [0, 1] is black to white.
      binary: whether it is one of pixels that are 0 or 1 as well.
    """

    params: dict[str, float]
    log_prob: Callable
    mean: Callable
    binary: bool


LIKELIHOODS = {
    # The decoder makes logits.
    "bernoulli": Likelihood(
        {}, lambda params, x, logits: bernoulli_log_likelihood(x, logits), jax.nn.sigmoid, True
    ),
    # The decoder makes means; one standard deviation for all pixels is learned.
    "gaussian": Likelihood(
        {"log_sigma": 0.0},
        lambda params, x, mean: gaussian_log_likelihood(x, mean, params["log_sigma"]),
        lambda mean: mean,
        False,
    ),
}
