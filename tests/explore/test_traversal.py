"""Traversals of latents that pictures say, so that a page can be read."""

import numpy as np
import pytest
from etils import epath
from PIL import Image

import main
from genjax import config, runs
from genjax.data.dataset import Subset
from genjax.errors import UserError
from genjax.explore import traversal
from genjax.latents import truncated_normal
from tests.explore import stub
from tests.tiny import command_line, tiny

ROUNDING = 20 / 255  # of a latent that a pixel of 8 bits says


def test_each_row_moves_one_latent_and_leaves_the_others(tmp_path):
    """KL divergences are half of the squared means: 0, 2, 0.5 and 4.5 nats."""
    trained = stub.linear(seed=5)
    page, line = stub.page(traversal, trained, tmp_path)
    assert line.endswith("rows: latents 3 (4.5), 1 (2), 2 (0.5), 0 (0): KL divergence in nats")
    assert page.shape == (4, 12, 28, 28)
    place = np.random.default_rng(5).permutation(500)[0]
    picture = trained.run.dataset.test[place]["image"][..., 0]
    assert f"held-out picture {place} by step 12" in line
    np.testing.assert_array_equal(page[:, 0], np.broadcast_to(picture, (4, 28, 28)))
    expected = np.tile(stub.MEANS, (4, 11, 1))
    for row, latent in enumerate((3, 1, 2, 0)):
        expected[row, :, latent] = np.linspace(-3, 3, 11)
    np.testing.assert_allclose(stub.said(page[:, 1:]), expected, atol=ROUNDING)


def test_another_prior_has_another_range_and_no_divergence(tmp_path):
    """N(2, 0.5^2): from 0.5 to 3.5. Latents vary as pictures' brightness times their means."""

    def points(state, key, index, level):
        return 2 + 0.5 * truncated_normal(key, index, (4,), level)

    trained = stub.linear(points)
    page, line = stub.page(traversal, trained, tmp_path)
    brightness = [
        x["image"].mean() / 255 for x in map(trained.run.dataset.test.__getitem__, range(500))
    ]
    variance = np.var(brightness) * np.square(stub.MEANS)
    rows = ", ".join(f"{i} ({variance[i]:.3g})" for i in (3, 1, 2, 0))
    assert line.endswith(f"rows: latents {rows}: variance")
    moved = stub.said(page[:, 1:])
    for row, latent in enumerate((3, 1, 2, 0)):
        np.testing.assert_allclose(moved[row, :, latent], np.linspace(0.5, 3.5, 11), atol=0.1)


def test_the_first_sixteen_of_many(tmp_path):
    trained = stub.linear()
    said = traversal._says
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(traversal, "_ROWS", 2)
        page, line = stub.page(traversal, trained, tmp_path)
    assert page.shape[0] == 2 and "rows: latents 3 (4.5), 1 (2):" in line
    np.testing.assert_allclose(said(trained)[0], np.square(stub.MEANS) / 2, rtol=1e-6)


def test_a_run_that_encodes_nothing_is_one_line(finished, tmp_path, capsys):
    line = [*command_line("dcgan", finished("dcgan")), "--mode=sample"]
    capsys.readouterr()
    assert main.main([*line, "--config.sample.kind=traversal"]) == 2
    error = capsys.readouterr().err.splitlines()
    assert len(error) == 1 and "task='gan' encodes no pictures: set sample.kind=temp" in error[0]
    assert main.main([*line, "--config.sample.kind=map"]) == 2
    assert "this run has 8: train another one with" in capsys.readouterr().err


def test_codes_have_no_such_kinds():
    with pytest.raises(UserError, match=r"of task=gan and vae, not of task=vq: leave it out"):
        config.overridden(tiny("vqvae"), ["--config.sample.kind=traversal"])


def test_nothing_held_out_is_one_line(tmp_path):
    trained = stub.linear()
    nothing = Subset(trained.run.dataset.test, np.arange(0))
    run = trained.run._replace(dataset=trained.run.dataset._replace(test=nothing))
    with pytest.raises(UserError, match=r"data\.test_fraction=0: set sample\.kind=temperature"):
        traversal.write(trained._replace(run=run), tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize(
    "name",
    ["vae-conv", "vae-gaussian", "beta-vae", "factor-vae", "cvae", "iwae", "vamp", "iwae-iaf"],
)
def test_every_vae_has_traversals(name, finished, tmp_path):
    """Of all of their latents; the data are opened where the run was not."""
    trained = runs.open_trained(tiny(name), finished(name), with_data=False)
    line = traversal.write(trained, epath.Path(tmp_path))
    sheet = np.asarray(Image.open(tmp_path / "traversal.png"))
    side = trained.run.dataset.shape[0]
    rows = trained.run.config.model.latent
    assert sheet.shape[:2] == (2 + rows * (side + 2), 2 + 12 * (side + 2))
    of = "variance" if name in ("vamp", "iwae-iaf") else "KL divergence in nats"
    assert line.endswith(of)
