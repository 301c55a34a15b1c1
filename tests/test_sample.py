"""What is sampled is a function of the state, the seed and the place, and of nothing else."""

import json
import shutil

import numpy as np
import pytest
from etils import epath
from PIL import Image

import main
from genjax import config as config_lib
from genjax import runs
from genjax.data import open_dataset
from genjax.sample import sample
from genjax.workdir import config_file
from tests.scores.stub import conditional
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


def test_other_kinds_are_written_beside_samples(finished, tmp_path, capsys):
    workdir = epath.Path(shutil.copytree(finished("vae"), tmp_path / "run"))
    kind = {"sample.kind": "interpolation", "sample.shown": 2, "sample.frames": 2}
    line = [f"--config.{key}={value}" for key, value in kind.items()]
    assert main.main(["main.py", f"--workdir={workdir}", "--mode=sample", *line]) == 0
    out = capsys.readouterr().out
    assert f"step 12: {workdir}/interpolation.png; 8 frames" in out
    assert not (workdir / "samples.npz").exists()
    line = [f"--workdir={workdir}", "--mode=sample", "--config.sample.kind=projektion"]
    assert main.main(["main.py", *line]) == 2
    assert "did you mean 'projection'?" in capsys.readouterr().err


def test_runs_from_before_there_were_kinds_have_them(finished, tmp_path):
    workdir = epath.Path(shutil.copytree(finished("vae"), tmp_path / "run"))
    values = json.loads((workdir / "config.json").read_text())
    values["sample"] = {key: values["sample"][key] for key in ("every", "n", "seed", "format")}
    (workdir / "config.json").write_text(json.dumps(values))
    sample(config_file.load(workdir), workdir)
    assert (workdir / "samples.npz").exists()


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
    # Its last row is whole, with samples that the array has not.
    more = runs.draw(runs.open_trained(tiny("cgan"), workdir), 20, seed=0)
    np.testing.assert_array_equal(sheet[12:20, 92:100], more[19][..., 0])


@pytest.mark.parametrize(("classes", "columns"), [(0, 3), (1, 3), (5, 5), (1000, 3)])
def test_grids_of_many_classes_are_square(classes, columns):
    sheet = runs.grid(np.zeros((7, 4, 4, 1), np.uint8), classes)
    assert sheet.shape[1] == columns * 6 + 2


@pytest.mark.parametrize(
    ("classes", "n", "whole"), [(10, 64, 70), (10, 60, 60), (10, 5, 10), (0, 7, 7), (1000, 7, 7)]
)
def test_grids_have_whole_rows(classes, n, whole):
    trained = runs.Trained(runs.build(tiny("dcgan")), None, 0)
    assert runs.whole_rows(conditional(trained, classes).run, n) == whole


def test_pictures_of_classes_are_a_set_to_train_on(finished, tmp_path, monkeypatch):
    workdir = epath.Path(shutil.copytree(finished("dcgan"), tmp_path / "run"))
    opened = runs.open_trained
    monkeypatch.setattr(runs, "open_trained", lambda *a, **k: conditional(opened(*a, **k), 11))
    sample(tiny("dcgan", **{"sample.n": 24}), workdir)
    with np.load(workdir / "samples.npz") as archive:
        array, labels = archive["images"], archive["labels"]
    np.testing.assert_array_equal(labels, np.arange(24) % 11)
    for _ in range(2):  # the second time over the first
        sample(tiny("dcgan", **{"sample.n": 24, "sample.format": "png"}), workdir)
    data = config_lib.dataset(f"folder:{workdir}/pictures", 8)
    data.channels, data.test_fraction = 1, 0.0
    found = open_dataset(data).train
    place = {bytes(picture): i for i, picture in enumerate(array)}
    assert len(found) == len(place) == 24
    for each in found:
        assert each["label"] == labels[place[bytes(each["image"])]]
