"""Style transfer by optimisation: a photograph in the style of a painting.

    python main.py --config=configs/style.py --config.content=PHOTO --config.style=PAINTING

A picture is a path, the name of a built-in photograph (astronaut, coffee, cat, …) or `run:WORKDIR`,
the samples of a trained GAN or VAE. A folder (`frames/`, without its sub-folders) or a glob in
quotes (`"frames/*.png"`; `**` for folders of any depth) stands for the pictures there, img2 before
img10. Several are written with commas between them.

Two presets are closed forms for stained tissue, and take one step: `reinhard` and `macenko`.

    python main.py --config=configs/style.py:preset=macenko --config.content=A --config.style=B
"""

from genjax import config as config_lib
from genjax import style_keys

_STYLE_LAYERS = ("relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu5_1")


def _gatys(config):
    """Gatys, Ecker and Bethge 2016, with the settings of the authors' code.

    Theirs are 500 iterations at 512 px; 200 at 256 px show the style in two minutes on two cores.
    """
    config.content_loss = {"layers": ("relu4_2",), "weight": 1.0}
    config.style_loss = {
        "kind": "gram",
        "layers": _STYLE_LAYERS,
        "weights": tuple(1e3 / n**2 for n in (64, 128, 256, 512, 512)),
        "weight": 1.0,
        "gram": "hw",
    }
    config.tv_weight = 0.0
    config.init = "content"
    config.train.steps = 200
    style_keys.scale_features(config)


def neural_style(config):
    """Johnson's neural-style, with its defaults.

    Its pictures go from 0 to 255, those here from 0 to 1: total variation is a square, so its
    weight is multiplied by 255 twice.
    """
    config.content_loss = {"layers": ("relu4_2",), "weight": 5.0}
    config.style_loss = {
        "kind": "gram",
        "layers": _STYLE_LAYERS,
        "weights": (1.0,) * len(_STYLE_LAYERS),
        "weight": 100.0,
        "gram": "chw",
    }
    config.tv_weight = 1e-3 * 255**2
    config.init = "noise"
    config.train.steps = 1000
    style_keys.scale_features(config)


def _wasserstein(config):
    """Crowson's style-transfer-pytorch: from 128 px up to `size` by the square root of 2 each time.

    It has 1,000 steps at the first scale and 500 at each further one. Its weights are for
    torchvision's features, VGG19's there.
    """
    weights = (256, 64, 16, 4, 1)
    config.content_loss = {"layers": ("relu4_2",), "weight": 0.015}
    config.style_loss = {
        "kind": "wasserstein",
        "layers": _STYLE_LAYERS,
        "weights": tuple(w / sum(weights) for w in weights),
        "weight": 1.0,
    }
    config.tv_weight = 2.0
    config.tv_kind = "nine-point"
    config.init = "content"
    config.features.border = "replicate"
    config.optimizer.update(name="adam", learning_rate=0.02, b2=0.99, clamp=True, average=0.99)
    config.style_enlarge = False
    config.train.steps = 1000


_PRESETS = {"gatys": _gatys, "neural-style": neural_style, "wasserstein": _wasserstein}


def _nnst(config, arg):
    """NNST, Kolkin et al. 2022 (arXiv:2203.13215), with the settings of the authors' program.

    200 steps at each scale and 200 at the end, from 64 px up: theirs are of 512 px or 1024 px.
    """
    config.content_share = 0.75
    config.color = "content"
    config.features = {"name": arg.features, "layers": _NNST_LAYERS}
    config.scales = {"smallest": arg.smallest, "steps": (200,)}
    config.optimizer = {"learning_rate": 2e-3, "epsilon": 1e-8}
    config.train.steps = style_keys.passes(arg.size or 512, **config.scales)[-1].until


_NNST_LAYERS = tuple(
    f"relu{block}_{i}" for block, depth in enumerate((2, 2, 3, 3), 1) for i in range(1, depth + 1)
)
_STAINS = ("reinhard", "macenko")  # `genjax.style.stains`
_TASKS = {"nnst": "nnst", **dict.fromkeys(_STAINS, "stain")}  # of the others it is "style"

_ARGUMENTS = {
    **{name: {"size": 256, "features": "vgg16", "smallest": 0} for name in _PRESETS},
    "wasserstein": {"size": 256, "features": "vgg16", "smallest": 128},
    "nnst": {"size": 256, "features": "vgg16", "smallest": 64},
    **{name: {"size": 0} for name in _STAINS},
}


