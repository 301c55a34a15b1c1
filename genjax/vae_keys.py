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
      bound.beta: the weight of the KL divergence in training: 1 for a bound on the likelihood, more
        for a beta-VAE (Higgins et al. 2017).
      bound.warmup: in steps, how long that weight rises from 0; 0 for not.
      bound.capacity: in nats, what the KL divergence is held at with the weight beta, and what
        rises during the warm-up instead of it; 0 for not (Burgess et al. 2018).
      bound.free_bits: in nats, below which the KL divergence of a latent, in the mean over a batch,
        costs nothing more (Kingma et al. 2016).
      bound.total_correlation: the further weight of the latents' total correlation, beta - 1 of a
        beta-TCVAE (Chen et al. 2018), gamma of a FactorVAE; bound.estimator: how a batch says it,
        "stratified" or "weighted" (`genjax.vae.total_correlation`), or "discriminator", by a
        network that learns beside the others (Kim and Mnih 2018; configs/factor_vae.py).
      optimizer.name: "adam", or "iwae", as in the authors' code, which alone does not slow dense
        layers of more than 784 inputs down (`genjax.vae.optimizer`).
      optimizer.b1, optimizer.b2, optimizer.epsilon: Adam's.
      optimizer.drops.steps: from which steps on the learning rate is multiplied by which of
        optimizer.drops.factors, a number for each; () for never.
      score.k: how many samples of each held-out picture's posterior "nll" takes, the estimate of
        its likelihood (`genjax.scores.likelihoods`).
    """
    return {
        "bound": {
            "name": "elbo",
            "k": 1,
            "gradient": "plain",
            "beta": 1.0,
            "warmup": 0,
            "capacity": 0.0,
            "free_bits": 0.0,
            "total_correlation": 0.0,
            "estimator": "stratified",
        },
        "optimizer": {
            "name": "adam",
            "b1": 0.9,
            "b2": 0.999,
            "epsilon": 1e-8,
            "drops": {"steps": (), "factors": ()},
        },
    }


def latents() -> dict[str, Any]:
    """The keys of `model` about the latents of a fully connected VAE, as the plain one has them.

    Keys:
      model.posterior: q(z | x): "normal", or "iaf", a normal sample after an inverse autoregressive
        flow (`genjax.vae.iaf`) of model.flows.steps steps with model.flows.width hidden units each.
      model.prior: p(z): "normal"; "vamp", the mean of the posteriors of model.pseudo_inputs learned
        pictures; or "layer", a second stochastic layer of model.upper.latent latents, with networks
        between the two of widths model.upper.hidden (`genjax.vae.priors`).
    """
    return {
        "posterior": "normal",
        "flows": {"steps": 2, "width": 320},
        "prior": "normal",
        "pseudo_inputs": 500,
        "upper": {"hidden": (100, 100), "latent": 50},
    }


# What the fully connected networks of older runs were.
_MLP = {
    "activation": "relu",
    "init": "lecun_normal",
    "spread": "log_variance",
    "output_bias": "zero",
    "condition": "none",
}


# What the books of codes of older runs were.
_BOOK = {"revive": 0.0}


def completed(values: dict[str, Any]) -> dict[str, Any]:
    """The values of a VAE's config, with what an older run did where its config lacks a key.

    Args:
      values: of which `task` is "vae", or one whose latents are codes, "vq" or "vqgan".
    """
    if values["task"] != "vae":
        quantizer = values["quantizer"]
        older = _BOOK if quantizer["name"] == "codebook" else {}
        return values | {"quantizer": older | quantizer}
    model = values["model"]
    if model["name"] == "mlp":
        model = _MLP | latents() | model
    groups = {key: group | values.get(key, {}) for key, group in defaults().items()}
    if "score" in values:  # the oldest have none
        groups["score"] = {"k": 200} | values["score"]
    return values | groups | {"model": model}
