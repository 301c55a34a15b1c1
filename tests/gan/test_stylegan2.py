"""StyleGAN2's networks: their sizes, and their outputs against PyTorch's."""

import flax.errors
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from ml_collections import ConfigDict

from genjax.errors import UserError
from genjax.gan import stylegan2, synthesis

LABEL = jnp.array([1, 0, 2, 2])
KEY = jax.random.key(0)


def _model(**values):
    tiny = {"base": 64, "width": 6, "style": 5, "mapping": 2, "group": 2, "mixing": 0.0}
    architectures = {"generator": "skip", "discriminator": "residual", "conditional": False}
    return ConfigDict(tiny | architectures | values)


def _count(module, x):
    variables = jax.eval_shape(lambda: module.init(KEY, x, jnp.zeros(1, jnp.int32), train=True))
    return sum(leaf.size for leaf in jax.tree.leaves(variables["params"]))


@pytest.mark.parametrize(
    ("size", "base", "mapping", "architecture", "classes", "g", "d"),
    [
        (32, 32768, 2, "plain", 0, 19_947_539, 20_720_641),
        (32, 32768, 2, "plain", 10, 20_215_315, 23_089_664),
        (64, 16384, 2, "residual", 0, 22_243_608, 23_407_361),
        (128, 16384, 2, "residual", 0, 22_949_277, 23_882_369),
        (256, 16384, 8, "residual", 0, 24_767_458, 24_001_089),
        (1024, 32768, 8, "residual", 0, 30_370_060, 29_012_513),
    ],
)
def test_parameter_counts_of_the_authors_code(size, base, mapping, architecture, classes, g, d):
    """The presets `cifar` (without and with labels), `auto` of 64 and 128 px, `paper256` and
    `stylegan2` of StyleGAN2-ADA."""
    model = _model(
        base=base,
        width=512,
        style=512,
        mapping=mapping,
        discriminator=architecture,
        conditional=classes > 0,
    )
    generator, discriminator = stylegan2.networks(model, (size, size, 3), classes)
    assert _count(generator, jnp.zeros((1, 512))) == g
    assert _count(discriminator, jnp.zeros((1, size, size, 3))) == d


def _drawn(module, *inputs, **options):
    """Variables of N(0, 1), which no program has to draw; nothing starts at 0, without effect."""
    shapes = jax.eval_shape(lambda: module.init(KEY, *inputs, **options))
    random = np.random.default_rng(0)
    return jax.tree.map(lambda x: jnp.asarray(random.normal(size=x.shape), jnp.float32), shapes)


@pytest.mark.parametrize(
    ("g_architecture", "d_architecture", "classes"),
    [("skip", "plain", 0), ("residual", "residual", 3)],
)
def test_outputs_and_gradients_are_pytorchs(g_architecture, d_architecture, classes):
    """The same parameters in both: pictures, logits, and R1's gradient by D's parameters."""
    torch = pytest.importorskip("torch")
    from tests.gan import in_torch

    size = 16
    model = _model(generator=g_architecture, discriminator=d_architecture, conditional=classes > 0)
    generator, discriminator = stylegan2.networks(model, (size, size, 3), classes)
    z = jax.random.normal(KEY, (4, 7))
    label = torch.from_numpy(np.array(LABEL, np.int64))
    g = _drawn(generator, z, LABEL, train=False)
    made = jax.jit(lambda g: generator.apply(g, z, LABEL, train=False))(g)
    p, own = in_torch.tensors(g["params"]), in_torch.tensors(g["buffers"])
    w = in_torch.mapping(p["mapping"], torch.from_numpy(np.array(z)), label)
    ws = w[:, None].expand(-1, synthesis.layers(size), -1)
    residual = g_architecture == "residual"
    expected = in_torch.synthesis(p["synthesis"], own["synthesis"], ws, size, residual)
    scale = np.abs(made).max()
    np.testing.assert_allclose(made / scale, in_torch.images_back(expected) / scale, atol=1e-5)

    x = jnp.tanh(jax.random.normal(KEY, (4, size, size, 3)))
    d = _drawn(discriminator, x, LABEL, train=True)["params"]

    @jax.jit
    def ours(d):
        def penalty(d):
            def total(x):
                return discriminator.apply({"params": d}, x, LABEL, train=True).sum()

            return jnp.square(jax.grad(total)(x)).sum((1, 2, 3)).mean()

        return discriminator.apply({"params": d}, x, LABEL, train=True), jax.grad(penalty)(d)

    logits, gradient = ours(d)
    p = in_torch.tensors(d)
    in_torch.require_gradients(p)
    there = in_torch.images(x).requires_grad_()
    expected = in_torch.stylegan2_discriminator(p, there, size, model.group, label)
    scale = np.abs(logits).max()
    np.testing.assert_allclose(logits / scale, expected.detach().numpy() / scale, atol=1e-5)
    in_torch.assert_r1_gradient(expected, there, p, gradient)


def test_noise_in_training_is_new_and_elsewhere_the_layers_own():
    """It comes from a key, example by example; a training pass without one is an error."""
    generator, _ = stylegan2.networks(_model(), (8, 8, 1))
    z = jnp.ones((2, 3))
    g = _drawn(generator, z, train=True)

    @jax.jit
    def trained(key):
        rngs = {"noise": key}
        return generator.apply(g, z, train=True, rngs=rngs, mutable=["batch_stats"])[0]

    made = trained(KEY)
    assert np.abs(made[0] - made[1]).max() > 0.1
    assert np.abs(trained(jax.random.key(1)) - made).max() > 0.1
    sampled = jax.jit(lambda: generator.apply(g, z, train=False))()
    np.testing.assert_array_equal(sampled[0], sampled[1])
    with pytest.raises(flax.errors.InvalidRngError, match="noise"):
        jax.eval_shape(lambda: generator.apply(g, z, train=True, mutable=["batch_stats"]))


def test_a_training_pass_mixes_styles():
    """With probability 1: the first layers' styles are the latents', the last ones' others."""
    generator, _ = stylegan2.networks(_model(mixing=1.0), (16, 16, 1))
    z = jax.random.normal(KEY, (3, 4))
    g = _drawn(generator, z, train=True, method="styles")
    apply = jax.jit(
        lambda g, key: generator.apply(
            g, z, train=True, rngs={"noise": key}, mutable=["batch_stats"], method="styles"
        )
    )
    cutoffs = set()
    plain = generator.apply(g, z, train=False, method="styles")
    for seed in range(8):
        ws, _ = apply(g, jax.random.key(seed))
        same = np.isclose(ws, plain).all((0, 2))
        assert same[0] and not same[-1] and not (np.diff(same.astype(int)) > 0).any()
        cutoffs.add(int(same.sum()))
    assert len(cutoffs) > 2


@pytest.mark.parametrize(
    ("values", "shape", "message"),
    [
        ({}, (28, 28, 1), r"set data\.size"),
        ({"generator": "orig"}, (8, 8, 1), r"model\.generator='orig' is unknown"),
        ({"discriminator": "skip"}, (8, 8, 1), r"model\.discriminator='skip' is unknown"),
        ({"conditional": True}, (8, 8, 1), r"needs images with classes: set it to False"),
    ],
)
def test_refusals(values, shape, message):
    with pytest.raises(UserError, match=message):
        stylegan2.networks(_model(**values), shape)
