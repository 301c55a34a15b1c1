"""The command that scores: its pictures, its two sides, and what they leave."""

import json

import numpy as np
import pytest

from benchmarks import scoring, workloads
from benchmarks.commands import EMPTY, WARM
from benchmarks.workloads import BY_NAME

_COMMAND = ["--mode=score", "--real=PATH/real.npz", "--fake=PATH/fake.npz", "--metrics=frechet"]


def test_the_sets_are_digits_in_noise_and_the_same_each_time(tmp_path):
    found = []
    for folder in (tmp_path / "first", tmp_path / "second"):
        folder.mkdir()
        scoring.write_sets(folder, 12)
        found.append([np.load(folder / f"{name}.npz")["images"] for name in ("real", "fake")])
    for array, again in zip(*found, strict=True):
        assert array.dtype == np.uint8 and array.shape == (12, 32, 32, 3)
        assert np.array_equal(array, again)
        assert not np.array_equal(array[0], array[1])
    real, fake = (x[:, 0].std() for x in found[0])  # of the border, which is black but for noise
    assert fake / real == pytest.approx(24 / 16, rel=0.1)


def test_a_warm_start_measures_other_real_pictures(tmp_path):
    """Their features are kept from run to run, and would spare half of the work."""
    contest = scoring.contest([*_COMMAND, "--n=12"], "cpu", "none", tmp_path)
    real, fake = tmp_path / "real.npz", tmp_path / "fake.npz"
    assert contest.ours[EMPTY][1:3] == [f"--real={real}", f"--fake={fake}"]
    assert contest.ours[WARM][1:3] == [f"--real={fake}", f"--fake={real}"]
    assert contest.ours[EMPTY][3:] == contest.ours[WARM][3:]
    assert real.exists() and fake.exists() and contest.prepare is None


def test_the_settings_are_of_the_faster_variant_and_the_same_files(tmp_path, monkeypatch):
    monkeypatch.setattr(scoring, "_fastest", lambda request: "eager channels_last")
    contest = scoring.contest([*_COMMAND, "--n=12"], "cpu", "torch", tmp_path)
    (*program, settings), variant = contest.prepare()
    assert (program, variant) == (["-m", "benchmarks.torch_score"], "eager channels_last")
    about = json.loads(settings.read_text())
    assert about["real"] == str(tmp_path / "real.npz") and about["place"] == "cpu"
    assert about["weights"].endswith(".pth")


@pytest.mark.parametrize("option", ["--net=vgg16", "--metrics=kid"])
def test_other_scores_have_no_peer(option, tmp_path):
    with pytest.raises(ValueError, match="has no peer"):
        scoring.contest([*_COMMAND, "--n=12", option], "cpu", "none", tmp_path)


def test_scores_are_read_by_name(tmp_path):
    (tmp_path / "scores.jsonl").write_text('{"metric": "frechet_lite0", "value": 2.5}\n')
    assert scoring.last_scores(tmp_path) == {"score/frechet_lite0": 2.5}


def test_ten_thousand_pictures_of_each_set():
    _, arguments = workloads.arguments(BY_NAME["command-score"])
    assert "--n=10000" in arguments and "--metrics=frechet" in arguments
