"""StyleGAN2 (Karras et al. 2020, arXiv:1912.04958), in StyleGAN2-ADA's settings (arXiv:2006.06676).

python main.py --config=configs/stylegan2.py
python main.py --config=configs/stylegan2.py:preset=cifar
python main.py --config=configs/stylegan2.py:preset=cifar,condition=projection
python main.py --config=configs/stylegan2.py:preset=paper256,data=folder:PATH

The first one draws digits. The other presets have the networks and numbers of the authors' code.
Published FID: of `cifar`, with the authors' augmentation and after 100 million images, 2.92 on
CIFAR-10, and 2.42 with labels; of `stylegan2`, 2.84 on 70,000 faces of 1024 px, after 25 million
images and about ten days on eight V100 GPUs.
"""

from genjax import config as config_lib
from genjax import score_keys
from genjax.errors import UserError

_NO_RAMP = 1e9  # an average's half-life is not bounded by the images seen

# Each preset's values are arguments of ARG. `gamma` is R1's factor, and it comes every `interval`
# steps; `base` and `width` are the numbers of features (`genjax.gan.synthesis`), `average` the
# half-life in images.
_SMALL = {
    "data": "mnist",
    "size": 32,
    "width": 64,
    "base": 512,
    "style": 64,
    "mapping": 2,
    "discriminator": "resnet",
    "group": 4,
    "mixing": 0.0,
    "batch": 32,
    "steps": 4000,
    "rate": 0.0025,
    "gamma": 10.0,
    "interval": 4,
    "average": 5000.0,
    "ramp": 0.05,
    "augment": "none",
    "paths": 0.0,
}
_LARGE = _SMALL | {
    "data": "",
    "width": 512,
    "base": 32768,
    "style": 512,
    "mapping": 8,
    "mixing": 0.9,
    "gamma": 1.0,
    "interval": 16,
    "ramp": _NO_RAMP,
    "paths": 2.0,
}
_PRESETS = {
    "small": _SMALL,
    "cifar": _LARGE
    | {
        "data": "tfds:cifar10",
        "mapping": 2,
        "discriminator": "orig",
        "group": 32,
        "mixing": 0.0,
        "batch": 64,
        "steps": 1_562_500,
        "gamma": 0.01,
        "average": 500e3,
        "ramp": 0.05,
        "augment": "ada",
        "paths": 0.0,
    },
    "paper256": _LARGE
    | {"size": 256, "base": 16384, "group": 8, "batch": 64, "steps": 390_625, "average": 20e3},
    "paper512": _LARGE
    | {"size": 512, "group": 8, "batch": 64, "steps": 390_625, "gamma": 0.5, "average": 20e3},
    "paper1024": _LARGE
    | {"size": 1024, "steps": 781_250, "rate": 0.002, "gamma": 2.0, "average": 10e3},
    "stylegan2": _LARGE
    | {"size": 1024, "steps": 781_250, "rate": 0.002, "gamma": 10.0, "average": 10e3},
}


def get_config(arg: str = ""):
    """ARG: `preset` (small, cifar, paper256, paper512, paper1024 or stylegan2), `condition` (none
    or projection), `data` (a data name), `size` (px a side, a power of two), `batch`, `steps` and
    all other values of a preset.

    Keys, beside those of configs/dcgan.py:
      model.name: "stylegan2"; model.latent and model.style: the lengths of z and of styles.
      model.width: the most features of a layer, and model.base the product of features and size
        where that gives fewer.
      model.mapping: layers of the mapping network.
      model.generator: "skip", the paper's, or "resnet"; model.discriminator: "resnet", the paper's,
        or "orig", without second branches.
      model.group: over how many examples the discriminator takes deviations; it has to divide
        train.batch_size.
      model.mixing: the probability that a batch's pictures have two styles in training.
      model.condition: "none", or "projection": both networks see the labels.
      regularizer.weight: R1's gamma; regularizer.interval: the steps from one penalty to the next,
        16 in the authors' code. With a gamma of 1 or less every 16 steps, the small networks draw
        one digit in all pictures, another one after some hundred steps.
      augment: ADA's, of 32 px and less in preset=cifar: `blit,geometry,color`, target 0.6.
      path_length.weight: 0 at 32 px, 2 of the others.
      ema.ramp: large where the paper's setting has none.
    """
    arg = config_lib.parse_preset(arg, _PRESETS, condition="none")
    if not arg.data:
        raise UserError(f"preset={arg.preset} needs images: add data=NAME, such as folder:PATH")
    config = config_lib.base("gan")
    config.data = config_lib.dataset(arg.data, arg.size)
    config.score = score_keys.defaults()
    config.model = {
        "name": "stylegan2",
        "latent": arg.style,
        "style": arg.style,
        "width": arg.width,
        "base": arg.base,
        "mapping": arg.mapping,
        "generator": "skip",
        "discriminator": arg.discriminator,
        "group": arg.group,
        "mixing": arg.mixing,
        "condition": arg.condition,
    }
    config.loss = "non_saturating"
    config.regularizer = {"name": "r1", "weight": arg.gamma, "interval": arg.interval}
    config.n_dis = 1
    config.generator_batch = 1
    config.dequantize = False
    config.optimizer = {
        "name": "adam",
        "learning_rate": arg.rate,
        "discriminator_factor": 1.0,
        "b1": 0.0,
        "b2": 0.99,
        "linear_decay": 0,
    }
    # With the weight 0 too, the authors' code rescales the generator's rate for these updates.
    config.path_length = {"weight": arg.paths, "interval": 4, "decay": 0.99}
    config.augment.name = arg.augment
    config.ema = {"half_life": arg.average, "ramp": arg.ramp}
    config.train.steps = arg.steps
    config.train.batch_size = arg.batch
    config.sample.every = 250
    config.evaluate.every = 500
    config.checkpoint.every = 250
    config.lock()
    return config
