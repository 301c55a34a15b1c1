"""Fully connected VAEs: Kingma and Welling 2014 (arXiv:1312.6114), appendix C, but with ReLU; and
those of Burda et al. 2016 (arXiv:1509.00519), with tanh; or with gates for activations, as Tomczak
and Welling 2018 (arXiv:1705.07120) have them."""

from collections.abc import Callable, Sequence
from functools import partial

import flax.linen as nn
import jax.numpy as jnp
import numpy as np

from genjax.config import choose
from genjax.errors import UserError

# None: outputs of a layer times the sigmoid of another's (Dauphin et al. 2017, arXiv:1612.08083).
ACTIVATIONS = {"relu": nn.relu, "tanh": nn.tanh, "gated": None}
KERNELS = {
    "lecun_normal": nn.initializers.lecun_normal(),
    "glorot_uniform": nn.initializers.glorot_uniform(),
}
# What the encoder's last layer says of the spread of q(z | x), by its factor in the log-variance.
SPREADS = {"log_variance": 1, "log_sigma": 2}
_DARKEST = 1e-3  # of a mean picture, or a pixel that is always black would have the logit -inf


class Encoder(nn.Module):
    """f32[B, H, W, C] -> mean and log-variance of q(z | x), f32[B, latent] each.

    Attributes:
      hidden: widths of the hidden layers.
      context: how many numbers it says besides, f32[B, context], for a flow; 0 for none.
      classes: how many it knows, of which it sees the label i32[B] beside x; 0 for none.
      activation, kernel, spread: values of `ACTIVATIONS`, `KERNELS` and `SPREADS`.
      axis_name: unused, as there is no BatchNorm.
    """

    hidden: Sequence[int]
    latent: int
    activation: Callable | None = nn.relu
    kernel: Callable = KERNELS["lecun_normal"]
    spread: int = 1
    classes: int = 0
    context: int = 0
    axis_name: str | None = None
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, x, label=None, *, train: bool):
        h = _with_label(x.reshape(x.shape[0], -1), label, self.classes)
        for width in self.hidden:
            h = _hidden(h, width, self)
        moments = nn.Dense(2 * self.latent, dtype=self.dtype, kernel_init=self.kernel)(h)
        mean, spread = jnp.split(moments.astype(jnp.float32), 2, axis=-1)
        said = mean, spread if self.spread == 1 else self.spread * spread
        if not self.context:
            return said
        context = nn.Dense(self.context, dtype=self.dtype, kernel_init=self.kernel)(h)
        return *said, context


class Decoder(nn.Module):
    """f32[B, latent] -> f32[B, *shape], the logits or means of p(x | z); `hidden` last to first.

    Attributes:
      bias: the initializer of the last layer's.
      classes: as of `Encoder`, beside z.
    """

    hidden: Sequence[int]
    shape: tuple[int, int, int]
    activation: Callable | None = nn.relu
    kernel: Callable = KERNELS["lecun_normal"]
    bias: Callable = nn.initializers.zeros
    classes: int = 0
    axis_name: str | None = None
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, z, label=None, *, train: bool):
        h = _with_label(z, label, self.classes)
        for width in reversed(self.hidden):
            h = _hidden(h, width, self)
        height, width, channels = self.shape
        y = nn.Dense(
            height * width * channels,
            dtype=self.dtype,
            kernel_init=self.kernel,
            bias_init=self.bias,
        )(h)
        return y.astype(jnp.float32).reshape(-1, *self.shape)


def _hidden(x, width: int, network):
    """f32[B, width]: a layer with the network's activation, kernel and dtype."""
    dense = partial(nn.Dense, width, dtype=network.dtype, kernel_init=network.kernel)
    h = dense()(x)
    return h * nn.sigmoid(dense()(x)) if network.activation is None else network.activation(h)


def _with_label(x, label, classes: int):
    """f32[B, D + classes]: x f32[B, D] beside the label, one-hot; x itself without classes."""
    return jnp.concatenate([x, nn.one_hot(label, classes)], -1) if classes else x


def networks(model, shape: tuple[int, int, int], classes=0, mean_picture=None, **common):
    """(Encoder, Decoder) for images of `shape`.

    Args:
      model: of the config: `hidden`, `latent`, `output_bias`, those of `options`, `condition`,
        "none" or "label": both networks see the labels (Sohn et al. 2015), and `posterior`, of
        which "iaf" needs a context of `flows.width` numbers.
      classes: of the data.
      mean_picture: `() -> f32[H, W, C]` in [0, 1], of the training images, which the decoder of
        output_bias="data" begins with: its logits, as in yburda/iwae.
      common: `axis_name` and `dtype`, of both.

    Raises:
      UserError: an option is unknown, or the data have no classes where labels are wanted.
    """
    known = choose("model.condition", model.condition, {"none": 0, "label": classes})
    if model.condition == "label" and not classes:
        raise UserError(
            "model.condition='label' needs data with classes: set --config.model.condition=none, or"
            " take other data"
        )
    hidden, own = tuple(model.hidden), options(model)
    context = model.flows.width if model.get("posterior", "normal") == "iaf" else 0

    def logits(key, shape, dtype):
        mean = np.clip(np.ravel(mean_picture()), _DARKEST, 1 - _DARKEST)
        return jnp.asarray(np.log(mean / (1 - mean)), dtype)

    biases = {"zero": nn.initializers.zeros, "data": logits}
    bias = choose("model.output_bias", model.output_bias, biases)
    encoder = Encoder(hidden, model.latent, classes=known, context=context, **own, **common)
    del own["spread"]  # of posteriors alone
    return encoder, Decoder(hidden, shape, bias=bias, classes=known, **own, **common)


def options(model) -> dict:
    """{attribute of `Encoder`: value} of the config's `activation`, `init` and `spread`.

    Raises:
      UserError: one is unknown.
    """
    return {
        "activation": choose("model.activation", model.activation, ACTIVATIONS),
        "kernel": choose("model.init", model.init, KERNELS),
        "spread": choose("model.spread", model.spread, SPREADS),
    }
