"""GAN losses: one value per example, for the discriminator and for the generator.

Names and equations: Goodfellow et al. 2014 (arXiv:1406.2661), Mao et al. 2017 (arXiv:1611.04076),
Arjovsky et al. 2017 (arXiv:1701.07875), Lim and Ye 2017 (arXiv:1705.02894), Miyato et al. 2018
(arXiv:1802.05957).
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp

_softplus = jax.nn.softplus  # softplus(-x) = -log sigmoid(x), without overflow


class Loss(NamedTuple):
    """A pair of losses, each `(real, fake, label) -> f32[B]`.

    `real` and `fake` are what the discriminator says of B real and B generated images: logits
    f32[B], positive for real, or whatever else its network returns. `label` i32[B] is the class of
    both, since a generated image has the class of the real one that it is seen beside.

    Attributes:
      discriminator: its loss.
      generator: its loss; `real` is None unless the pair is `relativistic`.
      relativistic: whether the generator's loss compares with real images, which costs another
        pass of the discriminator.
    """

    discriminator: Callable
    generator: Callable
    relativistic: bool = False


def _log_loss(real, fake, label):
    """-log D(x) - log(1 - D(G(z))): Goodfellow et al., eq. 1."""
    return _softplus(-real) + _softplus(fake)


LOSSES = {
    # The generator maximises log D(G(z)): Goodfellow et al., §3.
    "non_saturating": Loss(_log_loss, lambda real, fake, label: _softplus(-fake)),
    # The generator minimises log(1 - D(G(z))): the game of eq. 1 as it stands.
    "minimax": Loss(_log_loss, lambda real, fake, label: -_softplus(fake)),
    # Labels 0 and 1, and 1 for the generator: Mao et al., eq. 9.
    "least_squares": Loss(
        lambda real, fake, label: 0.5 * (jnp.square(real - 1) + jnp.square(fake)),
        lambda real, fake, label: 0.5 * jnp.square(fake - 1),
    ),
    # Lim and Ye, as Miyato et al. write it in eq. 16 and 17.
    "hinge": Loss(
        lambda real, fake, label: jax.nn.relu(1 - real) + jax.nn.relu(1 + fake),
        lambda real, fake, label: -fake,
    ),
    # Arjovsky et al., eq. 2 and Algorithm 1. The critic has to be kept Lipschitz by other means.
    "wasserstein": Loss(
        lambda real, fake, label: fake - real,
        lambda real, fake, label: -fake,
    ),
}


def realness(answer):
    """The logits f32[B], positive for real, of a discriminator's answer.

    They are the answer itself, or its first part where a network returns a tuple, such as (logits,
    class logits f32[B, K]) of an auxiliary classifier.
    """
    return answer[0] if isinstance(answer, tuple) else answer
