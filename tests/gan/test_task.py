"""One round of the GAN task against the same round written with plain gradients."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from configs import cgan as cgan_config
from configs import dcgan as dcgan_config
from genjax import data, images, rng
from genjax.errors import UserError
from genjax.gan import dcgan
from genjax.gan import task as gan_task
from genjax.gan.losses import LOSSES
from genjax.nn import Dense, SpectralNorm
from genjax.task import Inputs

LABEL = jnp.arange(4)


@pytest.fixture(scope="module", params=["non_saturating", "least_squares"])
def setting(request):
    config = dcgan_config.get_config("size=8,width=4")
    config.loss = request.param
    config.model.latent = 6
    config.train.batch_size = 4
    task = gan_task.build(config, Inputs(data.open_dataset(config.data), None))
    image = np.random.default_rng(0).integers(0, 256, (4, 8, 8, 1)).astype(np.uint8)
    state = jax.jit(task.init)(jax.random.key(0), {})
    return config, task, state, {"image": jnp.asarray(image), "label": LABEL, "index": LABEL}


def test_round_is_two_plain_updates(setting):
    """The shared forward pass gives the gradients that two separate passes give."""
    config, task, state, batch = setting
    key = jax.random.key(1)
    new, metrics = jax.jit(lambda: task.step(state, batch, key, None))()

    generator, discriminator = dcgan.networks(config.model, (8, 8, 1))
    loss, adam = LOSSES[config.loss], optax.adam(2e-4, b1=0.5, b2=0.999)
    real, z = images.to_float(batch["image"], -1), rng.normal(jax.random.split(key, 4)[0], 4, (6,))
    mutable = {"train": True, "mutable": ["batch_stats"]}

    def make(params):
        return generator.apply(state.generator | {"params": params}, z, LABEL, **mutable)[0]

    def d_loss(params):
        variables = state.discriminator | {"params": params}
        on_real, updated = discriminator.apply(variables, real, LABEL, **mutable)
        fake = make(state.generator["params"])
        on_fake, updated = discriminator.apply({"params": params} | updated, fake, LABEL, **mutable)
        return loss.discriminator(on_real, on_fake, LABEL).mean()

    @jax.jit
    def plain():
        d_value, d_grads = jax.value_and_grad(d_loss)(state.discriminator["params"])
        updates, _ = adam.update(d_grads, adam.init(state.discriminator["params"]))
        d_params = optax.apply_updates(state.discriminator["params"], updates)

        def g_loss(params):
            logits, _ = discriminator.apply(
                state.discriminator | {"params": d_params}, make(params), LABEL, **mutable
            )
            return loss.generator(None, logits, LABEL).mean()

        g_value, g_grads = jax.value_and_grad(g_loss)(state.generator["params"])
        updates, _ = adam.update(g_grads, adam.init(state.generator["params"]))
        g_params = optax.apply_updates(state.generator["params"], updates)
        return d_value, g_value, d_params, g_params, d_grads, g_grads

    d_value, g_value, d_params, g_params, d_grads, g_grads = plain()
    np.testing.assert_allclose(metrics["d_loss"], d_value, rtol=1e-4)
    np.testing.assert_allclose(metrics["g_loss"], g_value, rtol=1e-4)
    for name, grads in (("d_grad_norm", d_grads), ("g_grad_norm", g_grads)):
        flat = np.concatenate([np.ravel(x) for x in jax.tree.leaves(grads)])
        np.testing.assert_allclose(metrics[name], np.linalg.norm(flat), rtol=1e-4)
    # Adam's first step is the sign of the gradient: 1e-3 of its length is gradients that agree.
    for ours, plainly in (
        (new.discriminator["params"], d_params),
        (new.generator["params"], g_params),
    ):
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=4e-6), ours, plainly)


def test_first_average_is_the_generator_and_no_alias(setting):
    state = setting[2]
    for a, b in zip(jax.tree.leaves(state.average), jax.tree.leaves(state.generator), strict=True):
        np.testing.assert_array_equal(a, b)
        assert a.unsafe_buffer_pointer() != b.unsafe_buffer_pointer()


def test_samples_are_a_function_of_the_key_and_use_running_statistics(setting):
    _, task, state, _ = setting
    sample = jax.jit(task.sample, static_argnums=2)
    many, few = sample(state, jax.random.key(3), 5), sample(state, jax.random.key(3), 2)
    assert many.shape == (5, 8, 8, 1) and many.dtype == jnp.uint8
    # With batch statistics, the number of pictures would change each of them.
    assert np.abs(np.int32(many[:2]) - np.int32(few)).max() <= 1


def test_evaluation_has_one_value_per_example(setting):
    _, task, state, batch = setting
    values = jax.jit(task.evaluate)(state, batch, jax.random.key(0))
    assert {value.shape for value in values.values()} == {(4,)}
    assert set(values) == {"d_loss", "g_loss", "d_real", "d_fake"}


def test_evaluation_judges_batches_as_training_does():
    """A discriminator with BatchNorm: each batch of 4 of 8 examples has its own statistics, and
    generated images have theirs, whatever the running ones are."""
    config = dcgan_config.get_config("size=16,width=2")
    config.model.latent, config.train.batch_size = 6, 4
    task = gan_task.build(config, Inputs(data.open_dataset(config.data), None))
    state = jax.jit(task.init)(jax.random.key(0), {})
    off = jax.tree.map(lambda x: x + 3, state.discriminator["batch_stats"])
    state = state.replace(discriminator=state.discriminator | {"batch_stats": off})
    image = np.random.default_rng(0).integers(0, 256, (8, 16, 16, 1)).astype(np.uint8)
    index = jnp.array([7, 0, 3, 1, 12, 5, 9, 2])
    batch = {"image": jnp.asarray(image), "label": 0 * index, "index": index}
    key = jax.random.key(1)
    values = jax.jit(task.evaluate)(state, batch, key)

    generator, discriminator = dcgan.networks(config.model, (16, 16, 1))
    key_z = jax.random.split(key)[0]
    z = jnp.stack([jax.random.normal(jax.random.fold_in(key_z, i), (6,)) for i in index])
    fake = generator.apply(state.average, z, train=False)
    for name, x in (("d_real", images.to_float(batch["image"], -1)), ("d_fake", fake)):
        logits = np.empty(8)
        for rows in (slice(0, None, 2), slice(1, None, 2)):
            logits[rows], _ = discriminator.apply(
                state.discriminator, x[rows], train=True, mutable=["batch_stats"]
            )
        np.testing.assert_array_equal(values[name], logits > 0)
        if name == "d_fake":
            np.testing.assert_allclose(values["g_loss"], np.log1p(np.exp(-logits)), rtol=1e-4)


class Shades(nn.Module):
    """Pictures of 8 x 8 px: all pixels of class k are k / 10, moved by a normalised linear map."""

    classes: int = 10

    @nn.compact
    def __call__(self, z, label, *, train: bool):
        moved = Dense(64, SpectralNorm, use_bias=False)(z)
        return (label / 10)[:, None, None, None] + 1e-3 * moved.reshape(-1, 8, 8, 1)


class Critic(nn.Module):
    @nn.compact
    def __call__(self, x, label, *, train: bool):
        return Dense(1)(x.reshape(len(x), -1))[:, 0]


def test_a_generator_of_classes_with_spectral_norms(monkeypatch):
    """Its vectors step once a step, from the kernel before the update; samples are of each class in
    turn, by the averaged kernel over a norm of its own."""
    networks = Shades(), Critic()
    monkeypatch.setitem(gan_task.NETWORKS, "shades", lambda model, shape, **common: networks)
    config = dcgan_config.get_config("size=8,width=4")
    config.model.name, config.model.latent, config.train.batch_size = "shades", 6, 4
    config.ema.half_life, config.ema.ramp = 8.0, 1.0
    task = gan_task.build(config, Inputs(data.open_dataset(config.data), None))
    assert task.classes == 10
    image = jnp.zeros((4, 8, 8, 1), jnp.uint8)
    batch = {"image": image, "label": LABEL, "index": LABEL}
    state = jax.jit(task.init)(jax.random.key(0), {}).replace(step=jnp.int32(1))
    new, _ = jax.jit(lambda: task.step(state, batch, jax.random.key(1), None))()

    def vectors(variables):
        return variables["spectral"]["Dense_0"]["SpectralNorm_0"]

    def kernel(variables):
        return np.float64(variables["params"]["Dense_0"]["kernel"])

    def stepped(kernel, u):
        v = kernel @ np.float64(u)
        v /= np.linalg.norm(v)
        u = v @ kernel
        return u / np.linalg.norm(u), v

    u, v = stepped(kernel(state.generator), vectors(state.generator)["u"])
    np.testing.assert_allclose(vectors(new.generator)["u"], u, atol=1e-6)
    np.testing.assert_allclose(vectors(new.generator)["v"], v, atol=1e-6)
    mixed = vectors(new.average)["u"]
    assert np.linalg.norm(mixed) < 0.999  # an average of unit vectors

    key, index = jax.random.key(3), jnp.arange(12)
    pictures = jax.jit(lambda: task.sample(new, key, index))()
    z = jnp.stack([jax.random.normal(jax.random.fold_in(key, i), (6,)) for i in index])
    weights = kernel(new.average)
    u, v = stepped(weights, mixed)
    moved = np.float64(z) @ weights / (v @ weights @ u)
    expected = (np.arange(12) % 10 / 10)[:, None] + 1e-3 * moved
    # Shades lie on the border between two integers, where rounding decides.
    shades = np.int32(images.to_uint8(jnp.float32(expected), -1))
    np.testing.assert_allclose(pictures.reshape(12, 64), shades, atol=1)
    decoded = jax.jit(lambda: task.decode(new, z, index))()
    np.testing.assert_allclose(decoded.reshape(12, 64), (expected + 1) / 2, atol=1e-6)


def test_an_auxiliary_classifier_trains_with_its_classes():
    """A step and an evaluation keep the shapes of a state whose discriminator classifies."""
    config = cgan_config.get_config("condition=auxiliary,size=8,width=2")
    config.model.latent, config.train.batch_size = 6, 4
    inputs = Inputs(data.open_dataset(config.data), None)
    task = gan_task.build(config, inputs)
    state = jax.eval_shape(task.init, jax.random.key(0), {})
    image = jax.ShapeDtypeStruct((4, 8, 8, 1), jnp.uint8)
    label = jax.ShapeDtypeStruct((4,), jnp.int32)
    batch = {"image": image, "label": label, "index": label}
    found = jax.eval_shape(task.evaluate, state, batch, jax.random.key(0))
    assert {value.shape for value in found.values()} == {(4,)}
    assert state.discriminator["params"]["class"]["kernel"].shape == (4, 10)
    new, _ = jax.eval_shape(lambda *a: task.step(*a, None), state, batch, jax.random.key(0))
    assert jax.tree.structure(new) == jax.tree.structure(state)


def test_classes_that_train_are_those_that_it_knows():
    config = cgan_config.get_config("condition=auxiliary,size=8,width=2")
    config.data.classes = (3, 8)
    task = gan_task.build(config, Inputs(data.open_dataset(config.data), None))
    state = jax.eval_shape(task.init, jax.random.key(0), {})
    assert task.classes == 2
    assert state.discriminator["params"]["class"]["kernel"].shape == (4, 2)


@pytest.mark.parametrize("condition", ["projection", "auxiliary"])
def test_data_without_classes_are_refused(condition):
    config = cgan_config.get_config(f"condition={condition},size=8,width=2")
    unlabelled = data.open_dataset(config.data)._replace(classes=0)
    message = f"^model.condition='{condition}' needs classes, and the data have none"
    with pytest.raises(UserError, match=message):
        gan_task.build(config, Inputs(unlabelled, None))
