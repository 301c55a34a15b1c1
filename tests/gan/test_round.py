"""Rounds with several updates, larger generator batches and penalties, against plain gradients."""

from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from ml_collections import ConfigDict

from genjax import images, rng, runs
from genjax.errors import UserError
from genjax.gan import optimizers, sngan
from genjax.gan import round as gan_round
from genjax.gan.losses import LOSSES
from genjax.nn.spectral_norm import COLLECTION
from genjax.speed import collectives
from tests.tiny import tiny

KEY = jax.random.key(1)
LABEL = jnp.arange(8)


def _image(n):
    return jnp.asarray(np.random.default_rng(0).integers(0, 256, (n, 8, 8, 1)), jnp.uint8)


def _close(ours, plainly):
    # Adam's first steps are signs of gradients times 2e-4.
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=4e-6), ours, plainly)


def test_two_updates_of_the_discriminator_and_one_of_the_generator():
    """With n_dis 2 and generator_batch 2, each loss and each update written out."""
    config = tiny("sngan", **{"n_dis": 2, "dequantize": False, "train.batch_size": 4})
    task = runs.build(config).task
    assert task.images_per_step == 8
    image = _image(8)
    state = jax.jit(task.init)(jax.random.key(0), {})
    new, metrics = jax.jit(lambda: task.step(state, {"image": image, "label": LABEL}, KEY, None))()

    generator, discriminator = sngan.networks(config.model, (8, 8, 1))
    loss, latent = LOSSES["hinge"], config.model.latent
    rate = optax.linear_schedule(2e-4, 0.0, 2 * config.optimizer.linear_decay)
    adam = optax.adam(rate, b1=0.0, b2=0.9)
    real = images.to_float(image, -1)

    def make(params, z):
        variables = state.generator | {"params": params}
        return generator.apply(variables, z, LABEL, train=True, mutable=["batch_stats"])[0]

    def judge(params, vectors, x):
        return discriminator.apply({"params": params} | vectors, x, LABEL, train=False)

    def update(params, vectors, optimizer_state, real, fake):
        variables = {"params": params} | vectors
        _, vectors = discriminator.apply(variables, real, LABEL, train=True, mutable=[COLLECTION])

        def objective(params):
            on_real, on_fake = judge(params, vectors, real), judge(params, vectors, fake)
            return loss.discriminator(on_real, on_fake, LABEL).mean()

        value, grads = jax.value_and_grad(objective)(params)
        updates, optimizer_state = adam.update(grads, optimizer_state)
        return optax.apply_updates(params, updates), vectors, optimizer_state, value

    @jax.jit
    def plain():
        g, d = state.generator["params"], state.discriminator["params"]
        vectors = {COLLECTION: state.discriminator[COLLECTION]}
        key_z, _, _, key_earlier = jax.random.split(KEY, 4)
        earlier = jax.random.split(jax.random.fold_in(key_earlier, 0))[0]
        fake = make(g, rng.normal(earlier, 4, (latent,)))
        d, vectors, optimizer_state, _ = update(d, vectors, adam.init(d), real[0::2], fake)
        z = rng.normal(key_z, 8, (latent,))
        shown = make(g, z)[0::2]
        d, vectors, _, value = update(d, vectors, optimizer_state, real[1::2], shown)

        def objective(g):
            return loss.generator(None, judge(d, vectors, make(g, z)), LABEL).mean()

        g_value, grads = jax.value_and_grad(objective)(g)
        updates, _ = adam.update(grads, adam.init(g))
        return {"params": d} | vectors, optax.apply_updates(g, updates), value, g_value

    d, g, value, g_value = plain()
    _close(new.discriminator, d)
    _close(new.generator["params"], g)
    np.testing.assert_allclose(metrics["d_loss"], value, rtol=1e-4)
    np.testing.assert_allclose(metrics["g_loss"], g_value, rtol=1e-4)


def test_the_penalty_is_in_the_gradient_and_in_float32():
    """R1's, of a round in bfloat16, with every other gradient taken away by equal images."""
    config = tiny("r1", **{"precision": "bfloat16", "regularizer.weight": 4.0})
    task = runs.build(config).task
    state = jax.jit(task.init)(jax.random.key(0), {})
    metrics = jax.jit(lambda: task.step(state, {"image": _image(8), "label": LABEL}, KEY, None))()[
        1
    ]
    _, critic = sngan.chainer_gan_lib_networks(config.model, (8, 8, 1))

    def logits(x):
        return critic.apply(state.discriminator, x, LABEL, train=True).sum()

    slopes = jax.jit(jax.grad(logits))(images.to_float(_image(8), -1))
    expected = 4.0 / 2 * np.square(slopes).sum((1, 2, 3)).mean()
    np.testing.assert_allclose(metrics["penalty"], expected, rtol=1e-5)


