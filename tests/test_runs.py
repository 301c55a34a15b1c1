"""From a workdir back to a trained run, and to the pictures that it stands for."""

import shutil

import numpy as np
import pytest
from etils import epath

from genjax import images, runs
from genjax.errors import UserError
from genjax.train import train
from tests.tiny import STEPS, metrics_of, tiny


def test_the_newest_state_is_opened(finished):
    trained = runs.open_trained(tiny("dcgan"), finished("dcgan"))
    assert trained.step == trained.state.step == STEPS


def test_free_keys_may_differ_and_others_may_not(finished):
    changes = {"sample.n": 3, "train.steps": 99, "train.steps_per_call": 1, "parallel": "pmap"}
    assert runs.open_trained(tiny("vae", **changes), finished("vae")).step == STEPS
    with pytest.raises(UserError, match=r"model\.latent \(4 there, 5 here\)"):
        runs.open_trained(tiny("vae", **{"model.latent": 5}), finished("vae"))


def test_nothing_to_open(tmp_path, finished):
    with pytest.raises(UserError, match=r"has no config\.json"):
        runs.open_trained(tiny("vae"), epath.Path(tmp_path))
    workdir = epath.Path(shutil.copytree(finished("vae"), tmp_path / "run"))
    shutil.rmtree(workdir / "checkpoints")
    with pytest.raises(UserError, match="has no checkpoint yet: train it first"):
        runs.open_trained(tiny("vae"), workdir)


def test_unknown_task(tmp_path):
    with pytest.raises(UserError, match="task='gam' is unknown; did you mean 'gan'"):
        runs.build(tiny("dcgan", task="gam"))


def test_a_built_in_picture():
    (picture,) = runs.read_picture("coffee")
    np.testing.assert_array_equal(picture, images.load("coffee"))


def test_pictures_of_a_run_have_three_channels(finished):
    pictures = runs.read_picture(f"run:{finished('vae')}")
    assert len(pictures) == runs.RUN_PICTURES
    drawn = runs.draw(runs.open_trained(tiny("vae"), finished("vae")), runs.RUN_PICTURES, 0)
    for picture, expected in zip(pictures, drawn, strict=True):
        assert picture.shape == (28, 28, 3) and picture.dtype == np.uint8
        np.testing.assert_array_equal(picture, np.repeat(expected, 3, axis=-1))


@pytest.mark.parametrize(
    ("workdir", "message"), [("cnn", "makes no pictures"), ("", "is not a run's workdir")]
)
def test_runs_without_pictures(workdir, message, finished, tmp_path):
    path = finished(workdir) if workdir else tmp_path
    with pytest.raises(UserError, match=message):
        runs.read_picture(f"run:{path}")


def test_generate_then_stylise(finished, tmp_path):
    config = tiny("style-adam", content=f"run:{finished('vae')}", **{"train.steps": 2})
    train(config, epath.Path(tmp_path))
    assert metrics_of(tmp_path)[-1]["images"] == 2 * runs.RUN_PICTURES
    for i in range(1, runs.RUN_PICTURES + 1):
        assert images.load(str(tmp_path / f"result_{i}.png")).shape == (16, 16, 3)
    assert (tmp_path / "result.png").exists()


def test_a_classifiers_trunk_as_feature_network(finished, tmp_path):
    config = tiny("style-adam", **{"features.name": f"cnn:{finished('cnn')}", "train.steps": 2})
    train(config, epath.Path(tmp_path))
    (line,) = metrics_of(tmp_path)
    assert np.isfinite(line["train/loss"])
