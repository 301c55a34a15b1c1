"""What finds anomalies, by scores and maps that are known, and as `--mode=evaluate` writes it."""

import json

import jax.numpy as jnp
import numpy as np
import pytest
from etils import epath

from genjax import images, runs
from genjax.errors import UserError
from genjax.evaluate import Evaluator, evaluate
from genjax.scores import anomalies
from genjax.scores.measure import Value
from genjax.train import train
from tests.tiny import tiny

_FAULT = slice(2, 4)  # rows and columns of the bright square


def _scene(seed, faulty=False):
    """8 x 8 px of one of two greys, a little noisy; with a bright square where it is faulty."""
    random = np.random.default_rng(seed)
    picture = random.integers(0, 10, (8, 8, 1)) + 40 * (seed % 2)
    if faulty:
        picture[_FAULT, _FAULT] = 250
    return picture.astype(np.uint8)


@pytest.fixture
def root(tmp_path):
    """As MVTec has its folders: 12 to train on, 4 held out that are good, 3 with a fault."""
    found = {f"train/good/{i}.png": _scene(i) for i in range(12)}
    found |= {f"test/good/{i}.png": _scene(20 + i) for i in range(4)}
    found |= {f"test/spot/{i}.png": _scene(30 + i, faulty=True) for i in range(3)}
    mask = np.zeros((8, 8, 1), np.uint8)
    mask[_FAULT, _FAULT] = 255
    found |= {f"ground_truth/spot/{i}_mask.png": mask for i in range(3)}
    for name, picture in found.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        images.write(tmp_path / name, picture)
    return tmp_path


def _config(root, **changes):
    return tiny(
        "vae", **{"data.name": f"folder:{root}", "data.size": 8, "train.steps": 2} | changes
    )


def test_scores_and_maps_that_are_known(root):
    """Maps that are the pictures' own brightness: the square stands out, and the components of
    pictures without one do not have it. A score that is the index: 0 to 3 good, or after."""
    run = runs.build(_config(root))
    run = run._replace(
        task=run.task._replace(
            reconstruct=lambda state, batch, key: (x := batch["image"] / 255) - jnp.sqrt(x)
        )
    )
    trained, split = runs.Trained(run, (), 0), run.dataset.whole_test
    evaluator = Evaluator(run)
    place = np.arange(7.0)
    # Of one anomalous picture that can be read nobody knows an error.
    first = np.flatnonzero(split.anomalous)[0]
    few = np.where(split.anomalous & (place != first), np.nan, place)
    values = {"place": place, "few": few}
    found, sheet = anomalies.of(trained, values, lambda: evaluator.batches(split))
    anomalous = split.anomalous
    assert found["auroc/few"] == (
        Value((first > place[~anomalous]).mean()),
        {"anomalous": 1, "usual": 4},
    )
    pairs = place[anomalous][:, None] > place[~anomalous]
    assert found["auroc/place"][0].value == pairs.mean()
    assert found["auroc/pca"][0].value == found["average_precision/pca"][0].value == 1
    assert found["pixel_auroc/mse"][0].value == found["pixel_auroc/pca"][0].value == 1
    # The mean brightness: of a square, at most 4 of 64 pixels, beside greys that differ by 40.
    means = np.array([split[i]["image"].mean() for i in range(7)])
    pairs = means[anomalous][:, None] > means[~anomalous]
    assert found["auroc/mse"][0].value == pairs.mean()
    assert found["auroc/mse"][1] == {"anomalous": 3, "usual": 4}
    assert sheet.shape == (4 * 10 + 2, 8 * 10 + 2, 3)


def test_a_run_writes_records_and_a_sheet(root, tmp_path, capsys):
    config = _config(root, **{"score.metrics": ("anomalies",)})
    workdir = epath.Path(tmp_path / "run")
    train(config, workdir)
    evaluate(config, workdir)
    records = [json.loads(line) for line in (workdir / "scores.jsonl").read_text().splitlines()]
    values = {each["metric"]: each["value"] for each in records}
    for score in ("negative_elbo", "reconstruction", "kl", "mse", "pca"):
        assert 0 <= values[f"auroc/{score}"] <= 1 and 0 < values[f"average_precision/{score}"] <= 1
    assert "auroc/pca" in capsys.readouterr().out
    assert (workdir / anomalies.SHEET).exists()


def test_what_has_no_anomalies_is_refused(finished):
    trained = runs.open_trained(tiny("vae"), finished("vae"))
    with pytest.raises(UserError, match=r"set data\.classes to those that train"):
        anomalies.check(trained)


def test_a_task_that_reconstructs_nothing_is_refused(root):
    run = runs.build(tiny("dcgan", **{"data.name": f"folder:{root}"}))
    with pytest.raises(UserError, match="task='gan' reconstructs nothing: leave anomalies"):
        anomalies.check(runs.Trained(run, (), 0))


@pytest.mark.parametrize("kind", [False, True])
def test_pictures_of_one_kind_that_cannot_be_read_are_one_line(kind, root):
    run = runs.build(_config(root))
    run = run._replace(task=run.task._replace(reconstruct=lambda s, batch, k: batch["image"] / 255))
    split = run.dataset.whole_test
    values = {"place": np.where(split.anomalous == kind, np.nan, 1.0)}
    unread = "3 anomalous" if kind else "4 usual"
    with pytest.raises(UserError, match=f"of {unread} ones 0"):
        batches = lambda: Evaluator(run).batches(split)  # noqa: E731
        anomalies.of(runs.Trained(run, (), 0), values, batches)
