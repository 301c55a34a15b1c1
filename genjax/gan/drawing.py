"""What the averaged generator draws: of latents or styles, truncated or not, and of which class."""

from collections.abc import Callable

import jax
import jax.numpy as jnp

from genjax.errors import UserError
from genjax.gan import mapping, synthesis
from genjax.gan.round import to_pictures
from genjax.latents import Latents, linear, of_normals, truncated_normal
from genjax.nn import spectral_norm
from genjax.nn.standing import standing

_PSIS = (0.0, 0.3, 0.5, 0.7, 1.0)  # the sweep of psi
_OF_STANDING = 2**32 - 1  # folded into the key of samples, whose examples have smaller numbers


def averaged(generator, state, *inputs, **options):
    """What the averaged generator makes of latents and labels, f32[B, H, W, C] in [-1, 1].

    Averages of unit vectors are shorter, and of other kernels than the averaged ones: where the
    generator has spectral norms, a step of the power method mends its vectors first.

    Args:
      options: of `apply`, such as `method`.
    """
    fresh = [spectral_norm.COLLECTION]
    return generator.apply(state.average, *inputs, train=False, mutable=fresh, **options)[0]


def labels(config, classes: int) -> Callable:
    """`(index i32[n]) -> i32[n]`, the classes of samples: in turn, or all of `sample.label`.

    Args:
      classes: that the generator knows; 0 for none.

    Raises:
      UserError: it does not know `sample.label`.
    """
    label = config.sample.label
    if label >= max(0, classes):
        known = f"knows the classes 0 to {classes - 1}" if classes else "knows no classes"
        raise UserError(f"sample.label={label}: the generator {known}; -1 is for each in turn")
    if label >= 0:
        return lambda index: jnp.full_like(index, label)
    return lambda index: index % max(1, classes)


def latents(config, generator, label_of: Callable, has_norms: Callable[[], bool]) -> Latents:
    """The `Latents` of a GAN: styles of generators with a mapping network, else latents.

    Args:
      label_of: of `labels`.
      has_norms: whether the generator has BatchNorm; called only where standing statistics are
        asked for.

    Raises:
      UserError: samples are to be truncated in a way that the generator has not, or to have
        statistics that it has not.
    """
    batches = config.sample.standing
    if batches and not has_norms():
        raise UserError(
            f"sample.standing={batches} needs a generator with BatchNorm, which model.name="
            f"{config.model.name!r} has not: set sample.standing=0"
        )

    def pictures(images):
        return to_pictures(config, images)

    if hasattr(generator, "styles"):
        return _of_styles(config, generator, label_of, pictures)

    def generate(state, z, index):
        return averaged(generator, state, z, label_of(index))

    settled = _settled(config, generator) if batches else None
    return of_normals(config, generate, pictures, -1, settled)


def _of_styles(config, generator, label_of, pictures) -> Latents:
    if config.sample.threshold:
        raise UserError(
            f"sample.threshold={config.sample.threshold} is for generators without a mapping"
            " network: set sample.threshold=0 and sample.psi"
        )

    def points(state, key, index, psi):
        z = truncated_normal(key, index, (config.model.latent,), jnp.inf)
        w = averaged(generator, state, z, label_of(index), method="styles")[:, :1]
        return mapping.truncate(w, state.average["batch_stats"]["mapping"]["mean"], psi)[:, 0]

    def generate(state, w, index, noise):
        ws = mapping.for_layers(w, synthesis.layers(generator.size))
        variables = state.replace(average=state.average | {"buffers": noise})
        return averaged(generator, variables, ws, method="draw")

    return Latents(
        name="styles",
        key="sample.psi",
        level=config.sample.psi,
        levels=_PSIS,
        points=points,
        between=linear,
        noise=lambda state: state.average["buffers"],
        generate=generate,
        pictures=pictures,
        low=-1,
    )


def _settled(config, generator) -> Callable:
    """`Latents.settled`: the average with standing statistics, of each class in turn."""

    def settled(state, key, level):
        size, shape = config.train.batch_size, (config.model.latent,)
        key = jax.random.fold_in(key, _OF_STANDING)

        def update(statistics, i):
            index = i * size + jnp.arange(size)
            z = truncated_normal(key, index, shape, level)
            inputs = z, index % max(1, getattr(generator, "classes", 0))
            variables = state.average | {"batch_stats": statistics}
            # Spectral norms are those of samples (`averaged`).
            mutable = ["batch_stats", spectral_norm.COLLECTION]
            return generator.apply(variables, *inputs, train=True, mutable=mutable)[1][
                "batch_stats"
            ]

        found = standing(update, state.average["batch_stats"], config.sample.standing)
        return {"average": state.average | {"batch_stats": found}}

    return settled
