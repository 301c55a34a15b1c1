"""A GAN with R1, the penalty on real images (Mescheder et al. 2018, arXiv:1801.04406).

python main.py --config=configs/r1.py
python main.py --config=configs/r1.py:data=folder:PATH,size=64,width=64,batch=64
"""

from genjax import config as config_lib
from genjax import score_keys


def get_config(arg: str = ""):
    """ARG: `data` (a data name), `size` (px a side, a power of two), `width`, `batch`, `steps`.

    The loss of the original GAN, one update of each network a step, no norms in the discriminator.
    The networks are those of chainer-gan-lib (`genjax.gan.sngan`).

    Keys: those of configs/sngan.py; regularizer.weight is the paper's gamma.
    """
    arg = config_lib.parse_arg(arg, data="mnist", size=32, width=16, batch=32, steps=1500)
    config = config_lib.base("gan")
    config.data = config_lib.dataset(arg.data, arg.size)
    config.score = score_keys.defaults()
    config.model = {"name": "chainer_gan_lib", "latent": 100, "width": arg.width, "norm": "none"}
    config.loss = "non_saturating"
    config.regularizer = {"name": "r1", "weight": 10.0, "interval": 1}
    config.n_dis = 1
    config.generator_batch = 1
    config.dequantize = False
    config.optimizer = {
        "name": "adam",
        "learning_rate": 2e-4,
        "discriminator_factor": 1.0,
        "b1": 0.0,
        "b2": 0.99,
        "linear_decay": 0,
    }
    config.ema = {"half_life": 5000.0, "ramp": 0.05}
    config.train.steps = arg.steps
    config.train.batch_size = arg.batch
    config.sample.every = 250
    config.evaluate.every = 500
    config.checkpoint.every = 250
    config.lock()
    return config
