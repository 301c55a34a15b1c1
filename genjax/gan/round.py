"""A GAN's training step: `n_dis` updates of the discriminator, then one of the generator."""

import jax
import jax.numpy as jnp
import optax
from ml_collections import ConfigDict

from genjax import images, rng
from genjax.devices import pmean
from genjax.errors import UserError
from genjax.gan import adaptive, consistency, judging, lecam, rotation, weights
from genjax.gan.losses import realness
from genjax.gan.state import Discriminator, Gan, GanState, Use, key_of
from genjax.nn import apply, descend, ema, spectral_norm, with_params


def train_step(gan: Gan, state: GanState, image, label, key) -> tuple[GanState, dict]:
    """One training step: (new state, metrics).

    Metrics, f32[] each: `g_loss`, `g_grad_norm`, those of G's penalties and, of the discriminator's
    last update, those of `update_discriminator`.

    Args:
      image: u8[batches * b, H, W, C], label: i32[batches * b]: this device's share of real images,
        in n_dis batches or, with `own_batch`, one more.
      key: of this step.

    Raises:
      UserError: the device's share does not split into equal batches.
    """
    config, step = gan.config, state.step
    key_z, key_real, key_penalty, key_earlier = jax.random.split(key, 4)
    real = preprocess_real(config, image, key_real, len(image), gan.axis_name)
    d = Discriminator(state.discriminator, state.discriminator_optimizer, state.memory)
    metrics = {}
    if config.n_dis > 1 or config.own_batch:
        d, metrics, real, label = _earlier_updates(gan, state, d, real, label, key_earlier)

    # Generated images. One pass of G serves both updates: `backward` gives G's gradients below.
    g_label = jnp.repeat(label, config.generator_batch)
    z = rng.normal(key_z, len(g_label), (config.model.latent,), gan.axis_name)

    def generate(params):
        return _generate(gan, with_params(state.generator, params), z, g_label, key_z)

    (fake, near), backward, g_variables = jax.vjp(generate, state.generator["params"], has_aux=True)

    # Discriminator: one update on the real images and an equal number of generated ones.
    if not config.own_batch:

        def beside_real(x):
            return x.reshape(len(real), config.generator_batch, *real.shape[1:])[:, 0]

        shown = jax.tree.map(beside_real, (fake, near))
        d, metrics = update_discriminator(gan, d, step, real, shown, label, key_penalty)

    # Generator: one update, against the updated discriminator.
    def g_loss(generated):
        fake, near = generated
        variables = with_params(d.variables, d.variables["params"])

        def judge(images, label, use):
            images = gan.seen(images, key_penalty, use, d.memory, step)
            return apply(gan.D, variables, images, label)[0]

        on_real = None
        if gan.loss.relativistic:
            on_real = gan.scored(judge(real, label, Use.GENERATOR_REAL))
            on_real = jax.tree.map(lambda x: jnp.repeat(x, config.generator_batch, 0), on_real)
        on_fake = gan.scored(judge(fake, g_label, Use.GENERATOR))
        loss = gan.loss.generator(on_real, on_fake, g_label).mean()
        penalties = {}
        if near is not None:
            penalties["g_near"] = consistency.of_generator(gan.consistency, fake, near).mean()
        if gan.rotation:
            turned, quarters = rotation.turned(fake, gan.axis_name)
            answer = judge(turned, g_label, Use.ROTATED_FAKE)
            penalties["g_rotation"] = gan.rotation[1] * rotation.loss(answer, quarters).mean()
        return sum(penalties.values(), loss), penalties | {"g_loss": loss}

    fake_grads, g_metrics = jax.grad(g_loss, has_aux=True)((fake, near))
    metrics |= g_metrics
    g_grads = pmean(backward(fake_grads)[0], gan.axis_name)
    if gan.orthogonal:
        more = weights.orthogonal_gradient(state.generator["params"])
        g_grads = jax.tree.map(lambda g, m: g + gan.orthogonal * m, g_grads, more)
    metrics["g_grad_norm"] = optax.tree.norm(g_grads)
    g_variables["params"], g_opt_state = descend(
        gan.g_optimizer, g_grads, state.generator_optimizer, state.generator["params"]
    )

    memory = d.memory
    if gan.lengths:
        g_variables, g_opt_state, memory, metrics["path_length"] = _shorten_paths(
            gan, g_variables, g_opt_state, memory, step, g_label, key_penalty
        )
    if gan.target:
        memory = adaptive.adjusted(gan.target, memory, step)
        metrics["augment_p"] = memory["augment_p"]

    # Average of the generator: its half-life counts `train.batch_size` images a step.
    average = ema.update(
        state.average,
        g_variables,
        step,
        config.train.batch_size,
        gan.value("ema.half_life", step),
        config.ema.ramp,
    )
    new = GanState(step + 1, g_variables, d.variables, average, g_opt_state, d.optimizer, memory)
    return new, metrics


