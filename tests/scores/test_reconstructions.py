"""Scores of reconstructions: by hand where a picture is moved by a known number, and as records."""

import json
import shutil

import numpy as np
import pytest
from etils import epath

from genjax import runs
from genjax.errors import UserError
from genjax.evaluate import Evaluator, evaluate
from genjax.metrics import lpips
from genjax.scores import reconstructions
from tests.tiny import tiny


@pytest.fixture(scope="module")
def brighter():
    """A run on digits whose reconstructions are brighter by the label's hundredths; and its
    evaluator."""
    run = runs.build(tiny("cnn", **{"data.size": 12}))

    def reconstruct(state, batch, key):
        return batch["image"] / 255 + 0.01 * batch["label"][:, None, None, None]

    return runs.Trained(run._replace(task=run.task._replace(reconstruct=reconstruct)), (), 0)


def test_psnr_and_its_error_by_hand(brighter):
    """Of 50 digits a class, label c has an error of (c / 100)², 0 dB for none of the ratio: for 0,
    which is equal, it is that of rounding to 8 bits."""
    found = reconstructions.fidelities(brighter, Evaluator(brighter.run).batches())
    each = np.array([10 * np.log10(12 * 255**2), *(-20 * np.log10(np.arange(1, 10) / 100))])
    each = np.repeat(each, 50)
    value = found["psnr"][0]
    assert value.value == pytest.approx(each.mean(), rel=1e-4)
    assert value.error == pytest.approx(each.std(ddof=1) / np.sqrt(500), rel=1e-3)
    assert 0.5 < found["ssim"][0].value < 1 and found["ssim"][0].error > 0


def test_pictures_below_its_window_have_no_ssim(brighter):
    run = brighter.run._replace(dataset=brighter.run.dataset._replace(shape=(10, 12, 1)))
    found = reconstructions.fidelities(brighter._replace(run=run), Evaluator(run).batches())
    assert found.keys() == {"psnr"}


def test_lpips_is_of_pictures_enlarged_to_64_px(brighter):
    batch = next(Evaluator(brighter.run).batches())
    (found,) = reconstructions.each(brighter, [batch], ["lpips"])
    x = found["image"][:, :, :, 0] / np.float32(255)
    label = batch["label"][batch["weight"] > 0]
    y = x + np.float32(0.01) * label[:, None, None]
    large = [np.kron(z, np.ones((1, 6, 6), np.float32))[..., None] for z in (x, y)]
    rgb = [z * np.ones(3, np.float32) for z in large]
    expected = lpips.distance("alexnet", lpips.load("alexnet").weights, *rgb)
    assert rgb[0].shape[1:] == (72, 72, 3)
    np.testing.assert_allclose(found["lpips"], expected, rtol=1e-4, atol=1e-6)
    assert reconstructions.perceptual_setting((12, 12, 1))["enlarged"] == 6


@pytest.mark.parametrize("name", ["vae", "vqvae"])
def test_a_run_writes_them(name, finished, tmp_path):
    workdir = epath.Path(shutil.copytree(finished(name), tmp_path / "run"))
    evaluate(tiny(name, **{"score.metrics": ("reconstruction",)}), workdir)
    records = [json.loads(line) for line in (workdir / "scores.jsonl").read_text().splitlines()]
    found = {each["metric"]: each for each in records}
    assert 0 < found["psnr"]["value"] < 60 and found["psnr"]["error"] > 0
    assert found["psnr"]["n"] == 500
    assert ("ssim" in found) == (name == "vae")  # the other's pictures have 8 px
    if name == "vqvae":
        assert found["psnr"]["value"] == pytest.approx(found["eval/psnr"]["value"], rel=1e-4)


def test_what_reconstructs_nothing_is_refused(finished):
    trained = runs.open_trained(tiny("dcgan"), finished("dcgan"))
    with pytest.raises(UserError, match="task='gan' reconstructs nothing: leave lpips out of"):
        reconstructions.perceptual(trained, [])
