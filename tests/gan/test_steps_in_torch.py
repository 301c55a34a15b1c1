"""Steps of StyleGAN2-ADA and R3GAN against the same steps in PyTorch, written from the papers.

Karras et al. 2020 (arXiv:1912.04958, arXiv:2006.06676), Huang et al. 2024 (arXiv:2501.05441). Both
have the same parameters, optimisers' moments, images and random numbers. PyTorch computes in
float64 and we in float32, whose rounding these steps make up to some 1e-5 of the largest numbers; a
factor or a term that is missing is a part of them.
"""

from types import SimpleNamespace
from unittest import mock

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from configs import r3gan as r3gan_config
from configs import stylegan2 as stylegan2_config
from genjax import rng
from genjax.gan import ada, mapping, options
from genjax.gan import task as gan_task
from genjax.gan.state import Use, key_of
from genjax.nn import backend
from genjax.task import Inputs

torch = pytest.importorskip("torch")
from torch.nn.functional import softplus  # noqa: E402

from tests.gan import in_torch  # noqa: E402
from tests.gan.ada_in_torch import augmented  # noqa: E402

KEY, SIZE, CLASSES, BATCH = jax.random.key(5), 8, 3, 8
RANDOM = np.random.default_rng(0)
TOLERANCE = 1e-4  # of the largest number of an array
LEAST = 1e-6  # of the largest number of a network's arrays


def _tensors(tree):
    return in_torch.tensors(tree, np.float64)


def _noise(x):
    """f32[B, H, W, 1] -> f64[B, 1, H, W]."""
    return in_torch.images(x, np.float64)


def _begun(config, step: int, scaled):
    """(task, state at a step): parameters `scaled` from N(0, 1), and moments as of many steps."""
    config.train.batch_size = BATCH
    dataset = SimpleNamespace(shape=(SIZE, SIZE, 3), classes=CLASSES)
    task = gan_task.build(config.lock(), Inputs(dataset, None))
    shapes = jax.eval_shape(task.init, KEY, {})
    state = jax.tree.map(lambda x: jnp.asarray(RANDOM.normal(size=x.shape), x.dtype), shapes)
    state = state.replace(generator=scaled(state.generator))
    state = state.replace(discriminator=scaled(state.discriminator))
    fixed = options.read(config)

    def moments(path, x):
        """Squares are positive, and larger than most gradients', so that updates show gradients and
        not their signs alone."""
        name = jax.tree_util.keystr(path)
        if x.dtype == jnp.int32:
            return jnp.full(x.shape, step)
        if ".mu" in name or ".nu" in name:
            normal = jnp.asarray(RANDOM.normal(size=x.shape), x.dtype)
            return normal if ".mu" in name else jnp.square(normal) + 0.5
        return x

    def optimizer(kind, variables):
        begun = fixed[f"{kind}_optimizer"].init(variables["params"])
        return jax.tree_util.tree_map_with_path(moments, begun)

    return task, state.replace(
        step=jnp.int32(step),
        generator_optimizer=optimizer("g", state.generator),
        discriminator_optimizer=optimizer("d", state.discriminator),
    )


def _stepped(task, state, batches=1):
    image = RANDOM.integers(0, 256, (batches * BATCH, SIZE, SIZE, 3)).astype(np.uint8)
    label = jnp.arange(batches * BATCH) * 5 % CLASSES
    with backend.native():  # which compiles sooner; tests/nn compares ours with these
        new, metrics = jax.jit(
            lambda s: task.step(s, {"image": jnp.asarray(image), "label": label}, KEY, None)
        )(state)
    real = in_torch.images(image, np.float64) / 127.5 - 1
    return new, metrics, real, torch.from_numpy(np.array(label, np.int64))


def _numbers(key, use: Use):
    return _tensors(ada.draw(key_of(key, use), BATCH, (SIZE, SIZE, 3), False))


def _adam_state(opt_state):
    """The moments in an optax state."""
    (found,) = [
        x
        for x in jax.tree.leaves(opt_state, is_leaf=lambda x: hasattr(x, "mu"))
        if hasattr(x, "mu")
    ]
    return found