def test_penalties_of_batch_norm_are_refused():
    with pytest.raises(UserError, match=r"'r1' needs a discriminator without BatchNorm") as error:
        runs.build(tiny("dcgan", **{"regularizer.name": "r1", "data.size": 16}))
    assert "\n" not in str(error.value)
    runs.build(tiny("dcgan", **{"regularizer.name": "r1"}))  # at 8 px it has none


def test_a_run_longer_than_its_learning_rate_is_refused():
    with pytest.raises(UserError, match=r"train\.steps=13 goes on after the learning rate is 0"):
        runs.build(tiny("sngan", **{"train.steps": 13, "optimizer.linear_decay": 12}))


def test_more_updates_than_can_be_counted_are_refused():
    with pytest.raises(UserError, match=r"times n_dis=2 has to be less than 2\*\*31"):
        runs.build(tiny("wgan-gp", **{"optimizer.linear_decay": 2**30}))


def test_both_learning_rates_are_0_at_the_same_step():
    """However many updates a step has: half of the rate is left after half of the steps."""
    config = tiny("wgan-gp", **{"train.steps": 4, "optimizer.linear_decay": 4})
    for updates in (1, 2):
        adam = optimizers.make(config, {}, updates=updates)
        state, sizes = adam.init(jnp.zeros(())), []
        for _ in range(4 * updates + 1):
            change, state = adam.update(jnp.ones(()), state)
            sizes.append(-change / config.optimizer.learning_rate)
        expected = [1.0, 0.5, 0.0]  # Adam of a constant gradient is its sign
        np.testing.assert_allclose(sizes[:: 2 * updates], expected, rtol=1e-3, atol=1e-6)


def test_dequantised_images():
    config = tiny("sngan", **{"dequantize": True})
    seen = gan_round.preprocess_real(config, _image(4), KEY, 4)
    noise = seen - (np.float32(_image(4)) / 128 - 1)
    assert noise.min() > -1e-6 and noise.max() <= 1 / 128 + 1e-6
    np.testing.assert_allclose(noise.mean(), 1 / 256, rtol=0.1)
    np.testing.assert_allclose(noise.std(), 1 / 128 / np.sqrt(12), rtol=0.1)
    # The way back is exact, and nothing lies beyond what the generator's tanh can make.
    np.testing.assert_array_equal(gan_round.to_pictures(config, seen), _image(4))
    white = jnp.full((4, 8, 8, 1), 255, jnp.uint8)
    assert gan_round.preprocess_real(config, white, KEY, 4).max() <= 1


def test_pictures_of_a_run_without_dequantised_images():
    config = tiny("dcgan")
    there = gan_round.preprocess_real(config, _image(4), KEY, 4)
    np.testing.assert_array_equal(gan_round.to_pictures(config, there), _image(4))


def test_devices_average_the_gradients_of_each_update():
    run = runs.build(tiny("wgan-gp"))
    state = jax.eval_shape(run.task.init, KEY, {})
    count = [
        sum(x.size for x in jax.tree.leaves(network["params"]))
        for network in (state.generator, state.discriminator)
    ]
    assert collectives.averaged(run).gradients == 4 * (count[0] + 2 * count[1])


def test_a_share_that_has_no_whole_batches_is_refused():
    task = runs.build(tiny("wgan-gp")).task
    state = jax.eval_shape(task.init, KEY, {})
    with pytest.raises(UserError, match=r"train\.batch_size=8 does not divide"):
        batch = {"image": _image(3), "label": LABEL[:3]}
        jax.eval_shape(lambda s: task.step(s, batch, KEY, None), state)


def test_half_of_an_odd_share_is_refused():
    config = ConfigDict({"path_length": {}, "train": {"batch_size": 24}})
    gan = SimpleNamespace(axis_name="devices", config=config)
    with pytest.raises(UserError, match="batch_size=48"):
        gan_round._shorten_paths(gan, {}, None, {}, 0, jnp.zeros(3, jnp.int32), None)
