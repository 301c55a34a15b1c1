"""New losses and networks need a loss and a network, and no change of the step.

A relativistic pair (Jolicoeur-Martineau 2018, arXiv:1807.00734), and AC-GAN's (Odena et al. 2017,
arXiv:1610.09585) with a conditional generator and a discriminator that classifies, each as one
would write it in `gan/losses.py` and in a network file. And the whole GAN of docs/gan.md.
"""

import importlib.util
import re

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
from etils import epath

from genjax import config as config_lib
from genjax import images, rng, runs
from genjax.gan import sngan
from genjax.gan.losses import LOSSES, Loss
from genjax.gan.task import NETWORKS
from genjax.sample import sample
from genjax.train import train
from tests.tiny import ROOT, metrics_of, tiny

KEY = jax.random.key(1)
LABEL = jnp.array([3, 1, 4, 1])

RELATIVISTIC = Loss(
    lambda real, fake, label: jax.nn.softplus(fake - real),
    lambda real, fake, label: jax.nn.softplus(real - fake),
    relativistic=True,
)


def _class_loss(answer, label):
    return optax.softmax_cross_entropy_with_integer_labels(answer[1], label)


AUXILIARY = Loss(
    lambda real, fake, label: (
        jax.nn.softplus(-real[0])
        + jax.nn.softplus(fake[0])
        + _class_loss(real, label)
        + _class_loss(fake, label)
    ),
    lambda real, fake, label: jax.nn.softplus(-fake[0]) + _class_loss(fake, label),
)


class ConditionalGenerator(nn.Module):
    @nn.compact
    def __call__(self, z, label, *, train: bool):
        x = nn.Dense(64)(z) + nn.Embed(10, 64)(label)
        return jnp.tanh(x).reshape(-1, 8, 8, 1)


class Classifier(nn.Module):
    @nn.compact
    def __call__(self, x, label, *, train: bool):
        x = nn.relu(nn.Dense(8)(x.reshape(len(x), -1)))
        return nn.Dense(1)(x)[:, 0], nn.Dense(10)(x)


def _step(config):
    """(task, state, state after a step, metrics, real images, latents)."""
    task = runs.build(config).task
    image = jnp.asarray(np.random.default_rng(0).integers(0, 256, (4, 8, 8, 1)), jnp.uint8)
    state = jax.jit(task.init)(jax.random.key(0), {})
    batch = {"image": image, "label": LABEL}
    new, metrics = jax.jit(lambda: task.step(state, batch, KEY, None))()
    n = config.generator_batch * 4
    z = rng.normal(jax.random.split(KEY, 4)[0], n, (config.model.latent,))
    return task, state, new, metrics, images.to_float(image, -1), z


def test_a_relativistic_loss(monkeypatch):
    """Each generated image is compared with the real one that it is seen beside."""
    monkeypatch.setitem(LOSSES, "relativistic", RELATIVISTIC)
    options = {"loss": "relativistic", "dequantize": False, "train.batch_size": 4}
    config = tiny("sngan", **options)
    _, state, new, metrics, real, z = _step(config)
    generator, discriminator = sngan.networks(config.model, (8, 8, 1))

    @jax.jit
    @jax.value_and_grad
    def g_loss(params):
        variables = state.generator | {"params": params}
        fake, _ = generator.apply(variables, z, train=True, mutable=["batch_stats"])
        on_fake = discriminator.apply(new.discriminator, fake, train=False)
        on_real = discriminator.apply(new.discriminator, real, train=False)
        return jnp.log1p(jnp.exp(jnp.repeat(on_real, 2) - on_fake)).mean()

    value, grads = g_loss(state.generator["params"])
    np.testing.assert_allclose(metrics["g_loss"], value, rtol=1e-4)
    np.testing.assert_allclose(metrics["g_grad_norm"], optax.tree.norm(grads), rtol=1e-3)


