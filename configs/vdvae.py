"""Very deep VAEs (Child 2021, arXiv:2011.10650), as in openai/vdvae.

python main.py --config=configs/vdvae.py
python main.py --config=configs/vdvae.py:preset=paper,data=tfds:cifar10
python main.py --config=configs/vdvae.py:preset=imagenet32,data=folder:PATH

`preset=paper` is CIFAR-10's: 43 latents and 39,145,700 parameters, 2.87 bits a dimension of the
test set after some 650,000 to 1,050,000 steps. `preset=imagenet32` has 119,280,868, and 3.80 bits a
dimension after the 1,700,000 steps of the authors' code, whose batch is of 32 GPUs, eight each.
"""

from genjax import config as config_lib
from genjax import score_keys

_PRESETS = {
    "small": {
        "width": 32,
        "encoder": "32x1,32d2,16x1,16d2,8x1,8d2,4x1,4d4,1x1",
        "decoder": "1x1,4m1,8m4,8x1,16m8,16x1,32m16",
        "rate": 2e-3,
        "decay": 0.99,
        "skip": 400.0,
        "mean": 127.5,
        "deviation": 127.5,
        "batch": 16,
        "steps": 2000,
    },
    "paper": {
        "width": 384,
        "encoder": "32x11,32d2,16x6,16d2,8x6,8d2,4x3,4d4,1x3",
        "decoder": "1x1,4m1,4x2,8m4,8x5,16m8,16x10,32m16,32x21",
        "rate": 2e-4,
        "decay": 0.9999,
        "skip": 400.0,
        "mean": 120.63838,
        "deviation": 64.16736,
        "batch": 32,
        "steps": 1_000_000,
    },
    "imagenet32": {
        "width": 512,
        "encoder": "32x15,32d2,16x9,16d2,8x8,8d2,4x6,4d4,1x6",
        "decoder": "1x2,4m1,4x4,8m4,8x9,16m8,16x19,32m16,32x40",
        "rate": 1.5e-4,
        "decay": 0.999,
        "skip": 300.0,
        "mean": 116.2373,
        "deviation": 69.37404,
        "batch": 256,
        "steps": 1_700_000,
    },
}


def get_config(arg: str = ""):
    """ARG: `preset` (small, paper or imagenet32), `data`, `size`, `width`, `rate`, `decay`, `skip`,
    `mean`, `deviation`, `batch`, `steps`; `encoder` and `decoder` are keys (model.encoder).

    Keys:
      model.width: features, a multiple of 4; model.latent: channels of each latent.
      model.encoder, model.decoder: their blocks (`genjax.vae.vdvae.parts`): "32x2" is two of 32 px,
        "32d2" one whose side is then halved, "16m8" one that adds the features of 8 px.
      model.mixtures: of the likelihood (`genjax.vae.logistics`).
      input.mean, input.deviation: the encoder sees (level - mean) / deviation, of levels from 0 to
        255: those of the paper's data, and for others 127.5, which makes it -1 to 1.
      optimizer.learning_rate, optimizer.b1, optimizer.b2, optimizer.weight_decay: AdamW's;
        optimizer.warmup: in steps, how long the rate rises from 0.
      optimizer.clip: the largest norm of a gradient, and optimizer.skip: from which norm on a step
        changes nothing.
      ema.decay: of the average of parameters, which is evaluated and drawn from.
    """
    arg = config_lib.parse_preset(arg, _PRESETS, data="mnist", size=32)
    config = config_lib.base("vdvae")
    config.data = config_lib.dataset(arg.data, arg.size)
    config.model = {
        "width": arg.width,
        "latent": 16 if arg.preset != "small" else 8,
        "encoder": arg.encoder,
        "decoder": arg.decoder,
        "mixtures": 10 if arg.preset != "small" else 4,
    }
    config.input = {"mean": arg.mean, "deviation": arg.deviation}
    config.optimizer = {
        "learning_rate": arg.rate,
        "b1": 0.9,
        "b2": 0.9,
        "weight_decay": 0.01,
        "warmup": 100,
        "clip": 200.0,
        "skip": arg.skip,
    }
    config.ema = {"decay": arg.decay}
    config.score = score_keys.defaults()
    config.score.metrics = ("nll", *config.score.metrics)
    config.score.k = 100
    config.train.steps = arg.steps
    config.train.batch_size = arg.batch
    config.train.on_nonfinite = "skip"
    every = 500 if arg.preset == "small" else 10_000
    for group in (config.sample, config.evaluate, config.checkpoint):
        group.every = every
    config.checkpoint.best = "eval/bits_per_dim"
    config.checkpoint.best_mode = "min"
    config.lock()
    return config
