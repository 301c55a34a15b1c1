"""BigGAN: Brock, Donahue and Simonyan 2019 (arXiv:1809.11096), in its two public settings.

Class-conditional; grids of samples have a column for each class.

python main.py --config=configs/biggan.py
python main.py --config=configs/biggan.py:arch=studiogan_biggan
python main.py --config=configs/biggan.py:preset=paper
python main.py --config=configs/biggan.py:preset=studiogan,data=folder:PATH --config.data.flip=true

The first two are of digits: some minutes, after which each column has several hands. (With one
update of the discriminator a step, all digits of a column are one.) The others are the settings for
CIFAR-10: preset=paper of the author's BigGAN-PyTorch, 500 epochs; FID 9.59 (10,000 samples against
the test images), IS 9.06. preset=studiogan of PyTorch-StudioGAN, which mirrors images; FID 8.03 at
best in 100,000 steps (against the moments of the test images). Either takes a GPU about a day. The
paper's own setting, ImageNet on 128 TPU cores, is not here.
"""

from genjax import config as config_lib
from genjax import score_keys

# A weight of 0.9999 a step, as both have, is a half-life of 6,931 steps.
_PRESETS = {
    "small": {
        "arch": "biggan",
        "data": "mnist",
        "width": 8,
        "batch": 32,
        "steps": 800,
        "n_dis": 4,
        "rate": 1e-3,
        "half_life": 5000.0,
    },
    "paper": {
        "arch": "biggan",
        "data": "tfds:cifar10",
        "width": 64,
        "batch": 50,
        "steps": 125_000,
        "n_dis": 4,
        "rate": 2e-4,
        "half_life": 6931.0 * 50,
    },
    "studiogan": {
        "arch": "studiogan_biggan",
        "data": "tfds:cifar10",
        "width": 96,
        "batch": 64,
        "steps": 100_000,
        "n_dis": 5,
        "rate": 2e-4,
        "half_life": 6931.0 * 64,
    },
}


def get_config(arg: str = ""):
    """ARG: `preset` (small, paper or studiogan), `size` (px a side: 8, 16, 32, 64 or 128) and,
    instead of the preset's, `arch` (biggan or studiogan_biggan), `data` (a data name whose pictures
    have classes), `width`, `batch`, `steps`, `n_dis`, `rate`, `half_life`.

    Keys, beside those of configs/dcgan.py:
      model.name: "biggan", of the author's script, or "studiogan_biggan" (`genjax.gan.biggan`).
      model.width: a quarter of the generator's features at 32 px, and of the author's
        discriminator's; a half of StudioGAN's.
      model.latent: of StudioGAN's, divided among the blocks: a multiple of their number and one.
      model.shared: of StudioGAN's, the length of the class' embedding.
    """
    arg = config_lib.parse_preset(arg, _PRESETS, size=32)
    parts = max(2, arg.size.bit_length() - 2)  # of the latents; each has StudioGAN's 20
    models = {
        "biggan": {"latent": 128},
        "studiogan_biggan": {"latent": 20 * parts, "shared": 128},
    }
    model = config_lib.choose("arch", arg.arch, models)
    config = config_lib.base("gan")
    config.data = config_lib.dataset(arg.data, arg.size)
    config.score = score_keys.defaults()
    config.model = {"name": arg.arch, "width": arg.width, **model}
    config.loss = "hinge"
    config.regularizer = {"name": "none", "weight": 0.0, "interval": 1}
    config.n_dis = arg.n_dis
    config.generator_batch = 1
    config.dequantize = False
    b1 = 0.0 if arg.arch == "biggan" else 0.5
    config.optimizer = {
        "name": "adam",
        "learning_rate": arg.rate,
        "discriminator_factor": 1.0,
        "b1": b1,
        "b2": 0.999,
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
