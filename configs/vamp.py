"""A VAE whose prior is a mixture of its posteriors at learned pictures, the VampPrior (Tomczak and
Welling 2018, arXiv:1705.07120).

python main.py --config=configs/vamp.py
python main.py --config=configs/vamp.py:preset=paper,data=npz:PATH

A sample picks one of the pictures and decodes a sample of its posterior. `preset=paper` has 500
pseudo-inputs, the rate, batches and warm-up of the authors' code, and its gated layers of 300. It
differs in plain Adam (there the gradient of each array is first divided by its norm), in Glorot's
first kernels, in log-variances that are not clipped to [-6, 2], in a fixed number of steps, and in
pseudo-inputs that begin at 0.05: from -0.05, clipping would let no gradient through.
"""

from configs import vae
from genjax import config as config_lib

_PRESETS = {
    "small": {"pseudo": 100, "rate": 1e-3, "warmup": 0, "steps": 5000},
    "paper": {"pseudo": 500, "rate": 5e-4, "warmup": 50_000, "steps": 1_000_000},
}


def get_config(arg: str = ""):
    """ARG: `preset` (small or paper), `pseudo` (how many pseudo-inputs), `warmup` (steps), and
    `data`, `size`, `binarize`, `rate`, `steps` of configs/vae.py.

    Keys: those of configs/vae.py; model.prior is "vamp".
    """
    arg = config_lib.parse_preset(arg, _PRESETS, data="mnist", size=0, binarize="dynamic")
    shared = ("data", "size", "binarize", "rate", "steps")
    config = vae.get_config(",".join(f"{key}={arg[key]}" for key in shared))
    config.model.hidden = (300, 300)
    config.model.activation, config.model.init = "gated", "glorot_uniform"
    config.model.prior, config.model.pseudo_inputs = "vamp", arg.pseudo
    config.bound.warmup = arg.warmup
    if arg.preset == "paper":
        config.score.k = 5000
        for group in (config.sample, config.evaluate, config.checkpoint):
            group.every = 5000
    return config
