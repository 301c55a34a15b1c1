"""A small classifier with BatchNorm; its trunk can be the feature network of style transfer.

    python main.py --config=configs/cnn.py
    python main.py --config=configs/cnn.py:data=npz:PATH,steps=6000

With arch=airbench, a network that is good enough to judge pictures of CIFAR's size by:

    python main.py --config=configs/cnn.py:arch=airbench,data=folder:PATH,size=32
    python main.py --config=configs/cnn.py:arch=airbench,data=npz:PATH,width=64,steps=300 \\
        --config.data.flip=false

The first is eight epochs of CIFAR-10: 90.7 % of its test images, as JPEG of quality 75, in some 25
minutes of two AVX-512 cores; the second five of MNIST: 99.6 % in some 3 minutes (docs/results.md).
"""

from genjax import config as config_lib


def get_config(arg: str = ""):
    """ARG: `arch` (small or airbench), `data`, `size` (px a side; 0 for as stored), `width`
    (features of the first block; of airbench's second and third group, where the first has a
    quarter of them; 0: 16 of small and 256 of airbench), `steps` (0: 1000 of small and 400 of
    airbench).

    Keys:
      model.name: "small" (`genjax.cnn.classifier`): model.width: features of the first block;
        model.blocks: each halves the picture and doubles the features. "airbench"
        (`genjax.cnn.airbench`): model.widths: features of each group, which halves the picture.
      label_smoothing: the share of the target's mass that all classes have in equal parts.
      evaluate.augment: judge pictures by the mean over views of them, mirrored with data.flip and
        moved by a pixel with data.shift.
      optimizer: of "small" Adam's; of "airbench" Muon's (learning_rate, momentum) and, for the
        dense layer and biases, that of gradients (bias_rate, dense_rate, sgd_momentum,
        weight_decay: see `genjax.cnn.muon.optimizer`). bias_rate is in proportion to ARG's width;
        to change model.widths instead, set it as well. decay_steps: after how many the learning
        rate is 0.
      data.flip: of "airbench" true, except for the digits of data=mnist. Say
        --config.data.flip=false for others whose mirror images mean something else.
    """
    arg = config_lib.parse_arg(arg, arch="small", data="mnist", size=0, width=0, steps=0)
    config = config_lib.base("cnn")
    config.data = config_lib.dataset(arg.data, arg.size)
    config.data.shift = 2
    config_lib.choose("arch", arg.arch, {"small": _small, "airbench": _airbench})(config, arg)
    config.lock()
    return config


def _small(config, arg):
    steps = arg.steps or 1000
    config.model = {"name": "small", "width": arg.width or 16, "blocks": 3}
    config.label_smoothing = 0.0
    config.evaluate.augment = False
    config.optimizer = {"learning_rate": 2e-3, "b1": 0.9, "b2": 0.999, "decay_steps": steps}
    config.train.steps = steps
    config.train.batch_size = 64
    config.checkpoint.best = "eval/accuracy"


def _airbench(config, arg):
    """The rates are those of the author's training of this network with Muon (the post that
    `genjax.cnn.muon` names), at batches of half its size."""
    width, steps = arg.width or 256, arg.steps or 400
    config.model = {"name": "airbench", "widths": (-(-width // 4), width, width)}
    config.data.flip = arg.data != "mnist"
    config.data.flip_in_turn = True
    config.data.border = "reflect"
    config.label_smoothing = 0.2
    config.evaluate.augment = True
    config.optimizer = {
        "learning_rate": 0.24,
        "momentum": 0.6,
        "bias_rate": 0.053 * width / 256,  # what a bias does to the logits falls with the width
        "dense_rate": 0.67 / 256,
        "sgd_momentum": 0.85,
        "weight_decay": 2e-6,
        "decay_steps": steps,
    }
    config.train.steps = steps
    config.train.batch_size = 1000
    config.train.steps_per_call = 5
    config.log.every = 10
    config.evaluate.every = 0
    config.checkpoint.every = 50
