"""The whole runs in PyTorch: without JAX, on the same pixels, with results like those of ours."""

import json
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("torch")

from benchmarks import commands, peers, torch_main
from benchmarks.peers import files, opened
from genjax import data, images
from genjax.train import train
from tests.tiny import ROOT, metrics_of, tiny

# Of each task one, of a size that the digits have with or without a border.
NAMES = {"dcgan": {"data.size": 32}, "vae": {}, "cnn": {"data.size": 0}, "style-lbfgs": {}}
_DRAWN = {
    "dcgan": {""},
    "vae": {"", "-reconstructions", "-interpolations"},
    "cnn": {"-hardest"},
    "style-lbfgs": {""},
}
# One process for all, as importing torch takes long; what it has imported in the end is said.
_CODE = """
import sys
from benchmarks import torch_main
for folder in sys.argv[1:]:
    torch_main.main(f"{folder}/settings.json", f"{folder}/run")
found = {name.partition(".")[0] for name in sys.modules}
print(sorted(found & {"jax", "jaxlib", "flax", "genjax"}))
"""


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """{name: the workdir of its finished run}, and what the process said."""
    root = tmp_path_factory.mktemp("torch")
    for name, overrides in NAMES.items():
        (root / name).mkdir()
        config = tiny(name, **overrides)
        commands.write_settings(config, "cpu", "eager channels_last", root / name)
    folders = [root / name for name in NAMES]
    done = subprocess.run(
        [sys.executable, "-c", _CODE, *folders], capture_output=True, text=True, cwd=ROOT
    )
    assert done.returncode == 0, done.stderr
    return {name: root / name / "run" for name in NAMES}, done.stdout


def test_it_imports_nothing_of_jax_nor_of_genjax(made):
    assert made[1] == "[]\n"


@pytest.mark.parametrize("name", NAMES)
def test_results_come_at_the_same_steps(name, made):
    workdir, config = made[0][name], tiny(name)
    lines = metrics_of(workdir)
    assert [line["step"] for line in lines] == [6, 12]
    assert all(any(k.startswith("eval/") for k in line) for line in lines)
    samples = {path.stem for path in (workdir / "samples").iterdir()}
    assert samples == {f"{step:08d}{kind}" for step in (6, 12) for kind in _DRAWN[name]}
    found = sorted(path.stem for path in (workdir / "checkpoints").iterdir())
    assert found == ["00000004", "00000008", "00000012"][-config.checkpoint.keep :]
    assert (workdir / "result.png").exists() == (name == "style-lbfgs")
    picture = np.asarray(Image.open(next((workdir / "samples").iterdir())))
    assert picture.dtype == np.uint8 and picture.std() > 0


def test_scores_are_those_of_ours_by_name(made, tmp_path):
    train(tiny("vae"), tmp_path)
    ours, theirs = (metrics_of(workdir)[-1] for workdir in (tmp_path, made[0]["vae"]))
    assert {k for k in theirs if k.startswith("eval/")} == {k for k in ours if "eval/" in k}
    assert theirs["eval/negative_elbo"] == pytest.approx(ours["eval/negative_elbo"], rel=0.1)


def test_the_digits_are_the_same():
    for size in (0, 32):
        config = tiny("vae", **{"data.size": size})
        dataset = data.open_dataset(config.data)
        train_split, test = files.digits(config)
        ours = opened.given(config)
        assert np.array_equal(train_split.image, ours.image)
        assert np.array_equal(train_split.label, ours.label) and train_split.classes == 10
        for i in (0, 77, len(dataset.test) - 1):
            assert np.array_equal(test.image[i], dataset.test[i]["image"])
        assert len(test.image) == len(dataset.test)


def test_the_pictures_and_weights_are_the_same(tmp_path):
    config = tiny("style-lbfgs")
    settings = commands.write_settings(config, "cpu", "eager", tmp_path).read_text()
    paths = json.loads(settings, object_hook=torch_main.Settings).paths
    theirs, ours = files.pictures(config, paths), opened.given(config)
    for key in ("content", "style"):
        assert np.array_equal(getattr(theirs, key), getattr(ours, key))
    np.testing.assert_allclose(theirs.start, ours.start, atol=1e-7)
    assert [*theirs.weights] == [*ours.weights]
    kernels = (x.weights["conv3_1"]["kernel"] for x in (theirs, ours))
    assert np.array_equal(*kernels)


@pytest.mark.parametrize("shape", [(5, 4, 3, 1), (2, 3, 4, 4, 3), (1, 4, 4, 3)])
def test_grids_are_those_of_ours(shape):
    pictures = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    assert np.array_equal(torch_main.grid(pictures), images.grid(pictures))


def test_other_configs_are_refused():
    with pytest.raises(ValueError, match=r"data.size=8 has no peer"):
        files.digits(tiny("dcgan"))
    variant = peers.variants("cpu", "float32")["eager"]
    with pytest.raises(ValueError, match=r"model.name=airbench has no peer, only small"):
        peers.build(tiny("cnn-airbench"), variant, "cpu", None)


def test_the_variants_of_the_choice_exist():
    assert {*commands.EAGER} <= peers.variants("cpu", "float32").keys()
