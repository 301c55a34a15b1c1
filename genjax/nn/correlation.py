"""Stride-1 correlation, and its two gradients, for the CPU.

XLA's CPU backend compiles many gradients of convolutions to naive loops, above all inside the body
of a `while` loop. Correlation is linear in the image and in the kernel, and so are its gradients:

    y = correlate(x, k)          f[B, H, W, Cin], f[kh, kw, Cin, Cout] -> f[B, H', W', Cout]
    x̄ = correlate_adjoint(g, k)  the gradient with respect to x, where g is that of y
    k̄ = kernel_gradient(x, g)    the gradient with respect to k

with H' = H + top + bottom - kh + 1 for the padding ((top, bottom), (left, right)) of x, which all
three are told. The gradients of each of the three are the other two. Derivatives of any order,
which gradient penalties need, are therefore made of these three (reverse mode only). Each is
computed in the way that a cost model expects to be cheapest for its shapes: by minimal filtering
(`winograd`), or directly. The adjoint of a correlation is itself one, of the padded g with the
flipped kernel.
"""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

from genjax.nn import winograd
from genjax.nn.winograd import Padding, padded

NO_PADDING: Padding = ((0, 0), (0, 0))

# The cost model. The unit is one multiply-add of a large matrix product, which runs near the
# processor's peak. Measured on x86 cores; the faster the core, the more memory costs in this unit.
# Accurate enough to choose between two ways, not to predict a time.
_DIRECT = {"value": 1.1, "kernel": 1.4}  # a multiply-add of a direct convolution
_MOVED = 6  # reading or writing a number of an image's transform
_KERNEL_MOVED = 9  # the same for a kernel's transform, which does not stay in the cache

_THIN = 4  # channels of an image, at most, for which `_columns` beats the native convolution


@partial(jax.custom_vjp, nondiff_argnums=(2,))
def correlate(x, kernel, padding: Padding = NO_PADDING):
    return _correlate(x, kernel, padding)


@partial(jax.custom_vjp, nondiff_argnums=(2,))
def correlate_adjoint(g, kernel, padding: Padding = NO_PADDING):
    edges = tuple(
        (size - 1 - before, size - 1 - after)
        for size, (before, after) in zip(kernel.shape, padding, strict=False)
    )
    return _correlate(g, kernel[::-1, ::-1].swapaxes(2, 3), edges)


@partial(jax.custom_vjp, nondiff_argnums=(2,))
def kernel_gradient(x, g, padding: Padding = NO_PADDING):
    (b, h, w, cout), cin = g.shape, x.shape[-1]
    kh, kw = (
        size + sum(edges) - outputs + 1
        for size, edges, outputs in zip(x.shape[1:3], padding, (h, w), strict=True)
    )
    m = tile((b, h, w), (kh, kw, cin, cout), x.dtype, of="kernel")
    if m:
        return winograd.kernel_gradient(x, g, padding, m)
    x = padded(x, padding)
    if cin <= _THIN:
        return (_columns(x, kh, kw).T @ g.reshape(-1, cout)).reshape(kh, kw, cin, cout)
    if 4 * cout <= cin:  # swapped, so that windows are read from the array with fewer channels, g
        whole = ((kh - 1, kh - 1), (kw - 1, kw - 1))
        image, kernel = _examples_as_channels(g, x)
        return _native(image, kernel, whole)[:, ::-1, ::-1].transpose(1, 2, 3, 0)
    return _native(*_examples_as_channels(x, g), NO_PADDING).transpose(1, 2, 0, 3)


def _correlate(x, kernel, padding: Padding):
    kh, kw, cin, cout = kernel.shape
    b, h, w = (
        x.shape[0],
        x.shape[1] + sum(padding[0]) - kh + 1,
        x.shape[2] + sum(padding[1]) - kw + 1,
    )
    m = tile((b, h, w), kernel.shape, x.dtype)
    if m:
        return winograd.correlate(x, kernel, padding, m)
    if (kh, kw) == (1, 1):
        return padded(x, padding) @ kernel[0, 0]
    # The native operation is slow with few channels on either side.
    if cin <= _THIN:
        columns = _columns(padded(x, padding), kh, kw)
        return (columns @ kernel.reshape(-1, cout)).reshape(b, h, w, cout)
    if 4 * cout <= cin:  # one matrix product for all taps, whose few channels are cheap to add up
        x = padded(x, padding)
        products = x.reshape(-1, cin) @ kernel.transpose(2, 0, 1, 3).reshape(cin, -1)
        products = products.reshape(*x.shape[:3], kh, kw, cout)
        return sum(products[:, i : i + h, j : j + w, i, j] for i in range(kh) for j in range(kw))
    return _native(x, kernel, padding)


