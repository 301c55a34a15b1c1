"""Folders of pictures: what their sub-folders mean, and what is read of them."""

import os
import unicodedata

import numpy as np
import pytest
from ml_collections import ConfigDict
from PIL import Image

from genjax import config as config_lib
from genjax.data import open_dataset
from genjax.errors import UserError


def fill(root, *names, size=(9, 7)):
    for i, name in enumerate(names):
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", size, (i, 0, 0)).save(path)


def folder(root, **changes):
    values = config_lib.dataset(f"folder:{root}", 4).to_dict()
    values |= {"test_fraction": 0.0, "max_corrupt": 0}
    return open_dataset(ConfigDict({**values, **changes}))


def refused(root, message, **changes):
    with pytest.raises(UserError, match=message) as caught:
        folder(root, **changes)
    assert "\n" not in str(caught.value)


def files(split):
    return [split.file(i) for i in range(len(split))]


def test_folder_is_sorted_and_recursive(tmp_path):
    fill(tmp_path, "b.PNG", "a.jpeg", "deep/er/c.tif", ".hidden.png", "deep/._d.png", "e.webp")
    (tmp_path / "notes.txt").write_text("no picture")
    data = folder(tmp_path)
    assert files(data.train) == ["a.jpeg", "b.PNG", "deep/er/c.tif", "e.webp"]
    assert (data.classes, data.shape, len(data.test)) == (0, (4, 4, 3), 0)
    assert data.train[2]["image"].shape == (4, 4, 3) and data.train[2]["image"][0, 0, 0] == 2
    assert folder(tmp_path, channels=1).train[0]["image"].shape == (4, 4, 1)


def test_folder_classes_and_what_is_held_out(tmp_path):
    fill(tmp_path, *(f"{c}/{i}.png" for c in ("cat", "dog") for i in range(10)))
    (tmp_path / "empty").mkdir()
    (tmp_path / "cat" / "loop").symlink_to(tmp_path, target_is_directory=True)
    data = folder(tmp_path, test_fraction=0.2)
    assert (data.classes, len(data.train), len(data.test)) == (2, 16, 4)
    assert [int(data.test[i]["label"]) for i in range(4)] == [0, 0, 1, 1]
    assert not set(files(data.train)) & set(files(data.test))


def test_folder_train_and_test(tmp_path):
    fill(tmp_path, "train/a/1.png", "train/b/2.png", "train/b/3.png", "test/b/4.png", "x.png")
    data = folder(tmp_path, test_fraction=0.5)
    assert (files(data.train), files(data.test)) == (["a/1.png", "b/2.png", "b/3.png"], ["b/4.png"])
    assert (data.classes, data.test[0]["label"]) == (2, 1)
    assert data.notes == (
        "left out: 1 picture (x.png) beside train, test",
        "test has no pictures of a",
    )
    fill(tmp_path, "test/c/5.png")
    with pytest.raises(UserError, match="has c, which is no class of train: a, b"):
        folder(tmp_path)


def test_folder_that_is_not_right(tmp_path):
    with pytest.raises(UserError, match=r"such as :data=folder:.*,size=64"):
        folder(tmp_path, size=0)
    with pytest.raises(UserError, match="no such folder"):
        folder(tmp_path / "nowhere")
    with pytest.raises(UserError, match="no images in"):
        folder(tmp_path)
    fill(tmp_path, "test/1.png")
    with pytest.raises(UserError, match="test but no train"):
        folder(tmp_path)
    fill(tmp_path, "one/1.png")
    with pytest.raises(UserError, match="has one image"):
        folder(tmp_path / "one", test_fraction=0.1)


def two_classes(root, each=3, of=("cat", "dog")):
    fill(root, *(f"{c}/{i}.png" for c in of for i in range(each)))


