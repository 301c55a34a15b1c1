"""Steps with options, of small dense networks, against the same steps written out."""

from types import SimpleNamespace

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from genjax import images, rng, runs
from genjax.errors import UserError
from genjax.gan import consistency, diffaugment
from genjax.gan.state import Use, key_of
from genjax.gan.task import NETWORKS
from tests.tiny import tiny

KEY, LATENT = jax.random.key(1), 3
IMAGE = jnp.asarray(np.random.default_rng(0).integers(0, 256, (8, 8, 8, 1)), jnp.uint8)
LABEL = jnp.arange(8) % 3
REAL = images.to_float(IMAGE, -1)
OPTIONS = {"model.name": "dense", "model.latent": LATENT, "train.batch_size": 4}


class Generator(nn.Module):
    @nn.compact
    def __call__(self, z, label, *, train: bool):
        x = jnp.tanh(nn.Dense(4)(z) + nn.Embed(3, 4)(label))
        return jnp.tanh(nn.Dense(64)(x)).reshape(-1, 8, 8, 1)

    def path_length(self, variables, z, label, key, mean, decay, axis_name):
        """A stub: the mean square of the pictures, of which the memory follows the size."""
        size = jnp.square(self.apply(variables, z, label, train=True)).mean()
        return size, decay * mean + (1 - decay) * jax.lax.stop_gradient(size)


class Discriminator(nn.Module):
    head: bool = False

    @nn.compact
    def __call__(self, x, label, *, train: bool):
        x = jnp.tanh(nn.Dense(5)(x.reshape(len(x), -1)))
        logits = nn.Dense(1)(x)[:, 0]
        return (logits, nn.Dense(4)(x)) if self.head else logits


@pytest.fixture
def made(monkeypatch):
    """`made(head, **options)`: (G and D as functions of parameters, task, state)."""

    def make(head=False, **options):
        networks = Generator(), Discriminator(head)
        monkeypatch.setitem(NETWORKS, "dense", lambda model, shape, **common: networks)
        config = tiny("dcgan", **OPTIONS | options)
        if head:
            config.unlock().model.head = "rotation"
        task = runs.build(config.lock()).task
        state = jax.jit(task.init)(jax.random.key(0), {})
        g, d = (
            lambda params, *inputs, net=net: net.apply({"params": params}, *inputs, train=True)
            for net in networks
        )
        return SimpleNamespace(g=g, d=d, task=task, state=state, adam=_adam(config))

    return make


def _adam(config):
    return optax.adam(config.optimizer.learning_rate, b1=0.5, b2=0.999)


def _stepped(made, image=IMAGE[:4], label=LABEL[:4], state=None):
    batch = {"image": image, "label": label}
    return jax.jit(lambda s: made.task.step(s, batch, KEY, None))(state or made.state)


def _descended(made, params, grads):
    updates, _ = made.adam.update(grads, made.adam.init(params))
    return optax.apply_updates(params, updates)


def _assert_close(ours, plainly, rtol=1e-4):
    # Adam's first steps are signs of gradients times 2e-4.
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=4e-6), ours, plainly)


def _augmented(x, key):
    numbers = rng.uniform(key, len(x), (7,))
    for part in (diffaugment.color, diffaugment.translation, diffaugment.cutout):
        x = part(x, numbers)
    return x


def test_relativistic_pairs_with_r1_and_r2_diffaugment_and_lecam(made):
    """R3GAN's losses and penalties; penalties are of images before they are augmented."""
    options = {"loss": "relativistic", "augment.name": "diffaugment"}
    options |= {"regularizer.name": "r1_r2", "regularizer.weight": 2.0}
    run = made(**options, **{"lecam.weight": 0.3, "lecam.start": 0})
    new, metrics = _stepped(run)

    @jax.jit
    def plain():
        key_z, _, key, _ = jax.random.split(KEY, 4)
        g, d = run.state.generator["params"], run.state.discriminator["params"]
        real, label, z = REAL[:4], LABEL[:4], rng.normal(key_z, 4, (LATENT,))
        fake = run.g(g, z, label)

        def d_loss(d):
            on_real = run.d(d, _augmented(real, key_of(key, Use.REAL)), label)
            on_fake = run.d(d, _augmented(fake, key_of(key, Use.FAKE)), label)
            loss = jnp.log1p(jnp.exp(on_fake - on_real)).mean()

            def critic(x):
                return run.d(d, _augmented(x, key_of(key, Use.PENALTY)), label).sum()

            slopes = [jax.grad(critic)(x) for x in (real, fake)]
            penalty = 2.0 / 2 * sum(jnp.square(s).sum((1, 2, 3)).mean() for s in slopes)
            # The averages before are 0, and decay by 0.9.
            a_real, a_fake = (0.1 * jax.lax.stop_gradient(x.mean()) for x in (on_real, on_fake))
            above, below = jnp.maximum(on_real - a_fake, 0), jnp.maximum(a_real - on_fake, 0)
            of_lecam = 0.3 * (above**2 + below**2).mean()
            return loss + penalty + of_lecam, (loss, penalty, of_lecam, a_real, a_fake)

        d_grads, found = jax.grad(d_loss, has_aux=True)(d)
        d = _descended(run, d, d_grads)

        def g_loss(g):
            on_real = run.d(d, _augmented(real, key_of(key, Use.GENERATOR_REAL)), label)
            on_fake = run.d(d, _augmented(run.g(g, z, label), key_of(key, Use.GENERATOR)), label)
            return jnp.log1p(jnp.exp(on_real - on_fake)).mean()

        g_value, g_grads = jax.value_and_grad(g_loss)(g)
        norms = optax.tree.norm(d_grads), optax.tree.norm(g_grads)
        return d, _descended(run, g, g_grads), (*found, g_value, *norms)

    d, g, (loss, penalty, of_lecam, a_real, a_fake, g_value, *norms) = plain()
    expected = {
        "d_loss": loss,
        "penalty": penalty,
        "lecam": of_lecam,
        "g_loss": g_value,
        "d_grad_norm": norms[0],
        "g_grad_norm": norms[1],
    }
    for name, value in expected.items():
        np.testing.assert_allclose(metrics[name], value, rtol=1e-4, err_msg=name)
    np.testing.assert_allclose(new.memory["lecam_real"], a_real, rtol=1e-5)
    np.testing.assert_allclose(new.memory["lecam_fake"], a_fake, rtol=1e-5)
    _assert_close(new.discriminator["params"], d)
    _assert_close(new.generator["params"], g)


