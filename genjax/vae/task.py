"""The VAE task: an encoder and a decoder that maximise the evidence lower bound."""

from functools import cache, partial
from typing import Any

import flax.struct
import jax
import jax.numpy as jnp
import numpy as np

from genjax import images, rng
from genjax.config import choose
from genjax.errors import UserError
from genjax.latents import of_normals
from genjax.nn import apply, backend, compute_type, updated, with_params
from genjax.nn.elbo import elbo_terms, kl_to_standard_normal
from genjax.task import Inputs, Task
from genjax.vae import bounds, conv, discriminator, mlp, posteriors, priors, sprites
from genjax.vae import optimizer as optimizers
from genjax.vae.binarize import BINARIZE
from genjax.vae.bounds import Terms
from genjax.vae.likelihoods import LIKELIHOODS
from genjax.vae.rows import COLUMNS, above

# {model.name: (config's `model`, image shape, classes of the data, mean_picture, axis_name, dtype)
# -> (encoder, decoder)}. Those with an attribute `classes` that is not 0 see labels.
NETWORKS = {
    "mlp": mlp.networks,
    "conv": conv.networks,
    "burgess": sprites.networks,
    "locatello": sprites.networks,
}


@flax.struct.dataclass
class VaeState:
    """Everything that a resume needs.

    Attributes:
      step: i32[], steps done, without those that `train.on_nonfinite="skip"` undid.
      encoder, decoder: their Linen variables.
      likelihood: {name: f32[]}, the likelihood's own parameters: `log_sigma` of the Gaussian, none
        of the Bernoulli.
      optimizer: the optax state, of all parameters.
      posterior, prior: variables of their own (`genjax.vae.posteriors`, `priors`), {} for none.
      discriminator: FactorVAE's (`genjax.vae.discriminator`), with its own optimizer; {} for none.
    """

    step: jax.Array
    encoder: Any
    decoder: Any
    likelihood: Any
    optimizer: Any
    posterior: Any = flax.struct.field(default_factory=dict)
    prior: Any = flax.struct.field(default_factory=dict)
    discriminator: Any = flax.struct.field(default_factory=dict)


