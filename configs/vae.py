"""Variational autoencoders: fully connected on digits by default, convolutional with arch=conv.

python main.py --config=configs/vae.py
python main.py --config=configs/vae.py:arch=conv
python main.py --config=configs/vae.py:preset=paper,data=npz:PATH
python main.py --config=configs/vae.py:data=folder:PATH,size=192 --config.train.batch_size=16
python main.py --config=configs/vae.py:arch=conv,data=tfds:cifar10,width=128,likelihood=gaussian

`preset=paper` is the setting in which Pythae's reproduced_vae has 89.78 nats on MNIST, binarised
once (importance-weighted, 200 samples; 89.9 in Rezende and Mohamed 2015, arXiv:1505.05770): 500
epochs of 50,000 images, 10,000 that choose the checkpoint, and Keras' file of MNIST.
"""

from genjax import config as config_lib
from genjax import score_keys, vae_keys

_PRESETS = {
    "small": {"binarize": "", "rate": 1e-3, "steps": 3000},
    "paper": {"binarize": "static", "rate": 1e-4, "steps": 250_000},
}
_EPOCH = 500  # steps of `paper`: 50,000 digits in batches of 100


def get_config(arg: str = ""):
    """ARG: `preset` (small or paper), `arch` (mlp or conv), `data`, `size` (0: 28 px as stored for
    mlp, 32 for conv), `likelihood` (bernoulli or gaussian), `binarize` ("": dynamic for bernoulli,
    else grey), `width` (of conv), `rate`, `steps`.

    Keys, beside those of `genjax.vae_keys`:
      likelihood: of a pixel. "gaussian" learns one standard deviation for all pixels.
      binarize: "static", "dynamic" or "grey" (`genjax.vae.binarize`).
      model.name: "mlp" or "conv" (model.width: the first layer's features); model.latent: the
        length of z.
      model.hidden: of mlp, widths; model.activation: "relu", "tanh" or "gated"; model.init: of
        kernels, "lecun_normal" or "glorot_uniform"; model.spread: what the encoder says of a
        posterior's spread, "log_variance" or "log_sigma"; model.output_bias: what the decoder's
        last biases begin with, "zero" or "data", the logits of the mean training image;
        model.condition: "none", or "label" for networks that see the labels (configs/cvae.py).
        Further ones of mlp, about its latents, are those of `genjax.vae_keys.latents`.
      optimizer.learning_rate: Adam's; less for dense layers with more than 784 inputs, so that
        pictures of any size train with the default (`genjax.vae.optimizer`).
    """
    arg = config_lib.parse_preset(
        arg, _PRESETS, arch="mlp", data="mnist", size=0, likelihood="bernoulli", width=16
    )
    config = config_lib.base("vae")
    config.likelihood = arg.likelihood
    config.binarize = arg.binarize or ("grey" if arg.likelihood == "gaussian" else "dynamic")
    models = {
        "mlp": {
            "name": "mlp",
            "hidden": (400,),
            "latent": 40,
            "activation": "relu",
            "init": "lecun_normal",
            "spread": "log_variance",
            "output_bias": "zero",
            "condition": "none",
            **vae_keys.latents(),
        },
        "conv": {"name": "conv", "width": arg.width, "latent": 40},
    }
    config.model = config_lib.choose("arch", arg.arch, models)
    config.data = config_lib.dataset(arg.data, arg.size or (32 if arg.arch == "conv" else 0))
    config.score = score_keys.defaults()
    config.score.metrics = ("nll", *config.score.metrics)
    config.score.k = 200
    config.optimizer.learning_rate = arg.rate
    config.train.steps = arg.steps
    config.train.batch_size = 100
    config.train.steps_per_call = 20
    config.sample.every = 500
    config.evaluate.every = 500
    config.checkpoint.every = 500
    if arg.preset == "paper":
        config.optimizer.drops.steps = (200 * _EPOCH, 350 * _EPOCH)
        config.optimizer.drops.factors = (10**-0.2, 10**-0.4)
        config.data.validation = 10_000
        for group in (config.sample, config.evaluate, config.checkpoint):
            group.every = 10 * _EPOCH
    config.checkpoint.best = "eval/negative_elbo"
    config.checkpoint.best_mode = "min"
    config.lock()
    return config