def _native(x, kernel, padding: Padding):
    """`correlate` as XLA's native convolution, with its dimensions in the order NHWC, HWIO, NHWC.

    Inside the body of a loop, XLA's CPU backend compiles convolutions with another order, such as
    the kernel gradients that JAX derives, to naive loops.
    """
    return jax.lax.conv_general_dilated(
        x, kernel, (1, 1), padding, dimension_numbers=("NHWC", "HWIO", "NHWC")
    )


def _columns(x, kh: int, kw: int):
    """im2col, f[B h w, kh kw C]: the pixels under the kernel at each position, row by row."""
    h, w = x.shape[1] - kh + 1, x.shape[2] - kw + 1
    taps = [x[:, i : i + h, j : j + w] for i in range(kh) for j in range(kw)]
    return jnp.concatenate(taps, axis=-1).reshape(-1, kh * kw * x.shape[-1])


def _examples_as_channels(x, g):
    """The image and kernel whose correlation is a kernel's gradient, f[C, kh, kw, D].

    f[B, H, W, C], f[B, h, w, D] -> f[C, H, W, B], f[h, w, B, D]. With the examples as channels, the
    correlation sums over examples and positions.
    """
    return x.transpose(3, 1, 2, 0), g.transpose(1, 2, 0, 3)


def tile(outputs: tuple[int, ...], kernel: tuple[int, ...], dtype, of: str = "value") -> int:
    """The tile size with which minimal filtering is cheapest; 0 where a direct sum is cheaper.

    Minimal filtering is for float32 and wider: it loses precision, and bfloat16 has none to spare.

    Args:
      outputs, kernel: (B, H', W') and (kh, kw, Cin, Cout).
      of: what is computed: a correlation's "value", or the gradient with respect to the "kernel".
    """
    kh, kw, cin, cout = kernel
    if kh != kw or kh not in winograd.TILES or jnp.dtype(dtype).itemsize < 4:
        return 0
    b, h, w = outputs

    def cost(m: int) -> float:
        n, tiles = m + kh - 1, b * -(-h // m) * -(-w // m)
        # A transform goes along one axis, then along the other. Each number it makes is written
        # once and computed from as many numbers as its row of the matrix has nonzero factors.
        windows, kernels, outputs = (
            1 + np.mean(np.count_nonzero(np.round(matrix, 12), axis=1))
            for matrix in winograd.matrices(m, kh)
        )
        moved = tiles * cin * (n * m + n * n) * windows
        moved += tiles * cout * (m * n + m * m) * outputs
        kernels_moved = cin * cout * (n * kh + n * n) * kernels
        multiplied = n * n * tiles * cin * cout
        return multiplied + _MOVED * moved + _KERNEL_MOVED * kernels_moved

    # A direct sum takes one multiply-add per tap, output pixel and pair of channels.
    costs = {m: cost(m) for m in winograd.TILES[kh]}
    costs[0] = _DIRECT[of] * b * h * w * kh * kw * cin * cout
    return min(costs, key=costs.get)


correlate.defvjp(
    lambda x, kernel, padding: (correlate(x, kernel, padding), (x, kernel)),
    lambda padding, saved, g: (
        correlate_adjoint(g, saved[1], padding),
        kernel_gradient(saved[0], g, padding),
    ),
)
correlate_adjoint.defvjp(
    lambda g, kernel, padding: (correlate_adjoint(g, kernel, padding), (g, kernel)),
    lambda padding, saved, x: (
        correlate(x, saved[1], padding),
        kernel_gradient(x, saved[0], padding),
    ),
)
kernel_gradient.defvjp(
    lambda x, g, padding: (kernel_gradient(x, g, padding), (x, g)),
    lambda padding, saved, kernel: (
        correlate_adjoint(saved[1], kernel, padding),
        correlate(saved[0], kernel, padding),
    ),
)