def build(config, inputs: Inputs) -> Task:
    """The task of a config whose `task` is "vae".

    Raises:
      UserError: a name is unknown, options do not go together, pixels would be binarised for a
        likelihood of grey levels, or images that are binarised once and for all would be flipped or
        shifted.
        A shape of images that the networks cannot take is refused later, by the task's `init`.
    """
    model, shape = config.model, inputs.dataset.shape
    networks, dtype = choose("model.name", model.name, NETWORKS), compute_type(config.precision)
    make = partial(
        networks,
        model,
        shape,
        classes=inputs.dataset.classes,
        # Linen calls initializers whenever a network is traced, to compare shapes.
        mean_picture=cache(lambda: _mean_picture(inputs.dataset.train, shape)),
        dtype=dtype,
    )
    bound, judge = bounds.read(config.bound), discriminator.of(config)
    q, p = posteriors.build(model, dtype), priors.build(model, shape, dtype)
    bounds.check_latents(bound, q.normal, p.normal)
    numbers = model.latent + p.noise  # normal ones, that a sample takes
    likelihood = choose("likelihood", config.likelihood, LIKELIHOODS)
    prepare = choose("binarize", config.binarize, BINARIZE)
    if config.binarize != "grey" and not likelihood.binary:
        raise UserError(f"likelihood={config.likelihood!r} is of grey levels: set binarize=grey")
    if config.binarize == "static" and (config.data.flip or config.data.shift):
        raise UserError(
            "binarize='static' makes one picture of each image, which flips and shifts would undo: "
            "set data.flip=false and data.shift=0, or binarize=dynamic"
        )
    optimizer = optimizers.build(config.optimizer, config.train.batch_size)
    classes = getattr(make()[0], "classes", 0)  # those that the networks know

    def labels(label):
        """The arguments of both networks beside their input; they know no other classes."""
        return (label % classes,) if classes else ()

    @backend.native()
    def init(key, constants):
        encoder, decoder = make()
        key_e, key_d = jax.random.split(key)
        label = labels(jnp.zeros(1, jnp.int32))
        e = encoder.init(key_e, jnp.zeros((1, *shape)), *label, train=True)
        d = decoder.init(key_d, jnp.zeros((1, model.latent)), *label, train=True)
        own = jax.tree.map(jnp.float32, likelihood.params)
        key_q, key_p = jax.random.split(jax.random.fold_in(key, 2))
        judged = judge.init(jax.random.fold_in(key, 3), model.latent) if judge else {}
        state = VaeState(jnp.int32(0), e, d, own, None, q.init(key_q), p.init(key_p), judged)
        return state.replace(optimizer=optimizer.init(_params(state)))

    def terms_of(state, x, label, noise, train: bool, axis_name=None):
        """(Terms of the bound, the state).

        Args:
          x: f32[B, H, W, C]; label: i32[B].
          noise: f32[B, k, numbers], standard normal, of k samples of each posterior.
          train: whether the batch statistics in the state are updated.
        """
        encoder, decoder = make(axis_name=axis_name)
        said, e_variables = apply(encoder, state.encoder, x, *labels(label), train=train)
        of_z, of_prior = noise[..., : model.latent], noise[..., model.latent :]
        z, log_q = q.sample(state.posterior, said, of_z, bound.gradient)
        log_p = p.log_density(state.prior, pseudo(state), z, of_prior, bound.gradient)
        flat = z.reshape(-1, model.latent)
        repeated = labels(jnp.repeat(label, z.shape[1]))
        decoded, d_variables = apply(decoder, state.decoder, flat, *repeated, train=train)
        decoded = decoded.reshape(*z.shape[:2], *shape)
        log_prob = jax.vmap(partial(likelihood.log_prob, state.likelihood), (None, 1), 1)
        terms = Terms(
            log_prob(x, decoded),
            log_p - log_q,
            kl_to_standard_normal(*said) if q.normal and p.normal else None,
            z,
            *said[:2],
        )
        return terms, state.replace(encoder=e_variables, decoder=d_variables)

    def step(state, batch, key, axis_name):
        if judge:
            batch, other = discriminator.halves(batch)
        key_x, key_z = jax.random.split(key)
        x = prepare(batch, key_x, axis_name)
        noise = rng.normal(key_z, len(x), (bound.k, numbers), axis_name)

        def loss(state):
            terms, after = terms_of(state, x, batch["label"], noise, True, axis_name)
            reached = bound(terms, state.step, len(inputs.dataset.train), axis_name)
            if judge:
                z = terms.z[:, 0]
                correlation = judge.total_correlation(state.discriminator, z).mean()
                reached -= bound.total_correlation * correlation
            values = elbo_terms(terms.log_likelihood.mean(-1), terms.divergence)
            metrics = jax.tree.map(jnp.mean, values)
            if not bound.is_elbo:
                metrics |= {"loss": -reached}
            if judge:
                metrics |= {"total_correlation": correlation, "z": z}
            return -reached, (metrics, after)

        state, metrics = updated(state, loss, optimizer, (_params, _replace), axis_name)
        if judge:
            key_d, key_m = jax.random.split(jax.random.fold_in(key, 2))
            mixed = discriminator.mixed(draw(state, other, key_d, axis_name), key_m, axis_name)
            z = metrics.pop("z")
            judged, d_loss = judge.learned(state.discriminator, z, mixed, axis_name)
            state, metrics = state.replace(discriminator=judged), metrics | {"d_loss": d_loss}
        return state, metrics

    def draw(state, batch, key, axis_name):
        """A latent of each picture of a training batch, f32[B, latent]."""
        key_x, key_z = jax.random.split(key)
        x = prepare(batch, key_x, axis_name)
        encoder = with_params(state.encoder, state.encoder["params"])
        said = encode(state.replace(encoder=encoder), x, batch["label"])
        noise = rng.normal(key_z, len(x), (1, model.latent), axis_name)
        return q.sample(state.posterior, said, noise, "plain")[0][:, 0]

    @backend.native()
    def evaluate(state, batch, key):
        key_x, key_z = jax.random.split(key)
        x = prepare(batch, key_x, held_out=True)
        noise = rng.normal(key_z, batch["index"], (1, numbers))
        terms = terms_of(state, x, batch["label"], noise, train=False)[0]
        return elbo_terms(terms.log_likelihood[:, 0], terms.divergence)

    def log_weights(state, batch, key, samples):
        """`Task.log_weights`."""
        key_x, key_z = jax.random.split(key)
        x = prepare(batch, key_x, held_out=True)
        draw = jax.vmap(lambda k: rng.normal(k, samples, (numbers,)))
        noise = draw(rng.example_keys(key_z, batch["index"]))
        terms = terms_of(state, x, batch["label"], noise, train=False)[0]
        return terms.log_likelihood + terms.log_ratio

    def posterior(state, batch, key):
        """`Task.posterior`, of the pixels that `evaluate` draws."""
        x = prepare(batch, jax.random.split(key)[0], held_out=True)
        return encode(state, x, batch["label"])

    def encode(state, x, label):
        """What the encoder says of q(z | x): mean and log-variance, f32[B, latent] each, first."""
        return make()[0].apply(state.encoder, x, *labels(label), train=False)

    def pseudo(state):
        """`encode` of a state's pictures that have no label, as priors take it."""
        return lambda x: make()[0].apply(state.encoder, x, train=False)

    def centre(state, x, label):
        """The latent that stands for each picture, f32[B, latent]."""
        return q.centre(state.posterior, encode(state, x, label))

    def points(state, key, index, level):
        """`Latents.points`, samples of the prior."""
        return p.sample(state.prior, pseudo(state), key, index, level)

    def decode(state, z, label):
        """The expected picture of each latent, f32[B, H, W, C]. With the places of samples for
        labels, they are of classes in turn."""
        return likelihood.mean(make()[1].apply(state.decoder, z, *labels(label), train=False))

    def stored(state, batch):
        """`Latents.encode`, of pictures as they are stored."""
        return centre(state, images.to_float(batch["image"], low=0), batch["label"])

    @backend.native()
    def reconstruct(state, batch, key):
        """`Task.reconstruct`."""
        return jnp.clip(decode(state, stored(state, batch), batch["label"]), 0, 1)

    def picture(state, z, label):
        return images.to_uint8(decode(state, z, label), low=0)

    drawn = {"points": None if p.normal else points, "encode": stored}
    latents = of_normals(config, decode, partial(images.to_uint8, low=0), low=0, **drawn)

    @backend.native()
    def pictures(state, batch, key):
        """Rows of held-out images, as the encoder sees them, each above its reconstructions; and
        linear interpolations between the latents of two images, one pair in each row, or where
        labels are known analogies: an image and its latent as each class."""
        x, label = prepare(batch, key, held_out=True), batch["label"]
        z, originals = centre(state, x, label), images.to_uint8(x, low=0)
        found = {"reconstructions": above(originals, picture(state, z, label))}
        if classes:
            some = min(COLUMNS, len(z))  # evenly spaced, as examples are often sorted by class
            chosen = jnp.arange(some) * len(z) // some
            each = jnp.tile(jnp.arange(classes), some)
            drawn = picture(state, jnp.repeat(z[chosen], classes, axis=0), each)
            drawn = drawn.reshape(some, classes, *shape)
            return found | {"analogies": jnp.concatenate([originals[chosen, None], drawn], axis=1)}
        share = jnp.linspace(0, 1, COLUMNS)[None, :, None]
        walked = min(COLUMNS, len(z) // 2)
        ends = z[:: len(z) // (2 * walked)][: 2 * walked].reshape(2, walked, 1, model.latent)
        walks = ((1 - share) * ends[0] + share * ends[1]).reshape(-1, model.latent)
        drawn = picture(state, walks, jnp.zeros(len(walks), jnp.int32))
        return found | {"interpolations": drawn.reshape(-1, COLUMNS, *shape)}

    return Task(
        init,
        step,
        (2 if judge else 1) * config.train.batch_size,
        evaluate=evaluate,
        reconstruct=reconstruct,
        log_weights=log_weights,
        posterior=posterior if q.normal else None,
        sample=latents.sample,
        classes=classes,
        latents=latents,
        decode=decode if p.normal else None,
        sampled_with={"parameters": "raw", "batch_norm": "running"},
        pictures=pictures,
        networks=("encoder", "decoder", "likelihood", "posterior", "prior"),
    )


def _mean_picture(split, shape):
    """f32[H, W, C] in [0, 1], the mean of a split's images; black where it was not opened, as where
    a trained run only draws."""
    if split is None:
        return np.zeros(shape, np.float32)
    total = sum(split[i]["image"].astype(np.float64) for i in range(len(split)))
    return np.float32(total / (255 * len(split)))


def _params(state: VaeState):
    """The parameters that the optimizer updates."""
    networks = state.encoder["params"], state.decoder["params"], state.likelihood
    return *networks, *(x for x in (state.posterior, state.prior) if x)


def _replace(state: VaeState, params) -> VaeState:
    """`state` with other values of `_params(state)`."""
    encoder, decoder, likelihood, *further = params
    names = [name for name in ("posterior", "prior") if getattr(state, name)]
    return state.replace(
        encoder=state.encoder | {"params": encoder},
        decoder=state.decoder | {"params": decoder},
        likelihood=likelihood,
        **dict(zip(names, further, strict=True)),
    )