class Adam:
    """PyTorch's, going on from the moments of an optax state."""

    def __init__(self, params, opt_state, rate, b1, b2):
        self.params = dict(in_torch.flat(params))
        for x in self.params.values():
            x.requires_grad_()
        self.optimizer = torch.optim.Adam(list(self.params.values()), rate, (b1, b2), eps=1e-8)
        found = _adam_state(opt_state)
        moments = [dict(in_torch.flat(_tensors(x))) for x in (found.mu, found.nu)]
        for name, x in self.params.items():
            self.optimizer.state[x] = {
                "step": torch.tensor(float(found.count)),
                "exp_avg": moments[0][name],
                "exp_avg_sq": moments[1][name],
            }

    def descend(self, loss):
        """An update by the gradient of a loss; returns the gradient's norm."""
        grads = torch.autograd.grad(loss, list(self.params.values()), materialize_grads=True)
        for x, grad in zip(self.params.values(), grads, strict=True):
            x.grad = grad
        self.optimizer.step()
        return float(torch.sqrt(sum((g**2).sum() for g in grads)))

    def assert_same(self, new, before, opt_state):
        """Of parameters, what an update changed is compared."""
        found = _adam_state(opt_state)
        theirs = [self.optimizer.state[x] for x in self.params.values()]
        assert {int(x["step"]) for x in theirs} == {int(found.count)}
        for tree, kind in ((found.mu, "exp_avg"), (found.nu, "exp_avg_sq")):
            least = LEAST * max(float(x[kind].abs().max()) for x in theirs)
            for (name, ours), state in zip(in_torch.flat(_tensors(tree)), theirs, strict=True):
                _assert_close(ours, state[kind], (name, kind), least)
        before = dict(in_torch.flat(_tensors(before)))
        for name, ours in in_torch.flat(_tensors(new)):
            last_place = 2**-23 * float(ours.abs().max())
            moved = self.params[name].detach() - before[name]
            _assert_close(ours - before[name], moved, name, 2 * last_place)


def _assert_close(ours, theirs, name, atol=0.0):
    theirs = theirs.detach().numpy()
    limit = TOLERANCE * np.abs(theirs).max() + atol
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=limit, err_msg=str(name))


def _assert_average(new, before, params, decay):
    """The average of the generator's parameters."""
    old, ours = (dict(in_torch.flat(_tensors(x.average["params"]))) for x in (before, new))
    for name, value in params.items():
        _assert_close(ours[name], value + decay * (old[name] - value), name)


def _slopes(logits, x):
    """|gradient of the sum of logits|² at each image."""
    (slope,) = torch.autograd.grad(logits.sum(), x, create_graph=True)
    return (slope**2).sum((1, 2, 3))


# StyleGAN2


def _as_fast(variables):
    """The layers of mapping as they start, as much larger as they learn slower than others."""

    def leaf(path, x):
        return x / mapping.RATE if "['layer" in jax.tree_util.keystr(path) else x

    return jax.tree_util.tree_map_with_path(leaf, variables)


def _recorded(function):
    """(what `function()` draws for each example, where it mixes styles), from the step's keys."""
    drawn, cutoffs = [], []

    def recording(real, into):
        def draw(*arguments, **options):
            into.append(real(*arguments, **options))
            return into[-1]

        return draw

    @jax.jit
    def run():
        with (
            mock.patch.object(rng, "normal", recording(rng.normal, drawn)),
            mock.patch.object(mapping, "mixing_cutoff", recording(mapping.mixing_cutoff, cutoffs)),
            backend.native(),
        ):
            function()
        return tuple(drawn), cutoffs[0]

    return run()


