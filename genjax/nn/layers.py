"""Linen layers under their usual names, built on `genjax.nn.conv`, with padding in pixels."""

from collections.abc import Callable
from functools import partial

import flax.linen as nn
import jax
import jax.numpy as jnp

from genjax.devices import pmean
from genjax.nn import conv as convolution
from genjax.nn.sums import materialise, materialise_gradient, spread, total, with_bias

# Parameters, statistics and normalisations are float32; all other arithmetic is in `dtype`.


def _kernel(module: nn.Module, shape: tuple[int, ...]):
    """A layer's parameter `kernel`, passed through `kernel_norm` if set, in the layer's `dtype`."""
    kernel = module.param("kernel", module.kernel_init, shape)
    if module.kernel_norm:
        kernel = module.kernel_norm()(kernel)
    return kernel.astype(module.dtype)


def _with_bias(module: nn.Module, y):
    """Adds the layer's `bias`, if it has one, to its output `y` f[..., features]."""
    if not module.use_bias:
        return y
    bias = module.param("bias", nn.initializers.zeros, (module.features,)).astype(module.dtype)
    return with_bias(y, bias)


class _Convolution(nn.Module):
    """The base of both convolutions; parameters `kernel` f32[k, k, C, features] and `bias`.

    Attributes:
      kernel_norm: if set, makes a module that maps the kernel to the one that is used, such as
        `spectral_norm.SpectralNorm`.
    """

    features: int
    kernel_size: int
    stride: int = 1
    padding: int = 0
    use_bias: bool = True
    kernel_init: Callable = nn.initializers.lecun_normal()
    kernel_norm: Callable[[], nn.Module] | None = None
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, x):
        size = self.kernel_size
        kernel = _kernel(self, (size, size, x.shape[-1], self.features))
        return _with_bias(self, self.convolve(x.astype(self.dtype), kernel))


class Conv(_Convolution):
    """Convolution f[B, H, W, C] -> f[B, H', W', features]; see `genjax.nn.conv.conv`.

    Attributes:
      enlarge: whether the images are enlarged before, and padded, as `conv.conv_of_nearest` says:
        to twice their sides. Kernels are 3 x 3 then.
    """

    enlarge: bool = False

    def convolve(self, x, kernel):
        if self.enlarge:
            return convolution.conv_of_nearest(x, kernel)
        edge = (self.padding, self.padding)
        return convolution.conv(x, kernel, self.stride, (edge, edge))


class ConvTranspose(_Convolution):
    """Transposed convolution f[B, H, W, C] -> f[B, H', W', features], as in PyTorch; see
    `genjax.nn.conv.conv_transpose`."""

    def convolve(self, x, kernel):
        return convolution.conv_transpose(x, kernel, self.stride, self.padding)


class Dense(nn.Module):
    """A linear layer f[B, N] -> f[B, features], with `kernel` f32[N, features] and `bias`.

    Attributes:
      kernel_norm: as for `Conv`.
    """

    features: int
    kernel_norm: Callable[[], nn.Module] | None = None
    kernel_init: Callable = nn.initializers.lecun_normal()
    use_bias: bool = True
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, x):
        kernel = _kernel(self, (x.shape[-1], self.features))
        return _with_bias(self, x.astype(self.dtype) @ kernel)


class Embed(nn.Module):
    """A learned row for each class, i32[B] -> f[B, features], of `kernel` f32[classes, features].

    Written as a product with one-hot vectors, in full float32, so that a row comes out as it is.
    The gradient of an indexed row would add up in an order that changes from run to run on GPUs.

    Attributes:
      kernel_norm: as for `Conv`.
    """

    classes: int
    features: int
    kernel_norm: Callable[[], nn.Module] | None = None
    kernel_init: Callable = nn.initializers.normal(1.0)
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, label):
        kernel = _kernel(self, (self.classes, self.features))
        one_hot = jax.nn.one_hot(label, self.classes, dtype=self.dtype)
        return jnp.dot(one_hot, kernel, precision=jax.lax.Precision.HIGHEST)


