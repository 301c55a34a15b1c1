"""SNGAN: spectral normalisation and the hinge loss (Miyato et al. 2018, arXiv:1802.05957).

python main.py --config=configs/sngan.py
python main.py --config=configs/sngan.py:data=tfds:cifar10,width=64,batch=128,steps=100000
python main.py --config=configs/sngan.py:arch=chainer_gan_lib
python main.py --config=configs/sngan.py:arch=resnet
python main.py \\
    --config=configs/sngan.py:arch=resnet,data=tfds:cifar10,width=64,batch=64,steps=100000 \\
    --config.n_dis=5 --config.generator_batch=1 --config.dequantize=false

The second one is the paper's setting of the plain networks (FID 17.81 on CIFAR-10), the last one
kwotsin/mimicry's of the residual ones (16.77; 50,000 samples against the training images).
"""

from genjax import config as config_lib
from genjax import score_keys


def get_config(arg: str = ""):
    """ARG: `arch` (sngan, chainer_gan_lib or resnet), `data` (a data name), `size` (px a side, a
    power of two; of a resnet, up to 128), `width` (0: 32, of a resnet 16), `batch`, `steps`.

    Keys, beside those of configs/dcgan.py:
      model.name: "sngan", the discriminator of the paper's Table 3, or "chainer_gan_lib", that of
        the authors' code, which has twice as many parameters (`genjax.gan.sngan`); or "resnet",
        Table 4's, with further keys of its own (configs/cgan.py).
      model.width: features of the layers beside the image, 64 in the paper, whose batch is 128 and
        whose steps are 100,000.
      model.norm: of the discriminator's kernels: "spectral" or "none".
    """
    arg = config_lib.parse_arg(
        arg, arch="sngan", data="mnist", size=32, width=0, batch=32, steps=2000
    )
    archs = {
        "sngan": {"width": 32},
        "chainer_gan_lib": {"width": 32},
        "resnet": {"width": 16, "condition": "none", "pool": "sum", "head": "none"},
    }
    model = config_lib.choose("arch", arg.arch, archs)
    config = config_lib.base("gan")
    config.data = config_lib.dataset(arg.data, arg.size)
    config.score = score_keys.defaults()
    model["width"] = arg.width or model["width"]
    config.model = {"name": arg.arch, "latent": 128, "norm": "spectral", **model}
    config.loss = "hinge"
    config.regularizer = {"name": "none", "weight": 0.0, "interval": 1}
    config.n_dis = 1
    config.generator_batch = 2
    config.dequantize = True
    config.optimizer = {
        "name": "adam",
        "learning_rate": 2e-4,
        "discriminator_factor": 1.0,
        "b1": 0.0,
        "b2": 0.9,
        "linear_decay": arg.steps,
    }
    config.ema = {"half_life": 5000.0, "ramp": 0.05}
    config.train.steps = arg.steps
    config.train.batch_size = arg.batch
    config.sample.every = 250
    config.evaluate.every = 500
    config.checkpoint.every = 250
    config.lock()
    return config
