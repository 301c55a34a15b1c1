"""WGAN-GP: a critic with a gradient penalty (Gulrajani et al. 2017, arXiv:1704.00028).

python main.py --config=configs/wgan_gp.py
python main.py --config=configs/wgan_gp.py:data=tfds:cifar10,width=64,batch=64,steps=100000 \\
    --config.optimizer.learning_rate=2e-4
python main.py --config=configs/wgan_gp.py:arch=resnet
python main.py \\
    --config=configs/wgan_gp.py:arch=resnet,data=tfds:cifar10,width=64,batch=64,steps=100000 \\
    --config.optimizer.learning_rate=2e-4 --config.ema.half_life=0

The last one is kwotsin/mimicry's setting: FID 22.29 on CIFAR-10 (50,000 samples against the
training images).
"""

from genjax import config as config_lib
from genjax import score_keys


def get_config(arg: str = ""):
    """ARG: `arch` (chainer_gan_lib or resnet), `data` (a data name), `size` (px a side, a power of
    two; of a resnet, up to 128), `width`, `batch`, `steps`.

    Five updates of the critic a step, each on a batch of its own. The networks are those of
    chainer-gan-lib (`genjax.gan.sngan`), or residual ones with the mean of the critic's last pixels
    (`genjax.gan.resnet`), without spectral norms, which the penalty replaces.

    Keys: those of configs/sngan.py; regularizer.weight is the paper's lambda. The learning rate is
    for narrow networks and few steps; of wide ones it is 2e-4.
    """
    arg = config_lib.parse_arg(
        arg, arch="chainer_gan_lib", data="mnist", size=32, width=8, batch=32, steps=1000
    )
    archs = {
        "chainer_gan_lib": {"latent": 100},
        "resnet": {"latent": 128, "condition": "none", "pool": "mean", "head": "none"},
    }
    model = config_lib.choose("arch", arg.arch, archs)
    config = config_lib.base("gan")
    config.data = config_lib.dataset(arg.data, arg.size)
    config.score = score_keys.defaults()
    config.model = {"name": arg.arch, "width": arg.width, "norm": "none", **model}
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
