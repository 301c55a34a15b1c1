"""beta-TCVAE: a heavier total correlation of the latents (Chen et al. 2018, arXiv:1802.04942).

python main.py --config=configs/tcvae.py
python main.py --config=configs/tcvae.py:preset=paper

`preset=paper` has the batches of the authors' code, which is fully connected; the networks here are
those of configs/beta_vae.py.
"""

from configs import beta_vae
from genjax import config as config_lib

_PRESETS = {
    "small": {"beta": 6.0, "rate": 5e-4, "batch": 64, "steps": 8000},
    "paper": {"beta": 6.0, "rate": 1e-3, "batch": 2048, "steps": 18_000},
}


def get_config(arg: str = ""):
    """ARG: `preset` (small or paper), `beta` (of the total correlation), and `data`, `model`,
    `latent`, `rate`, `batch`, `steps` of configs/beta_vae.py.

    Keys: those of configs/beta_vae.py; bound.total_correlation is beta - 1.
    """
    arg = config_lib.parse_preset(arg, _PRESETS, data="shapes", model="burgess", latent=10)
    shared = ("data", "model", "latent", "rate", "batch", "steps")
    config = beta_vae.get_config(",".join(f"{key}={arg[key]}" for key in shared))
    config.bound.beta, config.bound.total_correlation = 1.0, arg.beta - 1
    return config
