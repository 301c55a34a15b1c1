"""WGAN-GP: a critic with a gradient penalty (Gulrajani et al. 2017, arXiv:1704.00028).

python main.py --config=configs/wgan_gp.py
python main.py --config=configs/wgan_gp.py:data=tfds:cifar10,width=64,batch=64,steps=100000 \\
    --config.optimizer.learning_rate=2e-4
"""

from genjax import config as config_lib
from genjax import score_keys


def get_config(arg: str = ""):
    """ARG: `data` (a data name), `size` (px a side, a power of two), `width`, `batch`, `steps`.

    Five updates of the critic a step, each on a batch of its own. The networks are those of
    chainer-gan-lib (`genjax.gan.sngan`), without spectral norms, which the penalty replaces.

    Keys: those of configs/sngan.py; regularizer.weight is the paper's lambda. The learning rate is
    for narrow networks and few steps; of wide ones it is 2e-4.
    """
    arg = config_lib.parse_arg(arg, data="mnist", size=32, width=8, batch=32, steps=1000)
    config = config_lib.base("gan")
    config.data = config_lib.dataset(arg.data, arg.size)
    config.score = score_keys.defaults()
    config.model = {"name": "chainer_gan_lib", "latent": 100, "width": arg.width, "norm": "none"}
    config.loss = "wasserstein"
    config.regularizer = {"name": "gradient_penalty", "weight": 10.0, "interval": 1}
    config.n_dis = 5
    config.generator_batch = 1
    config.dequantize = False
    config.optimizer = {
        "name": "adam",
        "learning_rate": 1e-3,
        "discriminator_factor": 1.0,
        "b1": 0.0,
        "b2": 0.9,
        "linear_decay": arg.steps,
    }
    config.ema = {"half_life": 2000.0, "ramp": 0.05}
    config.train.steps = arg.steps
    config.train.batch_size = arg.batch
    config.sample.every = 100
    config.evaluate.every = 250
    config.checkpoint.every = 100
    config.lock()
    return config