@pytest.mark.parametrize(
    ("train", "held"),
    [
        ("train", "val"),
        ("train", "valid"),
        ("train", "validation"),
        ("Train", "Test"),
        ("TRAINING", "testing"),
        ("training_set", "test_set"),
        ("train2017", "val2017"),
        ("seg_train", "dev"),
        ("train-images", "Evaluation"),
    ],
)
def test_splits_by_the_names_that_people_give(tmp_path, train, held):
    two_classes(tmp_path / train)
    two_classes(tmp_path / held, each=1)
    data = folder(tmp_path, test_fraction=0.5)
    assert (len(data.train), len(data.test), data.class_names) == (6, 2, ("cat", "dog"))
    assert data.describe() == (
        "train on 6 pictures of 2 classes (cat, dog; 3 of each), 2 are held out (1 of each)"
    )
    assert data.notes == ()


def test_three_splits(tmp_path):
    for name, each in (("train", 3), ("val", 2), ("test", 1)):
        two_classes(tmp_path / name, each)
    fill(tmp_path, "unlabelled/1.png", "sheet.png")
    data = folder(tmp_path)
    assert (len(data.train), len(data.test)) == (6, 2)
    assert data.notes == (
        "left out: unlabelled, beside train, test, val",
        "left out: 1 picture (sheet.png) beside train, test, val",
        "held out is test; val is left out",
    )


def test_a_test_split_without_classes_is_left_out(tmp_path):
    two_classes(tmp_path / "train")
    fill(tmp_path, "test/1.png", "test/2.png")
    data = folder(tmp_path, test_fraction=0.5)
    assert (len(data.train), len(data.test), data.classes) == (3, 3, 2)
    assert data.notes == ("test is left out: it has no class folders as train has",)
    two_classes(tmp_path / "val", each=1)
    assert files(folder(tmp_path).test) == ["cat/0.png", "dog/0.png"]
    assert files(folder(tmp_path, labels="none").test) == ["1.png", "2.png"]


def test_names_that_may_mean_two_things(tmp_path):
    two_classes(tmp_path / "vehicles", of=("train", "bus", "car"))
    refused(tmp_path / "vehicles", "has train beside bus, car: rename train if it is a class")
    two_classes(tmp_path / "checks", of=("valid", "invalid"))
    refused(tmp_path / "checks", "has valid but no train: .* or rename valid if it is a class")
    two_classes(tmp_path / "twice" / "train")
    two_classes(tmp_path / "twice" / "Train")
    refused(tmp_path / "twice", "has Train, train, which mean the same: keep one")
    refused(tmp_path / "vehicles", "data.labels=some must be folders or none", labels="some")


def test_splits_that_are_not_recognised_are_refused(tmp_path):
    """They would train on what is to be held out."""
    fill(tmp_path / "cycle", *(f"{x}/1.png" for x in ("trainA", "trainB", "testA", "testB")))
    refused(tmp_path / "cycle", "has testA, testB, which look like splits: call one folder train")
    refused(tmp_path / "cycle", "has testA, testB", labels="none")
    for category in ("bottle", "cable"):
        fill(tmp_path / "set" / category, "train/good/1.png", "test/good/2.png", "test/bad/3.png")
    refused(tmp_path / "set", "bottle has splits of its own: make folders train and test")
    assert len(folder(tmp_path / "set" / "bottle", labels="none").train) == 1
    two_classes(tmp_path / "words", of=("trainer", "valley", "testudo", "train-station"))
    assert folder(tmp_path / "words").classes == 4


def test_folders_around_the_classes_are_opened(tmp_path):
    two_classes(tmp_path / "archive" / "images")
    (tmp_path / "archive" / "notes").mkdir()
    data = folder(tmp_path)
    assert (data.class_names, files(data.train)[0]) == (("cat", "dog"), "cat/0.png")
    assert data.notes == ("all pictures lie in archive/images/, which is opened",)
    # Splits within, each with a folder of its own around its classes; Kaggle's way.
    two_classes(tmp_path / "set" / "a" / "seg_train" / "seg_train")
    two_classes(tmp_path / "set" / "a" / "seg_test" / "seg_test", each=1)
    data = folder(tmp_path / "set")
    assert (data.class_names, len(data.train), len(data.test)) == (("cat", "dog"), 6, 2)
    # A held-out split of one class is not opened, even if the class has sub-folders.
    fill(tmp_path, "one/train/cat/1.png", "one/train/dog/1.png", "one/test/dog/a/1.png")
    data = folder(tmp_path / "one")
    assert [int(data.test[i]["label"]) for i in range(len(data.test))] == [1]


