import pytest

from genjax.gan import lazy


@pytest.mark.parametrize(
    ("interval", "expected"),
    [
        (16, (0.00235294, 0.0, 0.9905855)),  # the discriminator's in every StyleGAN2-ADA setting
        (4, (0.002, 0.0, 0.9919920)),  # the generator's
        (0, (0.0025, 0.0, 0.99)),
    ],
)
def test_adam_is_rescaled(interval, expected):
    assert lazy.rescaled(interval, 0.0025, 0.0, 0.99) == pytest.approx(expected, rel=1e-6)