def update_discriminator(gan: Gan, d: Discriminator, step, real, generated, label, key):
    """One update of D on b real and b generated images: (its new state, metrics).

    Metrics, f32[] each: `d_loss` without penalties; `penalty`, `lecam`, `consistency` and
    `d_rotation` (weighted; those that there are); `d_grad_norm`; `d_real` and `d_fake`: the shares
    of real and generated images with logits > 0 (the boundary of "least_squares" is 0.5, and
    "wasserstein" and relativistic losses have none).

    Args:
      step: i32[], of the training.
      real: f32[b, H, W, C] in [-1, 1]; label: i32[b], of both kinds.
      generated: (images f32[b, H, W, C], those of near latents or None).
      key: of the regularizer; other random numbers have keys made of it.
    """
    fake, near = generated
    weight, interval = gan.value("regularizer.weight", step), gan.config.regularizer.interval
    shared = judging.shares_slopes(gan, d.variables)

    def see(images, use):
        return gan.seen(images, key, use, d.memory, step)

    def penalty(variables):
        """The regularizer's, of D as a function of images before they are augmented."""

        def critic(x):
            seen = see(x, Use.PENALTY)
            return realness(gan.discriminator_f32.apply(variables, seen, label, train=True))

        return weight * gan.regularizer(critic, real, fake, key, gan.axis_name).mean()

    def d_loss(params):
        # Spectral norms step the power method in the first application only, so that real images,
        # generated ones and the penalties are judged by the same kernels.
        updated = with_params(d.variables, params)
        seen_real, seen_fake = see(real, Use.REAL), see(fake, Use.FAKE)
        on_real, on_fake, squares, updated = judging.judge(
            gan, updated, seen_real, seen_fake, label, with_slopes=shared
        )
        loss = gan.loss.discriminator(gan.scored(on_real), gan.scored(on_fake), label).mean()

        def judge(x):
            return apply(gan.D, updated, x, label)[0]

        logits, penalties, memory = (realness(on_real), realness(on_fake)), {}, d.memory
        if shared:
            penalties["penalty"] = weight * 0.5 * squares.sum(0).mean()
        elif gan.regularizer and interval == 1:
            penalties["penalty"] = penalty(updated)
        if gan.lecam:
            values, memory = lecam.penalty(gan.lecam, memory, *logits, step, gan.axis_name)
            penalties["lecam"] = values.mean()
        if gan.consistency:
            pairs = zip((seen_real, seen_fake), logits, strict=True)
            key_moved = key_of(key, Use.CONSISTENCY)
            seen_near = None if near is None else see(near, Use.FAKE)
            penalties["consistency"] = consistency.of_discriminator(
                gan.consistency,
                lambda x: realness(judge(x)),
                tuple(pairs),
                seen_near,
                key_moved,
                gan.axis_name,
            ).mean()
        if gan.rotation:
            turned, quarters = rotation.turned(real, gan.axis_name)
            answer = judge(see(turned, Use.ROTATED_REAL))
            penalties["d_rotation"] = gan.rotation[0] * rotation.loss(answer, quarters).mean()
        if gan.target:
            memory = adaptive.observed(memory, logits[0], gan.axis_name)
        d_real, d_fake = (jnp.mean(x > 0) for x in logits)
        metrics = {"d_loss": loss, "d_real": d_real, "d_fake": d_fake} | penalties
        return sum(penalties.values(), loss), (updated, memory, metrics)

    grads, (updated, memory, metrics) = jax.grad(d_loss, has_aux=True)(d.variables["params"])
    grads = pmean(grads, gan.axis_name)
    metrics["d_grad_norm"] = optax.tree.norm(grads)
    params, optimizer = descend(gan.d_optimizer, grads, d.optimizer, d.variables["params"])
    if gan.regularizer and interval > 1:
        params, optimizer, metrics["penalty"] = _lazily(
            gan,
            step % interval == 0,
            gan.d_optimizer,
            lambda params: interval * penalty(with_params(updated, params)),
            params,
            optimizer,
        )
    if gan.clip:
        params = weights.clip(params, gan.clip)
    return Discriminator(updated | {"params": params}, optimizer, memory), metrics


def preprocess_real(config: ConfigDict, image, key, examples, axis_name: str | None = None):
    """Real images as the discriminator sees them: u8[B, H, W, C] -> f32[B, H, W, C] in [-1, 1].

    With `dequantize`, noise of one of the 256 levels is added (`images.dequantize`), as in the code
    of SNGAN's authors. `examples` and `axis_name` are those of `rng.example_keys`.
    """
    if not config.dequantize:
        return images.to_float(image, low=-1)
    return images.dequantize(image, rng.uniform(key, examples, image.shape[1:], axis_name))


