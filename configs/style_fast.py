"""Feed-forward style transfer: a network that paints any photograph in the styles it has learned.

    python main.py --config=configs/style_fast.py:data=folder:PHOTOS --config.style=A.jpg,B.jpg
    python main.py --config=configs/style_fast.py:data=folder:PHOTOS --config.style=A.jpg,B.jpg \\
      --mode=stylize --input=PHOTO.jpg --output=painted

Johnson, Alahi and Fei-Fei 2016, arXiv:1603.08155; several styles in one network by conditional
instance norm: Dumoulin, Shlens and Kudlur 2017, arXiv:1610.07629.

The data are photographs of any kind, some thousands or more; a thousand show the style.
"""

from genjax import config as config_lib
from genjax import style_keys

_LAYERS = ("relu1_2", "relu2_2", "relu3_3", "relu4_3")


def _magenta(config):
    """Dumoulin et al. 2017, as in Magenta's image_stylization."""
    config.content_loss = {"layers": ("relu3_3",), "weight": 1.0}
    config.style_loss = {"weight": 1e-4, "gram": "hw"}
    config.tv_weight = 0.0
    config.features.pool = "average"
    style_keys.scale_features(config)


def _johnson(config):
    """Johnson et al. 2016, the losses of the authors' code.

    Theirs are of pictures from 0 to 255 and of batches of 4, over which total variation is summed:
    here it is of pictures from 0 to 1, and a mean over the batch.
    """
    config.content_loss = {"layers": ("relu3_3",), "weight": 1.0}
    config.style_loss = {"weight": 5.0, "gram": "chw"}
    config.tv_weight = 4 * 1e-6 * 255**2
    style_keys.scale_features(config)


def _pytorch(config):
    """pytorch/examples, fast_neural_style: features of torchvision's own VGG16."""
    config.content_loss = {"layers": ("relu2_2",), "weight": 1e5}
    config.style_loss = {"weight": 1e10, "gram": "chw"}
    config.tv_weight = 0.0


# {preset: (what it is about, its arguments)}. `small` has the paper's losses and a network that
# shows a style on two cores in minutes.
_LOSSES = {"small": _magenta, "paper": _magenta, "johnson": _johnson, "pytorch": _pytorch}
SMALL = {"size": 96, "width": 16, "blocks": 3, "batch": 4, "steps": 1000}
FULL = {"size": 256, "width": 32, "blocks": 5, "batch": 4, "steps": 40_000}
_ARGUMENTS = {
    "small": SMALL,
    "paper": FULL | {"batch": 16},
    "johnson": FULL,
    "pytorch": FULL,
}


def get_config(arg: str = ""):
    """ARG: `preset` (small, paper, johnson or pytorch), `data` (`folder:PATH` of photographs),
    `size` (px), `width`, `blocks`, `batch`, `steps`.

    Keys:
      style: the styles to learn, as in configs/style.py, with commas between them.
      style_scale: px on the styles' longer side, in multiples of data.size.
      model.kind: "conditional" or "johnson" (`genjax.style.transformation`), which has model.width
        features at full size and model.blocks residual blocks.
      features, content_loss, style_loss, tv_weight, tv_kind: the losses, as in configs/style.py.
      optimizer.learning_rate: Adam's.
      stylize: what `--mode=stylize` paints (`genjax.stylize_keys`).
    """
    arg = config_lib.parse_preset(arg, _ARGUMENTS, data="folder:")
    config = painting(arg, arg.preset)
    config.lock()
    return config


def painting(arg, preset: str):
    """The values of ARG with a preset's network and losses, which networks for clips begin with."""
    config = config_lib.base("style_fast")
    config.data = config_lib.dataset(arg.data, arg.size)
    config.data.channels = 3
    config.data.test_fraction = 0.03
    config.style = ""
    config.style_scale = 1.0
    kind = "conditional" if preset in ("small", "paper") else "johnson"
    config.model = {"kind": kind, "width": arg.width, "blocks": arg.blocks}
    config.features = {"name": "vgg16", "pool": "max", "input": "torchvision", "border": "zero"}
    _LOSSES[preset](config)
    config.style_loss.layers = _LAYERS
    config.style_loss.weights = (1.0,) * len(_LAYERS)
    config.tv_kind = "sum"
    config.optimizer = {"learning_rate": 1e-3}
    config.train.steps = arg.steps
    config.train.batch_size = arg.batch
    config.sample.every = 250
    config.evaluate.every = 250
    config.checkpoint.every = 250
    return config