class _Normalisation(nn.Module):
    """The base of layers that normalise by the statistics of a batch, in float32.

    The statistics are those of the global batch: averaged over the axis `axis_name` where each
    device sees its own shard, and by the compiler where `jit` shards the batch. `train=False` uses
    the running averages: of the means, and of the variances with divisor n, as in Linen and
    TensorFlow. PyTorch's running variance has the divisor n - 1, which is larger by 1/n, one in
    1,024 for 64 pictures of 4 x 4 pixels.

    Attributes:
      momentum: weight of the old running average; 0.9 is PyTorch's 0.1.
      axis_name: the mapped axis over which the batch is sharded; None where `x` is all of it.
    """

    momentum: float = 0.9
    epsilon: float = 1e-5
    axis_name: str | None = None
    dtype: jnp.dtype = jnp.float32

    def normalise(self, x, scale, bias, train: bool):
        """(x - mean) / sqrt(variance + epsilon) * scale + bias, f[..., C].

        Args:
          scale, bias: f32[C], or f32[B, C] with a row for each example; `scale` may be a number.
        """
        features = x.shape[-1:]
        running = {
            "mean": self.variable("batch_stats", "mean", jnp.zeros, features),
            "var": self.variable("batch_stats", "var", jnp.ones, features),
        }
        # Materialises x and, in the last line, the incoming gradient. The convolutions around this
        # layer assemble both from many arrays; XLA would fuse that into every sum and repeat it.
        x = materialise(x).astype(jnp.float32)
        if train:
            mean, variance = moments(x, self.axis_name)
            found = {"mean": mean, "var": variance}
            if not self.is_initializing():
                for name, variable in running.items():
                    kept = self.momentum * variable.value
                    variable.value = kept + (1 - self.momentum) * found[name]
        else:
            found = {name: variable.value for name, variable in running.items()}
        mean, inverse = found["mean"], jax.lax.rsqrt(found["var"] + self.epsilon)
        if bias.ndim == 2:
            mean, inverse = mean[None], inverse[None]
        scale = scale * inverse
        y = x * to_pixels(scale, x.shape) + to_pixels(bias - mean * scale, x.shape)
        return materialise_gradient(y.astype(self.dtype))


class BatchNorm(_Normalisation):
    """Batch normalisation (Ioffe and Szegedy 2015, arXiv:1502.03167) in float32.

    Parameters `scale` and `bias`, f32[C] each; of the statistics see `_Normalisation`.

    Attributes:
      use_scale: whether there is a parameter `scale` beside `bias`.
    """

    use_scale: bool = True
    scale_init: Callable = nn.initializers.ones

    @nn.compact
    def __call__(self, x, train: bool):
        features = x.shape[-1:]
        scale = self.param("scale", self.scale_init, features) if self.use_scale else 1.0
        bias = self.param("bias", nn.initializers.zeros, features)
        return self.normalise(x, scale, bias, train)


class ConditionalBatchNorm(_Normalisation):
    """Batch normalisation whose scale and bias are linear in a condition f32[B, N].

    scale = 1 + condition @ W and bias = condition @ W', without biases of their own. Where the
    condition is a class as a one-hot vector, the rows of W and W' are those of the classes
    (Dumoulin et al. 2017, arXiv:1610.07629; Miyato and Koyama 2018, arXiv:1802.05637). BigGAN's are
    an embedding of the class beside latents (Brock et al. 2019, arXiv:1809.11096, Appendix B).

    Parameters `scale/kernel` and `bias/kernel`, f32[N, C] each.

    Attributes:
      scale_init, bias_init: of W and W'.
      kernel_norm: of W and W', as for `Conv`.
    """

    scale_init: Callable = nn.initializers.zeros
    bias_init: Callable = nn.initializers.zeros
    kernel_norm: Callable[[], nn.Module] | None = None

    @nn.compact
    def __call__(self, x, condition, train: bool):
        def linear(name, init):
            layer = Dense(x.shape[-1], self.kernel_norm, init, use_bias=False, name=name)
            return layer(condition)

        scale, bias = 1 + linear("scale", self.scale_init), linear("bias", self.bias_init)
        return self.normalise(x, scale, bias, train)


def to_pixels(v, shape: tuple[int, ...]):
    """f32[C], or f32[B, C] with a row for each example, at each pixel: f32[*shape]."""
    if v.ndim == 1:
        return spread(v, shape)
    return jax.vmap(lambda row: spread(row, shape[1:]))(v)


