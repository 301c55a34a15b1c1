"""Where pictures come from, and what is said where they do not come."""

import re

import numpy as np
import pytest
from PIL import Image

from genjax import data, images, runs
from genjax.config import dataset
from genjax.errors import UserError
from genjax.scores import pictures as sets
from tests.scores.stub import conditional, pictures
from tests.tiny import tiny


def all_of(found):
    return np.concatenate(list(found.batches()))


def as_folder(root, array, **more):
    for i, picture in enumerate(array):
        (root / "deep").mkdir(parents=True, exist_ok=True)
        images.write(root / "deep" / f"{i}.png", picture)
    return root


def same(found, array):
    """Whether two arrays hold the same pictures, in whatever order."""
    return sorted(map(bytes, found)) == sorted(map(bytes, array))


def test_a_folder_and_an_array_are_the_same_pictures(tmp_path):
    array = pictures(20)
    np.savez(tmp_path / "a.npz", images=array)
    for name in (as_folder(tmp_path / "a", array), tmp_path / "a.npz"):
        found = sets.named(str(name))
        assert (found.n, found.shape) == (20, (12, 12, 3))
        assert same(all_of(found), array)
        np.testing.assert_array_equal(all_of(found), all_of(found))  # the same order again
        few = sets.named(str(name), n=7)
        np.testing.assert_array_equal(all_of(few), all_of(found)[:7])


def test_labels_go_with_their_pictures(tmp_path):
    array = pictures(9)
    np.savez(tmp_path / "a.npz", images=array, labels=array[:, 0, 0, 0].astype(int))
    found = sets.named(str(tmp_path / "a.npz"), n=5)
    np.testing.assert_array_equal(found.labels, all_of(found)[:, 0, 0, 0])


def test_splits_and_runs_know_their_classes(finished):
    found, stored = sets.named("mnist:test", n=20), data.open_dataset(dataset("mnist", 0)).test
    label = {bytes(each["image"]): each["label"] for each in stored}
    assert found.labels.tolist() == [label[bytes(picture)] for picture in all_of(found)]
    trained = conditional(runs.open_trained(tiny("dcgan"), finished("dcgan")), 3)
    assert sets.of_trained(trained, "r", 5, 0).labels.tolist() == [0, 1, 2, 0, 1]


def test_samples_say_how_they_were_chosen(finished):
    options = {"sample.threshold": 0.5, "sample.standing": 2}
    trained = runs.open_trained(tiny("dcgan", **options), finished("dcgan"))
    about = sets.of_trained(trained, "r", 5, 0).about
    assert about["batch_norm"] == "standing, of 2 batches"
    assert about["threshold"] == 0.5 and not {"psi", "label"} & about.keys()


def test_the_digest_is_of_the_contents(tmp_path):
    array = pictures(3)
    a, b = (sets.named(str(as_folder(tmp_path / x, array))) for x in "ab")
    assert a.digest == b.digest != ""
    array[0, 0, 0] += 1
    assert sets.named(str(as_folder(tmp_path / "b", array))).digest != a.digest


def test_an_edited_picture_of_a_folders_split_is_seen(tmp_path):
    """Names and sizes of files are what they were."""
    folder, name = as_folder(tmp_path / "a", pictures(8)), f"folder:{tmp_path}/a:train"
    before = sets.named(name, size=8).digest
    assert before == sets.named(name, size=8).digest != sets.named(name, size=6).digest
    for path in (folder / "deep").iterdir():
        whole = bytearray(path.read_bytes())
        whole[-1] ^= 1
        path.write_bytes(whole)
    assert sets.named(name, size=8).digest != before


def test_splits_are_what_networks_see():
    test, train = sets.named("mnist:test", size=32), sets.named("mnist:train", n=10)
    assert (test.n, test.shape, test.name) == (500, (32, 32, 1), "mnist:test")
    assert all_of(test).shape == (500, 32, 32, 1)
    assert (train.n, train.shape) == (10, (28, 28, 1))
    assert train.digest != sets.named("mnist:test", n=10).digest


def test_a_size_brings_folders_to_squares(tmp_path):
    images.write(tmp_path / "x.png", pictures(1, size=20)[0, :16])
    assert sets.named(str(tmp_path), size=8).shape == (8, 8, 3)
    assert sets.named(str(tmp_path)).shape == (16, 20, 3)


def broken(tmp_path):
    """{name of a set: what is said of it}."""
    (tmp_path / "empty").mkdir()
    (tmp_path / "text").mkdir()
    (tmp_path / "text" / "a.txt").write_text("a")
    mixed = as_folder(tmp_path / "mixed", pictures(3))
    images.write(mixed / "z.png", pictures(1, size=16)[0])
    cut = as_folder(tmp_path / "cut", pictures(3))
    whole = (cut / "deep" / "1.png").read_bytes()
    (cut / "deep" / "1.png").write_bytes(whole[:100])
    np.savez(tmp_path / "none.npz", x=pictures(2))
    np.savez(tmp_path / "float.npz", images=pictures(2) / 255)
    np.savez(tmp_path / "odd.npz", images=pictures(2), labels=np.zeros(3, int))
    np.savez(tmp_path / "below.npz", images=pictures(2), labels=np.array([0, -1]))
    np.savez(tmp_path / "zero.npz", images=pictures(0))
    Image.fromarray(pictures(1)[0]).save(tmp_path / "one.png")
    return {
        "empty": "no pictures in this folder",
        "text": "no pictures in this folder (left out: 1 .txt)",
        "mixed": "pictures of several sizes, 12 x 12 px and 16 x 16 px",
        "cut": "1.png cannot be decoded",
        "none.npz": "has no array `images`, it has x",
        "float.npz": "images is float64[2, 12, 12, 3], it must be uint8",
        "odd.npz": "labels is int64[3], it must be integers [2]",
        "below.npz": "labels has -1: classes count from 0",
        "zero.npz": "has no pictures",
        "one.png": "is a file: name a folder or a .npz",
        "emtpy": "does not exist; did you mean",
    }


def test_what_is_no_set_of_pictures_is_one_line(tmp_path):
    for name, said in broken(tmp_path).items():
        with pytest.raises(UserError, match=re.escape(said)):
            list(sets.named(str(tmp_path / name)).batches())


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("mnist", "say which split, mnist:train or mnist:test"),
        ("mnist:val", "mnist has the splits mnist:train and mnist:test"),
        ("shapes", "say which split, shapes:train or shapes:test"),
        ("shapes:all", "shapes has the splits shapes:train and shapes:test"),
        ("mnits:test", "is no data set"),
        ("folder:nowhere:test", "folder:nowhere:test needs a size for its pictures: --size=PX"),
        ("run:nowhere", "is not a run's workdir"),
    ],
)
def test_names_that_mean_nothing(name, said):
    with pytest.raises(UserError, match=re.escape(said)):
        sets.named(name)


def test_sets_of_two_sizes_are_refused(tmp_path):
    np.savez(tmp_path / "a.npz", images=pictures(2))
    with pytest.raises(UserError, match=r"12 x 12 px, those of mnist:test 28 x 28 px.*--size=PX"):
        sets.check_alike(sets.named(str(tmp_path / "a.npz")), sets.named("mnist:test"))
