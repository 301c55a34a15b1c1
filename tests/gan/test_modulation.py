"""Modulated convolutions against a kernel for each example."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from genjax.gan.equalized import conv_same, conv_up
from genjax.gan.modulation import modulated_conv


@pytest.mark.parametrize(("up", "demodulate"), [(False, True), (True, True), (False, False)])
def test_a_kernel_for_each_example(up, demodulate):
    random = np.random.default_rng(0)
    x, kernel, style = (
        jnp.asarray(random.normal(size=shape), jnp.float32)
        for shape in ((2, 4, 4, 3), (3, 3, 3, 5), (2, 3))
    )

    def one(x, style):
        own = kernel * style[None, None, :, None]
        if demodulate:
            own = own / jnp.sqrt(jnp.square(own).sum((0, 1, 2), keepdims=True) + 1e-8)
        return (conv_up if up else conv_same)(x[None], own)[0]

    @jax.jit
    def both(x, style):
        found = modulated_conv(x, kernel, style, demodulate=demodulate, up=up)
        return found, jnp.stack([one(x[b], style[b]) for b in range(2)])

    found, expected = both(x, style)
    np.testing.assert_allclose(found, expected, atol=2e-5)


def test_the_scale_of_a_style_is_lost_by_demodulation():
    x, style = jax.random.normal(jax.random.key(0), (1, 4, 4, 2)), jnp.array([[1.0, 2.0]])
    kernel = jax.random.normal(jax.random.key(1), (3, 3, 2, 2))
    modulate = jax.jit(lambda style: modulated_conv(x, kernel, style))
    np.testing.assert_allclose(modulate(100 * style), modulate(style), rtol=1e-4)
