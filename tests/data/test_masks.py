"""MVTec's folders: what is good trains, and masks say where the faults are."""

import pickle
import shutil

import numpy as np
import pytest
from ml_collections import ConfigDict
from PIL import Image

from genjax import config as config_lib
from genjax.data import open_dataset
from genjax.errors import UserError


def save(path, array):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.asarray(array, np.uint8)).save(path)


def mask(height=6, width=8, rows=slice(0), columns=slice(None)):
    found = np.zeros((height, width), np.uint8)
    found[rows, columns] = 255
    return found


@pytest.fixture
def root(tmp_path):
    """A category of MVTec AD: pictures of 8 x 6 px, of which networks see the middle 6 x 6."""
    root = tmp_path / "bottle"
    for name in (
        *(f"train/good/{i:03}.png" for i in range(5)),
        *(f"test/good/{i:03}.png" for i in range(2)),
        *(f"test/broken_large/{i:03}.png" for i in range(2)),
        *(f"test/contamination/{i:03}.png" for i in range(3)),
    ):
        save(root / name, np.full((6, 8, 3), 50))
    save(root / "ground_truth/broken_large/000_mask.png", mask(rows=slice(0, 2)))
    save(root / "ground_truth/broken_large/001_mask.png", mask(columns=slice(7, 8)))
    save(root / "ground_truth/contamination/000_mask.png", mask(rows=slice(4, 6)))
    save(root / "ground_truth/contamination/002_mask.png", mask(rows=slice(1), columns=slice(2)))
    save(root / "ground_truth/contamination/009_mask.png", mask())
    (root / "license.txt").write_text("no picture")
    return root


def opened(root, size=6, **changes):
    values = config_lib.dataset(f"folder:{root}", size).to_dict() | {"max_corrupt": 0}
    return open_dataset(ConfigDict({**values, **changes}))


def test_what_is_good_trains_and_the_rest_is_to_be_found(root):
    data = opened(root)
    assert (data.classes, data.class_names) == (1, ("good",))
    assert data.other_classes == ("broken_large", "contamination")
    assert (len(data.train), len(data.test), len(data.whole_test)) == (5, 2, 7)
    whole = data.whole_test
    kinds = (*data.class_names, *data.other_classes)
    for i in range(7):
        kind = whole.file(i).partition("/")[0]
        assert kinds[whole[i]["label"]] == kind and whole.anomalous[i] == (kind != "good")
    assert data.lines() == (
        "train on 5 pictures of 1 class (good; 5 of each), 2 are held out (2 of each)",
        "ground_truth has masks of 4 of 5 faulty pictures, and 1 that belong to none",
        "other classes (broken_large, contamination): 5 that are held out are to be found as"
        " anomalous",
    )
    # Around it, and beside a folder for those that validate, it is the same data.
    save(root / "validation/good/000.png", np.zeros((6, 8, 3)))
    assert opened(root.parent).whole_test.file(0) == whole.file(0)
    assert opened(root, classes=("good",)).digest == data.digest == opened(root.parent).digest


def test_masks_are_cut_as_pictures_are(root):
    whole = pickle.loads(pickle.dumps(opened(root).whole_test))
    found = {whole.file(i): whole.mask(i) for i in range(7)}
    rows = np.arange(6)[:, None] + np.zeros(6, int)
    assert (found["broken_large/000.png"] == (rows < 2)).all()
    assert not found["broken_large/001.png"].any()  # outside of the middle square
    assert (found["contamination/000.png"] == (rows >= 4)).all()
    assert found["contamination/001.png"] is None
    assert found["contamination/002.png"].sum() == 1 and found["contamination/002.png"][0, 0]
    assert not found["good/000.png"].any() and found["good/000.png"].shape == (6, 6)
    small = opened(root, 3).whole_test
    assert small.mask(0).tolist() == [[True] * 3, [False] * 3, [False] * 3]
    assert opened(root).test.mask(0) is None  # no test of faults


def test_several_masks_of_one_picture_and_names_without_mask(root):
    """As MVTec LOCO and BTAD have them; a fault there is any value above 0."""
    shutil.rmtree(root / "ground_truth")
    save(root / "ground_truth/broken_large/000/000.png", mask(rows=slice(1)) // 255)
    save(root / "ground_truth/broken_large/000/001.png", mask(rows=slice(5, 6)) // 2)
    save(root / "ground_truth/broken_large/001.bmp", mask(rows=slice(3, 4)))
    (root / "train/good").rename(root / "train/ok")
    (root / "test/good").rename(root / "test/ok")
    data = opened(root)
    assert data.class_names == ("ok",)
    assert data.whole_test.mask(0).any(axis=1).tolist() == [True, *[False] * 4, True]
    assert data.whole_test.mask(1).any(axis=1).tolist() == [False] * 3 + [True] + [False] * 2


def test_a_mask_of_another_size(root):
    save(root / "ground_truth/broken_large/000_mask.png", mask(width=9))
    with pytest.raises(UserError, match=r"000_mask.png has 9 x 6 px, its picture 8 x 6"):
        opened(root).whole_test.mask(0)


def test_masks_are_part_of_the_data(root):
    first = opened(root).digest
    (root / "ground_truth/broken_large/000_mask.png").unlink()
    assert opened(root).digest != first
    shutil.rmtree(root / "ground_truth")
    data = opened(root)
    assert data.whole_test.mask(0) is None and len(data.notes) == 1


def test_folders_that_are_not_laid_out_so(root):
    """Other names than those of what is good, and nothing good held out, may mean other things."""
    assert len(opened(root, labels="none").test) == 7
    assert opened(root, labels="none").notes == ("left out: ground_truth, beside train",)
    shutil.move(root / "test/good", root / "elsewhere")
    with pytest.raises(UserError, match=r"which is no class of train: good; .* data\.classes"):
        opened(root)
    shutil.move(root / "elsewhere", root / "test/cat")
    (root / "train/good").rename(root / "train/cat")
    with pytest.raises(UserError, match=r"which is no class of train: cat"):
        opened(root)
    assert opened(root, classes=("cat",)).whole_test.anomalous.sum() == 5
