"""Importance-weighted autoencoders (Burda, Grosse and Salakhutdinov 2016, arXiv:1509.00519).

python main.py --config=configs/iwae.py
python main.py --config=configs/iwae.py:bound=elbo
python main.py --config=configs/iwae.py:gradient=dreg
python main.py --config=configs/iwae.py:layers=2
python main.py --config=configs/iwae.py:preset=paper,k=50,data=npz:PATH

`preset=paper` is the setting of the paper's code (yburda/iwae) for digits that are binarised anew
each time. -log p(x) of the 10,000 test images, in nats, with 5,000 samples:
86.76, 85.54 and 84.78 for k = 1, 5 and 50; with bound=elbo 86.47 and 86.35 for 5 and 50. Of two
stochastic layers (`layers=2`) 85.33, 83.89 and 82.90; with bound=elbo 85.01 and 84.78.
"""

from genjax import config as config_lib
from genjax import score_keys, vae_keys
from genjax.errors import UserError

_PRESETS = {
    "small": {"k": 5, "steps": 5000},
    "paper": {"k": 1, "steps": 9_774_400},
}
_EPOCH = 2980  # steps of `paper`: 59,600 digits in batches of 20
# Stage i of eight has 3^(i - 1) epochs.
_STAGES = tuple(_EPOCH * (3**i - 1) // 2 for i in range(1, 8))
_FACTORS = tuple(round(10 ** (1 - i / 7), 1) / 10 for i in range(1, 8))


def get_config(arg: str = ""):
    """ARG: `preset` (small or paper), `bound` (iwae or elbo), `k`, `gradient` (plain, stl or dreg),
    `layers` (1, or 2: latents of 100 and 50), `data`, `size` (0: as stored), `binarize` (dynamic or
    static), `steps`.

    Keys: those of configs/vae.py. The paper's code does not shuffle its images and leaves 400 out;
    here they are shuffled, and all are seen.
    """
    arg = config_lib.parse_preset(
        arg,
        _PRESETS,
        bound="iwae",
        gradient="plain",
        layers=1,
        data="mnist",
        size=0,
        binarize="dynamic",
    )
    config = config_lib.base("vae")
    config.bound.name, config.bound.k, config.bound.gradient = arg.bound, arg.k, arg.gradient
    config.likelihood = "bernoulli"
    config.binarize = arg.binarize
    config.model = {
        "name": "mlp",
        "hidden": (200, 200),
        "latent": 50,
        "activation": "tanh",
        "init": "glorot_uniform",
        "spread": "log_sigma",
        "output_bias": "data",
        "condition": "none",
        **vae_keys.latents(),
    }
    if arg.layers == 2:
        config.model.prior, config.model.latent = "layer", 100
    elif arg.layers != 1:
        raise UserError(f"layers={arg.layers} is unknown: set layers=1 or 2")
    config.data = config_lib.dataset(arg.data, arg.size)
    config.score = score_keys.defaults()
    config.score.metrics = ("nll", *config.score.metrics)
    config.score.k = 500
    config.optimizer.learning_rate = 1e-3
    config.train.steps = arg.steps
    config.train.batch_size = 20
    config.train.steps_per_call = 50
    config.sample.every = 1000
    config.evaluate.every = 1000
    config.checkpoint.every = 1000
    if arg.preset == "paper":
        config.score.k = 5000
        config.optimizer.update(name="iwae", b1=0.99, epsilon=1e-4)
        config.optimizer.drops.steps, config.optimizer.drops.factors = _STAGES, _FACTORS
        config.log.every = 1000
        for group in (config.sample, config.evaluate, config.checkpoint):
            group.every = 40 * _EPOCH
    config.checkpoint.best = "eval/negative_elbo"
    config.checkpoint.best_mode = "min"
    config.lock()
    return config
