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
(`winograd`), or directly. With padding, the adjoint of a correlation is computed as what it is as
well, a correlation of the padded g with the flipped kernel.
"""

from functools import partial

import jax
import jax.numpy as jnp

from genjax.nn import winograd
from genjax.nn.backend import filtering
from genjax.nn.sums import materialise
from genjax.nn.winograd import Padding, padded

NO_PADDING: Padding = ((0, 0), (0, 0))

# The cost model. The unit is one multiply-add of a large matrix product, which runs near the
# processor's peak. Fitted to 48 shapes inside VGG16, DCGAN and a classifier on two AVX-512 cores
# (docs/architecture.md): accurate enough to choose between two ways, not to predict a time. It asks
# nothing of the processor, so that a run's choices, and so its numbers, depend on its shapes
# alone. Where products are slower than there, filtering gains more than it expects.
_DIRECT = {"value": 0.78, "image": 0.78, "kernel": 0.86}  # a multiply-add of a direct convolution
# The same of a kernel's gradient with few channels, from 16 to 64: at 8 to 32 px, filtering took
# between a fifth and two thirds of the time, at every number of them (docs/results.md).
_DIRECT_KERNEL_FEW = 3
_MOVED = 6  # reading or writing a number of an image's transform
_KERNEL_MOVED = 14  # the same for a kernel's, which a block of the image does not reuse
_LARGE, _LARGE_KERNEL_MOVED = 5_000_000, 35  # the same for one of more numbers than caches hold
_PAYS = 0.95  # filtering's share of a direct sum's cost that makes up for its longer compilation
# The same for 3 x 3 taps and fewest channels: inside the classifier, filtering at shares of 0.7 to
# 0.93 was no faster than direct sums, and took twice as long to compile (docs/results.md).
_PAYS_FEWEST = 0.69
_FEWEST, _FEW = 16, 64

_SMALL = 16  # pixels of a picture, at most, for which a kernel's gradient is one product
_THIN = 4  # channels of an image, at most, for which `_columns` beats the native convolution


@partial(jax.custom_vjp, nondiff_argnums=(2,))
def correlate(x, kernel, padding: Padding = NO_PADDING):
    return _correlate(x, kernel, padding)


@partial(jax.custom_vjp, nondiff_argnums=(2,))
def correlate_adjoint(g, kernel, padding: Padding = NO_PADDING):
    if padding == NO_PADDING:
        m = tile(g.shape[:3], kernel.shape, g.dtype, of="image")
        if m:
            return winograd.correlate_adjoint(g, kernel, m)
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
    # Materialised, or what follows would compute what they are made of again for each tap.
    x, g = padded(materialise(x), padding), materialise(g)
    # Of pictures with few pixels, XLA swaps the convolution's operands and takes naive loops.
    if cin <= _THIN or (kh, kw) == (1, 1) or h * w <= _SMALL:
        return (_columns(x, kh, kw).T @ g.reshape(-1, cout)).reshape(kh, kw, cin, cout)
    if cout <= _THIN:  # the same with the pixels of g that meet each pixel of x, last tap first
        whole = ((kh - 1, kh - 1), (kw - 1, kw - 1))
        taps = x.reshape(-1, cin).T @ _columns(padded(g, whole), kh, kw)
        return taps.reshape(cin, kh, kw, cout)[:, ::-1, ::-1].transpose(1, 2, 0, 3)
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
      outputs, kernel: (B, H', W') of the correlation, and (kh, kw, Cin, Cout).
      of: what is computed: a correlation's "value", or the gradient with respect to an "image"
        without padding or to the "kernel".
    """
    kh, kw, cin, cout = kernel
    if not filtering():
        return 0
    if kh != kw or kh not in winograd.TILES or jnp.dtype(dtype).itemsize < 4:
        return 0
    b, h, w = outputs

    def cost(m: int) -> float:
        n, tiles = m + kh - 1, b * -(-h // m) * -(-w // m)
        # Each array that `winograd` makes is written once and read once, from tile to output.
        taken, products = m * m + 2 * n * m + 2 * n * n, 2 * n * n
        inputs, outputs = {
            "value": (taken, products + 2 * m * n + 4 * m * m),
            "image": (products + 4 * m * n + 2 * m * m, taken),
            "kernel": (taken, taken),
        }[of]
        moved = tiles * (cin * inputs + cout * outputs)
        of_kernel = cin * cout * (2 * n * n + kh * kw)
        rate = _KERNEL_MOVED if n * n * cin * cout <= _LARGE else _LARGE_KERNEL_MOVED
        return n * n * tiles * cin * cout + _MOVED * moved + rate * of_kernel

    # A direct sum takes one multiply-add per tap, output pixel and pair of channels.
    costs = {m: cost(m) for m in winograd.TILES[kh]}
    pixels = (h + kh - 1) * (w + kw - 1) if of == "image" else h * w
    few = min(cin, cout)
    slow = of == "kernel" and _FEWEST <= few <= _FEW
    direct = _DIRECT_KERNEL_FEW if slow else _DIRECT[of]
    pays = _PAYS_FEWEST if kh == 3 and few <= _FEWEST else _PAYS
    costs[0] = pays * direct * b * pixels * kh * kw * cin * cout
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
