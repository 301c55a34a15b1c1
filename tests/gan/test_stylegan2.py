"""StyleGAN2's networks: their sizes, and their outputs against PyTorch's."""

import contextlib
import functools

import flax.errors
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from ml_collections import ConfigDict

from genjax.errors import UserError
from genjax.gan import stylegan2, synthesis
from genjax.nn import backend
from tests.gan.drawn import KEY, count, drawn

LABEL = jnp.array([1, 0, 2, 2])


def _model(**values):
    tiny = {"base": 64, "width": 6, "style": 5, "mapping": 2, "group": 2, "mixing": 0.0}
    architectures = {"generator": "skip", "discriminator": "resnet", "condition": "none"}
    return ConfigDict(tiny | architectures | values)


def _condition(classes):
    return "projection" if classes else "none"


@pytest.mark.parametrize(
    ("size", "base", "mapping", "architecture", "classes", "g", "d"),
    [
        (32, 32768, 2, "orig", 0, 19_947_539, 20_720_641),
        (32, 32768, 2, "orig", 10, 20_215_315, 23_089_664),
        (64, 16384, 2, "resnet", 0, 22_243_608, 23_407_361),
        (128, 16384, 2, "resnet", 0, 22_949_277, 23_882_369),
        (256, 16384, 8, "resnet", 0, 24_767_458, 24_001_089),
        (1024, 32768, 8, "resnet", 0, 30_370_060, 29_012_513),
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
        condition=_condition(classes),
    )
    generator, discriminator = stylegan2.networks(model, (size, size, 3), classes)
    assert count(generator, jnp.zeros((1, 512))) == g
    assert count(discriminator, jnp.zeros((1, size, size, 3))) == d


@pytest.mark.parametrize(
    ("g_architecture", "d_architecture", "classes"),
    [("skip", "orig", 0), ("resnet", "resnet", 3)],
)
def test_outputs_and_gradients_are_pytorchs(g_architecture, d_architecture, classes):
    """The same parameters in both: pictures, logits, and R1's gradient by D's parameters."""
    torch = pytest.importorskip("torch")
    from tests.gan import in_torch

    size = 8
    model = _model(
        generator=g_architecture, discriminator=d_architecture, condition=_condition(classes)
    )
    generator, discriminator = stylegan2.networks(model, (size, size, 3), classes)
    z = jax.random.normal(KEY, (4, 7))
    label = torch.from_numpy(np.array(LABEL, np.int64))
    g = drawn(generator, z, LABEL, train=False)
    with backend.native() if classes else contextlib.nullcontext():  # and ours
        made = jax.jit(lambda g: generator.apply(g, z, LABEL, train=False))(g)
    p, own = in_torch.tensors(g["params"]), in_torch.tensors(g["buffers"])
    w = in_torch.mapping(p["mapping"], torch.from_numpy(np.array(z)), label)
    ws = w[:, None].expand(-1, synthesis.layers(size), -1)
    residual = g_architecture == "resnet"
    expected = in_torch.synthesis(p["synthesis"], own["synthesis"], ws, size, residual)
    in_torch.assert_close(made, expected.permute(0, 2, 3, 1))

    x = jnp.tanh(jax.random.normal(KEY, (4, size, size, 3)))
    d = drawn(discriminator, x, LABEL, train=True)["params"]

    def judge(d, x):
        return discriminator.apply({"params": d}, x, LABEL, train=True)

    def theirs(p, x):
        return in_torch.stylegan2_discriminator(p, x, size, model.group, label)

    with backend.native() if classes else contextlib.nullcontext():
        in_torch.assert_discriminates_alike(judge, d, x, theirs)


def test_noise_in_training_is_new_and_elsewhere_the_layers_own():
    """It comes from a key, example by example; a training pass without one is an error."""
    generator, _ = stylegan2.networks(_model(), (8, 8, 1))
    z = jnp.ones((2, 3))
    g = drawn(generator, z, train=True)

    @jax.jit
    def trained(key):
        rngs = {"noise": key}
        return generator.apply(g, z, train=True, rngs=rngs, mutable=["batch_stats"])[0]

    with backend.native():
        made = trained(KEY)
        other = trained(jax.random.key(1))
        sampled = jax.jit(lambda: generator.apply(g, z, train=False))()
    made, other, sampled = (np.asarray(x) for x in (made, other, sampled))
    assert np.abs(made[0] - made[1]).max() > 0.1
    assert np.abs(other - made).max() > 0.1
    np.testing.assert_allclose(sampled[0], sampled[1], atol=1e-3)  # rows of products may round
    with backend.native(), pytest.raises(flax.errors.InvalidRngError, match="noise"):
        jax.eval_shape(lambda: generator.apply(g, z, train=True, mutable=["batch_stats"]))


def test_a_training_pass_mixes_styles():
    """With probability 1: the first layers' styles are the latents', the last ones' others."""
    generator, _ = stylegan2.networks(_model(mixing=1.0), (16, 16, 1))
    z = jax.random.normal(KEY, (3, 4))
    g = drawn(generator, z, train=True, method="styles")
    apply = jax.jit(
        lambda g, key: generator.apply(
            g, z, train=True, rngs={"noise": key}, mutable=["batch_stats"], method="styles"
        )
    )
    cutoffs = set()
    plain = jax.jit(lambda g: generator.apply(g, z, train=False, method="styles"))(g)
    for seed in range(8):
        ws, _ = apply(g, jax.random.key(seed))
        same = np.isclose(ws, plain).all((0, 2))
        assert same[0] and not same[-1] and not (np.diff(same.astype(int)) > 0).any()
        cutoffs.add(int(same.sum()))
    assert len(cutoffs) > 2


def test_path_lengths_of_the_network():
    """The penalty moves the kernels of synthesis, and the mean of lengths comes from 0."""
    generator, _ = stylegan2.networks(_model(width=2, base=16, mapping=1), (8, 8, 1))
    z = jax.random.normal(KEY, (4, 3))
    g = drawn(generator, z, train=True)

    @jax.jit
    @functools.partial(jax.value_and_grad, has_aux=True)
    def penalty(params):
        given = g | {"params": params}
        return generator.path_length(given, z, None, KEY, jnp.zeros(()), 0.99)

    with backend.native():
        (value, mean), grads = penalty(g["params"])
    assert 0 < mean < 0.02 * value**0.5  # lengths are about the root of the penalty, their square
    for name, layer in grads["synthesis"].items():
        if name != "const":
            assert np.abs(layer["kernel"]).max() > 0, name


@pytest.mark.parametrize(
    ("values", "shape", "message"),
    [
        ({}, (28, 28, 1), r"set data\.size"),
        ({"generator": "orig"}, (8, 8, 1), r"model\.generator='orig' is unknown"),
        ({"discriminator": "skip"}, (8, 8, 1), r"model\.discriminator='skip' is unknown"),
        ({"base": 4}, (8, 8, 1), r"model\.base=4 leaves no features .* at least 8"),
        (
            {"condition": "projection"},
            (8, 8, 1),
            r"needs classes, .*model\.condition=none$",
        ),
    ],
)
def test_refusals(values, shape, message):
    with pytest.raises(UserError, match=message):
        stylegan2.networks(_model(**values), shape)
