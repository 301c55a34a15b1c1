"""The task of VQ-GAN: an autoencoder with codes that a discriminator and LPIPS judge.

Esser, Rombach and Ommer 2021 (arXiv:2012.09841), section 3.1, with the numbers of the authors' code
(CompVis/taming-transformers), from which this differs in two things. One pass of the autoencoder
serves both networks' updates, where the authors' discriminator sees pictures that the updated
autoencoder makes anew. And the commitment term has the weight beta, as the paper has it, where
their code by default gives it to the other term, which draws codes to vectors.
"""

from typing import Any

import flax.struct
import jax
import jax.numpy as jnp
import optax

from genjax import images
from genjax.devices import gather_params, pmean
from genjax.errors import UserError
from genjax.gan import patch
from genjax.metrics import lpips
from genjax.nn import backend, compute_type, descend
from genjax.task import Inputs, Task
from genjax.vae import adversarial, coded
from genjax.vae.coded import VqState, params_of, replaced
from genjax.vae.quantizers import perplexity

_NET = "vgg16"

# The metrics that are 0 before `adversarial.start`.
_OF_JUDGES = ("g_loss", "adaptive_weight", "d_loss", "d_grad_norm", "d_real", "d_fake")


@flax.struct.dataclass
class VqganState(VqState):
    """Everything that a resume needs: that of `VqState`, and of the discriminator.

    Attributes:
      discriminator: its Linen variables; discriminator_optimizer: its optax state.
    """

    discriminator: Any
    discriminator_optimizer: Any


def build(config, inputs: Inputs) -> Task:
    """The task of a config whose `task` is "vqgan".

    Raises:
      UserError: a name is unknown, the networks or LPIPS cannot take images of this shape, or the
        package with LPIPS' weights is missing.
    """
    shape, rival = inputs.dataset.shape, config.adversarial
    layers = coded.layers(config, shape)
    codes = layers.quantizer(None).codes
    rates = config.optimizer.learning_rate, config.optimizer.b1, config.optimizer.b2
    optimizer = optax.adam(*rates)  # of either network

    def discriminator(axis_name=None):
        return patch.discriminator(
            config.discriminator, shape, axis_name, compute_type(config.precision)
        )

    @backend.native()
    def init(key, constants):
        key, key_d = jax.random.split(key)
        d = discriminator().init(key_d, jnp.zeros((1, *shape)), train=True)
        of_d = d, optimizer.init(d["params"])
        state = VqganState(jnp.int32(0), *layers.init(key, shape), None, *of_d)
        return state.replace(optimizer=optimizer.init(params_of(state)))

    def step(state, batch, key, axis_name):
        x = images.to_float(batch["image"], low=0)
        seen = 2 * x - 1  # as losses and the discriminator take it

        # One pass of the autoencoder; `backward` gives its gradients below.
        def reconstruct(params):
            held = replaced(state, gather_params(params))
            found, after = layers.encoded(held, x, True, axis_name, key)
            hidden = layers.decoder.apply(held.decoder, found.z, method="hidden")
            y = _pixels(layers, held.decoder["params"]["last"], hidden)
            last = held.decoder["params"]["last"]
            return (y, found.loss.mean()), (hidden, last, found.index, after)

        params = params_of(state)
        (y, of_codes), backward, aux = jax.vjp(reconstruct, params, has_aux=True)
        hidden, last, index, after = aux

        def reconstruction(y):
            terms = {"l1": jnp.abs(seen - y).mean()}
            if config.perceptual.weight:
                far = lpips.distance(_NET, batch["lpips"], _rgb(x), _rgb((y + 1) / 2))
                terms["perceptual"] = far.mean()
            return terms["l1"] + config.perceptual.weight * terms.get("perceptual", 0), terms

        (loss, metrics), slope = jax.value_and_grad(reconstruction, has_aux=True)(y)

        def of_last(slope):
            """The gradient by the last kernel that one by pictures gives, of the whole batch."""
            _, back = jax.vjp(lambda last: _pixels(layers, last, hidden), last)
            return pmean(back(slope)[0]["kernel"], axis_name)

        def judged():
            """(the gradient by pictures, the discriminator after its update, metrics)."""
            d, network = state.discriminator, discriminator(axis_name)
            g_loss, fooling = adversarial.slope_of_fooling(network, d, y)
            weight = adversarial.adaptive_weight(of_last(slope), of_last(fooling), rival.weight)
            told = {"g_loss": g_loss, "adaptive_weight": weight}
            *updated, of_d = adversarial.updated(
                network, optimizer, d, state.discriminator_optimizer, seen, y, axis_name
            )
            return weight * fooling, updated, told | of_d

        def unjudged():
            before = [state.discriminator, state.discriminator_optimizer]
            return jnp.zeros_like(y), before, dict.fromkeys(_OF_JUDGES, jnp.float32(0))

        fooling, updated, more = jax.lax.cond(state.step >= rival.start, judged, unjudged)
        grads = pmean(backward((slope + fooling, jnp.float32(1)))[0], axis_name)
        metrics |= more | {
            "loss": loss + of_codes,
            "commitment": of_codes,
            "perplexity": perplexity(index, codes, axis_name),
            "grad_norm": optax.tree.norm(grads),
        }
        params, opt_state = descend(optimizer, grads, state.optimizer, params)
        after = replaced(after, params).replace(
            step=state.step + 1,
            optimizer=opt_state,
            discriminator=updated[0],
            discriminator_optimizer=updated[1],
        )
        return after, metrics

    return Task(
        init,
        step,
        config.train.batch_size,
        constants=_constants(config, shape),
        evaluate=layers.evaluate,
        reconstruct=layers.reconstruct,
        code=layers.code,
        codes=codes,
        pictures=layers.pictures,
        networks=("encoder", "decoder", "quantizer", "discriminator"),
    )


def _pixels(layers: coded.Layers, last, hidden):
    """f32[B, H, W, C] in [-1, 1] if they are pictures, by the last layer's parameters."""
    return 2 * layers.decoder.apply({"params": {"last": last}}, hidden, method="pixels")


def _rgb(x):
    return jnp.broadcast_to(x, (*x.shape[:-1], 3))


def _constants(config, shape) -> dict:
    """LPIPS' weights, where it has a weight in the loss."""
    if not config.perceptual.weight:
        return {}
    if min(shape[:2]) < lpips.LEAST:
        raise UserError(
            f"LPIPS takes pictures of {lpips.LEAST} px or more, not of {min(shape[:2])}: set"
            f" perceptual.weight=0 or data.size={lpips.LEAST}"
        )
    return {"lpips": lpips.load(_NET).weights}