def test_one_class(tmp_path):
    fill(tmp_path, "strawberries/1.png", "strawberries/ripe/2.png")
    data = folder(tmp_path)
    assert (data.classes, data.class_names, len(data.train)) == (1, ("strawberries",), 2)


def test_pictures_beside_the_classes(tmp_path):
    two_classes(tmp_path, each=3)
    fill(tmp_path, "sheet.png", "title.png")
    data = folder(tmp_path)
    assert (data.classes, len(data.train)) == (2, 6)
    assert data.notes == ("left out: 2 pictures (sheet.png, title.png) beside the class folders",)
    fill(tmp_path, "third.png")  # as many as a class has
    data = folder(tmp_path)
    assert (data.classes, len(data.train)) == (0, 9)
    [note] = data.notes
    assert note.startswith("3 pictures lie beside the sub-folders (cat, dog), which are therefore")
    assert len(folder(tmp_path, labels="none").train) == 9


def test_sub_folders_that_are_no_classes(tmp_path):
    fill(tmp_path, "2023/1.png", "2024/2.png")
    data = folder(tmp_path, labels="none")
    assert (data.classes, data.class_names, len(data.train)) == (0, (), 2)
    assert data.describe() == "train on 2 pictures without classes, none are held out"


@pytest.mark.skipif("HEIF" in Image.OPEN, reason="needs pillow-heif to be absent")
def test_suffixes(tmp_path):
    """What Pillow reads is read, whatever its name; the rest is counted."""
    for i, suffix in enumerate(("jfif", "avif", "ppm", "jp2", "JPE", "tiff", "webp", "bmp")):
        Image.new("RGB", (8, 8), (0, 16 * i, 0)).save(tmp_path / f"{i}.{suffix}")
    Image.new("RGB", (8, 8)).save(tmp_path / "bare", "PNG")
    Image.new("RGB", (8, 8)).save(tmp_path / "image.php", "JPEG")
    Image.new("RGB", (8, 8)).save(tmp_path / "raw.NEF", "TIFF")  # such as its thumbnail
    for name in ("a.txt", "b.TXT", "README", "photo.heif", "fake.html"):
        (tmp_path / name).write_text("no picture")
    for name in ("Thumbs.db", "desktop.ini", ".DS_Store", "__MACOSX/x.jpg", "a.png~"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("?")
    fill(tmp_path, ".ipynb_checkpoints/1.png", "@eaDir/2.png")
    os.mkfifo(tmp_path / "pipe")
    data = folder(tmp_path)
    assert len(data.train) == 10 and data.train[2]["image"][0, 0, 1] == 32
    [note] = data.notes
    parts = set(note.removeprefix("left out: ").split(", "))
    heif = "1 .heif (pip install pillow-heif reads these)"
    raw = "1 .nef (raw photographs: save them as TIFF or JPEG)"
    assert parts == {"2 .txt", "2 without a suffix", heif, raw, "1 .html"}


def save_values(path, values):
    Image.fromarray(np.array(values, np.uint16)).save(path)


def test_twelve_bits_in_files_of_sixteen(tmp_path):
    """They read black; the set is scaled by one factor, 65535 / 4095 = 16, and no picture alone."""
    for i, values in enumerate(([[0, 4000]], [[2048, 2048]])):
        save_values(tmp_path / f"{i}.png", values)
    Image.new("L", (2, 1), 200).save(tmp_path / "8.png")
    data = folder(tmp_path, size=1, channels=1)
    assert data.notes == (
        "pictures of 16 bits use 12 of them (up to 4,000): all are made 16 times brighter",
    )
    levels = [int(data.train[i]["image"].ravel()[0]) for i in range(3)]
    assert levels[1:] == [128, 200] and levels[0] in (0, 249)  # the left or right half of two
    # A picture that uses more shows that the set is not one of 12 bits.
    save_values(tmp_path / "9.png", [[8192, 8192]])
    data = folder(tmp_path, size=1, channels=1)
    assert (data.notes, int(data.train[1]["image"][0, 0, 0])) == ((), 8)


def test_sets_of_eight_bits_are_not_decoded_to_be_opened(tmp_path, monkeypatch):
    two_classes(tmp_path)
    monkeypatch.setattr(Image.Image, "load", lambda image: pytest.fail("decoded"))
    assert len(folder(tmp_path).train) == 6


@pytest.mark.skipif("HEIF" not in Image.OPEN, reason="needs pillow-heif")
def test_heif(tmp_path):
    Image.new("RGB", (64, 64), (200, 100, 50)).save(tmp_path / "a.heic", quality=95)
    data = folder(tmp_path)
    assert data.notes == () and abs(data.train[0]["image"] - [200.0, 100, 50]).max() <= 3


@pytest.mark.skipif("HEIF" in Image.OPEN, reason="needs pillow-heif to be absent")
def test_only_files_that_cannot_be_read(tmp_path):
    (tmp_path / "a.heic").write_bytes(b"\0\0\0\x18ftypheic" + bytes(40))
    refused(tmp_path, r"no images in .* \(left out: 1 \.heic \(pip install pillow-heif reads")


def test_archives_and_files_are_no_folders(tmp_path):
    for name, message in (
        ("x.zip", "it is an archive: unpack it"),
        ("x.tar.gz", "it is an archive: unpack it"),
        ("x.7z", "it is an archive: unpack it"),
        ("x.npz", "data.name=npz:.*x.npz reads it"),
        ("x.png", "it is a file: name the folder that it lies in"),
    ):
        (tmp_path / name).write_text("")
        refused(tmp_path / name, message)
    (tmp_path / "flowers").mkdir()
    refused(tmp_path / "flower", r"there is no such folder; did you mean flowers\?")


def test_the_order_is_the_same_on_every_machine(tmp_path):
    """Classes by code points, and é alike in the two ways in which systems store it."""
    composed, apart = (unicodedata.normalize(form, "é") for form in ("NFC", "NFD"))
    two_classes(tmp_path / "a" / "train", of=("b", "10", "9", "B", composed, "f"))
    two_classes(tmp_path / "b" / "train", of=("b", "10", "9", "B", apart, "f"))
    two_classes(tmp_path / "a" / "test", of=(apart,))
    one, other = folder(tmp_path / "a"), folder(tmp_path / "b")
    assert one.class_names == other.class_names == ("10", "9", "B", "b", "f", composed)
    assert int(one.test[0]["label"]) == 5
    assert one.train.labels.tolist() == other.train.labels.tolist()
    assert files(one.train) == [unicodedata.normalize("NFC", x) for x in files(other.train)]


def test_the_digest_sees_names_and_sizes_and_no_place(tmp_path):
    two_classes(tmp_path / "here")
    two_classes(tmp_path / "there" / "set")
    (tmp_path / "here" / "notes.txt").write_text("no picture")
    first = folder(tmp_path / "here").digest
    assert folder(tmp_path / "there").digest == folder(tmp_path / "there" / "set").digest == first
    place = tmp_path / "here" / "cat" / "0.png"
    content = place.read_bytes()
    place.write_bytes(content + b"\0")
    assert folder(tmp_path / "here").digest != first
    place.write_bytes(content)
    assert folder(tmp_path / "here").digest == first
    place.rename(place.with_name("9.png"))
    assert folder(tmp_path / "here").digest != first
    # What trains and what is held out is not the same.
    for a, b in (("train", "test"), ("test", "train")):
        fill(tmp_path / f"{a}-first", f"{a}/1.png", f"{b}/2.png")
    assert folder(tmp_path / "train-first").digest != folder(tmp_path / "test-first").digest
