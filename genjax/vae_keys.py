"""The options of every VAE experiment, with the values of the plain one."""

from typing import Any


def defaults() -> dict[str, Any]:
    """The keys with their defaults, of which `genjax.config.base` gives every VAE its copy.

    Keys:
      bound.name: what training maximises, of k samples of each picture's posterior: "elbo", the
        mean of their bounds, or "iwae", the log of their mean weight (`genjax.vae.bounds`).
      bound.k: how many.
      bound.gradient: how the bound's gradient is estimated: "plain"; "stl", without the part of the
        encoder's that is 0 in the mean; or "dreg", "stl" with the squares of an iwae's weights.
      bound.beta: the weight of the KL divergence in training: 1 for a bound on the likelihood.
      bound.warmup: in steps, how long that weight rises from 0; 0 for not.
      optimizer.name: "adam", or "iwae", as in the authors' code (`genjax.vae.optimizer`).
      optimizer.b1, optimizer.b2, optimizer.epsilon: Adam's.
      optimizer.drops.steps: from which steps on the learning rate is multiplied by which of
        optimizer.drops.factors, a number for each; () for never.
      score.k: how many samples of each held-out picture's posterior "nll" takes, the estimate of
        its likelihood (`genjax.scores.likelihoods`).
    """
    return {
        "bound": {"name": "elbo", "k": 1, "gradient": "plain", "beta": 1.0, "warmup": 0},
        "optimizer": {
            "name": "adam",
            "b1": 0.9,
            "b2": 0.999,
            "epsilon": 1e-8,
            "drops": {"steps": (), "factors": ()},
        },
    }


# What the fully connected networks of older runs were.
_MLP = {
    "activation": "relu",
    "init": "lecun_normal",
    "spread": "log_variance",
    "output_bias": "zero",
}


def completed(values: dict[str, Any]) -> dict[str, Any]:
    """The values of a VAE's config, with what an older run did where its config lacks a key."""
    model = values["model"]
    if model["name"] == "mlp":
        model = _MLP | model
    groups = {key: group | values.get(key, {}) for key, group in defaults().items()}
    return values | groups | {"model": model, "score": {"k": 200} | values.get("score", {})}
