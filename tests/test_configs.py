"""Every file in configs/ trains, evaluates and samples, and leaves the files that are promised."""

import json
import shutil

import numpy as np
import pytest
from etils import epath
from PIL import Image

from genjax import command
from genjax.errors import UserError
from genjax.evaluate import evaluate
from genjax.sample import sample
from tests.tiny import CONFIGS, KINDS, ROOT, STEPS, VARIANTS, kinds_first, metrics_of, tiny

WITHOUT_PICTURES_OF_ITS_OWN = ("cnn", "vq", "vqgan", "style_fast", "style_adain")


OF_PICTURES = ("style", "nnst", "stain")  # which are the state
OF_PIXELS = (*OF_PICTURES, "style_video")

# tests/vae/test_code_prior.py and test_linear_task.py and test_vae_task.py of tests/style have runs
# for them.
OF_ANOTHER_RUN = ["codes", "style_linear", "style_vae"]


def test_every_config_file_has_a_tiny_variant():
    assert sorted([*{file for file, _, _ in VARIANTS.values()}, *OF_ANOTHER_RUN]) == CONFIGS


@pytest.mark.parametrize("file", CONFIGS)
def test_defaults_are_complete_locked_and_json(file):
    config, _, options = command.of_run(["main.py", f"--config={ROOT / 'configs' / file}.py"])
    assert config.is_locked and options.mode == "train"
    assert json.loads(config.to_json()) == json.loads(json.dumps(config.to_dict()))


# One of each family by default; the others' networks differ, and what they have below.
@pytest.fixture(params=kinds_first(VARIANTS, (*KINDS, "cnn")))
def run(request, finished, tmp_path):
    """(config, a copy of the workdir) of a finished run."""
    workdir = epath.Path(shutil.copytree(finished(request.param), tmp_path / "run"))
    return tiny(request.param), workdir


def test_workdir_has_what_is_promised(run):
    config, workdir = run
    assert json.loads((workdir / "config.json").read_text()) == json.loads(config.to_json())
    lines = metrics_of(workdir)
    # A run in stages has a line where each ends, too.
    at = [4, 6, 8, STEPS] if config.task == "nnst" else [6, STEPS]
    assert [line["step"] for line in lines] == at
    judged = "bound" in config and config.bound.estimator == "discriminator"  # on other pictures
    batches = config.get("n_dis", 1) + config.get("own_batch", False) + judged
    images = 1 if config.task in OF_PIXELS else config.train.batch_size * batches
    assert [line["images"] for line in lines] == [step * images for step in at]
    for line in lines:
        assert {name.partition("/")[0] for name in line} == {"step", "images", "train", "eval"}
    assert list((workdir / "tensorboard").glob("events.out.tfevents.*"))
    assert sorted(int(path.name) for path in (workdir / "checkpoints").glob("[0-9]*")) == [4, 8, 12]
    page = (workdir / "report.html").read_text()
    assert f"done: {STEPS} steps" in page and "<svg" in page
    pictures = [path.stem for path in (workdir / "samples").glob("*.png")]
    assert {stem[:8] for stem in pictures} == {f"{step:08}" for step in at}
    assert ("00000012" in pictures) == (config.task not in WITHOUT_PICTURES_OF_ITS_OWN)
    assert (workdir / "result.png").exists() == (config.task in OF_PICTURES)


def test_evaluation_repeats_the_last_line(run, capsys):
    config, workdir = run
    evaluate(config, workdir)
    evaluate(config, workdir)
    records = [json.loads(line) for line in (workdir / "scores.jsonl").read_text().splitlines()]
    expected = {k: v for k, v in metrics_of(workdir)[-1].items() if k.startswith("eval/")}
    assert len(records) == 2 * len(expected)
    for record in records:
        assert float(f"{record['value']:.9g}") == expected[record["metric"]]
        assert record["step"] == STEPS and record["config"]["seed"] == config.seed
        assert record["n"] == (1 if config.task in OF_PIXELS else 500)
    out = capsys.readouterr().out
    assert out.count(f"step {STEPS}, ") == 2
    assert all(out.count(f"\n{name} ") == 2 for name in expected)


def test_sampling(run):
    config, workdir = run
    if config.task in WITHOUT_PICTURES_OF_ITS_OWN:
        with pytest.raises(UserError, match="makes no pictures"):
            sample(config, workdir)
        return
    sample(config, workdir)
    pictures = np.load(workdir / "samples.npz")["images"]
    assert pictures.dtype == np.uint8 and pictures.ndim == 4
    of_task = dict.fromkeys(OF_PICTURES, 1) | {"style_video": 4}
    assert len(pictures) == of_task.get(config.task, config.sample.n)
    # The latents of a run's own sample grids.
    grid = np.asarray(Image.open(workdir / "samples.png"))
    np.testing.assert_array_equal(grid, Image.open(workdir / "samples" / "00000012.png"))
    if config.task in OF_PICTURES:
        np.testing.assert_array_equal(pictures[0], Image.open(workdir / "result.png"))


def test_sampling_another_seed_draws_other_pictures(finished, tmp_path):
    workdir = epath.Path(shutil.copytree(finished("dcgan"), tmp_path / "run"))
    drawn = []
    for seed in (0, 1):
        sample(tiny("dcgan", **{"sample.seed": seed, "sample.n": 3}), workdir)
        drawn.append(np.load(workdir / "samples.npz")["images"])
    assert drawn[0].shape == drawn[1].shape == (3, 8, 8, 1)
    assert (drawn[0] != drawn[1]).any()


def test_airbench_of_another_width():
    """Its groups have a quarter, all and all of the features; a bias' rate follows them."""
    config, _, _ = command.of_run(
        ["main.py", f"--config={ROOT}/configs/cnn.py:arch=airbench,width=64"]
    )
    assert config.model.widths == (16, 64, 64)
    assert config.optimizer.bias_rate == pytest.approx(0.053 / 4)
    small, _, _ = command.of_run(["main.py", f"--config={ROOT}/configs/cnn.py:width=64"])
    assert small.model.to_dict() == {"name": "small", "width": 64, "blocks": 3}
    with pytest.raises(UserError, match="arch='airbenchs' is unknown; did you mean 'airbench'"):
        command.of_run(["main.py", f"--config={ROOT}/configs/cnn.py:arch=airbenchs"])