def test_a_step_of_stylegan2_with_ada_r1_and_path_lengths():
    config = stylegan2_config.get_config(
        "size=8,width=6,base=32,style=5,mapping=2,group=4,mixing=0.9,gamma=0.5,interval=16,paths=2.0"
        ",condition=projection,rate=0.02,average=200.0,augment=ada"
    )
    config.unlock()
    config.augment.interval, config.augment.images = 3, 1000
    # R1 and path lengths are due, and p is adjusted.
    task, state = _begun(config, 32, _as_fast)
    memory = {"augment_p": 0.4, "augment_signs": 1.3, "path_length": 0.7}
    state = state.replace(memory=jax.tree.map(jnp.float32, memory))
    new, metrics, real, label = _stepped(task, state)

    # Random numbers, from the step's key.
    generator, _ = gan_task.NETWORKS["stylegan2"](config.model, (SIZE, SIZE, 3), CLASSES)
    key_z, _, key, _ = jax.random.split(KEY, 4)
    key_path, key_y = jax.random.split(key_of(key, Use.PATH_LENGTH))
    z, z_path = rng.normal(key_z, BATCH, (5,)), rng.normal(key_path, BATCH // 2, (5,))
    ours = {"train": True, "rngs": {"noise": key_of(key_z, Use.NOISE)}, "mutable": ["batch_stats"]}
    variables, labels = state.generator, jnp.asarray(label.numpy())
    pass_numbers, cutoff = _recorded(lambda: generator.apply(variables, z, labels, **ours))
    path_numbers, path_cutoff = _recorded(
        lambda: generator.path_length(variables, z_path, labels[::2], key_y, 0.7, 0.99)
    )
    assert cutoff < 4 and path_cutoff < 4  # of the four styles

    p = {name: _tensors(getattr(state, name)["params"]) for name in ("generator", "discriminator")}
    g, d = p["generator"], p["discriminator"]
    gamma, lr = 0.5, 0.02
    adam_d = Adam(d, state.discriminator_optimizer, lr * 16 / 17, 0.0, 0.99 ** (16 / 17))
    adam_g = Adam(g, state.generator_optimizer, lr * 4 / 5, 0.0, 0.99 ** (4 / 5))

    def styles(z, label, other_z, cutoff):
        w = in_torch.mapping(g["mapping"], _tensors(z), label)
        other = in_torch.mapping(g["mapping"], _tensors(other_z), label)
        ws = [w] * int(cutoff) + [other] * (4 - int(cutoff))
        return w, torch.stack(ws, 1)

    def draw(ws, noises):
        names = ("conv_4", "up_8", "conv_8")
        noise = {k: {"noise": _noise(x)} for k, x in zip(names, noises, strict=True)}
        return in_torch.synthesis(g["synthesis"], noise, ws, SIZE, False)

    def judge(x, use):
        factors = dict.fromkeys(("blit", "geometry", "color"), 1)
        seen = augmented(x, _numbers(key, use), 0.4, factors)
        return in_torch.stylegan2_discriminator(d, seen, SIZE, 4, label)

    other_z, *noises = pass_numbers
    w, ws = styles(z, label, other_z, cutoff)
    fake = draw(ws, noises)

    # The discriminator, and R1 in an update of its own, sixteen times as heavy.
    on_real, on_fake = judge(real, Use.REAL), judge(fake.detach(), Use.FAKE)
    d_loss = (softplus(-on_real) + softplus(on_fake)).mean()
    d_norm = adam_d.descend(d_loss)
    x = real.clone().requires_grad_()
    penalty = 16 * gamma / 2 * _slopes(judge(x, Use.PENALTY), x).mean()
    adam_d.descend(penalty)

    # The generator, and path lengths on half a batch, four times as heavy.
    g_loss = softplus(-judge(fake, Use.GENERATOR)).mean()
    g_norm = adam_g.descend(g_loss)
    other_z, *noises, y = path_numbers
    _, ws = styles(z_path, label[::2], other_z, path_cutoff)
    projected = (draw(ws, noises) * _noise(y)).sum() / SIZE
    (slope,) = torch.autograd.grad(projected, ws, create_graph=True)
    lengths = (slope**2).sum(2).mean(1).sqrt()
    mean = 0.7 + 0.01 * (lengths.mean() - 0.7)
    path = 4 * 2 * ((lengths - mean) ** 2).mean()
    adam_g.descend(path)

    sign = (1.3 + float(torch.sign(on_real).mean())) / 3
    expected = {
        "d_loss": d_loss,
        "d_grad_norm": d_norm,
        "penalty": penalty,
        "g_loss": g_loss,
        "g_grad_norm": g_norm,
        "path_length": path,
        "augment_p": 0.4 + np.sign(sign - 0.6) * 3 * BATCH / 1000,
        "d_real": (on_real > 0).double().mean(),
        "d_fake": (on_fake > 0).double().mean(),
    }
    _assert_metrics(metrics, expected)
    adam_d.assert_same(
        new.discriminator["params"], state.discriminator["params"], new.discriminator_optimizer
    )
    adam_g.assert_same(new.generator["params"], state.generator["params"], new.generator_optimizer)
    np.testing.assert_allclose(new.memory["path_length"], float(mean), rtol=1e-5)
    assert new.memory["augment_signs"] == 0
    # The half-life is a twentieth of the images before this step.
    _assert_average(new, state, adam_g.params, 0.5 ** (1 / (0.05 * 32)))
    old = _tensors(state.generator["batch_stats"]["mapping"]["mean"])
    found = new.generator["batch_stats"]["mapping"]["mean"]
    _assert_close(found, w.mean(0) + 0.995 * (old - w.mean(0)), "mean style")


def _assert_metrics(metrics, expected):
    assert metrics.keys() == expected.keys()
    for name, value in expected.items():
        np.testing.assert_allclose(metrics[name], float(value), rtol=TOLERANCE, err_msg=name)


# R3GAN


def _scaled(variables):
    """Kernels divided by the root of their fan-in, so that layers keep the size of numbers."""
    return jax.tree.map(lambda x: x / np.prod(x.shape[:-1]) ** 0.5 if x.ndim > 1 else x, variables)


def test_a_step_of_r3gan_with_ada_r1_r2_and_schedules():
    """Relativistic pairs; each network has images and latents of its own; all numbers change."""
    config = r3gan_config.get_config(
        "preset=cifar,size=8,width=4,parts=4,data=mnist,decay=128,gamma=3.0,average=40.0,p=0.8"
    )
    config.unlock()
    config.model.latent = config.model.embedding = 5
    config.optimizer.learning_rate = 0.02
    task, state = _begun(config, 7, _scaled)
    new, metrics, real, label = _stepped(task, state, batches=2)

    def value(first, last):
        """Half a cosine over 128 images, of which 56 were seen."""
        return first + (1 - 0.5 * (1 + np.cos(np.pi * 56 / 128))) * (last - first)

    rate, b2, gamma = value(0.02, 5e-5), value(0.9, 0.99), value(3.0, 0.3)
    p, half_life = value(0.0, 0.8), value(0.0, 40.0)
    key_z, _, key_g, key_earlier = jax.random.split(KEY, 4)
    key_z_d, key_d = jax.random.split(jax.random.fold_in(key_earlier, 0))
    g, d = (_tensors(getattr(state, name)["params"]) for name in ("generator", "discriminator"))
    adam_g = Adam(g, state.generator_optimizer, rate, 0.0, b2)
    adam_d = Adam(d, state.discriminator_optimizer, rate, 0.0, b2)
    groups = config.model.groups

    def make(key, label):
        return in_torch.r3gan_generator(g, _tensors(rng.normal(key, BATCH, (5,))), groups, label)

    def judge(x, label, key, use):
        factors = {"blit": 1, "geometry": 1, "color": 0.5, "cutout": 1}
        seen = augmented(x, _numbers(key, use), p, factors)
        return in_torch.r3gan_discriminator(d, seen, groups, label)

    x, y = real[::2].clone().requires_grad_(), make(key_z_d, label[::2]).detach().requires_grad_()
    on_real = judge(x, label[::2], key_d, Use.REAL)
    on_fake = judge(y, label[::2], key_d, Use.FAKE)
    d_loss = softplus(on_fake - on_real).mean()
    slopes = sum(_slopes(judge(z, label[::2], key_d, Use.PENALTY), z) for z in (x, y))
    penalty = gamma / 2 * slopes.mean()
    d_norm = adam_d.descend(d_loss + penalty)

    on_real_g = judge(real[1::2], label[1::2], key_g, Use.GENERATOR_REAL)
    on_fake_g = judge(make(key_z, label[1::2]), label[1::2], key_g, Use.GENERATOR)
    g_loss = softplus(on_real_g - on_fake_g).mean()
    g_norm = adam_g.descend(g_loss)

    expected = {
        "d_loss": d_loss,
        "penalty": penalty,
        "d_grad_norm": d_norm,
        "d_real": (on_real > 0).double().mean(),
        "d_fake": (on_fake > 0).double().mean(),
        "g_loss": g_loss,
        "g_grad_norm": g_norm,
    }
    _assert_metrics(metrics, expected)
    adam_d.assert_same(
        new.discriminator["params"], state.discriminator["params"], new.discriminator_optimizer
    )
    adam_g.assert_same(new.generator["params"], state.generator["params"], new.generator_optimizer)
    _assert_average(new, state, adam_g.params, 0.5 ** (BATCH / half_life))
