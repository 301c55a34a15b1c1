"""What is sampled is a function of the state, the seed and the place, and of nothing else."""

import json
import shutil
from types import SimpleNamespace

import numpy as np
import pytest
from etils import epath
from PIL import Image

import main
from genjax import runs
from genjax.sample import sample
from tests.tiny import VARIANTS, command_line, kinds_first, tiny


@pytest.mark.parametrize(
    "name", kinds_first([n for n in VARIANTS if n.startswith(("dcgan", "vae"))])
)
def test_fewer_samples_are_the_first_of_more(name, finished):
    trained = runs.open_trained(tiny(name), finished(name))
    many, few = runs.draw(trained, 8, seed=0), runs.draw(trained, 3, seed=0)
    np.testing.assert_array_equal(many, runs.draw(trained, 8, seed=0))
    # Another batch size is another program: a level of 255 may fall on the other side.
    assert np.abs(many[:3].astype(int) - few).max() <= 1


def test_the_mode_of_main(finished, tmp_path, capsys):
    workdir = epath.Path(shutil.copytree(finished("dcgan"), tmp_path / "run"))
    before = json.loads((workdir / "config.json").read_text())
    assert main.main([*command_line("dcgan", workdir, **{"sample.n": 5}), "--mode=sample"]) == 0
    assert "5 samples of step 12" in capsys.readouterr().out
    with np.load(workdir / "samples.npz") as archive:
        assert archive["images"].shape == (5, 8, 8, 1)
    assert json.loads((workdir / "config.json").read_text()) == before


def test_classes_come_in_turn_and_each_has_a_column(finished, tmp_path):
    workdir = epath.Path(shutil.copytree(finished("cgan"), tmp_path / "run"))
    sample(tiny("cgan", **{"sample.n": 12}), workdir)
    with np.load(workdir / "samples.npz") as archive:
        assert archive["images"].shape == (12, 8, 8, 1)
        np.testing.assert_array_equal(archive["labels"], [*range(10), 0, 1])
        pictures = archive["images"]
    sheet = np.asarray(Image.open(workdir / "samples.png"))
    assert sheet.shape == (2 * 10 + 2, 10 * 10 + 2)
    np.testing.assert_array_equal(sheet[12:20, 12:20], pictures[11][..., 0])  # below the second one


@pytest.mark.parametrize(("classes", "columns"), [(0, 3), (1, 3), (5, 5), (1000, 3)])
def test_grids_of_many_classes_are_square(classes, columns):
    sheet = runs.grid(SimpleNamespace(classes=classes), np.zeros((7, 4, 4, 1), np.uint8))
    assert sheet.shape[1] == columns * 6 + 2