def test_a_batch_of_the_generators_own_and_lazy_regularisation(made):
    """D learns of images 0, 2, 4 …, and of the penalty, three times as heavy, in an update of its
    own; then G of the others, with latents of its own."""
    options = {"loss": "relativistic", "own_batch": True, "regularizer.name": "r1"}
    run = made(**options, **{"regularizer.weight": 2.0, "regularizer.interval": 3})
    assert run.task.images_per_step == 8
    new, metrics = _stepped(run, IMAGE, LABEL)
    later, others = _stepped(run, IMAGE, LABEL, new)
    assert metrics["penalty"] > 0 and others["penalty"] == 0

    @jax.jit
    def plain():
        adam = optax.adam(2e-4 * 3 / 4, b1=0.5 ** (3 / 4), b2=0.999 ** (3 / 4))
        key_z, _, _, key_earlier = jax.random.split(KEY, 4)
        earlier_z = jax.random.split(jax.random.fold_in(key_earlier, 0))[0]
        g, d = run.state.generator["params"], run.state.discriminator["params"]
        fake = run.g(g, rng.normal(earlier_z, 4, (LATENT,)), LABEL[0::2])

        def d_loss(d):
            on_real, on_fake = run.d(d, REAL[0::2], LABEL[0::2]), run.d(d, fake, LABEL[0::2])
            return jnp.log1p(jnp.exp(on_fake - on_real)).mean()

        def penalty(d):
            slope = jax.grad(lambda x: run.d(d, x, LABEL[0::2]).sum())(REAL[0::2])
            return 3 * 2.0 / 2 * jnp.square(slope).sum((1, 2, 3)).mean()

        optimizer = adam.init(d)
        for function in (d_loss, penalty):
            updates, optimizer = adam.update(jax.grad(function)(d), optimizer)
            d = optax.apply_updates(d, updates)

        def g_loss(g):
            on_fake = run.d(d, run.g(g, rng.normal(key_z, 4, (LATENT,)), LABEL[1::2]), LABEL[1::2])
            on_real = run.d(d, REAL[1::2], LABEL[1::2])
            return jnp.log1p(jnp.exp(on_real - on_fake)).mean()

        value, grads = jax.value_and_grad(g_loss)(g)
        return d, _descended(run, g, grads), value

    d, g, value = plain()
    np.testing.assert_allclose(metrics["g_loss"], value, rtol=1e-4)
    _assert_close(new.discriminator["params"], d)
    _assert_close(new.generator["params"], g)
    assert int(later.step) == 2


