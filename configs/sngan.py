"""SNGAN: spectral normalisation and the hinge loss (Miyato et al. 2018, arXiv:1802.05957).

python main.py --config=configs/sngan.py
python main.py --config=configs/sngan.py:data=tfds:cifar10,width=64,batch=128,steps=100000
"""

from genjax import config as config_lib


def get_config(arg: str = ""):
    """ARG: `data` (a data name), `size` (px a side, a power of two), `width`, `batch`, `steps`.

    Keys, beside those of configs/dcgan.py:
      model.name: "sngan"; model.width: features of the layers beside the image, 64 in the paper,
        whose batch is 128 and whose steps are 100,000.
      model.norm: of the discriminator's kernels: "spectral" or "none".
    """
    arg = config_lib.parse_arg(arg, data="mnist", size=32, width=16, batch=32, steps=2000)
    config = config_lib.base("gan")
    config.data = config_lib.dataset(arg.data, arg.size)
    config.model = {"name": "sngan", "latent": 100, "width": arg.width, "norm": "spectral"}
    config.loss = "hinge"
    config.regularizer = {"name": "none", "weight": 0.0}
    config.n_dis = 1
    config.generator_batch = 2
    config.dequantize = True
    config.optimizer = {"learning_rate": 2e-4, "b1": 0.0, "b2": 0.9, "linear_decay": arg.steps}
    config.ema = {"half_life": 5000.0, "ramp": 0.05}
    config.train.steps = arg.steps
    config.train.batch_size = arg.batch
    config.sample.every = 250
    config.evaluate.every = 500
    config.checkpoint.every = 250
    config.lock()
    return config
