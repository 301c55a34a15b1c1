"""Adam for networks whose first layer reads a whole picture at once."""

import jax
import optax

# Inputs up to which a dense layer has the full rate: the pixels of a digit of 28 x 28, for which
# the config's default rate was chosen.
_FULL_RATE_INPUTS = 28 * 28


def adam(learning_rate: float) -> optax.GradientTransformation:
    """Adam (Kingma and Ba 2015, arXiv:1412.6980), slower where a dense layer has many inputs.

    Adam moves every weight by about the learning rate, whatever the gradient. The outputs of a
    dense layer with n inputs of one sign, such as pixels, then move by n times the rate in one
    step: at 28 px a little, at 192 px in colour, where n is 110,592, by fifty, and the log-variance
    behind it overflows within three steps. So the kernel of such a layer learns at the rate times
    784 / n, which makes outputs move alike at every size: the rule of Yang et al. 2022
    (arXiv:2203.03466, Table 3) for Adam, a rate that is inverse to the fan-in. Up to 784 inputs
    nothing changes. docs/results.md has what was measured.

    Biases and the kernels of convolutions, whose number of inputs does not grow with the picture,
    keep the full rate, and so do layers with many outputs: each of these still has few inputs.

    Args:
      learning_rate: that of Adam, more than 0.

    Returns:
      A transformation with the state of `optax.adam`.
    """
    plain = optax.adam(learning_rate)

    def update(grads, state, params=None):
        updates, state = plain.update(grads, state, params)
        return jax.tree.map(_slowed, updates), state

    return optax.GradientTransformation(plain.init, update)


def rate_share(shape: tuple[int, ...]) -> float:
    """The share of the learning rate that a parameter of this shape gets, in (0, 1].

    The kernel of a dense layer is f32[inputs, features]; nothing else has two axes.
    """
    return min(1.0, _FULL_RATE_INPUTS / shape[0]) if len(shape) == 2 else 1.0


def _slowed(update):
    share = rate_share(update.shape)
    return update if share == 1 else share * update