def test_a_loss_of_labels(monkeypatch):
    """Labels reach both networks and both losses, and samples show each class in turn."""
    monkeypatch.setitem(LOSSES, "auxiliary", AUXILIARY)
    networks = ConditionalGenerator(), Classifier()
    monkeypatch.setitem(NETWORKS, "conditional", lambda model, shape, **common: networks)
    options = {"loss": "auxiliary", "model.name": "conditional", "train.batch_size": 4}
    task, state, new, metrics, real, z = _step(tiny("dcgan", **options))
    generator, classifier = networks

    def cross_entropy(answer):
        return -jax.nn.log_softmax(answer[1])[jnp.arange(4), LABEL]

    @jax.jit
    def losses(d_params, g_params):
        fake = generator.apply({"params": g_params}, z, LABEL, train=True)
        on_real, on_fake = (
            classifier.apply({"params": d_params}, x, LABEL, train=True) for x in (real, fake)
        )
        classes = cross_entropy(on_real) + cross_entropy(on_fake)
        d = -jnp.log(jax.nn.sigmoid(on_real[0]) * jax.nn.sigmoid(-on_fake[0])) + classes
        g = -jnp.log(jax.nn.sigmoid(on_fake[0])) + cross_entropy(on_fake)
        return d.mean(), g.mean()

    before, after = state.discriminator["params"], new.discriminator["params"]
    g_params = state.generator["params"]
    d_grads = jax.grad(lambda d: losses(d, g_params)[0])(before)
    g_grads = jax.grad(lambda g: losses(after, g)[1])(g_params)
    np.testing.assert_allclose(metrics["d_loss"], losses(before, g_params)[0], rtol=1e-5)
    np.testing.assert_allclose(metrics["g_loss"], losses(after, g_params)[1], rtol=1e-5)
    np.testing.assert_allclose(metrics["d_grad_norm"], optax.tree.norm(d_grads), rtol=1e-4)
    np.testing.assert_allclose(metrics["g_grad_norm"], optax.tree.norm(g_grads), rtol=1e-4)
    assert task.sample(state, KEY, jnp.arange(12)).shape == (12, 8, 8, 1)
    batch = {"image": images.to_uint8(real, -1), "label": LABEL, "index": jnp.arange(4)}
    assert {x.shape for x in task.evaluate(state, batch, KEY).values()} == {(4,)}


def test_the_gan_of_the_docs(tmp_path, monkeypatch):
    """Its listing is less than 40 lines, and all that it takes to train, to go on and to sample."""
    text = (ROOT / "docs" / "gan.md").read_text()
    network, line, config = (
        code.partition("\n")[2] for code in re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    )
    lines = [x for code in (network, line, config) for x in code.splitlines() if x.strip()]
    assert len(lines) < 40

    (tmp_path / "vanilla.py").write_text(network)
    spec = importlib.util.spec_from_file_location("genjax.gan.vanilla", tmp_path / "vanilla.py")
    vanilla = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(vanilla)
    for name, networks in eval(f"{{{line}}}", {"vanilla": vanilla}).items():
        monkeypatch.setitem(NETWORKS, name, networks)
    (tmp_path / "config.py").write_text(config)

    def read(steps):
        options = {"train.steps": steps, "train.batch_size": 8, "model.width": 16, "sample.n": 8}
        options |= {"score.metrics": "", "regularizer.name": "r1", "regularizer.weight": 1.0}
        given = [f"--config.{key}={value}" for key, value in options.items()]
        return config_lib.read(f"{tmp_path}/config.py:size=8", given)

    workdir = epath.Path(tmp_path / "run")
    for steps in (2, 3):
        train(read(steps), workdir)
    assert [x["step"] for x in metrics_of(workdir)] == [2, 3]
    assert "eval/d_loss" in metrics_of(workdir)[-1]
    sample(read(3), workdir)
    with np.load(workdir / "samples.npz") as archive:
        assert archive["images"].shape == (8, 8, 8, 1)