def to_pictures(config: ConfigDict, generated):
    """Generated images f32[B, H, W, C] in [-1, 1] as u8; the inverse of `preprocess_real`."""
    return images.quantize(generated) if config.dequantize else images.to_uint8(generated, low=-1)


def _generate(gan: Gan, variables, z, label, key):
    """((images f32[B, H, W, C], those of near latents or None), variables after that)."""
    # Spectral norms of a generator step the power method here, once a step.
    mutable = ("batch_stats", spectral_norm.COLLECTION)
    rngs = {"noise": key_of(key, Use.NOISE)}
    fake, variables = apply(gan.G, variables, z, label, mutable=mutable, rngs=rngs)
    if not (gan.consistency and gan.consistency.of_latents):
        return (fake, None), variables
    noise = rng.normal(key_of(key, Use.NEAR), len(z), z.shape[1:], gan.axis_name)
    near, _ = apply(gan.G, variables, z + gan.consistency.z_noise * noise, label, rngs=rngs)
    return (fake, near), variables


def _earlier_updates(gan: Gan, state: GanState, d: Discriminator, real, label, key):
    """All updates of D in a step that have latents of their own: (d, metrics, real, label).

    That is all but the last one, or with `own_batch` all, whose metrics are the result's; the
    `real` and `label` returned are those of the update that follows, f32[b, H, W, C] and i32[b].
    Update r takes every so manieth image from r on: each device then has its share of every
    update's batch, and no image moves between devices. Changes to G's `batch_stats` are dropped:
    only the generator's own update changes them.

    Raises:
      UserError: the device's share does not split into equal batches.
    """
    config = gan.config
    batches = config.n_dis + config.own_batch
    if len(real) % batches:
        raise UserError(
            f"train.batch_size={config.train.batch_size} does not divide over the devices: "
            "make it a multiple of their number"
        )
    real = jnp.moveaxis(real.reshape(-1, batches, *real.shape[1:]), 1, 0)
    label = label.reshape(-1, batches).T
    g_variables = with_params(state.generator, state.generator["params"])

    def update(d, x):
        real, label, i = x
        key_z, key_penalty = jax.random.split(jax.random.fold_in(key, i))
        z = rng.normal(key_z, len(real), (config.model.latent,), gan.axis_name)
        generated, _ = _generate(gan, g_variables, z, label, key_z)
        d, metrics = update_discriminator(gan, d, state.step, real, generated, label, key_penalty)
        return d, metrics if config.own_batch else {}

    # A scan, so that compile time does not grow with n_dis.
    d, metrics = jax.lax.scan(update, d, (real[:-1], label[:-1], jnp.arange(batches - 1)))
    return d, {name: x[-1] for name, x in metrics.items()}, real[-1], label[-1]


def _shorten_paths(gan: Gan, variables, opt_state, memory, step, label, key):
    """G's own lazy update: (variables, opt_state, memory, the penalty, 0 where it is not due).

    On latents of its own, half as many as `label` i32[B].

    Raises:
      UserError: the devices of `pmap` have an odd number each, of which there is no half.
    """
    options = gan.config.path_length
    if gan.axis_name is not None and len(label) % 2:
        raise UserError(
            f"path lengths are of half of each device's {len(label)} examples, an odd number: set "
            f"--config.train.batch_size={2 * gan.config.train.batch_size} or --config.parallel=jit"
        )
    key_z, key_y = jax.random.split(key_of(key, Use.PATH_LENGTH))
    label = label[::2]
    z = rng.normal(key_z, len(label), (gan.config.model.latent,), gan.axis_name)
    mean, due = memory["path_length"], step % options.interval == 0

    def penalty(params):
        given = with_params(variables, params), z, label, key_y
        value, new = gan.G.path_length(*given, mean, options.decay, gan.axis_name)
        return options.interval * options.weight * value, new

    params, opt_state, value, mean = _lazily(
        gan, due, gan.g_optimizer, penalty, variables["params"], opt_state, mean
    )
    return variables | {"params": params}, opt_state, memory | {"path_length": mean}, value


def _lazily(gan: Gan, due, optimizer, penalty, params, opt_state, *kept):
    """An update of its own by a penalty's gradient, where it is due: (params, opt_state, the
    penalty or 0, *kept).

    StyleGAN2's lazy regularisation (Karras et al. 2020, arXiv:1912.04958, appendix B). With
    something `kept`, `penalty(params)` returns (f32[], its new value).
    """

    def update():
        found, grads = jax.value_and_grad(penalty, has_aux=bool(kept))(params)
        value, *new = found if kept else (found,)
        grads = pmean(grads, gan.axis_name)
        return *descend(optimizer, grads, opt_state, params), value, *new

    return jax.lax.cond(due, update, lambda: (params, opt_state, jnp.zeros(()), *kept))
