"""The task of a VAE of styles (`genjax.style.latent_styles`), with another run's decoder.

The data are pictures of styles. Samples are a content that the config names, painted in styles that
the prior draws, so that all that is made of latents shows styles.
"""

from functools import partial
from typing import Any

import flax.struct
import jax
import jax.numpy as jnp
import numpy as np
import optax

from genjax import images, rng
from genjax.latents import of_normals
from genjax.nn import backend, compute_type, updated
from genjax.nn.elbo import elbo_terms, gaussian_log_likelihood, kl_to_standard_normal
from genjax.style import decoders, latent_styles, painting
from genjax.style import encoder as encoders
from genjax.style.adain_task import VARIANTS
from genjax.style.encoder import Decoder
from genjax.style.losses import mean_squared_error
from genjax.style.painter import Painter
from genjax.style.task import as_float
from genjax.stylization import Stylization
from genjax.task import Inputs, Task

_COUNTED = 256  # squares of styles by which numbers are standardised,
_AT_ONCE = 16  # so many at a time
_LEAST = 0.01  # a deviation that a number is divided by, at least
_SHOWN = 8  # styles of the sheet, at most


@flax.struct.dataclass
class StyleVaeState:
    """Everything that a resume needs, and whatever samples are made of.

    Attributes:
      step: i32[], how many steps came before.
      decoder: Linen variables of what paints; as they were in the other run.
      content: f32[1, h, w, C], the features of the content that samples show.
      standard: {"mean", "deviation"} f32[2 C], of the numbers of styles.
      vae: Linen variables.
      optimizer: the optax state of the VAE.
    """

    step: jax.Array
    decoder: Any
    content: jax.Array
    standard: Any
    vae: Any
    optimizer: Any


