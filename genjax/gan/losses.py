"""GAN losses of logits: one value per example, for the discriminator and for the generator.

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
    """A pair of losses.

    Attributes:
      discriminator: (logits of real f32[B], logits of generated f32[B]) -> f32[B].
      generator: (logits of generated f32[B]) -> f32[B].
    """

    discriminator: Callable
    generator: Callable


def _log_loss(real, fake):
    """-log D(x) - log(1 - D(G(z))): Goodfellow et al., eq. 1."""
    return _softplus(-real) + _softplus(fake)


LOSSES = {
    # The generator maximises log D(G(z)): Goodfellow et al., §3.
    "non_saturating": Loss(_log_loss, lambda fake: _softplus(-fake)),
    # The generator minimises log(1 - D(G(z))), the game of eq. 1 as it stands.
    "minimax": Loss(_log_loss, lambda fake: -_softplus(fake)),
    # Labels 0 and 1, and 1 for the generator: Mao et al., eq. 9.
    "least_squares": Loss(
        lambda real, fake: 0.5 * (jnp.square(real - 1) + jnp.square(fake)),
        lambda fake: 0.5 * jnp.square(fake - 1),
    ),
    # Lim and Ye, as Miyato et al. write it in eq. 16 and 17.
    "hinge": Loss(
        lambda real, fake: jax.nn.relu(1 - real) + jax.nn.relu(1 + fake),
        lambda fake: -fake,
    ),
    # Arjovsky et al., eq. 2 and Algorithm 1. The critic has to be kept Lipschitz by other means.
    "wasserstein": Loss(lambda real, fake: fake - real, lambda fake: -fake),
}
