"""FactorVAE's discriminator against closed forms, PyTorch, and a step written out."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from genjax import data, rng, runs
from genjax.errors import UserError
from genjax.nn import backend
from genjax.nn.elbo import bernoulli_log_likelihood, kl_to_standard_normal
from genjax.task import Inputs
from genjax.vae import discriminator, sprites
from genjax.vae import task as vae_task
from genjax.vae.discriminator import Discriminator, Judge, JudgeState
from tests.tiny import tiny


def _judge(width=5, layers=2):
    return Judge(Discriminator(width, layers), optax.sgd(1.0))


def test_the_published_one_has_five_million_parameters():
    shapes = jax.eval_shape(lambda: _judge(1000, 6).init(jax.random.key(0), 10))
    assert sum(x.size for x in jax.tree.leaves(shapes.params)) == 5_018_002


class _Optimal:
    """Logits of what the best discriminator knows: log q(z), and the sum of log q(z_j), of two
    standard normal numbers with the correlation c."""

    def apply(self, variables, z):
        c = variables["params"]
        joint = -0.5 * (z[:, 0] ** 2 - 2 * c * z[:, 0] * z[:, 1] + z[:, 1] ** 2) / (1 - c**2)
        joint -= 0.5 * jnp.log(1 - c**2)
        return jnp.stack([joint, -0.5 * (z**2).sum(1)], axis=1)


def test_the_best_discriminator_finds_the_total_correlation():
    """-1/2 log(1 - c^2) nats, and of mixed latents, whose dimensions are independent, less than
    0: minus the divergence the other way round."""
    c, judge = 0.8, Judge(_Optimal(), None)
    z = np.random.default_rng(0).multivariate_normal([0, 0], [[1, c], [c, 1]], 50_000)
    z, state = jnp.float32(z), JudgeState(jnp.float32(c), None)
    found = judge.total_correlation(state, z).mean()
    assert float(found) == pytest.approx(-0.5 * np.log(1 - c**2), abs=0.02)
    found = judge.total_correlation(state, discriminator.mixed(z, jax.random.key(0))).mean()
    opposite = 1 / (1 - c**2) - 1 + 0.5 * np.log(1 - c**2)
    assert float(found) == pytest.approx(-opposite, abs=0.05)


def test_an_update_is_that_of_pytorch():
    torch = pytest.importorskip("torch")
    judge = _judge()
    state = judge.init(jax.random.key(0), 3)
    z, mixed = (np.float32(np.random.default_rng(i).normal(size=(4, 3))) for i in (0, 1))
    layers = []
    for i in range(3):
        dense = state.params[f"Dense_{i}"]
        layer = torch.nn.Linear(*dense["kernel"].shape)
        layer.weight.data = torch.from_numpy(np.array(dense["kernel"]).T)
        layer.bias.data = torch.from_numpy(np.array(dense["bias"]))
        layers += [layer, torch.nn.LeakyReLU(0.2)]
    network = torch.nn.Sequential(*layers[:-1])
    right = [
        torch.nn.functional.cross_entropy(network(torch.from_numpy(x)), torch.full((4,), i))
        for i, x in enumerate((z, mixed))
    ]
    loss = 0.5 * (right[0] + right[1])
    loss.backward()
    after, value = judge.learned(state, z, mixed)
    assert float(value) == pytest.approx(loss.item(), rel=1e-5)
    for i, layer in enumerate(layers[::2]):
        moved = jax.tree.map(lambda a, b: a - b, state.params, after.params)[f"Dense_{i}"]
        np.testing.assert_allclose(moved["kernel"].T, layer.weight.grad, atol=1e-6)
        np.testing.assert_allclose(moved["bias"], layer.bias.grad, atol=1e-6)


def test_mixing_keeps_each_dimension_and_not_the_rows():
    """On one device or two: the same latents at the same places."""
    z = jnp.arange(36.0).reshape(12, 3)
    key = jax.random.key(0)
    whole = discriminator.mixed(z, key)
    np.testing.assert_array_equal(np.sort(whole, axis=0), z)
    rows = (whole // 3).astype(int)
    assert not any((rows[:, i] == rows[:, j]).all() for i, j in ((0, 1), (0, 2), (1, 2)))
    shared = jax.vmap(lambda z: discriminator.mixed(z, key, "d"), axis_name="d")
    np.testing.assert_array_equal(shared(z.reshape(2, 6, 3)).reshape(12, 3), whole)


def test_halves_are_the_same_examples_on_any_number_of_devices():
    batch = {"index": jnp.arange(8)}
    first, second = discriminator.halves(batch)
    np.testing.assert_array_equal(first["index"], [0, 2, 4, 6])
    parts = [discriminator.halves({"index": x}) for x in jnp.split(batch["index"], 2)]
    np.testing.assert_array_equal(jnp.concatenate([b["index"] for _, b in parts]), second["index"])


def test_a_step_written_out():
    """Both updates of a step, from its networks and its noise."""
    config = tiny("factor-vae", **{"model.latent": 2, "train.batch_size": 2})
    task = vae_task.build(config, Inputs(data.open_dataset(config.data), None))
    assert task.images_per_step == 4
    state = jax.jit(task.init)(jax.random.key(0), {})
    step = backend.native()(task.step)  # which compiles sooner
    image = np.random.default_rng(0).integers(0, 256, (4, 64, 64, 1)).astype(np.uint8)
    batch = {"image": jnp.asarray(image), "label": jnp.zeros(4, jnp.int32)}
    batch["index"] = jnp.arange(4)
    key = jax.random.key(1)
    after, metrics = jax.jit(lambda state: step(state, batch, key, None))(state)

    encoder, decoder = sprites.networks(config.model, (64, 64, 1))
    judge = discriminator.of(config)
    x = jnp.float32(image) / 255
    first, second = (
        rng.normal(jax.random.split(k)[1], 2, (1, 2))[:, 0]
        for k in (key, jax.random.split(jax.random.fold_in(key, 2))[0])
    )

    def drawn(params, x, noise):
        mean, log_variance = encoder.apply({"params": params}, x, train=True)
        return mean + jnp.exp(0.5 * log_variance) * noise, (mean, log_variance)

    @jax.jit
    @backend.native()
    @jax.value_and_grad
    def loss(params):
        z, posterior = drawn(
            params[0], x[::2], rng.normal(jax.random.split(key)[1], 2, (1, 2))[:, 0]
        )
        logits = decoder.apply({"params": params[1]}, z, train=True)
        bound = bernoulli_log_likelihood(x[::2], logits) - kl_to_standard_normal(*posterior).sum(1)
        judged = judge.logits(state.discriminator.params, z)
        return -bound.mean() + 10 * (judged[:, 0] - judged[:, 1]).mean()

    value, grads = loss((state.encoder["params"], state.decoder["params"]))
    assert float(metrics["loss"]) == pytest.approx(float(value), rel=1e-5)
    # Adam's means of gradients begin with a tenth of the first one.
    found = after.optimizer[0].mu[:2]
    for one, other in zip(jax.tree.leaves(found), jax.tree.leaves(grads), strict=True):
        np.testing.assert_allclose(10 * one, other, rtol=1e-3, atol=1e-4)

    # The discriminator: those latents, and the second batch's of the encoder that has learned.
    z = drawn(state.encoder["params"], x[::2], first)[0]
    other = drawn(after.encoder["params"], x[1::2], second)[0]
    other = discriminator.mixed(other, jax.random.split(jax.random.fold_in(key, 2))[1])
    expected, d_loss = judge.learned(state.discriminator, z, other)
    assert float(metrics["d_loss"]) == pytest.approx(float(d_loss), rel=1e-5)
    for one, other in zip(
        jax.tree.leaves(after.discriminator), jax.tree.leaves(expected), strict=True
    ):
        np.testing.assert_allclose(one, other, rtol=1e-3, atol=1e-6)


@pytest.mark.parametrize(
    ("name", "estimator"), [("tcvae", "discriminator"), ("factor-vae", "stratified")]
)
def test_a_discriminator_and_its_estimator_go_together(name, estimator):
    with pytest.raises(UserError, match=r"configs/factor_vae\.py"):
        runs.build(tiny(name, **{"bound.estimator": estimator}))
