"""DCGAN: Radford, Metz and Chintala 2016 (arXiv:1511.06434).

Digits in a few minutes on two CPU cores; CIFAR-10 or a folder of pictures as well.

python main.py --config=configs/dcgan.py
python main.py --config=configs/dcgan.py:data=tfds:cifar10
python main.py --config=configs/dcgan.py:data=folder:PATH,size=64
"""

from genjax import config as config_lib
from genjax import score_keys


def get_config(arg: str = ""):
    """ARG: `data` (a data name), `size` (px a side, a power of two), `width`, `batch`, `steps`.

    Keys:
      model.name: "dcgan"; model.latent: the length of z; model.width: features of the layer
        beside the image; the paper's is 64, which learns more slowly on two cores.
      loss: "non_saturating", "minimax", "least_squares", "hinge", "wasserstein", "relativistic" or
        "relativistic_average" (`genjax.gan.losses`).
      regularizer.name: "gradient_penalty" (WGAN-GP's), "dragan", "r1", "r2" or "r1_r2", for
        discriminators without BatchNorm, or "none" (`genjax.gan.regularizers`);
        regularizer.weight: its lambda or gamma; regularizer.interval: in steps, 1 for each; more
        for an update of its own, so many times as heavy (StyleGAN2's lazy regularisation).
      n_dis: updates of the discriminator before each one of the generator; a step sees n_dis
        batches of train.batch_size real images.
      generator_batch: how many times train.batch_size images the generator is updated on. All are
        one batch to it; the discriminator's last update sees every generator_batch-th of them.
      dequantize: add noise of one of 256 levels to real images, and cut samples into levels again.
      optimizer.name: "adam" or "rmsprop", of both networks; optimizer.discriminator_factor: the
        discriminator's learning rate is so many times the generator's; b1, b2: the decays of Adam's
        moments, or, b2 alone, of RMSProp's; optimizer.linear_decay: the learning rate falls to 0
        over so many steps; 0 for a constant one.
      ema.half_life: of the moving average of the generator, its BatchNorm's statistics included,
        in images; a step counts train.batch_size, whatever n_dis and generator_batch are.
        ema.ramp: the half-life is at most this share of the images seen; 0 averages nothing.
      And the options of every GAN, all off: augmentations, further regularisers, schedules
        (`genjax.gan_keys`, docs/gan.md).
    """
    arg = config_lib.parse_arg(arg, data="mnist", size=32, width=32, batch=64, steps=3000)
    config = config_lib.base("gan")
    config.data = config_lib.dataset(arg.data, arg.size)
    config.score = score_keys.defaults()
    config.model = {"name": "dcgan", "latent": 100, "width": arg.width}
    config.loss = "non_saturating"
    config.regularizer = {"name": "none", "weight": 0.0, "interval": 1}
    config.n_dis = 1
    config.generator_batch = 1
    config.dequantize = False
    config.optimizer = {
        "name": "adam",
        "learning_rate": 2e-4,
        "discriminator_factor": 1.0,
        "b1": 0.5,
        "b2": 0.999,
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
