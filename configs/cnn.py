"""A small classifier with BatchNorm; its trunk can be the feature network of style transfer.

    python main.py --config=configs/cnn.py
    python main.py --config=configs/cnn.py:data=npz:PATH --config.train.steps=6000 \\
        --config.optimizer.decay_steps=6000
"""

from genjax import config as config_lib


def get_config(arg: str = ""):
    """ARG: `data`, `size` (px a side; 0 for as stored).

    Keys:
      model.width: features of the first block; model.blocks: each halves the picture and doubles
        the features.
      optimizer: Adam's; decay_steps: after how many the learning rate is 0.
    """
    arg = config_lib.parse_arg(arg, data="mnist", size=0)
    config = config_lib.base("cnn")
    config.data = config_lib.dataset(arg.data, arg.size)
    config.data.shift = 2
    config.model = {"width": 16, "blocks": 3}
    config.optimizer = {"learning_rate": 2e-3, "b1": 0.9, "b2": 0.999, "decay_steps": 1000}
    config.train.steps = 1000
    config.train.batch_size = 64
    config.checkpoint.best = "eval/accuracy"
    config.lock()
    return config
