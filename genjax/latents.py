"""Latents, and ways between them: what a family offers to whoever looks for pictures by them."""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from genjax import rng
from genjax.errors import UserError

_SMALLEST = 1e-30  # for a length that is divided by

# The sweep of `threshold`, from the strongest truncation to none.
_THRESHOLDS = (0.1, 0.5, 1.0, 1.5, math.inf)


class Latents(NamedTuple):
    """How pictures follow from points: latents, or the styles that a network makes of them.

    Example i has the numbers of place i (`rng.example_keys`) and the class of sample i, so that
    places a multiple of the classes apart are of one class. Truncation has a `level`, f32[].

    Attributes:
      name: what the points are: "latents" or "styles".
      key: the config's key of truncation.
      level: of samples, as the config has it.
      levels: those that a sweep shows, from the strongest to none.
      points: `(state, key, index i32[n], level) -> f32[n, L]`, points as samples have them.
      between: `(a, b, t) -> f32[n, L]`, from points a (t = 0) to points b (t = 1), with t f32[n].
      noise: `(state) -> ` whatever else pictures are made of: arrays f32[H, W], or an empty dict.
      generate: `(state, points, index, noise) -> f32[n, H, W, C]`, images as the networks see them.
      pictures: `(images f32[n, H, W, C]) -> u8[n, H, W, C]`.
      low: what black is to the networks, -1 or 0; white is 1.
      settled: `(state, key, level) -> {field of the state: its value}`, with which pictures are to
        be drawn instead of the state's; None where the state's are.
      encode: `(state, batch) -> f32[B, L]`, the points that stand for pictures that are there,
        "image" and "label" of a batch, which holds `Task.constants` besides; None where nothing
        encodes them.
      normal: whether points that are not truncated are standard normal.
    """

    name: str
    key: str
    level: float
    levels: tuple[float, ...]
    points: Callable[..., jax.Array]
    between: Callable[..., jax.Array]
    noise: Callable[..., Any]
    generate: Callable[..., jax.Array]
    pictures: Callable[..., jax.Array]
    low: int
    settled: Callable[..., dict] | None = None
    encode: Callable[..., jax.Array] | None = None
    normal: bool = False

    def sample(self, state, key, index):
        """`Task.sample`: u8[n, H, W, C]."""
        points = self.points(state, key, index, self.level)
        return self.pictures(self.generate(state, points, index, self.noise(state)))


def of_normals(
    config, generate: Callable, pictures: Callable, low: int, settled=None, points=None, encode=None
) -> Latents:
    """`Latents` of a generator whose pictures follow from normal numbers f32[n, model.latent].

    Args:
      config: of the run; `model.latent` and `sample` are read.
      generate: `(state, latents, index) -> images`.
      pictures, low, settled, encode: of `Latents`.
      points: of `Latents`, where latents have another distribution: ways between them are straight.

    Raises:
      UserError: styles are to be truncated.
    """
    psi, threshold = config.sample.get("psi", 1.0), config.sample.threshold
    if psi != 1:
        raise UserError(
            f"sample.psi={psi} needs a generator with a mapping network, which model.name="
            f"{config.model.name!r} has not: set sample.psi=1 and sample.threshold"
        )

    def normals(state, key, index, level):
        return truncated_normal(key, index, (config.model.latent,), level)

    return Latents(
        name="latents",
        key="sample.threshold",
        level=threshold or math.inf,
        levels=_THRESHOLDS,
        points=points or normals,
        between=linear if points else spherical,
        noise=lambda state: {},
        generate=lambda state, points, index, noise: generate(state, points, index),
        pictures=pictures,
        low=low,
        settled=settled,
        encode=encode,
        normal=points is None,
    )


def truncated_normal(key, examples, shape: tuple[int, ...], threshold):
    """Standard normal noise of which only what lies in [-threshold, threshold] counts.

    f32[n, *shape], distributed as if all other numbers were drawn again (BigGAN's truncation trick;
    Brock et al. 2019, arXiv:1809.11096, section 3.1). It is the inverse distribution function of
    `rng.normal`'s uniform numbers, so that noise moves evenly as the threshold does, and is
    `rng.normal` itself where that is infinite.

    Args:
      key, examples: as of `rng.example_keys`.
      threshold: f32[], more than 0.
    """
    share = jax.lax.erf(jnp.float32(threshold) / math.sqrt(2))

    def draw(key):
        u = jax.random.uniform(key, shape, jnp.float32, jnp.nextafter(jnp.float32(-1), 0.0), 1.0)
        return jnp.float32(math.sqrt(2)) * jax.lax.erf_inv(u * share)

    noise = jax.vmap(draw)(rng.example_keys(key, examples))
    return jnp.clip(noise, -threshold, threshold)


def spherical(a: jax.Array, b: jax.Array, t: jax.Array) -> jax.Array:
    """f32[n, L]: from a (t = 0) to b (t = 1), f32[n, L] each, on the great circle of directions.

    Norms go evenly from one to the other, so that what lies between normal latents is as likely as
    they are. The authors' latents all have one norm.

    Args:
      t: f32[n].
    """
    norm_a, norm_b = (jnp.linalg.norm(x, axis=1, keepdims=True) for x in (a, b))
    a, b, t = a / norm_a, b / norm_b, t[:, None]
    cosine = (a * b).sum(1, keepdims=True)
    across = b - cosine * a
    length = jnp.linalg.norm(across, axis=1, keepdims=True)
    across = across / jnp.maximum(length, _SMALLEST)  # 0 for directions on one line
    angle = t * jnp.arccos(jnp.clip(cosine, -1, 1))
    direction = a * jnp.cos(angle) + across * jnp.sin(angle)
    return direction * ((1 - t) * norm_a + t * norm_b)


def linear(a: jax.Array, b: jax.Array, t: jax.Array) -> jax.Array:
    """f32[n, L]: from a (t = 0) to b (t = 1), f32[n, L] each, on a straight line, with t f32[n]."""
    t = t[:, None]
    return (1 - t) * a + t * b
