"""A prior over codes: a causal transformer that learns the codes of a run of VQ-VAE, FSQ or
VQ-GAN, so that pictures can be drawn (van den Oord et al. 2017, arXiv:1711.00937, section 3.3; a
transformer as in Esser et al. 2021, arXiv:2012.09841).

python main.py --config=configs/vqvae.py
python main.py --config=configs/codes.py --config.codes.run=runs/vqvae
python main.py --config=configs/codes.py --config.codes.run=runs/vqvae --mode=sample

Samples have a column for each class, where data have classes.
"""

from genjax import config as config_lib
from genjax import score_keys


def get_config(arg: str = ""):
    """ARG: `data` (a data name) and `size`, as of the run of the codes; `width`, `layers`, `steps`.

    Keys:
      codes.run: `WORKDIR` or `WORKDIR@STEP`, a run of configs/vqvae.py, configs/fsq.py or
        configs/vqgan.py. Its encoder makes the codes of the pictures, and its decoder pictures of
        codes; both are kept in this run's checkpoints, as they were when it began.
      model.width, model.layers, model.heads: of the transformer (`genjax.vae.transformer`).
      optimizer.learning_rate: Adam's.
    """
    arg = config_lib.parse_arg(arg, data="mnist", size=0, width=128, layers=4, steps=3000)
    config = config_lib.base("codes")
    config.data = config_lib.dataset(arg.data, arg.size)
    config.codes = {"run": ""}
    config.model = {"width": arg.width, "layers": arg.layers, "heads": 4}
    config.score = score_keys.defaults()
    config.optimizer = {"learning_rate": 1e-3}
    config.train.steps = arg.steps
    config.train.batch_size = 64
    config.sample.every = 500
    config.evaluate.every = 500
    config.checkpoint.every = 500
    config.checkpoint.best = "eval/nll"
    config.checkpoint.best_mode = "min"
    config.lock()
    return config