def test_rotations_and_near_latents_and_rates_of_their_own(made):
    """SSGAN's loss, ICR's terms in both networks, orthogonal rows, and a D that learns faster."""
    options = {"loss": "least_squares", "consistency.name": "icr", "orthogonal": 0.01}
    run = made(True, **options, **{"optimizer.discriminator_factor": 4.0})
    new, metrics = _stepped(run)

    @jax.jit
    def plain():
        key_z, _, key, _ = jax.random.split(KEY, 4)
        g, d = run.state.generator["params"], run.state.discriminator["params"]
        real, label, z = REAL[:4], LABEL[:4], rng.normal(key_z, 4, (LATENT,))
        noise = 0.05 * rng.normal(key_of(key_z, Use.NEAR), 4, (LATENT,))
        turns = [jnp.stack([jnp.rot90(x[i], i) for i in range(4)]) for x in (real,)]

        def told(d, x):
            return -jnp.diag(jax.nn.log_softmax(run.d(d, x, label)[1])).mean()

        def d_loss(d):
            fake, near = run.g(g, z, label), run.g(g, z + noise, label)
            (on_real, _), (on_fake, _) = run.d(d, real, label), run.d(d, fake, label)
            loss = 0.5 * (jnp.square(on_real - 1) + jnp.square(on_fake)).mean()
            same = 20 * jnp.square(on_fake - run.d(d, near, label)[0])
            for i, (x, on_x) in enumerate(((real, on_real), (fake, on_fake))):
                key_moved = jax.random.fold_in(key_of(key, Use.CONSISTENCY), i)
                moved = consistency.moved(x, key_moved)
                same += 10 * jnp.square(on_x - run.d(d, moved, label)[0])
            return loss + same.mean() + told(d, turns[0]), (same.mean(), told(d, turns[0]))

        d_grads, found = jax.grad(d_loss, has_aux=True)(d)
        adam = optax.adam(4 * 2e-4, b1=0.5, b2=0.999)
        d = optax.apply_updates(d, adam.update(d_grads, adam.init(d))[0])

        def g_loss(g):
            fake, near = run.g(g, z, label), run.g(g, z + noise, label)
            loss = 0.5 * jnp.square(run.d(d, fake, label)[0] - 1).mean()
            loss -= 0.5 * jnp.square(fake - near).mean()
            turned = jnp.stack([jnp.rot90(fake[i], i) for i in range(4)])
            return loss + 0.2 * told(d, turned)

        def rows(path, x):
            if x.ndim < 2:
                return 0.0
            w = x if path[-1].key == "embedding" else x.T
            gram = w @ w.T
            return 0.01 * 0.5 * jnp.square(gram - jnp.diag(jnp.diag(gram))).sum()

        def regular(g):
            return sum(jax.tree.leaves(jax.tree_util.tree_map_with_path(rows, g)))

        grads = jax.grad(lambda g: g_loss(g) + regular(g))(g)
        return d, _descended(run, g, grads), (*found, optax.tree.norm(grads))

    d, g, (same, told, norm) = plain()
    np.testing.assert_allclose(metrics["consistency"], same, rtol=1e-4)
    np.testing.assert_allclose(metrics["d_rotation"], told, rtol=1e-4)
    np.testing.assert_allclose(metrics["g_grad_norm"], norm, rtol=1e-4)
    _assert_close(new.discriminator["params"], d)
    _assert_close(new.generator["params"], g)


def test_ada_clipping_schedules_and_path_lengths_remember_and_move_on(made):
    """Two steps: p moves after the second; the path length is due in the first alone."""
    options = {"augment.name": "ada", "augment.policy": "color", "augment.p": 0.5, "clip": 0.02}
    options |= {"augment.interval": 2, "augment.images": 80, "augment.target": 1.0}
    options |= {"path_length.weight": 2.0, "path_length.interval": 2, "path_length.decay": 0.9}
    final = {"schedule.name": "linear", "schedule.final": "ema.half_life=8", "schedule.images": 8}
    run = made(**options, **final, **{"ema.half_life": 0.0, "ema.ramp": 1e6})
    first, metrics = _stepped(run)
    second, others = _stepped(run, state=first)
    assert first.memory["augment_p"] == 0.5 and abs(float(first.memory["augment_signs"])) <= 1
    np.testing.assert_allclose(second.memory["augment_p"], 0.4, rtol=1e-6)  # 8 of 80 images less
    assert second.memory["augment_signs"] == 0
    assert metrics["path_length"] > 0 and others["path_length"] == 0
    assert second.memory["path_length"] == first.memory["path_length"] > 0
    np.testing.assert_allclose(
        first.memory["path_length"], 0.1 * metrics["path_length"] / (2 * 2.0), rtol=1e-5
    )
    largest = max(float(jnp.abs(x).max()) for x in jax.tree.leaves(second.discriminator["params"]))
    np.testing.assert_allclose(largest, 0.02, rtol=1e-6)
    # The half-life is 0 in the first step, and 4 images in the second, which counts 4.
    _assert_close(first.average, first.generator)
    mean = jax.tree.map(lambda a, b: (a + b) / 2, first.generator, second.generator)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-6), second.average, mean)


def test_a_batch_in_parts_makes_the_same_update(made):
    """Also of a loss of averages, a penalty of slopes, random numbers and what is remembered."""
    options = {"loss": "relativistic_average", "regularizer.name": "gradient_penalty"}
    options |= {"regularizer.weight": 10.0, "augment.name": "diffaugment", "generator_batch": 2}
    options |= {"lecam.weight": 0.3, "lecam.start": 0}
    (whole, ours), (parts, theirs) = (
        _stepped(made(**options, **{"accumulate": parts})) for parts in (1, 2)
    )
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=4e-6), whole, parts)
    for name, value in ours.items():
        np.testing.assert_allclose(value, theirs[name], rtol=1e-5, err_msg=name)


def test_a_batch_that_has_no_equal_parts_is_refused(made):
    with pytest.raises(UserError, match="accumulate=3 does not divide the 4 images"):
        _stepped(made(accumulate=3))


def test_nothing_is_remembered_where_nothing_asks(made):
    assert made().state.memory == {}
