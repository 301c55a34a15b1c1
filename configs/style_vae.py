"""Styles as latents: drawn, mixed and interpolated (Liu et al. 2021, arXiv:2110.07375).

    python main.py --config=configs/style_vae.py:data=folder:PAINTINGS \\
        --config.decoder.run=runs/style_adain

A small VAE learns what AdaIN takes of a picture, the mean and the deviation of each feature
(`genjax.style.latent_styles`). Pictures of styles are the data set. The decoder is that of a run of
configs/style_adain.py, and stays as it is. A trained run paints in the styles of pictures, mixed in
the space of latents, and in styles that no picture has:

    python main.py --mode=stylize --workdir=runs/style_vae --input=PHOTO --output=FOLDER \\
        --config.stylize.style=sample --config.sample.n=8

`--mode=sample` shows one content in styles that are drawn, and all that `sample.kind` makes of
latents. Samples should differ as the paintings do, and the rows of a sheet in `samples/`, AdaIN's
and the VAE's, should look alike. Styles that are drawn are as varied as the data: a few paintings,
of which every step sees other squares, give a few styles and what is between them.
"""

from genjax import config as config_lib


def get_config(arg: str = ""):
    """ARG: `data` (a data name), `size` (px a side), `crop`, `batch`, `rate`, `beta`, `latent`,
    `steps`, `features`, `layer` (those of the decoder).

    Keys:
      decoder.run: `WORKDIR` or `WORKDIR@STEP`, the run of configs/style_adain.py that has the
        decoder. It is copied as this run begins.
      content: the picture that samples and sheets show in the styles; a path, or a built-in name.
      crop: px a side of the squares of styles, at random places in training and from the middle
        otherwise; 0 for all of the picture.
      model.hidden: widths of the encoder's hidden layers; the decoder has them the other way round.
      model.latent: how many latents a style has.
      bound.beta: what the KL divergence is multiplied by, beside a normal likelihood of
        standardised numbers with a deviation of 1.
      features, stylize: as in configs/style_adain.py; `stylize.style` may be "sample".
    """
    arg = config_lib.parse_arg(
        arg,
        data="folder:",
        size=128,
        crop=96,
        batch=16,
        rate=1e-3,
        beta=1.0,
        latent=16,
        steps=600,
        features="vgg16",
        layer="relu4_1",
    )
    config = config_lib.base("style_vae")
    config.data = config_lib.dataset(arg.data, arg.size)
    config.data.channels = 3
    config.crop = arg.crop
    config.content = "astronaut"
    config.decoder = {"run": ""}
    config.features = {"name": arg.features, "layer": arg.layer, "input": "torchvision"}
    config.model = {"name": "mlp", "hidden": (256,), "latent": arg.latent}
    config.bound = {"beta": arg.beta}
    config.optimizer = {"learning_rate": arg.rate}
    config.train.batch_size = arg.batch
    config.train.steps = arg.steps
    config.train.steps_per_call = 5
    config.log.every = 10
    config.sample.every = 100
    config.sample.n = 16
    config.evaluate.every = 100
    config.checkpoint.every = 100
    config.lock()
    return config