def get_config(arg: str = ""):
    """ARG: `preset` (gatys, neural-style, wasserstein, nnst, reinhard or macenko), `size` (px of
    the longer side), `features`, `smallest` (px of the first of several scales; 0 for `size`
    alone).

    The preset nnst has `content`, `style`, `size`, `style_scale` and `content_fit`, and

      content_share: of the content in the picture whose nearest features are looked for; the rest
        is what has been painted so far. 0.75; at the coarsest scale, the content alone counts.
      color: "content" for the content's colours, moved to the style's mean and covariance, in large
        areas (`genjax.style.recolouring`); "style" for the picture as it was painted.
      features.name, features.layers: of which the hypercolumns are.
      scales.smallest: the least px of the longer side at the coarsest scale; each further one is
        twice as large, up to `size`.
      scales.steps: how many steps the first scale has, the second, and so on, and the final pass;
        the last number is that of all further ones. `train.steps` is their sum, as below.
      optimizer.learning_rate, optimizer.epsilon: of Adam, which begins anew in each pass.

    The presets reinhard and macenko have `content`, `style`, `size`, `style_scale`, `content_fit`
    and `method`, of the closed form (`genjax.style.stains`); several styles count as one.

    Keys:
      content, style: the pictures. style_weights: one number a style, or () for equal shares.
      size: px on the contents' longer side; 0 for their own, which has to be one shape for all. Of
        several scales it is the last one's.
      scales.smallest, scales.steps: of a run from scale to scale (`genjax.style_keys`). ARG's
        `smallest` gives the first scale as many steps as the preset has, each further one half of
        that, and `train.steps` their sum. With another `size` or other `scales` by --config,
        `train.steps` has to come with them: a run that would end before its last scale is refused,
        with the number to give; one that has more goes on at the last scale.
      pairs: "each" for every content in every style, "blend" for a mixture of the styles
        (`genjax.style_keys`).
      masks.content, masks.labels, masks.style: where each style goes, and which part of its picture
        it is: a mask for each style, or a map of colours (`genjax.style.masks`).
      tile: for sizes that memory does not hold: "auto", or px of a tile's sides; "0" for none.
      style_scale: px on the styles' longer side, in multiples of the (first) content's.
      style_enlarge: whether smaller styles are enlarged to that.
      content_fit: several contents are one batch and need one shape: "same" makes another an error,
        "crop" cuts the later ones to the first one's. With "own" they keep their shapes and are
        painted one after the other, each with the steps of `scales`; `train.steps` has to be as
        many for each.
      color: whose colours the picture has (`genjax.style_keys`).
      init: where to start: "content", "noise" (of standard deviation init_noise) or a picture.
      features.name: `vgg16`, `vgg16:PATH.npz`, `vgg19:PATH.npz` or `cnn:WORKDIR`.
      features.pool: "max" or "average".
      features.trunk_scale: what the features of a `cnn:WORKDIR` are multiplied by, of all layers.
      features.input: what the weights were trained on: "torchvision" (RGB, normalised) or "caffe"
        (BGR from 0 to 255 less its mean), such as a file made from the authors' weights or Keras'.
      content_loss, style_loss: layers and weights; style_loss.kind: how styles are compared
        (`genjax.style_keys`); `gram` says what a Gram matrix is divided by; `scale.LAYER`, what a
        layer's features are multiplied by, brings those of torchvision's lineage to the size of the
        authors' network. Features of input "caffe" have it already, and those of a `cnn:WORKDIR`
        have features.trunk_scale instead.
      tv_weight, tv_kind: of the total variation (`genjax.style_keys`).
      optimizer.name: "lbfgs" (memory: steps of history) or "adam" (learning_rate, of pictures
        between 0 and 1; b1, b2, clamp, average: `genjax.style_keys`).
    """
    arg = config_lib.parse_preset(arg, _ARGUMENTS)
    config = config_lib.base(_TASKS.get(arg.preset, "style"))
    config.content = "immunohistochemistry" if arg.preset in _STAINS else "astronaut"
    config.style = ""
    config.size = arg.size
    config.style_scale = 1.0
    config.content_fit = "same"
    if arg.preset in _STAINS:
        config.method = arg.preset
        config.train.steps = 1
        config.lock()
        return config
    config.train.steps_per_call = 5
    config.log.every = 10
    config.sample.every = 50
    config.evaluate.every = 50
    config.checkpoint.every = 50
    if arg.preset == "nnst":
        _nnst(config, arg)
        config.lock()
        return config
    config.style_weights = ()
    config.init_noise = 0.001 / 255
    config.features.update(name=arg.features, pool="max", input="torchvision")
    config.optimizer.update(name="lbfgs", memory=10, learning_rate=10 / 255)
    _PRESETS[arg.preset](config)
    config.scales = {
        "smallest": arg.smallest,
        "steps": (config.train.steps, max(1, config.train.steps // 2)),
    }
    config.train.steps = style_keys.schedule(config.size, **config.scales)[-1].until
    if arg.features.startswith("cnn:"):  # the trunk of a small classifier is shallower
        config.content_loss.layers = ("relu2_2",)
        config.style_loss.layers = ("relu1_1", "relu2_1", "relu3_1")
        config.style_loss.weights = config.style_loss.weights[:3]
    config.lock()
    return config
