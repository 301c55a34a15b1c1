"""GAN losses: one value per example, for the discriminator and for the generator.

Sources: Goodfellow et al. 2014 (arXiv:1406.2661), Mao et al. 2017 (arXiv:1611.04076),
Arjovsky et al. 2017 (arXiv:1701.07875), Lim and Ye 2017 (arXiv:1705.02894), Miyato et al. 2018
(arXiv:1802.05957), Jolicoeur-Martineau 2018 (arXiv:1807.00734), Huang et al. 2024
(R3GAN, arXiv:2501.05441).
"""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax

from genjax.devices import pmean

_softplus = jax.nn.softplus  # softplus(-x) = -log sigmoid(x), without overflow


class Loss(NamedTuple):
    """The losses of both networks, each `(real, fake, label) -> f32[B]`, to be minimised.

    `real` and `fake` are the discriminator's outputs for B real and B generated images: logits
    f32[B], larger for real, or a tuple that begins with them (see `realness`). `label` i32[B] holds
    the classes of both: a generated image has the class of the real one at the same position.

    Attributes:
      discriminator: its loss.
      generator: its loss; in a training step, `real` is None unless `relativistic`.
      relativistic: whether the generator's loss uses `real`, which costs another pass of the
        discriminator.
      averages: whether both take a further argument `axis_name`, because they are of the mean of
        the global batch: of several devices, each then has its shard.
    """

    discriminator: Callable
    generator: Callable
    relativistic: bool = False
    averages: bool = False

    def over(self, axis_name: str | None) -> "Loss":
        """The losses `(real, fake, label) -> f32[B]` of shards over a mapped axis, or of all."""
        if not self.averages:
            return self
        functions = (partial(f, axis_name=axis_name) for f in self[:2])
        return Loss(*functions, self.relativistic)


def _log_loss(real, fake, label):
    """-log D(x) - log(1 - D(G(z))): Goodfellow et al., eq. 1."""
    return _softplus(-real) + _softplus(fake)


def _beyond_the_average(higher, lower, label, axis_name=None):
    """How far `higher` is not above the mean of `lower`, and that not below the mean of `higher`.

    softplus(-(a - mean b)) + softplus(b - mean a): Jolicoeur-Martineau, RaSGAN in §4.2, with
    real images as `a` for the discriminator, and generated ones for the generator.
    """
    of_higher, of_lower = (pmean(x.mean(), axis_name) for x in (higher, lower))
    return _softplus(of_lower - higher) + _softplus(lower - of_higher)


LOSSES = {
    # The generator maximises log D(G(z)): Goodfellow et al., §3.
    "non_saturating": Loss(_log_loss, lambda real, fake, label: _softplus(-fake)),
    # The generator minimises log(1 - D(G(z))): Goodfellow et al., eq. 1.
    "minimax": Loss(_log_loss, lambda real, fake, label: -_softplus(fake)),
    # Targets 1 for real and 0 for generated images; 1 for the generator: Mao et al., eq. 9.
    "least_squares": Loss(
        lambda real, fake, label: 0.5 * (jnp.square(real - 1) + jnp.square(fake)),
        lambda real, fake, label: 0.5 * jnp.square(fake - 1),
    ),
    # Lim and Ye; Miyato et al., eq. 16 and 17.
    "hinge": Loss(
        lambda real, fake, label: jax.nn.relu(1 - real) + jax.nn.relu(1 + fake),
        lambda real, fake, label: -fake,
    ),
    # Arjovsky et al., eq. 2 and Algorithm 1. Needs a Lipschitz critic: a gradient penalty or
    # spectral norms.
    "wasserstein": Loss(
        lambda real, fake, label: fake - real,
        lambda real, fake, label: -fake,
    ),
    # Each generated image against the real one beside it: Jolicoeur-Martineau, RSGAN in §4.1;
    # R3GAN's loss, Huang et al., eq. 2.
    "relativistic": Loss(
        lambda real, fake, label: _softplus(fake - real),
        lambda real, fake, label: _softplus(real - fake),
        relativistic=True,
    ),
    # Each image against the average of the other kind.
    "relativistic_average": Loss(
        _beyond_the_average,
        lambda real, fake, label, axis_name=None: _beyond_the_average(fake, real, label, axis_name),
        relativistic=True,
        averages=True,
    ),
}


def with_classes(loss: Loss) -> Loss:
    """`loss` for a discriminator that also classifies: AC-GAN's.

    Odena et al. 2017 (arXiv:1610.09585), eq. 2 and 3: both networks also minimise the cross-entropy
    of the classes, the discriminator of real and generated images, the generator of its own. Both
    have the weight 1. `real` and `fake` are (logits f32[B], class logits f32[B, K]). Options of
    `loss` are passed on.
    """

    def classification(answer, label):
        return optax.softmax_cross_entropy_with_integer_labels(answer[1], label)

    def discriminator(real, fake, label, **options):
        classes = classification(real, label) + classification(fake, label)
        return loss.discriminator(realness(real), realness(fake), label, **options) + classes

    def generator(real, fake, label, **options):
        # `real` is None where the loss does not use it.
        adversarial = loss.generator(realness(real), realness(fake), label, **options)
        return adversarial + classification(fake, label)

    return loss._replace(discriminator=discriminator, generator=generator)


def realness(answer):
    """The logits f32[B], larger for real, in a discriminator's output.

    The output is the logits themselves, or a tuple that begins with them, such as (logits, class
    logits f32[B, K]) of an auxiliary classifier.
    """
    return answer[0] if isinstance(answer, tuple) else answer
