"""SSGAN: a discriminator that also tells how images were turned (Chen et al. 2019).

The paper is arXiv:1811.11212. `preset=paper` is the setting of kwotsin/mimicry on CIFAR-10, with
SNGAN's residual networks: FID 14.65 and inception score 8.17, of 50,000 samples, after 100,000
steps. The bare config is of digits, with SNGAN's plain networks, half as wide as in
configs/sngan.py: in two minutes it draws strokes of them (docs/results.md), `width=32` is slower.

python main.py --config=configs/ssgan.py
python main.py --config=configs/ssgan.py:preset=paper
"""

from genjax import config as config_lib
from genjax import score_keys

_PRESETS = {
    "small": {"arch": "sngan", "data": "mnist", "width": 16, "batch": 32, "steps": 1000},
    "paper": {"arch": "resnet", "data": "tfds:cifar10", "width": 64, "batch": 64, "steps": 100_000},
}

# What only one of the networks reads.
_OF_ARCH = {"sngan": {}, "resnet": {"condition": "none", "pool": "sum"}}


def get_config(arg: str = ""):
    """ARG: `preset` (small or paper), `arch` (sngan or resnet), `data` (a data name), `size` (px a
    side, a power of two), `width`, `batch`, `steps`.

    Keys, beside those of configs/sngan.py:
      model.head: "rotation", the discriminator's second output.
      rotation.discriminator, rotation.generator: the factors of the rotation loss of each network,
        1 and 0.2 in the paper.
    """
    arg = config_lib.parse_preset(arg, _PRESETS, size=32)
    config_lib.choose("arch", arg.arch, _OF_ARCH)
    config = config_lib.base("gan")
    config.data = config_lib.dataset(arg.data, arg.size)
    config.score = score_keys.defaults()
    config.model = {
        "name": arg.arch,
        "latent": 128,
        "width": arg.width,
        "norm": "spectral",
        "head": "rotation",
    } | _OF_ARCH[arg.arch]
    config.loss = "hinge"
    config.regularizer = {"name": "none", "weight": 0.0, "interval": 1}
    config.n_dis = 2
    config.generator_batch = 1
    config.dequantize = False
    config.optimizer = {
        "name": "adam",
        "learning_rate": 2e-4,
        "discriminator_factor": 1.0,
        "b1": 0.0,
        "b2": 0.9,
        "linear_decay": arg.steps,
    }
    config.ema = {"half_life": 5000.0, "ramp": 0.05}
    config.train.steps = arg.steps
    config.train.batch_size = arg.batch
    config.sample.every = 250
    config.evaluate.every = 500
    config.checkpoint.every = 250
    config.lock()
    return config
