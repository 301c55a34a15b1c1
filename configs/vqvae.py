"""VQ-VAE: an autoencoder with a book of codes (van den Oord et al. 2017, arXiv:1711.00937).

python main.py --config=configs/vqvae.py
python main.py --config=configs/vqvae.py:preset=paper,data=tfds:cifar10

`preset=paper` has the networks, the book and the rates of Sonnet's example for CIFAR-10, where the
notebook trains 10,000 steps and suggests 100,000.
"""

from genjax import config as config_lib
from genjax import score_keys

_PRESETS = {
    "small": {"width": 32, "inner": 16, "codes": 64, "features": 16, "steps": 2000},
    "paper": {"width": 128, "inner": 32, "codes": 512, "features": 64, "steps": 100_000},
}


def get_config(arg: str = ""):
    """ARG: `preset` (small or paper), `data` (a data name), `size` (0: as stored; multiples of 4),
    `width`, `inner`, `codes`, `features`, `steps`.

    Keys:
      model.width: features of the inner layers; model.blocks, model.inner: residual blocks, and
        their inner features (`genjax.vae.vqvae`).
      quantizer.name: "codebook" (`genjax.vae.quantizers.CodeBook`, of so many codes and features),
        or "grid" (configs/fsq.py).
      quantizer.learned_by: "average", running means of what chose each code, or "loss".
      quantizer.beta: of the commitment term; quantizer.decay, quantizer.epsilon: of the means.
      quantizer.revive: of means, below which part of a fair share a code counts as dead and becomes
        a vector of the batch; 0 for never.
      optimizer.learning_rate: Adam's.
    """
    arg = config_lib.parse_preset(arg, _PRESETS, data="mnist", size=0)
    config = config_lib.base("vq")
    config.data = config_lib.dataset(arg.data, arg.size)
    config.model = {"name": "vqvae", "width": arg.width, "blocks": 2, "inner": arg.inner}
    config.quantizer = {
        "name": "codebook",
        "codes": arg.codes,
        "features": arg.features,
        "learned_by": "average",
        "beta": 0.25,
        "decay": 0.99,
        "epsilon": 1e-5,
        "revive": 0.0,
    }
    config.score = score_keys.defaults()
    config.score.metrics = ("reconstruction", "codes")
    config.optimizer = {"learning_rate": 3e-4 if arg.preset == "paper" else 1e-3}
    config.train.steps = arg.steps
    config.train.batch_size = 32
    config.sample.every = 500
    config.evaluate.every = 500
    config.checkpoint.every = 500
    config.lock()
    return config
