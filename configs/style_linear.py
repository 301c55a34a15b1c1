"""A linear transform of features into those of any picture (Li et al. 2019, arXiv:1808.04537).

    python main.py --config=configs/style_linear.py:data=folder:PHOTOS --config.style=PAINTINGS \\
        --config.decoder.run=runs/style_adain

Networks learn a small matrix for each content and each style. The decoder is that of a run of
configs/style_adain.py, and stays as it is. Data, styles and painting are as there, and so is
`stylize.transform`: "linear", what was learned; or "wct" or "adain", which need no training.

`preset=paper` has the pictures of 300 px, crops of 256 px, the rates and the 100,000 steps of the
authors' program.
"""

from configs import style_adain
from genjax import config as config_lib

_PRESETS = {
    "small": style_adain.SMALL,
    "paper": {
        **{"size": 300, "crop": 256, "batch": 8},
        **{"rate": 1e-4, "decay": 1e-5, "steps": 100_000},
    },
}


def get_config(arg: str = ""):
    """ARG: `preset` (small or paper), `data` (a data name), `size` (px a side), `crop`, `batch`,
    `rate`, `decay`, `steps`, `features`, `layer` (relu4_1 or relu3_1, as published; that of the
    decoder).

    Keys:
      decoder.run: `WORKDIR` or `WORKDIR@STEP`, the run of configs/style_adain.py that has the
        decoder. It is copied as this run begins.
      model.matrix: rows of the matrices (`genjax.style.linear`).
      features.judged: the last layer by which pictures are judged: contents by its features alone,
        styles by those of the first layer of each block up to it.
      style, crop, features, content_loss, style_loss, optimizer, stylize: as in
        configs/style_adain.py.
    """
    arg = config_lib.parse_preset(arg, _PRESETS, data="folder:", features="vgg16", layer="relu4_1")
    config = style_adain.painting("style_linear", arg)
    config.decoder = {"run": ""}
    config.model = {"matrix": 32}
    config.features.judged = "relu4_1"
    config.content_loss = {"weight": 1.0}
    config.style_loss = {"weight": 0.02}
    config.stylize.transform = "linear"
    config.lock()
    return config
