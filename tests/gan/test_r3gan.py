"""R3GAN's networks: their sizes, and their outputs against PyTorch's."""

import contextlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from ml_collections import ConfigDict

from genjax.errors import UserError
from genjax.gan import r3gan
from genjax.nn import backend
from tests.gan.drawn import KEY, count, drawn

LABEL = jnp.array([1, 0, 2, 2])


def _model(**values):
    tiny = {"widths": (4, 6), "groups": (2, 3), "blocks": 2, "embedding": 3, "condition": "none"}
    return ConfigDict(tiny | values)


def test_parameter_counts_of_the_authors_code():
    """At 32 px with ten classes: 20.78 and 21.28 million."""
    widths, groups = (768,) * 4, (96,) * 4
    model = _model(widths=widths, groups=groups, embedding=64, condition="projection")
    generator, discriminator = r3gan.networks(model, (32, 32, 3), 10)
    assert count(generator, jnp.zeros((1, 64))) == 20_781_952
    assert count(discriminator, jnp.zeros((1, 32, 32, 3))) == 21_280_512


@pytest.mark.parametrize(
    ("condition", "classes", "widths"),
    [("projection", 3, (4, 6)), pytest.param("none", 0, (4, 4), marks=pytest.mark.slow)],
)
def test_outputs_and_gradients_are_pytorchs(condition, classes, widths):
    """The same parameters in both: pictures, logits, and R1's gradient by D's parameters."""
    torch = pytest.importorskip("torch")
    from tests.gan import in_torch

    model = _model(condition=condition, widths=widths, groups=(2, widths[1] // 2))
    generator, discriminator = r3gan.networks(model, (8, 8, 3), classes)
    z = jax.random.normal(KEY, (4, 7))
    label = torch.from_numpy(np.array(LABEL, np.int64))
    g = drawn(generator, z, LABEL, train=True)
    with contextlib.nullcontext() if classes else backend.native():  # and ours
        made = jax.jit(lambda g: generator.apply(g, z, LABEL, train=True))(g)
    expected = in_torch.r3gan_generator(
        in_torch.tensors(g["params"]), torch.from_numpy(np.array(z)), model.groups, label
    )
    in_torch.assert_close(made, expected.permute(0, 2, 3, 1))

    x = jnp.tanh(jax.random.normal(KEY, (4, 8, 8, 3)))
    d = drawn(discriminator, x, LABEL, train=True)["params"]

    def judge(d, x):
        return discriminator.apply({"params": d}, x, LABEL, train=True)

    def theirs(p, x):
        return in_torch.r3gan_discriminator(p, x, model.groups, label)

    with contextlib.nullcontext() if classes else backend.native():
        in_torch.assert_discriminates_alike(judge, d, x, theirs)


def test_first_stages_are_float32():
    """In bfloat16, the stage of 4 px is not, nor are outputs."""
    generator, _ = r3gan.networks(_model(), (8, 8, 1), dtype=jnp.bfloat16)
    g = drawn(generator, jnp.zeros((1, 2)), train=True)
    program = jax.make_jaxpr(lambda z: generator.apply(g, z, train=True))(jnp.zeros((1, 2)))
    lines = str(program)
    assert "f32[1,4,4,8]" in lines and "bf16[1,4,4,8]" not in lines
    assert "bf16[1,8,8,12]" in lines and "f32[1,8,8,12]" not in lines
    assert program.out_avals[0].dtype == jnp.float32


def test_blocks_start_as_the_identity_and_keep_the_variance():
    """§4.2: at the start, a block's last convolution is 0."""
    block = r3gan.Block(groups=2, depth=8)
    x = jax.random.normal(KEY, (1, 4, 4, 8))
    with backend.native():
        variables = jax.jit(lambda: block.init(KEY, x))()
    np.testing.assert_array_equal(jax.jit(block.apply)(variables, x), x)
    deviation = np.std(variables["params"]["grouped"])
    np.testing.assert_allclose(deviation, (2 / 1.04 / 8**0.5 / (9 * 8)) ** 0.5, rtol=0.1)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"widths": (4, 4, 4)}, r"model\.widths=.* are 3 stages, and pictures of 8 px have 2"),
        ({"groups": (2,)}, r"model\.groups=.* are 1 stages"),
        ({"groups": (2, 5)}, r"has to divide 2 times model\.widths"),
        ({"condition": "projection"}, r"needs classes, .*model\.condition=none$"),
        ({"condition": "class"}, r"model\.condition='class' is unknown"),
    ],
)
def test_refusals(values, message):
    with pytest.raises(UserError, match=message):
        r3gan.networks(_model(**values), (8, 8, 1))
