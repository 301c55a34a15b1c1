"""FactorVAE: the latents' total correlation costs more, as a discriminator of latents judges it.

Kim and Mnih 2018, arXiv:1802.05983.

python main.py --config=configs/factor_vae.py
python main.py --config=configs/factor_vae.py:preset=locatello,gamma=30

Sprites with known factors (docs/vae.md). A step takes two batches: of one the VAE learns, of both
the discriminator. `locatello` is the setting of Locatello et al. 2019 (arXiv:1811.12359), with
300,000 steps and gamma from 10 to 100.
"""

from configs import beta_vae
from genjax import config as config_lib

_PRESETS = {
    "small": {"model": "burgess", "gamma": 10.0, "rate": 5e-4, "steps": 8000},
    "locatello": {"model": "locatello", "gamma": 10.0, "rate": 1e-4, "steps": 300_000},
}


def get_config(arg: str = ""):
    """ARG: `preset` (small or locatello), `gamma` (of the total correlation), and `data`, `model`,
    `latent`, `rate`, `batch`, `steps` of configs/beta_vae.py.

    Keys: those of configs/beta_vae.py; bound.total_correlation is gamma. Of the discriminator:
      discriminator.width, discriminator.layers: of its dense layers before the last.
      discriminator.learning_rate, .b1, .b2: of its own Adam.
    """
    arg = config_lib.parse_preset(arg, _PRESETS, data="shapes", latent=10, batch=64)
    shared = ("data", "model", "latent", "rate", "batch", "steps")
    config = beta_vae.get_config(",".join(f"{key}={arg[key]}" for key in shared))
    config.bound.beta, config.bound.total_correlation = 1.0, arg.gamma
    config.bound.estimator = "discriminator"
    with config.unlocked():
        config.discriminator = {
            "width": 1000,
            "layers": 6,
            "learning_rate": 1e-4,
            "b1": 0.5,
            "b2": 0.9,
        }
    return config
