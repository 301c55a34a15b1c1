"""R3GAN: relativistic pairs, R1 and R2, and plain residual networks (Huang et al. 2024).

The paper is arXiv:2501.05441. The published scores are FID of 50,000 samples.

python main.py --config=configs/r3gan.py
python main.py --config=configs/r3gan.py:preset=cifar
python main.py --config=configs/r3gan.py:preset=ffhq256,data=folder:PATH

The first one is of digits, of which it draws strokes in three minutes (docs/results.md). `cifar`,
with labels, reaches 1.96 on CIFAR-10, at about 90 images a second on an L40 GPU; `ffhq64` 1.95 and
`ffhq256` 2.75 on faces; `imagenet32` 1.27 and `imagenet64` 2.09 on ImageNet with labels.
"""

from genjax import config as config_lib
from genjax import score_keys
from genjax.errors import UserError

_NO_RAMP = 1e9  # an average's half-life is not bounded by the images seen

# Each preset's values are arguments of ARG. A stage has `width` features up to `whole` px, from
# there on half as many with each doubling; its groups have `parts` features each. `gamma` is the
# factor of both penalties at the start, and a tenth of it that at the end; `average` is the
# half-life in images and `p` the probability of augmentations at the end. After `decay` images the
# schedules end; with 0, values stay. Lengths are ours: 200 million images, and 500 of ImageNet's.
_CIFAR = {
    "data": "tfds:cifar10",
    "condition": "projection",
    "size": 32,
    "width": 768,
    "whole": 32,
    "parts": 16,
    "blocks": 2,
    "batch": 512,
    "steps": 390_625,
    "rate": 2e-4,
    "gamma": 0.05,
    "average": 5e6,
    "p": 0.55,
    "decay": 20_000_000,
    "flip": True,
}
_FFHQ = {
    "data": "",
    "condition": "none",
    "batch": 256,
    "steps": 781_250,
    "average": 5e5,
    "p": 0.3,
}
_IMAGENET = {
    "data": "",
    "width": 1536,
    "whole": 64,
    "parts": 32,
    "batch": 4096,
    "steps": 122_070,
    "average": 5e7,
    "decay": 200_000_000,
}
_PRESETS = {
    "small": _CIFAR
    | {
        "data": "mnist",
        "condition": "none",
        "width": 64,
        "whole": 8,
        "blocks": 1,
        "batch": 32,
        "steps": 2000,
        "rate": 1e-3,
        "gamma": 1.0,
        "average": 5000.0,
        "p": 0.0,
        "decay": 0,
        "flip": False,
    },
    "cifar": _CIFAR,
    "ffhq64": _CIFAR | _FFHQ | {"size": 64, "gamma": 2.0},
    "ffhq256": _CIFAR | _FFHQ | {"size": 256, "gamma": 150.0},
    "imagenet32": _CIFAR | _IMAGENET | {"gamma": 0.5, "p": 0.5},
    "imagenet64": _CIFAR | _IMAGENET | {"size": 64, "gamma": 1.0, "p": 0.4},
}


def get_config(arg: str = ""):
    """ARG: `preset` (small, cifar, ffhq64, ffhq256, imagenet32 or imagenet64), `data` (a data
    name), `size` (px a side, a power of two), `batch`, `steps` and all other values of a preset.

    Keys, beside those of configs/dcgan.py:
      model.name: "r3gan"; model.latent: the length of z, and model.embedding that of a label beside
        it.
      model.widths: features at 4, 8, 16, … px, a number for each up to data.size.
      model.groups: of each stage's 3 x 3 convolutions.
      model.blocks: of each stage.
      model.condition: "none", or "projection": both networks see the labels.
      loss: "relativistic": each generated image is compared with the real one beside it.
      own_batch: true, as in the authors' code.
      regularizer: "r1_r2", on real and on generated images, with the factor gamma.
      augment, schedule, ema.ramp: of all presets but small, as in the authors' code.
    """
    arg = config_lib.parse_preset(arg, _PRESETS)
    if not arg.data:
        raise UserError(f"preset={arg.preset} needs images: add data=NAME, such as folder:PATH")
    sides = [1 << level for level in range(2, arg.size.bit_length())]
    widths = tuple(arg.width * min(side, arg.whole) // side for side in sides)
    config = config_lib.base("gan")
    config.data = config_lib.dataset(arg.data, arg.size)
    config.data.flip = arg.flip
    config.score = score_keys.defaults()
    config.model = {
        "name": "r3gan",
        "latent": 64,
        "embedding": 64,
        "widths": widths,
        "groups": tuple(2 * width // arg.parts for width in widths),
        "blocks": arg.blocks,
        "condition": arg.condition,
    }
    config.loss = "relativistic"
    config.regularizer = {"name": "r1_r2", "weight": arg.gamma, "interval": 1}
    config.n_dis = 1
    config.generator_batch = 1
    config.dequantize = False
    config.optimizer = {
        "name": "adam",
        "learning_rate": arg.rate,
        "discriminator_factor": 1.0,
        "b1": 0.0,
        "b2": 0.9,
        "linear_decay": 0,
    }
    config.own_batch = True
    config.ema = (
        {"half_life": 0.0, "ramp": _NO_RAMP}
        if arg.decay
        else {"half_life": arg.average, "ramp": 0.05}
    )
    if arg.decay:
        _change_as_the_authors_do(config, arg)
    config.train.steps = arg.steps
    config.train.batch_size = arg.batch
    config.sample.every = 250
    config.evaluate.every = 500
    config.checkpoint.every = 250
    config.lock()
    return config


def _change_as_the_authors_do(config, arg):
    """Half-cosines of all numbers (brownvc/R3GAN, train.py); p is not steered but scheduled."""
    config.augment.name = "ada"
    config.augment.policy = "blit,geometry,color:0.5,cutout"
    config.augment.target = 0.0
    config.schedule.name = "cosine"
    config.schedule.images = arg.decay
    config.schedule.final = (
        f"optimizer.learning_rate=5e-5,optimizer.b2=0.99,regularizer.weight={arg.gamma / 10:g},"
        f"augment.p={arg.p:g},ema.half_life={arg.average:g}"
    )
