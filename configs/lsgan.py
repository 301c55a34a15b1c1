"""LSGAN: a discriminator that regresses 1 and 0 (Mao et al. 2017, arXiv:1611.04076).

Digits, with the networks of configs/dcgan.py. `preset=paper` has the rate of
the paper's scenes (LSUN, 112 px), for which it shows pictures and no scores.

python main.py --config=configs/lsgan.py
python main.py --config=configs/lsgan.py:preset=paper,data=folder:PATH
"""

from genjax import config as config_lib
from genjax import score_keys

_PRESETS = {
    "small": {"data": "mnist", "size": 32, "width": 32, "rate": 2e-4, "steps": 3000},
    "paper": {"data": "tfds:lsun", "size": 128, "width": 64, "rate": 1e-3, "steps": 500_000},
}


def get_config(arg: str = ""):
    """ARG: `preset` (small or paper), `data` (a data name), `size` (px a side, a power of two),
    `width`, `rate`, `batch`, `steps`.

    Keys: those of configs/dcgan.py, whose networks it has.
    """
    arg = config_lib.parse_preset(arg, _PRESETS, batch=64)
    config = config_lib.base("gan")
    config.data = config_lib.dataset(arg.data, arg.size)
    config.score = score_keys.defaults()
    config.model = {"name": "dcgan", "latent": 100, "width": arg.width}
    config.loss = "least_squares"
    config.regularizer = {"name": "none", "weight": 0.0, "interval": 1}
    config.n_dis = 1
    config.generator_batch = 1
    config.dequantize = False
    config.optimizer = {
        "name": "adam",
        "learning_rate": arg.rate,
        "discriminator_factor": 1.0,
        "b1": 0.5,
        "b2": 0.999,
        "linear_decay": 0,
    }
    config.ema = {"half_life": 5000.0, "ramp": 0.05}
    config.train.steps = arg.steps
    config.train.batch_size = arg.batch
    config.sample.every = 250
    config.evaluate.every = 500
    config.checkpoint.every = 250
    config.lock()
    return config