@partial(jax.custom_vjp, nondiff_argnums=(1,))
def moments(x, axis_name: str | None):
    """Mean and variance f32[C] (divisor n) over all axes of x f32[..., C] but the last.

    The variance is the mean square of the distance from the mean. The mean of squares less the
    square of the mean would lose it where |mean| is a hundred times the deviation, and takes as
    long: both read x twice. The gradient is written out, as that of a variance with respect to its
    mean, which is zero, would cost another sum over x.
    """
    n = x.size // x.shape[-1]
    mean = pmean(total(x) / n, axis_name)
    variance = pmean(total(jnp.square(x - spread(mean, x.shape))) / n, axis_name)
    return mean, variance


def _moments_forward(x, axis_name):
    mean, variance = moments.fun(x, axis_name)  # differentiable once more, for second derivatives
    return (mean, variance), (x, mean)


def _moments_backward(axis_name, saved, g):
    x, mean = saved
    n = x.size // x.shape[-1]
    of_mean, of_variance = (spread(each / n, x.shape) for each in pmean(g, axis_name))
    return (of_mean + 2 * of_variance * (x - spread(mean, x.shape)),)


moments.defvjp(_moments_forward, _moments_backward)


@jax.custom_vjp
def max_pool(x):
    """Maximum over windows of 2 x 2 pixels, f[B, H, W, C] -> f[B, H // 2, W // 2, C].

    The gradient goes to the window's first maximum, row by row, as that of XLA's native operation
    does. Written out here because XLA's CPU backend compiles the native gradient
    (select-and-scatter) to a naive loop.
    """
    return _max_pool(x)[0]


def _max_pool(x):
    """(maxima, i8[B, H // 2, W // 2, C] their places in the windows, 0 to 3 row by row)."""
    h, w = x.shape[1] // 2 * 2, x.shape[2] // 2 * 2
    top = _first_larger((x[:, :h:2, :w:2], 0), (x[:, :h:2, 1:w:2], 1))
    bottom = _first_larger((x[:, 1:h:2, :w:2], 2), (x[:, 1:h:2, 1:w:2], 3))
    return _first_larger(top, bottom)


def _first_larger(a, b):
    """The larger of two (values, places), elementwise; `a` where they are equal."""
    first = a[0] >= b[0]
    return jnp.where(first, a[0], b[0]), jnp.where(first, jnp.int8(a[1]), jnp.int8(b[1]))


def _max_pool_forward(x):
    y, places = _max_pool(x)
    return y, (places, x.shape)


def _max_pool_backward(saved, g):
    places, (b, h, w, c) = saved
    windows = (b, h // 2, 2, w // 2, 2, c)
    own = jnp.arange(4, dtype=jnp.int8).reshape(1, 1, 2, 1, 2, 1)
    places, g = (jnp.broadcast_to(x[:, :, None, :, None], windows) for x in (places, g))
    x = jnp.where(places == own, g, 0).reshape(b, h // 2 * 2, w // 2 * 2, c)
    return (jnp.pad(x, ((0, 0), (0, h % 2), (0, w % 2), (0, 0))),)


max_pool.defvjp(_max_pool_forward, _max_pool_backward)


def to_even(x):
    """Repeats the last row of f[B, H, W, C] where H is odd, and the last column where W is.

    Before a pool, so that its windows leave out no border: the maximum of a window that stands over
    the border is that of the pixels inside, and so is the mean, in values and gradients. That is
    pooling with PyTorch's `ceil_mode=True` and, for means, `count_include_pad=False`.
    """
    if x.shape[1] % 2:
        x = jnp.concatenate([x, x[:, -1:]], axis=1)
    if x.shape[2] % 2:
        x = jnp.concatenate([x, x[:, :, -1:]], axis=2)
    return x


def average_pool(x):
    """Mean over windows of 2 x 2 pixels, f[B, H, W, C] -> f[B, H // 2, W // 2, C]."""
    b, h, w, c = x.shape
    h, w = h // 2, w // 2
    return x[:, : 2 * h, : 2 * w].reshape(b, h, 2, w, 2, c).mean((2, 4))
