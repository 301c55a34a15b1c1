"""FSQ: VQ-VAE with a grid for codes, which needs no book (Mentzer et al. 2023, arXiv:2309.15505).

python main.py --config=configs/fsq.py
python main.py --config=configs/fsq.py:preset=paper,data=tfds:cifar10

`preset=paper` has the networks of configs/vqvae.py's, with 1,000 codes.
"""

import re

from configs import vqvae
from genjax import config as config_lib
from genjax.errors import UserError

_PRESETS = {
    "small": {"width": 32, "inner": 16, "levels": "4:4:4", "steps": 2000},
    "paper": {"width": 128, "inner": 32, "levels": "8:5:5:5", "steps": 100_000},
}


def get_config(arg: str = ""):
    """ARG: `preset` (small or paper), `levels` (of each feature, such as 8:5:5:5), and `data`,
    `size`, `width`, `inner`, `steps` of configs/vqvae.py.

    Keys: those of configs/vqvae.py, but
      quantizer.name: "grid"; quantizer.levels: of each feature.
    """
    arg = config_lib.parse_preset(arg, _PRESETS, data="mnist", size=0)
    of_book = ["preset", "data", "size", "width", "inner", "steps"]
    config = vqvae.get_config(",".join(f"{key}={arg[key]}" for key in of_book))
    if not re.fullmatch(r"\d+(:\d+)*", arg.levels):
        raise UserError(f"levels={arg.levels!r} are numbers with colons between, such as 8:5:5:5")
    levels = tuple(int(n) for n in arg.levels.split(":"))
    with config.unlocked():
        config.quantizer = {"name": "grid", "levels": levels}
    return config
