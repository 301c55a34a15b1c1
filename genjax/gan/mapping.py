"""The mapping network of StyleGAN, from latents to styles, and what is done with styles.

Karras et al. 2019 (arXiv:1812.04948) and, of style mixing in batches and of the learning rate of
these layers, the code of StyleGAN2-ADA (Karras et al. 2020, arXiv:2006.06676).

A style w f32[B, W] becomes one for each layer of synthesis, ws f32[B, layers, W].
"""

import flax.linen as nn
import jax
import jax.numpy as jnp

from genjax.devices import pmean
from genjax.gan.equalized import EqualDense, activate

RATE = 0.01  # how fast its layers learn, beside those of synthesis
KEPT = 0.995  # of the mean style, at each update
_EPSILON = 1e-8


class Mapping(nn.Module):
    """Latents f32[B, Z] (or None), and labels i32[B] where there are `classes`, -> w f32[B, width].

    Latents are divided by the root of their mean square, and so are the labels' embeddings, which
    stand behind them.

    Attributes:
      layers: how many.
      classes: how many labels there are; 0 to ignore labels.
      tracked: whether `mean`, the running mean of w, is kept: a variable of the collection
        `batch_stats`, which every training pass updates and which starts at 0.
      axis_name: the mapped axis over which the batch is sharded; None where it is all of it.
    """

    width: int
    layers: int
    classes: int = 0
    tracked: bool = True
    axis_name: str | None = None

    @nn.compact
    def __call__(self, z, label=None, *, train: bool, track: bool = True):
        """Styles of latents; with `track` false, the mean is left as it was."""
        inputs = [] if z is None else [_normalised(z)]
        if self.classes:
            embed = EqualDense(self.width, name="embed")
            inputs.append(_normalised(embed(jax.nn.one_hot(label, self.classes))))
        w = jnp.concatenate(inputs, axis=-1)
        for i in range(self.layers):
            w = activate(EqualDense(self.width, rate=RATE, name=f"layer{i}")(w))
        if self.tracked:
            mean = self.variable("batch_stats", "mean", jnp.zeros, (self.width,))
            if train and track and not self.is_initializing():
                seen = pmean(jax.lax.stop_gradient(w).mean(0), self.axis_name)
                mean.value = seen + KEPT * (mean.value - seen)
        return w


def _normalised(x):
    return x * jax.lax.rsqrt(jnp.mean(jnp.square(x), axis=-1, keepdims=True) + _EPSILON)


def for_layers(w, layers: int):
    """The same style for every layer: f32[B, W] -> f32[B, layers, W]."""
    return jnp.broadcast_to(w[:, None], (w.shape[0], layers, w.shape[1]))


def truncate(ws, mean, psi: float, layers: int | None = None):
    """Styles moved towards their mean: mean + psi (ws - mean), f32[B, layers, W].

    Pictures become more alike and, towards psi 0, better: Karras et al. 2019, appendix B.

    Args:
      mean: f32[W], `Mapping`'s.
      psi: 1 changes nothing, 0 gives the mean.
      layers: how many of the first layers; None for all.
    """
    mean = jnp.broadcast_to(mean, ws.shape)
    moved = mean + psi * (ws - mean)
    return moved if layers is None else mix(moved, ws, layers)


def mix(ws, others, cutoff):
    """Style mixing: the first `cutoff` layers have the styles `ws`, and the rest `others`.

    Args:
      ws, others: f32[B, layers, W].
      cutoff: an int or i32[].
    """
    return jnp.where(jnp.arange(ws.shape[1])[None, :, None] < cutoff, ws, others)


def mixing_cutoff(key, layers: int, probability: float):
    """Where a batch's styles change, i32[]: uniform in {1, …, layers - 1}; else `layers`, nowhere.

    One for the whole batch, which is mixed with this probability (Karras et al. 2019, §3.1).
    """
    key_coin, key_place = jax.random.split(key)
    place = jax.random.randint(key_place, (), 1, layers)
    return jnp.where(jax.random.uniform(key_coin) < probability, place, layers)
