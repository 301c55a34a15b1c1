"""beta-VAE: a heavier KL divergence, for latents that stand for single factors.

Higgins et al. 2017, openreview.net/forum?id=Sy2fzU9gl; with a capacity, Burgess et al. 2018,
arXiv:1804.03599.

python main.py --config=configs/beta_vae.py
python main.py --config=configs/beta_vae.py:preset=capacity
python main.py --config=configs/beta_vae.py:preset=locatello,beta=8

Sprites with known factors (docs/vae.md). `capacity` holds the KL divergence at C, which rises from
0 to 25 nats over 100,000 steps, with the weight 1,000. `locatello` is the setting of Locatello et
al. 2019 (arXiv:1811.12359), with 300,000 steps.
"""

from genjax import config as config_lib
from genjax import score_keys

_PRESETS = {
    "small": {"model": "burgess", "beta": 4.0, "capacity": 0.0, "rate": 5e-4, "steps": 8000},
    "capacity": {
        "model": "burgess",
        "beta": 1000.0,
        "capacity": 25.0,
        "rate": 5e-4,
        "steps": 100_000,
    },
    "locatello": {
        "model": "locatello",
        "beta": 4.0,
        "capacity": 0.0,
        "rate": 1e-4,
        "steps": 300_000,
    },
}


def get_config(arg: str = ""):
    """ARG: `preset` (small, capacity or locatello), `data`, `model` (burgess or locatello),
    `latent`, `beta`, `capacity`, `rate`, `batch`, `steps`.

    Keys: those of configs/vae.py; model.name is "burgess" or "locatello", for 64 px
    (`genjax.vae.sprites`).
    """
    arg = config_lib.parse_preset(arg, _PRESETS, data="shapes", latent=10, batch=64)
    config = config_lib.base("vae")
    config.likelihood = "bernoulli"
    config.binarize = "grey"
    config.bound.beta, config.bound.capacity = arg.beta, arg.capacity
    config.bound.warmup = arg.steps if arg.capacity else 0
    config.model = {"name": arg.model, "latent": arg.latent}
    config.data = config_lib.dataset(arg.data, 64)
    config.score = score_keys.defaults()
    config.score.metrics = ("active_units", "disentanglement")
    config.score.k = 200
    config.optimizer.learning_rate = arg.rate
    config.train.steps = arg.steps
    config.train.batch_size = arg.batch
    config.log.every = 100
    config.sample.every = 1000
    config.evaluate.every = 1000
    config.checkpoint.every = 1000
    config.lock()
    return config
