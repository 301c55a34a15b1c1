import shutil

import jax
import numpy as np
import pytest
from etils import epath
from PIL import Image

from genjax import runs
from genjax.errors import UserError
from genjax.explore import swap
from tests.explore import stub
from tests.tiny import tiny


def test_a_row_is_a_picture_and_its_latents_as_each_class(finished, tmp_path):
    """As its own class it is its reconstruction; the data are opened where the run was not."""
    workdir = epath.Path(shutil.copytree(finished("cvae"), tmp_path / "run"))
    config = tiny("cvae", **{"sample.shown": 3, "sample.seed": 2})
    line = swap.write(runs.open_trained(config, workdir, with_data=False), workdir)
    page = stub.cells(np.asarray(Image.open(workdir / "swap.png"))).astype(int)
    assert page.shape == (3, 11, 28, 28)
    trained = runs.open_trained(config, workdir)
    place = np.random.default_rng(2).permutation(500)[:3]
    assert f"3 held-out pictures ({', '.join(map(str, place))}) as each class" in line
    test = trained.run.dataset.test
    batch = {key: np.stack([test[i][key] for i in place]) for key in ("image", "label")}
    np.testing.assert_array_equal(page[:, 0], batch["image"][..., 0])
    drawn = trained.run.task.reconstruct(trained.state, batch, jax.random.key(0))
    for row, label, expected in zip(page, batch["label"], drawn, strict=True):
        assert np.abs(row[1 + label] - 255 * expected[..., 0]).max() <= 1
    assert (page[:, 1:] != page[:, 1:2]).any((1, 2, 3)).all()  # classes differ


def test_a_run_without_classes_is_one_line(tmp_path):
    with pytest.raises(UserError, match=r"train one with --config=configs/cvae\.py, or set"):
        swap.write(stub.linear(), tmp_path)
