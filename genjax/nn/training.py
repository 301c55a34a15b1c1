"""What the training steps of all families share: apply a network, and update its parameters."""

import optax

from genjax.devices import gather_params
from genjax.errors import UserError


def apply(network, variables, *inputs, train=True, mutable=("batch_stats",), **options):
    """(y, variables): what `network` makes of `inputs`, and its variables after that.

    Args:
      network: a Linen module, called with `inputs` and `train`.
      variables: {collection: arrays}.
      train: whether BatchNorm uses the statistics of the batch, and updates its running ones.
      mutable: the collections that change when `train` is true; the others are as they were.
      options: of training alone, such as `rngs`, {name: key} of Linen's random streams, for a
        network that draws from them.
    """
    if not train:
        return network.apply(variables, *inputs, train=False), variables
    y, updated = network.apply(variables, *inputs, train=True, mutable=list(mutable), **options)
    return y, variables | updated


def with_params(variables, params):
    """`variables` with these `params`, which `fsdp` all-gathers first (`devices.gather_params`)."""
    return variables | {"params": gather_params(params)}


def check_lasts(config, decay: str) -> None:
    """Checks that a falling learning rate is not 0 before the last step.

    Args:
      decay: the key of `config.optimizer` that says after how many steps it is 0.

    Raises:
      UserError: `train.steps` is more than that.
    """
    steps, end = config.train.steps, config.optimizer[decay]
    if steps > end:
        raise UserError(
            f"train.steps={steps} goes on after the learning rate is 0, at optimizer.{decay}={end}:"
            f" set --config.optimizer.{decay}={steps} too (a run that is under way, or done, goes "
            "on with the longer schedule)"
        )


def descend(optimizer: optax.GradientTransformation, grads, opt_state, params):
    """(params, opt_state) after one update of an optimizer."""
    updates, opt_state = optimizer.update(grads, opt_state, params)
    return optax.apply_updates(params, updates), opt_state
