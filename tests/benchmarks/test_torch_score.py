"""The score in PyTorch: the features and the distance of ours, without JAX."""

import json
import subprocess
import sys

import numpy as np
import pytest

pytest.importorskip("torch")

from benchmarks import commands, scoring, torch_score
from genjax.cnn import efficientnet
from genjax.cnn.weights import package_file
from genjax.metrics import frechet, moments, rulers
from tests.tiny import ROOT

# The distance of the first eight features: a root of 1,280 takes long.
_CODE = """
import sys
from benchmarks import torch_score
of_all = torch_score.frechet
torch_score.frechet = lambda a, b: of_all(a[:, :8], b[:, :8])
torch_score.main(*sys.argv[1:])
found = {name.partition(".")[0] for name in sys.modules}
print(sorted(found & {"jax", "jaxlib", "flax", "genjax"}))
"""


@pytest.fixture
def settings(tmp_path):
    """What the program is told of two sets of twelve pictures."""
    scoring.write_sets(tmp_path, 12)
    weights = str(package_file(efficientnet.PACKAGE, efficientnet.FILE))
    paths = {name: str(tmp_path / f"{name}.npz") for name in ("real", "fake")}
    return {"place": "cpu", "weights": weights, "variant": "eager channels_last"} | paths


def test_the_distance_is_that_of_rectangles_by_hand():
    """Corners of 4 x 2 at (2, 1) and of 2 x 1 at (5, 1/2): means differ by 9 + 1/4, deviations,
    4/√3 and 2/√3 along x and half of that along y, by 4/3 + 1/3."""
    a = np.array([[0, 0], [4, 0], [0, 2], [4, 2]], np.float64)
    b = np.array([[4, 0], [6, 0], [4, 1], [6, 1]], np.float64)
    assert torch_score.frechet(a, b) == pytest.approx(9.25 + 5 / 3, rel=1e-6)


def test_the_distance_is_that_of_ours():
    draw = np.random.default_rng(0)
    a, b = draw.normal(0, 1, (60, 8)), draw.normal(0.5, 2, (50, 8)) @ draw.normal(0, 1, (8, 8))
    a, b = a.astype(np.float32), b.astype(np.float32)
    expected = frechet.distance(moments.of(a), moments.of(b))
    assert torch_score.frechet(a, b) == pytest.approx(expected, rel=1e-5)


@pytest.mark.slow
def test_features_are_those_of_ours(settings):
    with np.load(settings["fake"]) as file:
        array = file["images"][:6]
    expected = rulers.Meter(rulers.load("lite0"))(array)["features"]
    for variant in commands.EAGER:
        found = torch_score.Features(variant, "cpu", settings["weights"])(array)
        np.testing.assert_allclose(found, expected, atol=1e-4 * np.abs(expected).max())


@pytest.mark.slow
def test_the_program_finds_the_distance_of_ours_without_jax(settings, tmp_path):
    file = tmp_path / "settings.json"
    file.write_text(json.dumps(settings))
    done = subprocess.run(
        [sys.executable, "-c", _CODE, file, tmp_path / "run"],
        capture_output=True,
        text=True,
        cwd=ROOT,
    )
    assert (done.returncode, done.stdout) == (0, "[]\n"), done.stderr
    meter, found = rulers.Meter(rulers.load("lite0")), []
    for name in ("real", "fake"):
        with np.load(settings[name]) as arrays:
            found.append(moments.of(meter(arrays["images"])["features"][:, :8]))
    (value,) = scoring.last_scores(tmp_path / "run").values()
    assert value == pytest.approx(frechet.distance(*found), rel=1e-3)


@pytest.mark.slow
def test_the_choice_of_a_variant_times_a_few_pictures(settings, monkeypatch):
    monkeypatch.setattr(torch_score, "BATCH", 2)
    for variant in commands.EAGER:
        asked = (variant, "cpu", settings["weights"], settings["real"])
        assert torch_score.rate(*asked) > 0
