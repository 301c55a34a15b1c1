"""The numbers of a style, by hand."""

import jax.numpy as jnp
import numpy as np

from genjax.style import latent_styles


def test_numbers_of_a_style_and_back():
    style = {"mean": jnp.float32([[3, -1]]), "deviation": jnp.float32([[1, np.e**2]])}
    found = latent_styles.numbers(style)
    np.testing.assert_allclose(found, [[3, -1, 0, 2]], atol=1e-6)
    back = latent_styles.of_numbers(found)
    for name, x in style.items():
        np.testing.assert_allclose(back[name], x, rtol=1e-6)
