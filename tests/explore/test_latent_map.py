import jax
import numpy as np
import pytest

from genjax import images, runs
from genjax.errors import UserError
from genjax.explore import latent_map
from genjax.latents import of_normals
from tests.explore import stub
from tests.tiny import tiny


def test_each_picture_has_an_equal_share_of_the_prior(tmp_path):
    """Pictures of the share that lies below: the middles of twentieths, from below and the left."""
    run = runs.build(tiny("vae", **{"model.latent": 2}))

    def generate(state, z, index):
        below = jax.scipy.stats.norm.cdf(z)[:, None, :, None]
        return jax.numpy.pad(below, ((0, 0), (0, 27), (0, 26), (0, 0)))

    latents = of_normals(run.config, generate, lambda x: images.to_uint8(x, low=0), 0)
    trained = runs.Trained(run._replace(task=run.task._replace(latents=latents)), (), 12)
    page, line = stub.page(latent_map, trained, tmp_path)
    assert "from -1.96 on the left to 1.96" in line
    assert page.shape == (20, 20, 28, 28)
    share = 255 * (np.arange(20) + 0.5) / 20
    np.testing.assert_allclose(page[:, :, 0, 0], np.tile(share, (20, 1)), atol=0.6)
    np.testing.assert_allclose(page[:, :, 0, 1], np.tile(share[::-1, None], (1, 20)), atol=0.6)


@pytest.mark.parametrize(
    ("name", "values", "message"),
    [
        ("vae", {}, r"this run has 4: train another one with --config\.model\.latent=2, or"),
        ("vamp", {"model.latent": 2}, r"standard normal latents, .*: set sample\.kind=temperature"),
        ("cvae", {"model.latent": 2}, r"draws 10 classes: train another one without, or set"),
        ("cnn", {}, r"has no latents"),
    ],
)
def test_what_has_no_map_is_one_line(name, values, message, tmp_path):
    trained = runs.Trained(runs.build(tiny(name, **values)), (), 0)
    with pytest.raises(UserError, match=message) as error:
        latent_map.write(trained, tmp_path)
    assert "\n" not in str(error.value)
