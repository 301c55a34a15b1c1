import shutil

import jax.numpy as jnp
import numpy as np
import pytest
from etils import epath
from PIL import Image

from genjax import images, runs
from genjax.errors import UserError
from genjax.explore import projection
from genjax.gan import projector
from genjax.metrics import lpips
from tests.tiny import tiny


@pytest.fixture
def plain_distance(monkeypatch):
    """The mean square in the place of LPIPS, whose network takes long to compile."""
    monkeypatch.setattr(lpips, "load", lambda net: lpips.Lpips(net, {}))
    monkeypatch.setattr(lpips, "LEAST", 8)

    def distance(weights, target, low):
        return lambda x: jnp.square(x - target).mean()

    monkeypatch.setattr(projector, "perceptual", distance)


@pytest.mark.parametrize("name", ["vae", pytest.param("stylegan2", marks=pytest.mark.slow)])
def test_a_picture_of_its_own_is_found(name, finished, tmp_path, plain_distance):
    """Nearer than the start, the mean picture, and saved with all that it is drawn of."""
    workdir = epath.Path(shutil.copytree(finished(name), tmp_path / "run"))
    options = {"sample.input": str(tmp_path / "wanted"), "sample.steps": 60}
    trained = runs.open_trained(tiny(name, **options), workdir)
    wanted = runs.draw(trained, 2, seed=1)
    for i, picture in enumerate(wanted):
        images.write(tmp_path / "wanted" / f"{i}.png", picture)
    said = projection.write(trained, workdir)
    points = "styles" if name == "stylegan2" else "latents"
    assert said.endswith(f"{points}: {workdir}/projection.npz")
    with np.load(workdir / "projection.npz") as found:
        np.testing.assert_array_equal(found["targets"], wanted)
        at, shown, distances = found[points], found["images"], found["distances"]
        noise = {key for key in found if key.startswith("noise/")}
    assert len(at) == len(shown) == len(distances) == 2
    assert bool(noise) == (name == "stylegan2")
    sheet = np.asarray(Image.open(workdir / "projection.png"))
    side = wanted.shape[1]
    np.testing.assert_array_equal(sheet[2 : 2 + side, 2 : 2 + side], wanted[0][..., 0])
    np.testing.assert_array_equal(sheet[2 : 2 + side, 4 + side : 4 + 2 * side], shown[0][..., 0])
    latents = trained.run.task.latents
    low = latents.low
    if name == "vae":  # of which the latent is all
        start = latents.generate(trained.state, jnp.zeros_like(at), np.arange(2), {})
        far = np.square(start - np.float32(images.to_float(wanted, low))).mean((1, 2, 3))
        assert (distances < 0.7 * far).all()


def test_what_cannot_be_projected_is_one_line(finished, tmp_path, plain_distance):
    def write(name, **values):
        values = {f"sample.{key}": value for key, value in values.items()}
        trained = runs.open_trained(tiny(name, **values), finished(name))
        projection.write(trained, epath.Path(tmp_path))

    with pytest.raises(UserError, match=r"lacks pictures: set --config\.sample\.input=FILE"):
        write("vae")
    with pytest.raises(UserError, match=r"no image nothing\.png: no such file"):
        write("vae", input="nothing.png")
    with pytest.raises(UserError, match=r"class, from 0 to 9: set --config\.sample\.label"):
        write("cgan", input="coffee")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(lpips, "LEAST", 16)
        with pytest.raises(UserError, match="pictures of 16 px or more, not of 8"):
            write("dcgan", input="coffee")


@pytest.mark.parametrize("side", [8, 300])
def test_large_pictures_are_compared_smaller(side, monkeypatch):
    """300 px as 150; a grey picture in [-1, 1] comes as RGB in [0, 1]."""
    seen = []

    def features(net, weights, x):
        seen.append(x)
        return {"pixels": x}

    monkeypatch.setattr(lpips, "features", features)
    weights = {"heads": {"pixels": jnp.array([1.0, 2.0, 4.0])}}
    distance = projector.perceptual(weights, -jnp.ones((side, side, 1)))
    assert distance(jnp.zeros((side, side, 1))) == 7 / 4
    target, x = seen
    assert x.shape == target.shape == (1, min(side, 150), min(side, 150), 3)
    np.testing.assert_array_equal([x.min(), x.max(), target.max()], [0.5, 0.5, 0])
