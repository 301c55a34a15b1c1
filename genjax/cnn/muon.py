"""The optimiser of `genjax.cnn.airbench`: Muon for kernels, stochastic gradients for the rest.

Muon (Jordan et al. 2024, https://kellerjordan.github.io/posts/muon/) moves a kernel by the matrix
with orthogonal rows that is nearest to its momentum, so that no direction is moved more than
another. It is that post's way to train the network of arXiv:2404.00498 in a fifth fewer epochs.
"""

from functools import partial

import jax
import jax.numpy as jnp
import optax

# The odd polynomial a x + b x³ + c x⁵, which takes singular values in (0, 1] to about 1 when it is
# applied a few times (ibid.).
_POLYNOMIAL = (3.4445, -4.7750, 2.0315)
_ITERATIONS = 3

_WHITENING_SHARE = 3 / 8  # of the steps, in which the first layer's bias learns (ibid.)


def orthogonalized(matrix, iterations: int = _ITERATIONS):
    """About U Vᵀ, f32[m, n], of the singular value decomposition U S Vᵀ of `matrix`.

    By Newton and Schulz's iteration with `_POLYNOMIAL`, which ends near 1 and not at it: after
    three iterations, singular values of at least 0.02 of the Frobenius norm are between 0.68 and
    1.21.
    """
    if matrix.shape[0] > matrix.shape[1]:
        return orthogonalized(matrix.T, iterations).T
    a, b, c = _POLYNOMIAL
    x = matrix / (jnp.linalg.norm(matrix) + 1e-7)
    for _ in range(iterations):
        square = x @ x.T
        x = a * x + (b * square + c * square @ square) @ x
    return x


def muon(learning_rate: optax.Schedule, momentum: float) -> optax.GradientTransformation:
    """Muon with Nesterov's momentum for kernels f32[kh, kw, Cin, Cout].

    A kernel is a matrix with a row for each output. Before each step it is scaled to Frobenius norm
    √Cout, that of an orthogonal one: BatchNorm behind it ignores its scale, and so the rate is
    relative to the kernel.
    """

    def update(directions, state, kernels):
        rate = learning_rate(state.count)

        def change(direction, kernel):
            rows = orthogonalized(direction.reshape(-1, direction.shape[-1]).T)
            scaled = kernel * (len(rows) ** 0.5 / jnp.linalg.norm(kernel))
            return scaled - rate * rows.T.reshape(kernel.shape) - kernel

        changes = jax.tree.map(change, directions, kernels)
        return changes, optax.ScaleByScheduleState(state.count + 1)

    def init(kernels):
        return optax.ScaleByScheduleState(jnp.int32(0))

    return optax.chain(
        optax.trace(momentum, nesterov=True), optax.GradientTransformation(init, update)
    )


def optimizer(options, batch_size: int) -> optax.GradientTransformation:
    """The optimiser that `config.optimizer` describes, for means of a batch's gradients.

    Kernels of convolutions take Muon; the dense layer and all biases descend with Nesterov's
    momentum, and rates that are of one example: the gradients of a batch count as their sum. Every
    rate falls to 0 on a straight line over `decay_steps`; that of the first layer's bias over the
    first 3/8 of them.

    Args:
      options: `learning_rate` and `momentum` of Muon; `bias_rate`, `dense_rate` and `sgd_momentum`
        of the rest; `weight_decay`, the share of each of the rest's parameters that an example
        takes off at the full rate; `decay_steps`.
      batch_size: how many examples a step has.
    """

    def falling(rate: float, steps: float) -> optax.Schedule:
        return optax.linear_schedule(rate, 0.0, max(1, round(steps)))

    def sgd(rate: float, steps: float) -> optax.GradientTransformation:
        return optax.chain(
            optax.add_decayed_weights(options.weight_decay / rate),
            optax.sgd(falling(rate * batch_size, steps), options.sgd_momentum, nesterov=True),
        )

    steps = options.decay_steps
    parts = {
        "kernel": muon(falling(options.learning_rate, steps), options.momentum),
        "dense": sgd(options.dense_rate, steps),
        "bias": sgd(options.bias_rate, steps),
        "whitening_bias": sgd(options.bias_rate, _WHITENING_SHARE * steps),
    }
    return optax.partition(parts, partial(jax.tree_util.tree_map_with_path, _kind))


def _kind(path, param) -> str:
    """Which of the optimiser's parts moves a parameter."""
    if path[-1].key == "whitening_bias":
        return "whitening_bias"
    return {4: "kernel", 2: "dense", 1: "bias"}[param.ndim]
