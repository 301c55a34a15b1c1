import shutil

import jax
import numpy as np
import pytest
from etils import epath

from genjax import runs
from genjax.errors import UserError
from genjax.explore import swap
from tests.explore import stub
from tests.tiny import tiny


def test_a_row_is_a_picture_and_its_latents_as_each_class(finished, tmp_path):
    """As its own class it is its reconstruction; the data are opened where the run was not."""
    workdir = epath.Path(shutil.copytree(finished("cvae"), tmp_path / "run"))
    config = tiny("cvae", **{"sample.shown": 3, "sample.seed": 2})
    page, line = stub.page(swap, runs.open_trained(config, workdir, with_data=False), workdir)
    page = page.astype(int)
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


def test_without_labels_latents_move_by_the_means_of_classes(tmp_path):
    """All that this encoder says is a picture's brightness, times four numbers."""
    trained = stub.linear(lambda *_: None, shown=5)
    page, _ = stub.page(swap, trained, tmp_path)
    assert page.shape == (5, 11, 28, 28)
    test = trained.run.dataset.test
    brightness = np.array([test[i]["image"].mean() / 255 for i in range(500)])
    means = np.array([brightness[test.labels == k].mean() for k in range(10)])
    place = np.random.default_rng(0).permutation(500)[:5]
    moved = brightness[place][:, None] - means[test.labels[place]][:, None] + means[None]
    expected = moved[..., None] * stub.MEANS
    np.testing.assert_allclose(stub.said(page[:, 1:]), expected, atol=10 / 255 + 1e-3)


def test_pictures_without_classes_are_one_line(tmp_path):
    trained = stub.linear()
    run = trained.run._replace(dataset=trained.run.dataset._replace(classes=0))
    with pytest.raises(UserError, match=r"these data have not: set sample\.kind=traversal"):
        swap.write(trained._replace(run=run), tmp_path)
