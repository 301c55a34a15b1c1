"""A GAN of classes: SNGAN's residual networks with the projection discriminator, or as an AC-GAN.

Miyato and Koyama 2018 (arXiv:1802.05637); condition=auxiliary: Odena et al. 2017
(arXiv:1610.09585). Grids of samples have a column for each class.

python main.py --config=configs/cgan.py
python main.py --config=configs/cgan.py:condition=auxiliary
python main.py --config=configs/cgan.py:preset=paper
python main.py --config=configs/cgan.py:preset=paper,data=folder:PATH

The first is of digits, some 10 minutes on two CPU cores: each in its column, in one or two hands.
With n_dis=5, the paper's, hands differ sooner than digits come into their columns (docs/gan.md).
preset=paper is the setting of
kwotsin/mimicry for CIFAR-10, whose FID is 10.84 after 100,000 steps (50,000 samples against the
training images): about 2.8e17 FLOP, which takes a GPU half a day. PyTorch-StudioGAN's best with
nearly the same networks is 13.25.
"""

from genjax import config as config_lib
from genjax import score_keys

# The published scores are of the generator itself, without an average.
_PRESETS = {
    "small": {
        "data": "mnist",
        "width": 8,
        "batch": 32,
        "steps": 2500,
        "n_dis": 1,
        "rate": 1e-3,
        "half_life": 5000.0,
    },
    "paper": {
        "data": "tfds:cifar10",
        "width": 64,
        "batch": 64,
        "steps": 100_000,
        "n_dis": 5,
        "rate": 2e-4,
        "half_life": 0.0,
    },
}


def get_config(arg: str = ""):
    """ARG: `preset` (small or paper), `condition` (projection or auxiliary), `size` (px a side:
    8, 16, 32, 64 or 128) and, instead of the preset's, `data` (a data name whose pictures have
    classes), `width`, `batch`, `steps`, `n_dis`, `rate`, `half_life`.

    Keys, beside those of configs/dcgan.py:
      model.name: "resnet" (`genjax.gan.resnet`); model.width: a quarter of the generator's features
        and half of the discriminator's at 32 px; model.norm: of the discriminator, "spectral",
        "batch" or "none".
      model.condition: "projection"; "auxiliary": the discriminator classifies, and cross-entropies
        of classes are added to both losses (`genjax.gan.losses.with_classes`); "none".
      model.pool: "sum" of the discriminator's last pixels, or "mean"; model.head: "none", or
        "rotation" for a second output.
    """
    arg = config_lib.parse_preset(arg, _PRESETS, condition="projection", size=32)
    config_lib.choose("condition", arg.condition, dict.fromkeys(("projection", "auxiliary")))
    config = config_lib.base("gan")
    config.data = config_lib.dataset(arg.data, arg.size)
    config.score = score_keys.defaults()
    config.model = {
        "name": "resnet",
        "latent": 128,
        "width": arg.width,
        "norm": "spectral",
        "condition": arg.condition,
        "pool": "sum",
        "head": "none",
    }
    config.loss = "hinge"
    config.regularizer = {"name": "none", "weight": 0.0, "interval": 1}
    config.n_dis = arg.n_dis
    config.generator_batch = 1
    config.dequantize = False
    config.optimizer = {
        "name": "adam",
        "learning_rate": arg.rate,
        "discriminator_factor": 1.0,
        "b1": 0.0,
        "b2": 0.9,
        "linear_decay": arg.steps,
    }
    config.ema = {"half_life": arg.half_life, "ramp": 0.05}
    config.train.steps = arg.steps
    config.train.batch_size = arg.batch
    config.sample.every = 250
    config.evaluate.every = 500
    config.checkpoint.every = 250
    config.lock()
    return config
