"""How much arithmetic a training step takes, and how much of it a device can do in a second.

*Model FLOP* are those of the matrix products and convolutions of a step, forward and backward, a
multiplication and an addition counted as two. They are what the networks ask for, whatever a
compiler makes of it. Everything else (normalisations, activations, optimisers) is left out, as in
published numbers. They are counted in the traced step with every convolution as the native
operation (`genjax.nn.backend`), so the CPU's replacements count as the convolutions they replace.

The utilisation (MFU) is the model FLOP a second, divided by the FLOP a second that the device
reaches in matrix products (Chowdhery et al. 2022, arXiv:2204.02311, appendix B, who divide by the
data sheet's number).
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

# Sides of the square matrices whose product is timed; the fastest counts. They have to be large
# enough to keep all units busy, which takes larger ones on a GPU than on a CPU.
_SIDES = {"cpu": (512, 1024), "gpu": (4096, 8192), "tpu": (4096, 8192)}
_CHAINED = 4  # products, one after the other, that are timed together
_SECONDS = 0.2  # for each side; a process' threads take about half of it to spread over the cores


def model_flop(run: runs.Run) -> float:
    """FLOP of one training step of a run, all devices together; the step is traced, not executed.

    Of a `lax.cond` the cheapest branch that computes anything counts, and of a `while` loop a
    single pass. An L-BFGS iteration therefore counts as one whose line search succeeds at its first
    point.
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
    # Removes what no result needs, such as gradients of the data, as every compiler does.
    needed, _ = partial_eval.dce_jaxpr(program, [True] * len(program.outvars))
    return float(_flop(needed))


@functools.cache
def matmul_rate(dtype) -> float:
    """Measures the FLOP a second that one device reaches in products of square matrices of `dtype`.

    The first call takes a fraction of a second, during which the device should be idle.
    """
    rng = np.random.default_rng(0)
    best = 0.0
    for side in _SIDES[jax.default_backend()]:
        # Scaled so that the numbers neither grow nor shrink from one product to the next.
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
            parts = list(jaxprs_in_params(params))
            if name == "cond":  # of two branches, one may be there to skip the other
                parts = [each for each in parts if each.eqns]
            inner = [_flop(each) for each in parts]
            times = params.get("length", 1) if name == "scan" else 1
            if name == "shard_map":  # the inner program is that of one device
                times = params["mesh"].size
            total += times * (min(inner, default=0) if name == "cond" else sum(inner))
    return total


def _matmul_flop(equation) -> int:
    (contracted, _), _ = equation.params["dimension_numbers"]
    length = math.prod(equation.invars[0].aval.shape[i] for i in contracted)
    return 2 * length * math.prod(equation.outvars[0].aval.shape)


def _conv_flop(equation) -> int:
    """Counts no products with zeros that come from padding or dilation."""
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
    """How many (output, tap) pairs along one dimension fall on a number of the image."""
    at = np.arange(result)[:, None] * stride + np.arange(kernel) * kernel_dilation - low
    inside = (at >= 0) & (at <= (image - 1) * image_dilation)
    return int((inside & (at % image_dilation == 0)).sum())
