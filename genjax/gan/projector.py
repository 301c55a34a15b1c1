"""Which style gives this picture? StyleGAN2's projection: Karras et al. 2020, appendix D.

arXiv:1912.04958, with the numbers of StyleGAN2-ADA's code. One style, for all layers, and the
layers' noise are fitted to a picture by Adam. Noise on the style, which falls to nothing over three
quarters of the steps, keeps it from the nearest hollow; a penalty keeps noise maps from carrying
the picture themselves.
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from genjax.metrics import lpips

STEPS = 1000
_RATE = 0.1
_RISE, _FALL = 0.05, 0.25  # the shares of the steps in which the rate rises and falls
_STYLE_NOISE, _UNTIL = 0.05, 0.75
_WEIGHT = 1e5  # of the noise maps' penalty
_SMALLEST = 8  # px a side of the noise maps that have a part in it
_LARGEST = 256  # px a side of the pictures that LPIPS compares


class Projection(NamedTuple):
    """What is fitted.

    Attributes:
      style: f32[W], of all layers.
      noise: arrays f32[H, W], the generator's collection `buffers`.
    """

    style: jax.Array
    noise: Any


def spread_of(styles) -> tuple[jax.Array, jax.Array]:
    """(mean f32[W], deviation f32[]) of many styles f32[N, W]; the authors take 10,000.

    The deviation is the root of the mean squared distance from the mean.
    """
    mean = styles.mean(0)
    return mean, jnp.sqrt(jnp.square(styles - mean[None]).sum(1).mean())


def project(
    draw: Callable, distance: Callable, start: Projection, deviation, key, steps: int = STEPS
) -> tuple[Projection, jax.Array]:
    """(the fitted style and noise, the distances f32[steps] on the way).

    Args:
      draw: Projection -> picture f32[H, W, C].
      distance: picture -> f32[], how far it is from the one that is looked for.
      start: the mean style; noise of N(0, 1) is drawn for maps of the shapes of `start.noise`.
      deviation: of styles, f32[] (`spread_of`).
      key: of all noise.
    """
    leaves, structure = jax.tree.flatten(start.noise)
    key, *keys = jax.random.split(key, len(leaves) + 1)
    maps = [jax.random.normal(k, x.shape) for k, x in zip(keys, leaves, strict=True)]
    found = Projection(start.style, jax.tree.unflatten(structure, maps))
    adam = optax.adam(lambda count: learning_rate(count / steps), b1=0.9, b2=0.999)

    def step(carry, i):
        found, state = carry
        scale = deviation * _STYLE_NOISE * jnp.maximum(0.0, 1 - i / steps / _UNTIL) ** 2
        shift = scale * jax.random.normal(jax.random.fold_in(key, i), found.style.shape)

        def loss(found):
            far = distance(draw(found._replace(style=found.style + shift)))
            return far + _WEIGHT * noise_penalty(found.noise), far

        grads, far = jax.grad(loss, has_aux=True)(found)
        updates, state = adam.update(grads, state)
        found = optax.apply_updates(found, updates)
        return (found._replace(noise=jax.tree.map(_standard, found.noise)), state), far

    (found, _), distances = jax.lax.scan(step, (found, adam.init(found)), jnp.arange(steps))
    return found, distances


def learning_rate(t):
    """Adam's, at the share t of the steps: up along a line, then even, down along a cosine."""
    fall = 0.5 - 0.5 * jnp.cos(jnp.pi * jnp.minimum(1.0, (1 - t) / _FALL))
    return _RATE * jnp.minimum(1.0, t / _RISE) * fall


def noise_penalty(noise) -> jax.Array:
    """How much neighbouring numbers of noise maps are alike, at every size down to 8 px; f32[].

    The sum, over maps and their halvings, of squared mean products with the neighbours to the right
    and below.
    """
    total = jnp.zeros(())
    for x in jax.tree.leaves(noise):
        while True:
            for axis in (0, 1):
                total += jnp.square(jnp.mean(x * jnp.roll(x, 1, axis)))
            if x.shape[0] <= _SMALLEST:
                break
            h, w = x.shape
            x = x.reshape(h // 2, 2, w // 2, 2).mean((1, 3))
    return total


def _standard(x):
    """A noise map of mean 0 and mean square 1."""
    x = x - x.mean()
    return x * jax.lax.rsqrt(jnp.square(x).mean())


def perceptual(weights: Mapping, target, low: int = -1) -> Callable:
    """The distance of `project` that the authors use: LPIPS with VGG16 from a picture.

    Args:
      weights: of `lpips.load("vgg16")`.
      target: f32[H, W, C] in [low, 1], C 1 or 3, as the pictures that are drawn; those of more than
        256 px are made smaller, by means of whole blocks.
    """

    def features(x):
        x = (jnp.broadcast_to(x, (*x.shape[:2], 3)) - low) / (1 - low)
        side = max(x.shape[:2])
        block = next(b for b in range(-(-side // _LARGEST), side + 1) if side % b == 0)
        x = x.reshape(x.shape[0] // block, block, x.shape[1] // block, block, 3).mean((1, 3))
        return lpips.features("vgg16", weights, x[None])

    wanted = features(target)
    return lambda x: lpips.between(weights, features(x), wanted)[0]
