"""What a discriminator tells an autoencoder: VQ-GAN's adversarial loss and its weight.

Esser, Rombach and Ommer 2021 (arXiv:2012.09841), section 3.2 and eq. 6 and 7.
"""

import flax.linen as nn
import jax
import jax.numpy as jnp
import optax

from genjax.devices import pmean
from genjax.gan.losses import LOSSES
from genjax.nn import apply, descend, with_params

LARGEST = 1e4  # of the ratio of gradients
_DELTA = 1e-4  # in its denominator; eq. 7 has 1e-6, the authors' code this
_HINGE = LOSSES["hinge"]


def adaptive_weight(of_reconstruction, of_adversarial, factor: float):
    """f32[]: lambda of eq. 7, for which both losses move the last layer about as far.

    Args:
      of_reconstruction, of_adversarial: the gradients of both losses by the last kernel.
      factor: of the clipped ratio; the authors' code has 0.8.
    """
    norm = optax.tree.norm
    ratio = norm(of_reconstruction) / (norm(of_adversarial) + _DELTA)
    return factor * jnp.clip(ratio, 0, LARGEST)


def slope_of_fooling(network: nn.Module, variables, y):
    """(the loss -mean D(y), its gradient by pictures y f32[B, H, W, C])."""
    variables = with_params(variables, variables["params"])

    def loss(y):
        return _HINGE.generator(None, apply(network, variables, y)[0], None).mean()

    return jax.value_and_grad(loss)(y)


def updated(network: nn.Module, optimizer, variables, opt_state, x, y, axis_name):
    """(variables, opt_state, metrics) of the discriminator after an update.

    Its loss is half the hinge loss of real pictures x and reconstructions y, f32[B, H, W, C] each,
    the mean over patches. Each kind is a batch of its own for BatchNorm.

    Metrics: "d_loss", "d_grad_norm", and "d_real" and "d_fake", the shares of patches with logits
    > 0.
    """

    def loss(params):
        on_real, after = apply(network, with_params(variables, params), x)
        on_fake, after = apply(network, after, y)
        value = 0.5 * _HINGE.discriminator(on_real, on_fake, None).mean()
        metrics = {"d_loss": value, "d_real": (on_real > 0).mean(), "d_fake": (on_fake > 0).mean()}
        return value, (metrics, after)

    grads, (metrics, after) = jax.grad(loss, has_aux=True)(variables["params"])
    grads = pmean(grads, axis_name)
    params, opt_state = descend(optimizer, grads, opt_state, variables["params"])
    metrics["d_grad_norm"] = optax.tree.norm(grads)
    return after | {"params": params}, opt_state, metrics
