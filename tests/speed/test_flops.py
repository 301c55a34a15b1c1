"""Counts of arithmetic: hand-worked, of networks by their formulas, and as the compiler counts."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from genjax import runs
from genjax.nn import backend, conv
from genjax.speed import flops
from genjax.speed.flops import count
from tests.tiny import tiny

_WHOLE = jax.sharding.PartitionSpec()


def _f32(*shape):
    return jax.ShapeDtypeStruct(shape, jnp.float32)


def _native(function):
    def run(*arguments):
        with backend.native():
            return function(*arguments)

    return run


def test_dense():
    assert count(jnp.matmul, _f32(8, 100), _f32(100, 30)) == 2 * 8 * 100 * 30


def test_products_of_many_matrices():
    assert count(jnp.matmul, _f32(5, 8, 100), _f32(5, 100, 30)) == 5 * 2 * 8 * 100 * 30


@pytest.mark.parametrize(
    ("padding", "pairs"),
    # One dimension, 6 pixels, 4 taps, every other output. Outputs begin at 0, 2 without padding:
    # 4 + 4 pairs. With one pixel on each side they begin at -1, 1, 3: 3 + 4 + 3.
    [(0, 8), (1, 10)],
)
def test_a_strided_convolution(padding, pairs):
    edges = ((padding, padding), (padding, padding))
    convolve = _native(lambda x, k: conv.conv(x, k, 2, edges))
    assert count(convolve, _f32(5, 6, 6, 3), _f32(4, 4, 3, 7)) == 2 * 5 * 3 * 7 * pairs**2


def test_a_transposed_convolution_is_as_much_as_the_convolution_that_it_undoes():
    """Three pixels to six: each meets its four taps, but for the two at the edges, 3 + 4 + 3."""
    convolve = _native(lambda x, k: conv.conv_transpose(x, k, 2, 1))
    assert count(convolve, _f32(5, 3, 3, 3), _f32(4, 4, 3, 7)) == 2 * 5 * 3 * 7 * 10**2


def test_groups_and_dilated_kernels():
    def convolve(x, k):
        return jax.lax.conv_general_dilated(
            x, k, (1, 1), "VALID", rhs_dilation=(2, 2), feature_group_count=4,
            dimension_numbers=("NHWC", "HWIO", "NHWC"),
        )  # fmt: skip

    # 9 pixels less the 5 that 3 taps span are 5 outputs; each of 8 features sees 8 / 4.
    assert count(convolve, _f32(2, 9, 9, 8), _f32(3, 3, 2, 8)) == 2 * 2 * 8 * 2 * (5 * 3) ** 2


def test_gradients_are_twice_the_value():
    """Each by its own convolution, of the same pairs of pixels and taps; unused ones do not count.

    The sum of squares makes the value needed too.
    """
    x, kernel = _f32(2, 8, 8, 3), _f32(4, 4, 3, 5)
    loss = _native(lambda k, x: (conv.conv(x, k, 2, ((1, 1), (1, 1))) ** 2).sum())
    value = count(loss, kernel, x)
    assert count(jax.grad(loss), kernel, x) == 2 * value
    assert count(jax.grad(loss, (0, 1)), kernel, x) == 3 * value
    unused = count(lambda k, x: jax.grad(loss, (0, 1))(k, x)[0], kernel, x)
    assert unused == 2 * value


def _control(kind):
    def product(x):
        return x @ x

    forward = jax.custom_jvp(product)
    forward.defjvp(lambda primals, tangents: (product(*primals), tangents[0]))
    reverse = jax.custom_vjp(product)
    reverse.defvjp(lambda x: (product(x), None), lambda _, g: (g,))

    def chosen(x):
        return jax.lax.cond(x[0, 0] > 0, lambda x: x @ x @ x, product, x)

    return {
        "scan": lambda x: jax.lax.scan(lambda c, _: (product(c), None), x, length=7)[0],
        "cond": chosen,
        "skip": lambda x: jax.lax.cond(x[0, 0] > 0, lambda x: x, product, x),
        "while": lambda x: jax.lax.while_loop(lambda c: (c @ c)[0, 0] < 1, product, x),
        "jit": jax.jit(product),
        "remat": jax.checkpoint(product),
        "custom_jvp": forward,
        "custom_vjp": reverse,
        "shard_map": jax.shard_map(
            product,
            mesh=jax.sharding.AbstractMesh((3,), ("data",)),
            in_specs=_WHOLE,
            out_specs=_WHOLE,
        ),
    }[kind]


@pytest.mark.parametrize(
    ("kind", "products"),
    [
        ("scan", 7),
        ("cond", 1),
        ("skip", 1),
        ("while", 2),
        ("jit", 1),
        ("remat", 1),
        ("custom_jvp", 1),
        ("custom_vjp", 1),
        ("shard_map", 3),
    ],
)
def test_what_is_inside(kind, products):
    assert count(_control(kind), _f32(4, 4)) == products * 2 * 4**3


def test_dcgan_by_its_layers():
    """64 px as in Radford et al. 2015, with n pairs of pixels and taps a side in each layer.

    From n to 2n pixels, 4 taps, stride 2: 4 n pairs, less the one at each edge. Of the generator,
    the kernels' and all inputs' gradients but the latent's; the discriminator sees real pictures,
    made ones, and made ones again for the generator's loss, whose gradient is of its input only.
    """
    width, batch, latent = 8, 2, 6
    run = runs.build(
        tiny("dcgan", **{"data.size": 64, "model.width": width, "train.batch_size": batch,
                         "model.latent": latent})
    )  # fmt: skip
    channels = [1, width, 2 * width, 4 * width, 8 * width]  # from the image inwards
    layers = [
        2 * batch * a * b * (4 * 32 // 2**i - 2) ** 2
        for i, (a, b) in enumerate(itertools.pairwise(channels))
    ]
    innermost = 2 * batch * 8 * width * 16  # a matrix product, times what is at its other end
    forward = sum(layers)
    generator = 3 * forward + 2 * innermost * latent
    # Three forward; of both losses of the discriminator the kernels' gradients, and the inputs' but
    # the pictures'; of the generator's loss the inputs' alone, with the pictures'.
    discriminator = 3 * forward + 2 * (2 * forward - layers[0]) + forward + (3 + 4 + 1) * innermost
    assert flops.model_flop(run) == generator + discriminator


@pytest.mark.parametrize("name", ["vae", "cnn"])
def test_as_the_compiler_counts(name):
    """XLA counts every operation: the others are few beside products and convolutions."""
    # Random numbers are the most of what a tiny VAE's step does with whole numbers.
    changed = {"cnn": {"data.size": 16}, "vae": {"binarize": "grey"}}
    run = runs.build(tiny(name, **changed[name]))
    state, batch, key = runs.step_shapes(run)
    with backend.native():
        step = jax.jit(lambda state, batch, key: run.task.step(state, batch, key, None))
        counted = step.lower(state, batch, key).cost_analysis()["flops"]
    ours = flops.model_flop(run)
    assert 0.5 * counted < ours < counted


def test_a_convolution_as_the_compiler_counts():
    x, kernel = _f32(2, 9, 9, 3), _f32(4, 4, 3, 5)
    for function in (
        lambda x, k: conv.conv(x, k, 2, ((1, 2), (0, 1))),
        lambda x, k: conv.conv_transpose(x, k, 2, 1),
    ):
        convolve = _native(function)
        compiled = jax.jit(convolve).lower(x, kernel).cost_analysis()["flops"]
        assert count(convolve, x, kernel) == pytest.approx(compiled, rel=1e-6)


def test_counting_leaves_the_programs_alone():
    """Neither formulation is remembered in the place of the other."""
    run = runs.build(tiny("dcgan"))
    state, batch, key = runs.step_shapes(run)

    def traced():
        return str(jax.make_jaxpr(lambda *a: run.task.step(*a, None))(state, batch, key))

    flop, before = flops.model_flop(run), traced()
    assert flops.model_flop(run) == flop
    assert traced() == before
    with backend.native():
        assert traced() != before


def test_matmul_rate():
    rate = flops.matmul_rate(jnp.float32)
    assert np.isfinite(rate) and rate > 1e6
    assert flops.matmul_rate(jnp.float32) == rate
