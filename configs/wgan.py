"""WGAN: a critic with clipped weights (Arjovsky et al. 2017, arXiv:1701.07875).

`preset=paper` has the numbers of the paper's Algorithm 1, for scenes of 64 px (LSUN) and networks
of DCGAN; it shows pictures and no scores. The bare config draws digits with a larger rate.

python main.py --config=configs/wgan.py
python main.py --config=configs/wgan.py:preset=paper,data=folder:PATH
"""

from genjax import config as config_lib
from genjax import score_keys

_PRESETS = {
    "small": {"data": "mnist", "size": 32, "width": 16, "rate": 3e-4, "steps": 1500},
    "paper": {"data": "tfds:lsun", "size": 64, "width": 64, "rate": 5e-5, "steps": 200_000},
}


def get_config(arg: str = ""):
    """ARG: `preset` (small or paper), `data` (a data name), `size` (px a side, a power of two),
    `width`, `rate`, `batch`, `steps`.

    Five updates of the critic a step, each on a batch of its own.

    Keys: those of configs/dcgan.py, whose networks it has; clip: the critic's parameters end each
    update in [-clip, clip], 0.01 in the paper.
    """
    arg = config_lib.parse_preset(arg, _PRESETS, batch=64)
    config = config_lib.base("gan")
    config.data = config_lib.dataset(arg.data, arg.size)
    config.score = score_keys.defaults()
    config.model = {"name": "dcgan", "latent": 100, "width": arg.width}
    config.loss = "wasserstein"
    config.regularizer = {"name": "none", "weight": 0.0, "interval": 1}
    config.n_dis = 5
    config.generator_batch = 1
    config.dequantize = False
    config.optimizer = {
        "name": "rmsprop",
        "learning_rate": arg.rate,
        "discriminator_factor": 1.0,
        "b1": 0.0,
        "b2": 0.99,
        "linear_decay": 0,
    }
    config.ema = {"half_life": 5000.0, "ramp": 0.05}
    config.clip = 0.01
    config.train.steps = arg.steps
    config.train.batch_size = arg.batch
    config.sample.every = 250
    config.evaluate.every = 500
    config.checkpoint.every = 250
    config.lock()
    return config
