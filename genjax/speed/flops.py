"""How much arithmetic a training step is, and how much of it a device does a second.

*Model FLOP* are those of the matrix products and convolutions of a step, forward and backward, a
multiplication and an addition counted as two: what the networks ask for, whatever a compiler makes
of it. Everything else (normalisations, activations, optimisers) is left out, as it is in published
numbers. They are counted from the traced step, in which every convolution is the native operation
(`genjax.nn.backend`): formulations that trade arithmetic for speed count as what they replace.

Model FLOP a second over what the device's matrix products reach is the utilisation, MFU (Chowdhery
et al. 2022, arXiv:2204.02311, appendix B; there the denominator is the data sheet's).
"""

import functools
import math
import time

import jax
import jax.numpy as jnp
import numpy as np
from jax.extend.core import Jaxpr, jaxprs_in_params
from jax.interpreters import partial_eval

from genjax import runs
from genjax.nn import backend

# Sides of the square matrices whose product is timed: the larger ones keep all units busy, and
# the best counts. A GPU needs larger ones than the cores of a CPU.
_SIDES = {"cpu": (512, 1024), "gpu": (4096, 8192), "tpu": (4096, 8192)}
_CHAINED = 4
_SECONDS = 0.2  # of each side; a process' threads need about half of it to spread over the cores


def model_flop(run: runs.Run) -> float:
    """FLOP of one training step of a run, all devices together; nothing is computed.

    Of a `lax.cond` the cheapest branch counts, and of a loop whose length only the data decide one
    pass: an L-BFGS iteration is one whose line search takes its first point, and does not fail.
    """
    state, batch, key = runs.step_shapes(run)

    def step(state, batch, constants, key):
        return run.task.step(state, batch | constants, key, None)

    with backend.native():
        return count(step, state, batch, dict(run.task.constants), key)


def count(function, *arguments) -> float:
    """FLOP of the matrix products and convolutions that `function(*arguments)` needs.

    Args:
      arguments: trees of arrays or of their shapes.
    """
    # JAX 0.10 wraps the program, 0.12 does not; this finds it in both.
    (program,) = jaxprs_in_params({"program": jax.make_jaxpr(function)(*arguments)})
    # What was traced and is used by nobody, such as gradients of data, no compiler computes.
    needed, _ = partial_eval.dce_jaxpr(program, [True] * len(program.outvars))
    return float(_flop(needed))


@functools.cache
def matmul_rate(dtype) -> float:
    """FLOP a second that one device reaches in products of square matrices of `dtype`; measured.

    The first call takes a fraction of a second, of which the device should be free.
    """
    rng = np.random.default_rng(0)
    best = 0.0
    for side in _SIDES[jax.default_backend()]:
        # Products of these keep their size, however many are chained.
        a = jnp.asarray(rng.standard_normal((side, side), np.float32) / math.sqrt(side), dtype)
        product = jax.jit(jnp.matmul)
        product(a, a).block_until_ready()
        until = time.perf_counter() + _SECONDS
        while (started := time.perf_counter()) < until:
            x = a
            for _ in range(_CHAINED):
                x = product(x, a)
            x.block_until_ready()
            seconds = time.perf_counter() - started
            best = max(best, _CHAINED * 2 * side**3 / seconds)
    return best


def _flop(program: Jaxpr) -> int:
    total = 0
    for equation in program.eqns:
        name, params = equation.primitive.name, equation.params
        if name == "dot_general":
            total += _matmul_flop(equation)
        elif name == "conv_general_dilated":
            total += _conv_flop(equation)
        else:
            inner = [_flop(each) for each in jaxprs_in_params(params)]
            times = params.get("length", 1) if name == "scan" else 1
            if name == "shard_map":  # the program of one of its devices
                times = params["mesh"].size
            total += times * (min(inner, default=0) if name == "cond" else sum(inner))
    return total


def _matmul_flop(equation) -> int:
    (contracted, _), _ = equation.params["dimension_numbers"]
    length = math.prod(equation.invars[0].aval.shape[i] for i in contracted)
    return 2 * length * math.prod(equation.outvars[0].aval.shape)


def _conv_flop(equation) -> int:
    """Products with zeros that padding and dilation put between the numbers do not count."""
    params = equation.params
    image, kernel = (x.aval.shape for x in equation.invars)
    result = equation.outvars[0].aval.shape
    of_image, of_kernel, of_result = params["dimension_numbers"]
    pairs = math.prod(
        _pairs(image[i], kernel[k], result[r], *others)
        for i, k, r, *others in zip(
            of_image[2:],
            of_kernel[2:],
            of_result[2:],
            params["window_strides"],
            params["lhs_dilation"],
            params["rhs_dilation"],
            [low for low, _ in params["padding"]],
            strict=True,
        )
    )
    batch, features = (result[i] for i in of_result[:2])
    # The kernel's input features are those of one group already.
    return 2 * batch * features * kernel[of_kernel[1]] * pairs


def _pairs(image, kernel, result, stride, image_dilation, kernel_dilation, low) -> int:
    """How many (output, tap) pairs along one dimension meet a number of the image."""
    at = np.arange(result)[:, None] * stride + np.arange(kernel) * kernel_dilation - low
    inside = (at >= 0) & (at <= (image - 1) * image_dilation)
    return int((inside & (at % image_dilation == 0)).sum())