def build(config, inputs: Inputs) -> Task:
    """The task of a config whose `task` is "style_vae".

    Raises:
      UserError: `decoder.run` is no run of configs/style_adain.py with this encoder; the data are
        grey; or a crop is larger than the pictures.
    """
    if not inputs.known:
        decoders.check(config)
    shape = inputs.dataset.shape
    side, size = painting.side_of(config, shape), min(shape[:2])
    encoder, dtype = encoders.load(config), compute_type(config.precision)
    variant, code = VARIANTS["pytorch"], encoder.code
    painter = Painter(encoder, Decoder(encoder.mirror, dtype=dtype), variant.transform)
    count, latent = 2 * encoder.channels, config.model.latent
    vae = latent_styles.StyleVae(tuple(config.model.hidden), latent, count, dtype)
    optimizer = optax.adam(config.optimizer.learning_rate)
    encode, decode = (partial(vae.apply, method=name) for name in ("encode", "decode"))

    @backend.native()
    def init(key, constants):
        seen = jax.ShapeDtypeStruct((1, size, size, 3), jnp.float32)
        features = jax.eval_shape(painter.code, constants["weights"], seen)
        params = vae.init(key, jnp.zeros((1, count)))
        return StyleVaeState(
            step=jnp.int32(0),
            decoder=painter.decoder.init(key, jnp.zeros((1, 4, 4, encoder.channels))),
            content=jnp.zeros(features.shape),
            standard={"mean": jnp.zeros(count), "deviation": jnp.ones(count)},
            vae=params,
            optimizer=optimizer.init(params["params"]),
        )

    def measured(code):
        return latent_styles.numbers(variant.transform.style(None, code))

    def copied():
        looked = jax.jit(
            backend.native()(lambda weights, x: painter.code(weights, x).astype(jnp.float32))
        )
        (content, *_) = inputs.read_picture(config.content)
        content = images.to_float(images.crop_square(content, size)[None], low=0)
        found = [
            np.asarray(measured(looked(encoder.weights, as_float(x))))
            for x in _squares(inputs.dataset.train, side, config.seed)
        ]
        found = np.concatenate(found)
        return {
            decoders.FIELD: decoders.load(config.decoder.run),
            "content": np.asarray(looked(encoder.weights, content)),
            "standard": {
                "mean": found.mean(axis=0),
                "deviation": np.maximum(found.std(axis=0), np.float32(_LEAST)),
            },
        }

    def standardised(state, code):
        mean, deviation = state.standard["mean"], state.standard["deviation"]
        return (measured(code) - mean[None]) / deviation[None]

    def styles(state, z):
        """The styles that latents f32[n, latent] stand for."""
        mean, deviation = state.standard["mean"], state.standard["deviation"]
        return latent_styles.of_numbers(decode(state.vae, z) * deviation[None] + mean[None])

    def terms(state, x, noise):
        """{name: f32[B]} of `elbo_terms`, of numbers f32[B, 2 C] and noise f32[B, latent]."""
        mean, log_variance = encode(state.vae, x)
        decoded = decode(state.vae, mean + jnp.exp(0.5 * log_variance) * noise)
        kl = kl_to_standard_normal(mean, log_variance).sum(axis=1)
        return elbo_terms(gaussian_log_likelihood(x, decoded, 0.0), kl)

    def step(state, batch, key, axis_name):
        key_x, key_z = jax.random.split(key)
        n = len(batch["image"])
        places = rng.uniform(key_x, n, (2,), axis_name)
        seen = as_float(painting.squares(batch["image"], side, places))
        x = standardised(state, painter.code(batch["weights"], seen))
        noise = rng.normal(key_z, n, (latent,), axis_name)

        def loss(state):
            metrics = jax.tree.map(jnp.mean, terms(state, x, noise))
            total = metrics["reconstruction"] + config.bound.beta * metrics["kl"]
            return total, (metrics | {"loss": total}, state)

        parts = (
            lambda state: state.vae["params"],
            lambda state, params: state.replace(vae=state.vae | {"params": params}),
        )
        return updated(state, loss, optimizer, parts, axis_name)

    def of_pictures(batch):
        """{tap: features} of the middle of held-out styles."""
        seen = as_float(painting.middle(batch["image"], side))
        return encoder.apply(batch["weights"], seen, encoder.taps)

    def posterior(state, batch, key=None):
        return encode(state.vae, standardised(state, of_pictures(batch)[code]))

    def painted(state, style):
        """The content in n styles, f32[n, H, W, 3] in [0, 1]."""
        networks = state.decoder, None
        return painter.of_code(networks, state.content, style, 1.0, (size, size))

    @backend.native()
    def evaluate(state, batch, key):
        """The bound of held-out styles; and of the content in them, as the VAE gives them back and
        as AdaIN has them (`adain_…`), AdaIN's losses."""
        wanted = of_pictures(batch)
        x = standardised(state, wanted[code])
        found = terms(state, x, rng.normal(key, batch["index"], (latent,)))
        own = variant.transform.style(None, wanted[code])
        target = painter.styled(None, own, state.content)
        for name, style in (("", styles(state, encode(state.vae, x)[0])), ("adain_", own)):
            ours = encoder.apply(batch["weights"], painted(state, style), encoder.taps)
            found[f"{name}content"] = mean_squared_error(ours[code], target)
            found[f"{name}style"] = variant.style_error(ours, wanted, encoder.taps)
        return found

    @backend.native()
    def pictures(state, batch, key):
        """Held-out styles; below each the content in it, as AdaIN has it and as the VAE does."""
        some = {name: batch[name][:_SHOWN] for name in ("image", "index")}
        some["weights"] = batch["weights"]
        code_of_style = of_pictures(some)[code]
        mean, _ = encode(state.vae, standardised(state, code_of_style))
        rows = (variant.transform.style(None, code_of_style), styles(state, mean))
        rows = [images.to_uint8(painted(state, style), low=0) for style in rows]
        return {"styles": jnp.stack([painting.middle(some["image"], size), *rows])}

    def generate(state, z, index):
        return painted(state, styles(state, z))

    latents = of_normals(
        config,
        generate,
        partial(images.to_uint8, low=0),
        low=0,
        encode=lambda state, batch: posterior(state, batch)[0],
    )

    def choose(state, constants, pictures, weights):
        codes = (painter.code(constants["weights"], picture) for picture in pictures)
        z = jnp.concatenate([encode(state.vae, standardised(state, x))[0] for x in codes])
        return styles(state, (weights @ z)[None])

    def apply(state, constants, style, contents, alpha):
        networks = state.decoder, None
        return painter.paint(networks, constants["weights"], style, contents, alpha)

    def drawn(state, key, index):
        return styles(state, latents.points(state, key, index[None], latents.level))

    return Task(
        init,
        step,
        images_per_step=config.train.batch_size,
        evaluate=evaluate,
        posterior=posterior,
        sample=latents.sample,
        sampled_with={"parameters": "raw"},
        latents=latents,
        decode=generate,
        pictures=pictures,
        stylization=Stylization(0, choose, apply, drawn),
        constants={"weights": encoder.weights},
        copied=copied,
        known={"decoder": config.decoder.run},
        networks=("vae",),
        notes={"features": encoder.name, "decoder": config.decoder.run},
    )


def _squares(split, side: int, seed: int):
    """Yields u8[b, side, side, 3], squares at random places of pictures evenly spaced."""
    random = np.random.default_rng(seed)
    for first in range(0, _COUNTED, _AT_ONCE):
        which = np.arange(first, first + _AT_ONCE) * len(split) // _COUNTED
        read = np.stack([split[int(i)]["image"] for i in which])
        yield painting.squares(read, side, np.float32(random.uniform(size=(_AT_ONCE, 2))))
