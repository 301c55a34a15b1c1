"""Blocks, norms of classes and whole residual networks against PyTorch, with the same weights."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn

from genjax.errors import UserError
from genjax.gan import blocks
from genjax.nn import backend
from genjax.nn.upsample import bilinear, nearest

torch = pytest.importorskip("torch")
F = torch.nn.functional

NORMAL = nn.initializers.normal(0.5)
LAYERS = blocks.Layers(NORMAL, NORMAL, scale_init=NORMAL, bias_init=NORMAL)
LABEL = jnp.array([2, 0, 1])


def _normal(*shape, seed=0):
    return jnp.asarray(np.random.default_rng(seed).normal(size=shape), jnp.float32)


def _params(network, *inputs):
    """Random parameters of a network that is called with `inputs` and `train`."""
    numbers = np.random.default_rng(1)
    shapes = jax.eval_shape(lambda: network.init(jax.random.key(0), *inputs, train=True))
    return jax.tree.map(lambda x: jnp.float32(numbers.normal(size=x.shape)), shapes["params"])


def _apply(network, params, *inputs):
    """The output in training mode; with native operations, which compile sooner."""

    def output():
        return network.apply({"params": params}, *inputs, train=True, mutable=["batch_stats"])[0]

    with backend.native():
        return jax.jit(output)()


def _torch(x):
    return torch.tensor(np.asarray(x))


def _nchw(x):
    return _torch(x).permute(0, 3, 1, 2)


def _conv(x, p, name):
    kernel = _torch(p[name]["kernel"]).permute(3, 2, 0, 1)
    return F.conv2d(x, kernel, _torch(p[name]["bias"]), padding=kernel.shape[-1] // 2)


def _dense(x, p, name):
    y = x @ _torch(p[name]["kernel"])
    return y + _torch(p[name]["bias"]) if "bias" in p[name] else y


def _same(ours, theirs, rtol=2e-5):
    theirs = theirs.permute(0, 2, 3, 1) if theirs.ndim == 4 else theirs
    theirs = theirs.detach().numpy()
    np.testing.assert_allclose(ours, theirs, rtol=rtol, atol=rtol * np.abs(theirs).max())


def _batch_norm(x, p, name):
    norm = p[name]
    return F.batch_norm(
        x, None, None, _torch(norm["scale"]), _torch(norm["bias"]), True, eps=LAYERS.epsilon
    )


def _class_norm(x, p, name, label):
    """Normalised, then scaled and moved by the rows of each example's class."""
    y = F.batch_norm(x, None, None, training=True, eps=LAYERS.epsilon)
    rows = [_torch(p[name][k]["kernel"])[_torch(label).long()] for k in ("scale", "bias")]
    scale, bias = (row[:, :, None, None] for row in rows)
    return y * (1 + scale) + bias


def _generator_block(x, p, label, mode):
    """In the published order: the shortcut is doubled first."""

    def doubled(x):
        options = {"align_corners": False} if mode == "bilinear" else {}
        return F.interpolate(x, scale_factor=2, mode=mode, **options)

    y = doubled(F.relu(_class_norm(x, p, "ConditionalBatchNorm_0", label)))
    y = F.relu(_class_norm(_conv(y, p, "Conv_0"), p, "ConditionalBatchNorm_1", label))
    return _conv(y, p, "Conv_1") + _conv(doubled(x), p, "shortcut")


@pytest.mark.parametrize(("mode", "upsample"), [("nearest", nearest), ("bilinear", bilinear)])
def test_generator_block(mode, upsample):
    block = blocks.GeneratorBlock(5, LAYERS, upsample)
    x, condition = _normal(3, 4, 4, 2), jax.nn.one_hot(LABEL, 4)
    params = _params(block, x, condition)
    _same(_apply(block, params, x, condition), _generator_block(_nchw(x), params, LABEL, mode))


@pytest.mark.parametrize("batch_norm", [False, True])
@pytest.mark.parametrize(
    ("first", "halve", "features"), [(True, True, 5), (False, True, 3), (False, False, 3)]
)
def test_discriminator_block(first, halve, features, batch_norm):
    """In the published order: the mean comes after the shortcut's convolution, but in the first."""
    block = blocks.DiscriminatorBlock(features, 4, LAYERS, halve, first, batch_norm)
    x = _normal(2, 4, 4, 3)
    params = _params(block, x)
    ours = _apply(block, params, x)

    names = iter(range(3))

    def normalised(y):
        return _batch_norm(y, params, f"BatchNorm_{next(names)}") if batch_norm else y

    shortcut = y = _nchw(x)
    if first:
        shortcut = _conv(normalised(F.avg_pool2d(shortcut, 2)), params, "shortcut")
    elif halve:
        shortcut = F.avg_pool2d(_conv(normalised(shortcut), params, "shortcut"), 2)
    y = _conv(y if first else F.relu(normalised(y)), params, "Conv_0")
    y = _conv(F.relu(normalised(y)), params, "Conv_1")
    _same(ours, (F.avg_pool2d(y, 2) if halve else y) + shortcut)


