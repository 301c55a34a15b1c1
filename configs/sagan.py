"""SAGAN: self-attention and spectral norms in both networks (Zhang et al. 2019, arXiv:1805.08318).

Class-conditional; grids of samples have a column for each class.

python main.py --config=configs/sagan.py
python main.py --config=configs/sagan.py:preset=studiogan --config.data.flip=true
python main.py --config=configs/sagan.py:preset=paper,data=folder:PATH

The first is of digits. preset=studiogan is
PyTorch-StudioGAN's setting for CIFAR-10, which mirrors images and whose best FID in 100,000 steps
is 14.01 (against the moments of the test images): half a day of a GPU. preset=paper is the paper's
for ImageNet at 128 px, FID 18.65: two rates (Heusel et al. 2017), one update of each network a
step.
"""

from genjax import config as config_lib
from genjax import score_keys
from genjax.errors import UserError

_TWO_RATES = {"rate": 1e-4, "factor": 4.0, "b1": 0.0, "b2": 0.9, "n_dis": 1}
# The published scores are of the generator itself, without an average.
_PRESETS = {
    "small": _TWO_RATES
    | {
        "data": "mnist",
        "size": 32,
        "width": 8,
        "batch": 32,
        "steps": 2500,
        "rate": 3e-4,
        "half_life": 5000.0,
    },
    "studiogan": {
        "data": "tfds:cifar10",
        "size": 32,
        "width": 64,
        "batch": 64,
        "steps": 100_000,
        "half_life": 0.0,
        "rate": 2e-4,
        "factor": 1.0,
        "b1": 0.5,
        "b2": 0.999,
        "n_dis": 5,
    },
    "paper": _TWO_RATES
    | {
        "data": "",
        "size": 128,
        "width": 64,
        "batch": 256,
        "steps": 1_000_000,
        "half_life": 0.0,
    },
}


def get_config(arg: str = ""):
    """ARG: `preset` (small, studiogan or paper) and, instead of the preset's, `data` (a data name
    whose pictures have classes), `size` (px a side: 8, 16, 32, 64 or 128), `width`, `batch`,
    `steps`, `n_dis`, `half_life`, and of the optimiser `rate`, `factor`, `b1`, `b2`.

    Keys, beside those of configs/dcgan.py:
      model.name: "sagan" (`genjax.gan.sagan`); model.width: a quarter of the generator's features
        and half of the discriminator's at 32 px.
    """
    arg = config_lib.parse_preset(arg, _PRESETS)
    if not arg.data:
        raise UserError(f"preset={arg.preset} needs images: add data=NAME, such as folder:PATH")
    config = config_lib.base("gan")
    config.data = config_lib.dataset(arg.data, arg.size)
    config.score = score_keys.defaults()
    config.model = {"name": "sagan", "latent": 128, "width": arg.width}
    config.loss = "hinge"
    config.regularizer = {"name": "none", "weight": 0.0, "interval": 1}
    config.n_dis = arg.n_dis
    config.generator_batch = 1
    config.dequantize = False
    config.optimizer = {
        "name": "adam",
        "learning_rate": arg.rate,
        "discriminator_factor": arg.factor,
        "b1": arg.b1,
        "b2": arg.b2,
        "linear_decay": 0,
    }
    config.ema = {"half_life": arg.half_life, "ramp": 0.05}
    config.train.steps = arg.steps
    config.train.batch_size = arg.batch
    config.sample.every = 250
    config.evaluate.every = 500
    config.checkpoint.every = 250
    config.lock()
    return config
