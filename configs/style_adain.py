"""A network that paints in the style of any picture (Huang and Belongie 2017, arXiv:1703.06868).

    python main.py --config=configs/style_adain.py:data=folder:PHOTOS --config.style=PAINTINGS

Photographs are the data set; a picture of a style is a path, a folder, a glob, or several of them
with commas between. A trained network paints with one that it never saw, too:

    python main.py --mode=stylize --workdir=runs/style_adain --input=PHOTO --output=FILE \\
        --config.stylize.style=PICTURE

With `stylize.transform=wct` the same decoder paints by whitening and colouring (Li et al. 2017,
arXiv:1705.08086), which needs no training of its own.

`preset=paper` has the pictures of 512 px, crops of 256 px, the rates and the 160,000 steps of the
published programs; without it, a rate ten times as high, which falls twenty times as fast, and 600
steps of small crops.
"""

from genjax import config as config_lib

SMALL = {"size": 128, "crop": 96, "batch": 4, "rate": 1e-3, "decay": 1e-3, "steps": 600}
_PRESETS = {
    "small": SMALL,
    "paper": {
        **{"size": 512, "crop": 256, "batch": 8},
        **{"rate": 1e-4, "decay": 5e-5, "steps": 160_000},
    },
}

# What the style loss of each program is multiplied by.
_WEIGHTS = {"pytorch": 10.0, "lua": 1e-2}


def get_config(arg: str = ""):
    """ARG: `preset` (small or paper), `data` (a data name), `size` (px a side), `crop`, `batch`,
    `rate`, `decay`, `steps`, `features`, `layer`, `variant`.

    Keys:
      style: the pictures of styles to train with, each cut to a square of data.size.
      crop: px a side of the squares that are cut out of contents and styles, at random places in
        training and from the middle otherwise; 0 for all of them.
      variant: which published program the losses are of: "pytorch", with mean errors, or "lua", the
        authors', with sums over features (`genjax.style.adain_task`).
      content_loss.weight, style_loss.weight: what the losses are multiplied by.
      features.name: the encoder, `vgg16`, `vgg16:PATH.npz` or `vgg19:PATH.npz`, which the published
        networks have; features.layer: its last layer, whose features are transformed.
      features.input: as of configs/style.py.
      optimizer.learning_rate, optimizer.decay: of Adam; in step i, from 0 on, the rate is
        learning_rate / (1 + decay i).
      stylize: what `--mode=stylize` paints (`genjax.stylize_keys`); stylize.transform: how features
        get the style: "adain", as in training, or "wct", whitened and coloured.
    """
    arg = config_lib.parse_preset(
        arg, _PRESETS, data="folder:", features="vgg16", layer="relu4_1", variant="pytorch"
    )
    config = painting("style_adain", arg)
    config.variant = arg.variant
    config.content_loss = {"weight": 1.0}
    config.style_loss = {"weight": config_lib.choose("variant", arg.variant, _WEIGHTS)}
    config.stylize.transform = "adain"
    config.lock()
    return config


def painting(task: str, arg):
    """The values that networks for any picture's style have in common, but for their losses."""
    config = config_lib.base(task)
    config.data = config_lib.dataset(arg.data, arg.size)
    config.data.channels = 3
    config.data.test_fraction = 0.03
    config.style = ""
    config.crop = arg.crop
    config.features = {"name": arg.features, "layer": arg.layer, "input": "torchvision"}
    config.optimizer = {"learning_rate": arg.rate, "decay": arg.decay}
    config.train.batch_size = arg.batch
    config.train.steps = arg.steps
    config.train.steps_per_call = 5
    config.log.every = 10
    config.sample.every = 100
    config.evaluate.every = 100
    config.checkpoint.every = 100
    return config
