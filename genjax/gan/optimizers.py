"""The optimisers of a GAN's networks: Adam or RMSProp, with rates that fall or change."""

from collections.abc import Callable, Mapping

import optax

from genjax.config import choose
from genjax.errors import UserError
from genjax.nn import check_lasts

_NAMES = ("adam", "rmsprop")


def make(
    config,
    scheduled: Mapping[str, Callable],
    *,
    updates: int = 1,
    factor: float = 1.0,
    lazy: int = 1,
) -> optax.GradientTransformation:
    """The optimiser of a network; see `optimizer` in configs/dcgan.py.

    Args:
      scheduled: {key: images seen -> value} (`genjax.gan.schedules`).
      updates: how many the network has a step.
      factor: of the learning rate.
      lazy: the steps from one regularising update to the next, c. Rate and moments are then those
        that make c + 1 updates equal to c: rate c/(c+1) and b^(c/(c+1)) (Karras et al. 2020,
        StyleGAN2, arXiv:1912.04958, appendix B).

    Raises:
      UserError: no such optimiser, or a first moment of RMSProp's; the rate is 0 before the last
        step, or so many updates are too many to count.
    """
    options, share = config.optimizer, lazy / (lazy + 1) if lazy > 1 else 1
    choose("optimizer.name", options.name, dict.fromkeys(_NAMES))
    rate, b1, b2 = options.learning_rate * factor * share, options.b1**share, options.b2**share
    if options.linear_decay:
        check_lasts(config, "linear_decay")
        if options.linear_decay * updates >= 2**31:  # Adam counts updates in 32 bits
            raise UserError(
                f"optimizer.linear_decay={options.linear_decay} times n_dis={updates} has to be "
                "less than 2**31"
            )
        steps = round(options.linear_decay * updates / share)
        rate = optax.linear_schedule(rate, 0.0, steps)

    images = config.train.batch_size / updates * share  # that an update counts for

    def over_time(key: str, of_value: Callable, otherwise):
        if key not in scheduled:
            return otherwise
        return lambda count: of_value(scheduled[key](count * images))

    rate = over_time("optimizer.learning_rate", lambda x: x * factor * share, rate)
    b2 = over_time("optimizer.b2", lambda x: x**share, b2)
    if options.name == "rmsprop":
        # As in PyTorch, which the authors of WGAN used: epsilon is beside the root.
        if b1 or callable(b2):
            key = "optimizer.b1=0.0" if b1 else "no optimizer.b2 in schedule.final"
            raise UserError(f"optimizer.name='rmsprop' needs {key}")
        return optax.rmsprop(rate, decay=b2, eps=1e-8, eps_in_sqrt=False)
    if callable(b2):
        # With a rate that changes too: Adam of values that are functions of its count.
        return optax.inject_hyperparams(optax.adam)(rate, b1=b1, b2=b2)
    return optax.adam(rate, b1=b1, b2=b2)