def test_a_whole_generator_with_latents_for_each_block():
    """z is cut into parts; each block sees the class' embedding and a part of its own."""
    generator = blocks.Generator(2, (4, 3, 2), LAYERS, classes=4, shared=3)
    z = _normal(3, 6)
    params = _params(generator, z, LABEL)
    ours = _apply(generator, params, z, LABEL)

    embedded = _torch(params["shared"]["kernel"])[_torch(LABEL).long()]
    x = _dense(_torch(z[:, :2]), params, "Dense_0").reshape(3, 4, 4, 4).permute(0, 3, 1, 2)
    for i in range(2):
        p = params[f"GeneratorBlock_{i}"]
        condition = torch.cat([embedded, _torch(z[:, 2 * i + 2 : 2 * i + 4])], 1)

        def norm(x, name, p=p, condition=condition):
            y = F.batch_norm(x, None, None, training=True, eps=LAYERS.epsilon)
            scale, bias = (_dense(condition, p[name], k) for k in ("scale", "bias"))
            return y * (1 + scale[:, :, None, None]) + bias[:, :, None, None]

        y = F.interpolate(F.relu(norm(x, "ConditionalBatchNorm_0")), scale_factor=2)
        y = F.relu(norm(_conv(y, p, "Conv_0"), "ConditionalBatchNorm_1"))
        x = _conv(y, p, "Conv_1") + _conv(F.interpolate(x, scale_factor=2), p, "shortcut")
    x = F.relu(_batch_norm(x, params, "BatchNorm_0"))
    _same(ours, torch.tanh(_conv(x, params, "Conv_0")))
    assert ours.shape == (3, 16, 16, 2)


def _discriminator(**options):
    """(network, its parameters, images, its features after the last ReLU and sum, in PyTorch)."""
    options = {"classes": 4} | options
    network = blocks.Discriminator((3, 3), 1, LAYERS, **options)
    x = _normal(3, 4, 4, 2)
    params = _params(network, x, LABEL)
    p, q = params["DiscriminatorBlock_0"], params["DiscriminatorBlock_1"]
    y = F.relu(_conv(_nchw(x), p, "Conv_0"))
    y = F.avg_pool2d(_conv(y, p, "Conv_1"), 2) + _conv(F.avg_pool2d(_nchw(x), 2), p, "shortcut")
    y = _conv(F.relu(_conv(F.relu(y), q, "Conv_0")), q, "Conv_1") + y
    return network, params, x, F.relu(y).sum((2, 3))


def test_projection_adds_the_inner_product_with_the_class():
    network, params, x, features = _discriminator(condition="projection")
    ours = _apply(network, params, x, LABEL)
    rows = _torch(params["Embed_0"]["kernel"])[_torch(LABEL).long()]
    _same(ours, _dense(features, params, "logit")[:, 0] + (rows * features).sum(1))
    # Of another class, the logit differs by the inner product with the difference of the rows.
    other = _apply(network, params, x, LABEL + 1)
    kernel = np.asarray(params["Embed_0"]["kernel"])
    difference = ((kernel[LABEL + 1] - kernel[LABEL]) * features.numpy()).sum(1)
    np.testing.assert_allclose(other - ours, difference, rtol=1e-4, atol=1e-4)


def test_further_outputs_and_the_mean():
    network, params, x, features = _discriminator(condition="auxiliary")
    logits, classes = _apply(network, params, x, LABEL)
    _same(logits, _dense(features, params, "logit")[:, 0])
    _same(classes, _dense(features, params, "class"))
    assert classes.shape == (3, 4) and set(params["class"]) == {"kernel"}
    network, params, x, features = _discriminator(rotation=True, mean=True)
    logits, turned = _apply(network, params, x, LABEL)
    _same(logits, _dense(features / 4, params, "logit")[:, 0])  # of 2 x 2 pixels
    _same(turned, _dense(features / 4, params, "rotation"))
    assert turned.shape == (3, 4)


def test_logits_are_float32_in_bfloat16():
    layers = blocks.Layers(NORMAL, NORMAL, dtype=jnp.bfloat16)
    network = blocks.Discriminator((2, 2), 1, layers, classes=4, condition="auxiliary")
    x = _normal(2, 8, 8, 1)
    answers = jax.eval_shape(lambda: network.init_with_output(jax.random.key(0), x, train=True))[0]
    assert {answer.dtype for answer in answers} == {jnp.dtype(jnp.float32)}


@pytest.mark.parametrize("size", [8, 16, 32, 64, 128])
def test_widths_of_every_size_fit(size):
    """As many blocks as doublings of 4 px; the last block of a discriminator sees 4 px or more."""
    assert 4 << (len(blocks.generator_widths(size, (16, 8, 4, 2, 1))) - 1) == size
    assert size >> blocks.halvings(size) >= 4
    assert len(blocks.discriminator_widths(size)) > blocks.halvings(size)


@pytest.mark.parametrize("shape", [(256, 256, 3), (28, 28, 1), (32, 64, 3), (4, 4, 1)])
def test_refuses_other_sizes(shape):
    with pytest.raises(UserError, match=r"^net makes .*: set data\.size$"):
        blocks.check_size("net", shape)
