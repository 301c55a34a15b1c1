"""Variational autoencoders: fully connected on digits by default, convolutional with arch=conv.

python main.py --config=configs/vae.py
python main.py --config=configs/vae.py:arch=conv
python main.py --config=configs/vae.py:data=npz:PATH,binarize=static,steps=6000
python main.py --config=configs/vae.py:data=folder:PATH,size=192 --config.train.batch_size=16
python main.py --config=configs/vae.py:arch=conv,data=tfds:cifar10,width=128,likelihood=gaussian
"""

from genjax import config as config_lib
from genjax import score_keys


def get_config(arg: str = ""):
    """ARG: `arch` (mlp or conv), `data`, `size` (0: 28 px as stored for mlp, 32 for conv),
    `likelihood` (bernoulli or gaussian), `binarize` ("": dynamic for bernoulli, else grey), `width`
    (of conv), `steps`.

    Keys:
      likelihood: of a pixel. "gaussian" learns one standard deviation for all pixels.
      binarize: "static", "dynamic" or "grey" (`genjax.vae.binarize`).
      model.name: "mlp" (model.hidden: widths) or "conv" (model.width: the first layer's features);
        model.latent: the length of z.
      optimizer.learning_rate: Adam's; less for dense layers with more than 784 inputs, so that
        pictures of any size train with the default (`genjax.vae.optimizer`).
    """
    arg = config_lib.parse_arg(
        arg,
        arch="mlp",
        data="mnist",
        size=0,
        likelihood="bernoulli",
        binarize="",
        width=16,
        steps=3000,
    )
    config = config_lib.base("vae")
    config.likelihood = arg.likelihood
    config.binarize = arg.binarize or ("grey" if arg.likelihood == "gaussian" else "dynamic")
    models = {
        "mlp": {"name": "mlp", "hidden": (400,), "latent": 40},
        "conv": {"name": "conv", "width": arg.width, "latent": 40},
    }
    config.model = config_lib.choose("arch", arg.arch, models)
    config.data = config_lib.dataset(arg.data, arg.size or (32 if arg.arch == "conv" else 0))
    config.score = score_keys.defaults()
    config.optimizer = {"learning_rate": 1e-3}
    config.train.steps = arg.steps
    config.train.batch_size = 100
    config.train.steps_per_call = 20
    config.sample.every = 500
    config.evaluate.every = 500
    config.checkpoint.every = 500
    config.checkpoint.best = "eval/negative_elbo"
    config.checkpoint.best_mode = "min"
    config.lock()
    return config
